"""The replay: a trace through the real engine gives exactly what an infinite cache would, and less when limited."""

import gzip
import json
import os
import random
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiered_cache.cli.main import main
from tiered_cache.core.keys import Keyer
from tiered_cache.core.vocabulary import Keyed, Request, Scope
from tiered_cache.engine.config import CacheConfig, MemoryConfig, RedisConfig
from tiered_cache.errors import ConfigError
from tiered_cache.simulation.replay import Plan, Replay
from tiered_cache.simulation.trace_calls import OriginModel, call_body
from tiered_cache.simulation.traces import Row, read_trace

ENDLESS = CacheConfig(profile="unbounded", memory=MemoryConfig(capacity_bytes=None))
TRACES = Path(os.environ.get("TIERED_CACHE_TRACES", Path(__file__).parents[2].parent / "shared" / "traces"))
DAY_MS = 86_400_000


MODEL = OriginModel()


def replayed(rows, config=ENDLESS, seed=0, model=MODEL):
    return Replay(Plan("test", config, seed, model), rows).run()


def saved_calls(report) -> int:
    return report.outcomes.get("hit", 0) + report.outcomes.get("collapsed", 0)


def some_trace(rows: int, seed: int) -> list[Row]:
    """Popular and rare calls, bursts and pauses, two tenants."""
    draw = random.Random(seed)
    now_ms, trace = 0, []
    for _ in range(rows):
        now_ms += draw.choice([0, 0, 1, 40, 900, 30_000])
        key = min(draw.randrange(400), draw.randrange(400), draw.randrange(400))
        trace.append(Row(now_ms, key, draw.randrange(4000), draw.randrange(600), draw.choice(["a", "b"])))
    return trace


@pytest.mark.parametrize("seed", [1, 2])
def test_without_limits_hits_and_collapsed_are_all_repeats(seed):
    rows = some_trace(3_000, seed)
    calls = len({(row.tenant, row.key_id) for row in rows})

    report = replayed(rows, seed=seed)

    assert saved_calls(report) == len(rows) - calls
    assert report.upstream_calls == report.outcomes["miss"] == calls
    assert set(report.outcomes) == {"hit", "collapsed", "miss"}
    assert report.wrong_answers == 0
    assert report.hit_ratio == report.unbounded.hit_ratio
    assert msgspec.structs.astuple(report.reached) == (1.0, 1.0, 1.0, 1.0)
    assert not [name for name in report.counters if name.startswith(("fault", "refused", "dropped"))]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(
            Row,
            ts_ms=st.integers(0, 20_000),
            key_id=st.integers(0, 5),
            prompt_tokens=st.integers(0, 100),
            output_tokens=st.integers(0, 300),
            tenant=st.sampled_from(["", "acme"]),
        ),
        max_size=30,
    ),
    st.integers(0, 5),
)
def test_for_every_trace_hits_and_collapsed_are_all_repeats(rows, seed):
    report = replayed(sorted(rows, key=lambda row: row.ts_ms), seed=seed)

    assert saved_calls(report) == len(rows) - report.calls
    assert report.upstream_calls == report.calls
    assert report.wrong_answers == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["llm_chat_mooncake_conv", "mix_azureconv_x_web07"])
def test_on_the_llm_traces_hits_and_collapsed_are_all_repeats(name):
    file = TRACES / f"{name}.csv.gz"
    if not file.exists():
        pytest.skip("the workload data is not beside the project (set TIERED_CACHE_TRACES)")
    rows = list(read_trace(file))
    keys = {row.key_id for row in rows}

    report = replayed(rows)

    assert saved_calls(report) == len(rows) - len(keys)
    assert report.upstream_calls == len(keys)
    assert report.wrong_answers == 0
    assert report.reached.cost_saving == 1.0


def test_a_repeat_during_the_first_call_is_collapsed_and_after_it_a_hit():
    model = OriginModel(first_token_s=1.0, per_token_s=0.1)
    rows = [Row(0, 7, 10, 20), Row(2_900, 7, 10, 20), Row(3_100, 7, 10, 20)]

    report = replayed(rows, model=model)

    assert report.outcomes == {"miss": 1, "collapsed": 1, "hit": 1}
    assert report.tiers == {"L1": pytest.approx(1 / 3), "collapsed": pytest.approx(1 / 3)}
    assert report.saved_s == pytest.approx(2.9 + 3.0)


def test_two_tenants_share_nothing():
    rows = [Row(0, 7, 10, 20, "a"), Row(60_000, 7, 10, 20, "b"), Row(120_000, 7, 10, 20, "a")]

    report = replayed(rows)

    assert report.outcomes == {"miss": 2, "hit": 1}
    assert report.tenants == 2


def test_lifetimes_of_a_profile_end_in_virtual_time():
    """A deterministic call to a dated model is fresh for 7 days."""
    rows = [Row(0, 7, 10, 20), Row(6 * DAY_MS, 7, 10, 20), Row(8 * DAY_MS, 7, 10, 20)]
    balanced = CacheConfig(memory=MemoryConfig(capacity_bytes=None))

    assert replayed(rows, balanced).outcomes == {"miss": 2, "hit": 1}
    assert replayed(rows).outcomes == {"miss": 1, "hit": 2}


