"""The fleet in figures: `python -m benchmarks.fleet.run [--quick] [--only PART …] [--out DIR | --no-write]`.

Real gateway processes share a Valkey, and all run on this machine, so that they have one clock.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks.fleet.figure import Figure
from benchmarks.fleet.killed import killed
from benchmarks.fleet.lag import publish, tokens
from benchmarks.fleet.miss import miss, waiting
from benchmarks.fleet.stack import NODES
from benchmarks.fleet.thousand import thousand
from benchmarks.micro import timing
from tiered_cache.simulation.valkey import EmbeddedValkey

Part = Callable[[EmbeddedValkey], Awaitable[list[Figure]]]


class Lengths(Struct, frozen=True):
    """How much of each is done.

    Attributes:
        read_deadline_s: what a claim may take; for tests, on machines where processes have to wait for their
            turn, it is longer than by default.
    """

    callers: int = 1000
    upstreams_s: tuple[float, ...] = (0.01, 2.0, 30.0)
    rounds: int = 200
    streams: int = 5
    words: int = 240
    lease_s: float = 3.0
    kills: int = 5
    misses: int = 500
    read_deadline_s: float = 0.025


QUICK = Lengths(200, (0.01,), 10, 1, 30, 0.6, 1, 30, 0.5)
"""For tests: what depends on the machine means nothing."""


class Result(Struct, frozen=True):
    """As it is written.

    Attributes:
        niceness: of all processes; below 0 they went before those of others on this machine.
    """

    benchmark: str
    command: str
    machine: timing.Machine
    processes: int
    niceness: int
    lengths: Lengths
    figures: list[Figure]


def parts(lengths: Lengths) -> dict[str, Part]:
    """By name."""
    redis = f"read_deadline_s = {lengths.read_deadline_s}"
    return {
        "thousand": lambda valkey: thousand(valkey, redis, lengths.upstreams_s, lengths.callers),
        "publish": lambda valkey: publish(valkey, lengths.rounds, lengths.read_deadline_s),
        "tokens": lambda valkey: tokens(valkey, redis, lengths.streams, lengths.words),
        "killed": lambda valkey: killed(valkey, lengths.lease_s, lengths.kills),
        "miss": lambda valkey: miss(valkey, lengths.misses),
        "waiting": lambda valkey: waiting(valkey, redis),
    }


def table(figures: Sequence[Figure]) -> str:
    """As Markdown."""
    lines = ["| what | should be | measured |", "|---|---:|---:|"]
    for figure in figures:
        target = "" if figure.most is None else f"≤ {figure.most:g}"
        target = target if figure.exactly is None else str(figure.exactly)
        unit = f", {figure.unit}" if figure.unit else ""
        lines.append(f"| {figure.name}{unit} | {target} | {figure.value} |")
    return "\n".join(lines)


def measured(names: Sequence[str], lengths: Lengths) -> list[Figure]:
    """One part after the other, each with a Valkey of its own."""
    figures: list[Figure] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        with EmbeddedValkey(port=0) as valkey:
            figures += asyncio.run(_measured(parts(lengths)[name], valkey))
    return figures


async def _measured(part: Part, valkey: EmbeddedValkey) -> list[Figure]:
    return await part(valkey)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little of each, for tests")
    parser.add_argument("--only", nargs="+", choices=parts(QUICK), default=list(parts(QUICK)), metavar="PART")
    parser.add_argument("--out", type=Path, default=timing.RESULTS, help="folder for the JSON result")
    parser.add_argument("--no-write", action="store_true", help="print only")
    read = parser.parse_args(argv)
    lengths = QUICK if read.quick else Lengths()
    figures = measured(read.only, lengths)
    print(table(figures))
    if not read.no_write:
        command = "python -m benchmarks.fleet.run" + (" --quick" if read.quick else "")
        result = Result("fleet", command, timing.machine(), NODES, os.nice(0), lengths, figures)
        timing.write("fleet", result, read.out)
    broken = [figure.name for figure in figures if not figure.kept]
    print("\n".join(broken) if broken else "every target reached", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
