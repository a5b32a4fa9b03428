"""Replay the LLM traces through the real engine, unlimited and limited: what was attained of what could be.

`python -m benchmarks.simulate.replay_llm [--traces DIR] [--limit N] [--no-write]`; one JSON file per trace.
"""

import argparse
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from benchmarks.micro import timing
from tiered_cache.engine.config import CacheConfig, DiskConfig, MemoryConfig
from tiered_cache.simulation.replay import Plan, Replay, ReplayReport
from tiered_cache.simulation.traces import read_trace

TRACES = Path(__file__).resolve().parents[2].parent / "shared" / "traces"
NAMES = ("llm_chat_mooncake_conv", "mix_azureconv_x_web07")
_SMALL = MemoryConfig(capacity_bytes=2 * 2**20)
_ENDLESS = MemoryConfig(capacity_bytes=None)


class Result(msgspec.Struct, frozen=True):
    """The replays of one trace, by set-up."""

    benchmark: str
    machine: timing.Machine
    runs: dict[str, ReplayReport]


def setups(folder: str) -> dict[str, CacheConfig]:
    """The set-ups by name: what limits each."""
    return {
        "unlimited": CacheConfig(profile="unbounded", memory=_ENDLESS),
        "profile balanced": CacheConfig(memory=_ENDLESS),
        "2 MiB of memory": CacheConfig(profile="unbounded", memory=_SMALL),
        "2 MiB of memory and disk": CacheConfig(
            profile="unbounded", memory=_SMALL, disk=DiskConfig(directory=folder)
        ),
    }


def replay(name: str, file: Path, limit: int | None) -> Result:
    rows = list(islice(read_trace(file), limit))
    runs: dict[str, ReplayReport] = {}
    with tempfile.TemporaryDirectory() as folder:
        for setup, config in setups(folder).items():
            runs[setup] = Replay(Plan(name, config), rows).run()
            print(_line(setup, runs[setup]), flush=True)
    return Result(f"replay_{name}", timing.machine(), runs)


def _line(setup: str, report: ReplayReport) -> str:
    return (
        f"| {report.trace} | {setup} | {report.hit_ratio:.2%} | {report.byte_hit_ratio:.2%} "
        f"| {report.token_saving:.2%} | {report.cost_saving:.2%} | {report.reached.cost_saving:.1%} "
        f"| {report.took_s:.1f} s |"
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=Path, default=TRACES, help="folder of the workload data")
    parser.add_argument("--limit", type=int, help="only the first N rows of each")
    parser.add_argument("--no-write", action="store_true", help="print only")
    args = parser.parse_args(argv)
    print("| trace | set-up | hit ratio | byte hit ratio | token saving | cost saving | of infinite | took |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name in NAMES:
        result = replay(name, args.traces / f"{name}.csv.gz", args.limit)
        if not args.no_write:
            timing.write(result.benchmark, result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