def test_each_figure_weighs_the_calls_in_its_own_way():
    model = OriginModel(input_picousd=3, output_picousd=5, bytes_per_token=10)
    rows = [Row(0, 1, 100, 50), Row(60_000, 1, 100, 200), Row(120_000, 2, 0, 1000)]

    report = replayed(rows, model=model)

    assert report.hit_ratio == pytest.approx(1 / 3)
    assert report.token_saving == pytest.approx(300 / 1450)
    assert report.cost_saving == pytest.approx(1300 / (550 + 1300 + 5000))
    assert report.byte_hit_ratio == pytest.approx(2000 / 12_500, rel=0.2)
    assert report.saved_usd == pytest.approx(1300e-12)
    assert report.ledger_saved_usd == pytest.approx(550e-12)
    assert report.spent_usd == pytest.approx(5550e-12)


def test_a_small_memory_attains_less_and_never_more_than_the_clairvoyant():
    rows = some_trace(2_000, 3)
    bounded = msgspec.structs.replace(ENDLESS, memory=MemoryConfig(capacity_bytes=100_000))

    report = replayed(rows, bounded)

    assert report.clairvoyant is not None
    assert 0 < report.hit_ratio < report.clairvoyant.hit_ratio < report.unbounded.hit_ratio
    assert report.wrong_answers == 0


def test_no_memory_at_all_still_collapses():
    rows = [Row(0, 7, 10, 100), Row(10, 7, 10, 100), Row(60_000, 7, 10, 100)]

    report = replayed(rows, msgspec.structs.replace(ENDLESS, memory=MemoryConfig(capacity_bytes=0)))

    assert report.outcomes == {"miss": 2, "collapsed": 1}
    assert report.clairvoyant is not None
    assert report.clairvoyant.hit_ratio == 0


@pytest.mark.parametrize("start_ms", [0, 1_700_000_000_000, 10**17, 10**400])
def test_times_count_from_the_first_row(start_ms):
    rows = some_trace(300, 5)
    later = [msgspec.structs.replace(row, ts_ms=start_ms + 7 + row.ts_ms) for row in rows]
    same = {"trace": "", "took_s": 0.0}
    assert msgspec.structs.replace(replayed(later), **same) == msgspec.structs.replace(replayed(rows), **same)


def test_a_trace_out_of_order_has_a_span_all_the_same():
    rows = [Row(at_ms, 1, 1, 1) for at_ms in (100_000, 0, 50_000)]
    assert replayed(rows).span_s == 100.0


def test_a_trace_of_many_years_ends_at_once():
    """Where floats are coarser than asyncio's resolution, timers still come due."""
    rows = [Row(year * 365 * DAY_MS + at_ms, 1, 10, 10) for year in range(0, 100, 9) for at_ms in (0, 9_000)]
    report = replayed(rows)
    assert report.rows == sum(report.outcomes.values()) == len(rows)
    assert report.took_s < 20


