"""Every benchmark script runs, with counts so small that its figures mean nothing."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.micro import run, timing
from benchmarks.micro.timing import Timing

ROOT = Path(__file__).parents[2]


def benchmark(module, *arguments, timeout_s=50):
    """How a run of a benchmark ended, and what it printed."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.mark.parametrize("script", run.SCRIPTS)
def test_micro_benchmark_runs_and_writes_a_result_with_its_machine(script, tmp_path):
    done = benchmark(script, "--rounds", "3", "--out", tmp_path)

    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    written = json.loads(file.read_text())
    assert written["benchmark"] == file.stem
    assert written["timings"]
    assert {"cpu", "sha_instructions", "python", "versions", "commit", "date"} <= written["machine"].keys()
    assert all(0 < each["p50_us"] <= each["p90_us"] <= each["p99_us"] for each in written["timings"])
    assert str(ROOT) not in file.read_text()


def test_replay_benchmark_runs_every_set_up(tmp_path):
    lines = "ts_ms,key_id,prompt_tokens,output_tokens\n" + "".join(
        f"{at * 500},{at % 7},100,20\n" for at in range(60)
    )
    for name in ("llm_chat_mooncake_conv", "mix_azureconv_x_web07"):
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(lines.encode()))

    done = benchmark("benchmarks.simulate.replay_llm", "--traces", tmp_path, "--no-write")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("88.33%") >= 4  # 53 of 60 calls are repeats


def test_percentiles_are_of_the_samples_and_in_microseconds():
    samples = [1000.0 * value for value in range(100, 0, -1)]

    assert timing.timing("case", samples) == Timing("case", 51.0, 91.0, 100.0, 1, 100)
    assert timing.timing("one", [500.0]) == Timing("one", 0.5, 0.5, 0.5, 1, 1)


def test_cases_take_turns_and_are_called_as_often_as_stated():
    calls = {"fast": 0, "slow": 0}

    def counted(name: str, size: int):
        def case() -> None:
            calls[name] += 1
            sum(range(size))

        return case

    fast, slow = timing.measure({"fast": counted("fast", 10), "slow": counted("slow", 20_000)}, rounds=5)

    assert (fast.rounds, slow.rounds) == (5, 5)
    assert calls["fast"] >= 5 * fast.batch >= 5
    assert calls["slow"] >= 5 * slow.batch >= 5


def test_ratios_are_to_the_baseline_of_the_same_run():
    floor, twice = Timing("floor", 2.0, 3.0, 4.0, 1, 9), Timing("twice", 4.0, 5.0, 6.0, 1, 9)

    report = timing.report("demo", (floor, twice), baseline="floor")

    assert report.ratios == {"floor": 1.0, "twice": 2.0}
    assert "| twice | 4.00 | 5.00 | 6.00 | 2.0 |" in timing.table(report)


def test_nothing_is_written_when_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "RESULTS", tmp_path)
    options = timing.options("demo", ["--no-write", "--rounds", "0"])

    assert (options.rounds, options.out) == (1, None)
    assert timing.publish(timing.report("demo", ()), options) == 0
    assert list(tmp_path.iterdir()) == []


def test_live_benchmark_runs_and_reaches_what_does_not_depend_on_the_machine(tmp_path):
    done = benchmark("benchmarks.live.flights", "--short", "--out", tmp_path)

    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "live.json").read_text())["figures"]
    assert {value for name, value in figures.items() if name.startswith("upstream calls")} == {1}
    assert {value for name, value in figures.items() if "flights" in name} == {0}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_fleet_benchmark_runs_and_counts_what_does_not_depend_on_the_machine(tmp_path):
    done = benchmark("benchmarks.fleet.run", "--quick", "--out", tmp_path, timeout_s=180)

    assert (tmp_path / "fleet.json").exists(), done.stderr
    written = json.loads((tmp_path / "fleet.json").read_text())
    counted = {
        each["name"]: (each["value"], each["exactly"]) for each in written["figures"] if each["exactly"]
    }
    assert len(counted) == 10
    assert [name for name, (value, exactly) in counted.items() if value != exactly] == []
    commands = [each for each in written["figures"] if each["name"].startswith("Redis commands")]
    assert [each["name"] for each in commands if each["value"] > each["most"]] == []
    assert len(commands) == 2