@pytest.mark.parametrize("last_ms", [101 * 365 * DAY_MS, 10**18, 10**400])
def test_a_trace_of_more_than_a_century_is_one_line_and_exit_code_2(tmp_path, capsys, last_ms):
    trace = tmp_path / "t.csv"
    trace.write_text(f"ts_ms,key_id,prompt_tokens,output_tokens\n0,1,1,1\n{last_ms},1,1,1\n")
    assert main(["replay", str(trace)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "100 years" in line


def test_a_trace_without_rows_reports_zeros():
    report = replayed([])

    assert (report.rows, report.hit_ratio, report.outcomes, report.tiers) == (0, 0.0, {}, {})


def test_the_same_seed_gives_the_same_report():
    rows = some_trace(300, 4)

    first, again = (msgspec.structs.replace(replayed(rows, seed=9), took_s=0.0) for _ in range(2))

    assert first == again


def test_every_spelling_of_a_row_has_one_key_and_other_rows_have_others():
    keyer = Keyer(b"a secret of sixteen bytes")
    randomness = random.Random(1)

    def keyed(row: Row) -> Keyed:
        found = keyer.key(Request("chat/completions", call_body(row, randomness), Scope("t", "o")))
        assert isinstance(found, Keyed)
        return found

    bodies = {call_body(Row(0, 17, 1, 1), randomness) for _ in range(100)}
    keys = {keyed(Row(0, 17, 1, 1)).key for _ in range(100)}

    assert len(bodies) == 5
    assert len(keys) == 1
    assert keyed(Row(0, 18, 1, 1)).key not in keys


def test_redis_is_refused_because_it_lives_in_real_time():
    with pytest.raises(ConfigError, match="redis"):
        Replay(Plan("test", CacheConfig(redis=RedisConfig(url="redis://127.0.0.1:1"))), [])


# The command line.


def run_verb(*words: str) -> int:
    return main(["replay", *words])


@pytest.fixture
def trace(tmp_path):
    file = tmp_path / "mine.csv.gz"
    lines = ["ts_ms,key_id,prompt_tokens,output_tokens"]
    lines += [
        f"{row.ts_ms},{row.key_id},{row.prompt_tokens},{row.output_tokens}" for row in some_trace(400, 5)
    ]
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    return file


def test_the_report_names_its_workload_beside_each_bound(trace, capsys):
    assert run_verb(str(trace)) == 0

    shown = capsys.readouterr().out
    for word in (
        "mine: 400 requests",
        "hit ratio",
        "byte hit ratio",
        "token saving",
        "cost saving",
        "infinite cache",
    ):
        assert word in shown
    assert "100.00%" in shown


def test_json_to_a_file_and_to_standard_output(trace, tmp_path, capsys):
    out = tmp_path / "report.json"

    assert run_verb(str(trace), "--json", str(out)) == 0
    written = json.loads(out.read_text())
    capsys.readouterr()
    assert run_verb(str(trace), "--json", "-") == 0
    printed = json.loads(capsys.readouterr().out)

    assert written | {"took_s": 0} == printed | {"took_s": 0}
    assert written["trace"] == "mine"
    assert written["hit_ratio"] == written["unbounded"]["hit_ratio"]


def test_limit_and_capacity(trace, capsys):
    assert run_verb(str(trace), "--limit", "50", "--capacity", "16KiB", "--json", "-") == 0

    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == 50
    assert report["memory_bytes"] == 16 * 1024


def test_disk_answers_what_memory_lost_and_leaves_nothing_behind(trace, tmp_path, capsys):
    folder = tmp_path / "entries"

    assert run_verb(str(trace), "--capacity", "20KiB", "--disk", str(folder), "--json", "-") == 0

    report = json.loads(capsys.readouterr().out)
    assert report["tiers"]["disk"] > 0
    assert report["hit_ratio"] == report["unbounded"]["hit_ratio"]
    assert not [name for name in report["counters"] if name.startswith("fault")]
    assert list(folder.iterdir()) == []


def test_config_gives_profile_and_space(trace, tmp_path, capsys):
    config = tmp_path / "tiered-cache.toml"
    config.write_text('port = 8080\n[cache]\nprofile = "strict"\n[cache.memory]\ncapacity_bytes = 1000000\n')

    assert run_verb(str(trace), "--config", str(config), "--json", "-") == 0

    report = json.loads(capsys.readouterr().out)
    assert (report["profile"], report["memory_bytes"]) == ("strict", 1_000_000)


@pytest.mark.parametrize(
    "toml", ["[cache]\nprofil = 1\n", "[cache", '[cache.redis]\nurl = "redis://127.0.0.1:1"\n', "cache = 3\n"]
)
def test_a_config_that_cannot_be_used_is_one_line_and_exit_code_2(trace, tmp_path, capsys, toml):
    config = tmp_path / "bad.toml"
    config.write_text(toml)

    assert run_verb(str(trace), "--config", str(config)) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("words", [["absent.csv"], ["absent.csv", "--config", "absent.toml"]])
def test_a_missing_file_is_one_line_and_exit_code_2(tmp_path, capsys, words):
    assert run_verb(*(str(tmp_path / word) if not word.startswith("--") else word for word in words)) == 2

    said = capsys.readouterr().err
    assert "absent" in said
    assert len(said.splitlines()) == 1


def test_capacity_may_be_unlimited_against_the_config(trace, tmp_path, capsys):
    config = tmp_path / "small.toml"
    config.write_text("[cache.memory]\ncapacity_bytes = 0\n")

    assert run_verb(str(trace), "--config", str(config), "--capacity", "unlimited", "--json", "-") == 0

    assert json.loads(capsys.readouterr().out)["memory_bytes"] is None


@pytest.mark.parametrize(
    "words", [["--limit", "-1"], ["--limit", "some"], ["--capacity", "much"], ["--frobnicate"]]
)
def test_an_option_that_cannot_be_read_is_one_line_and_exit_code_2(trace, capsys, words):
    try:
        code = run_verb(str(trace), *words)
    except SystemExit as exit_:
        code = exit_.code

    assert code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_report_that_cannot_be_written_is_one_line_and_exit_code_2(trace, tmp_path, capsys):
    assert run_verb(str(trace), "--limit", "3", "--json", str(tmp_path / "absent" / "report.json")) == 2

    assert "absent" in capsys.readouterr().err


def test_without_rich_the_table_is_plain_text(trace, capsys, monkeypatch):
    for name in ("rich", "rich.console", "rich.progress", "rich.table"):
        monkeypatch.setitem(sys.modules, name, None)

    assert run_verb(str(trace), "--limit", "20") == 0

    assert "infinite cache" in capsys.readouterr().out


def test_an_interrupt_ends_with_130_and_leaves_no_folder(trace, tmp_path, monkeypatch):
    def interrupted(*_args) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Replay, "_report", interrupted)

    assert run_verb(str(trace), "--disk", str(tmp_path / "entries")) == 130
    assert list((tmp_path / "entries").iterdir()) == []
