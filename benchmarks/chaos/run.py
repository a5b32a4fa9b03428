"""Chaos under load: `python -m benchmarks.chaos.run [--quick] [--only NAME …] [--out DIR | --no-write]`.

Two gateways share a Valkey behind a proxy; SDK clients ask both of them while the Valkey or the way to it
breaks. No call may fail, no answer may be wrong, and L2 has to be back by itself.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby, pairwise
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import Progress

from benchmarks.chaos.faults import SCENARIOS
from benchmarks.chaos.load import Call, Load
from benchmarks.chaos.stack import Stack, stack
from benchmarks.micro import timing

RECOVERS_WITHIN_S = 2.0
LEAST_CALLS = 5
"""In each part; with fewer it lasts longer."""
_ERRORS = 5
_PATIENCE_S = 30.0
_LOOKS_EVERY_S = 0.1


class Lengths(Struct, frozen=True):
    """How long the parts of a scenario take at least, in seconds; `hold_s` None is the scenario's own.

    Attributes:
        read_deadline_s: of the gateways' lookups in Redis.
        callers: how many ask at a time.
    """

    before_s: float = 5.0
    hold_s: float | None = None
    after_s: float = 5.0
    read_deadline_s: float = 0.025
    callers: int = 6


QUICK = Lengths(0.6, 1.2, 0.4, read_deadline_s=0.1, callers=3)
"""For tests, on machines where a process may have to wait longer than 25 ms for its turn."""


class Latency(Struct, frozen=True):
    """Of the calls that began in one part, in milliseconds."""

    calls: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    origin_calls: int


class Row(Struct, frozen=True):
    """One scenario.

    Attributes:
        held_s: how long the fault lasted.
        errors: what the first of the failed calls said.
        cut: streams that another process led, of which a part had come when contact with Redis was lost.
        faults: of L2, that the gateways counted, by reason.
        full_service_s: until each gateway found in L2 what the other wrote after the fault had ended.
    """

    scenario: str
    what: str
    held_s: float
    calls: int
    failed: int
    wrong: int
    before: Latency
    during: Latency
    after: Latency
    faults: dict[str, int]
    full_service_s: float
    errors: tuple[str, ...] = ()
    cut: int = 0


class Chaos(Struct, frozen=True):
    """The result as it is written."""

    benchmark: str
    machine: timing.Machine
    lengths: Lengths
    scenarios: tuple[Row, ...]
    notes: tuple[str, ...]


async def suffer(whole: Stack, name: str, lengths: Lengths) -> Row:
    """Run one scenario."""
    scenario = SCENARIOS[name]
    load = Load(whole, name, scenario)
    hold_s = scenario.hold_s if lengths.hold_s is None else lengths.hold_s
    asking = asyncio.create_task(load.run(lengths.callers))
    faults, marks = await whole.faults(), [(time.monotonic(), await whole.origin_calls())]

    async def bites() -> bool:
        counted = await whole.faults() - faults
        return not scenario.bites or any(counted[reason] for reason in scenario.bites)

    try:
        await _part(load, lengths.before_s)
        marks.append((time.monotonic(), await whole.origin_calls()))
        async with scenario.fault(whole):
            held_s = await _part(load, hold_s, bites)
        marks.append((time.monotonic(), await whole.origin_calls()))
        full_service_s = await load.full_service_s(marks[-1][0])
        await _part(load, lengths.after_s)
    finally:
        load.stop()
        await asking
        await load.close()
    marks.append((time.monotonic(), await whole.origin_calls()))
    parts = [_latency(load.calls, *each) for each in pairwise(marks)]
    return Row(
        scenario=name,
        what=scenario.what,
        held_s=round(held_s, 1),
        calls=len(load.calls),
        failed=sum(call.failed for call in load.calls),
        errors=tuple(load.errors[:_ERRORS]),
        wrong=sum(call.wrong for call in load.calls),
        cut=sum(call.cut for call in load.calls),
        before=parts[0],
        during=parts[1],
        after=parts[2],
        faults=dict(await whole.faults() - faults),
        full_service_s=round(full_service_s, 2),
    )


async def _always() -> bool:
    return True


async def _part(load: Load, length_s: float, done: Callable[[], Awaitable[bool]] = _always) -> float:
    """Let time pass, on a slow machine until enough has happened to be judged; gives how long it was."""
    began_s = time.monotonic()
    await asyncio.sleep(length_s)
    while (passed_s := time.monotonic() - began_s) < length_s + _PATIENCE_S:
        if load.ended_since(began_s) >= LEAST_CALLS and await done():
            break
        await asyncio.sleep(_LOOKS_EVERY_S)
    return passed_s


def _latency(calls: Sequence[Call], begin: tuple[float, int], end: tuple[float, int]) -> Latency:
    took = sorted(call.took_s * 1000 for call in calls if begin[0] <= call.began_s < end[0])

    def rank(share: float) -> float:
        return round(took[min(len(took) - 1, int(share * len(took)))], 1) if took else 0.0

    return Latency(len(took), rank(0.5), rank(0.99), rank(1.0), end[1] - begin[1])


async def suffer_all(names: Sequence[str], lengths: Lengths, progress: Progress) -> list[Row]:
    """Run scenarios one after the other; those that need TLS in a stack of their own."""
    task = progress.add_task("chaos", total=len(names))
    rows: list[Row] = []
    for tls, some in groupby(sorted(names, key=_needs_tls), _needs_tls):
        async with stack(lengths.read_deadline_s, tls=tls) as whole:
            for name in some:
                progress.update(task, description=SCENARIOS[name].what)
                rows.append(await suffer(whole, name, lengths))
                progress.advance(task)
    return sorted(rows, key=lambda row: list(SCENARIOS).index(row.scenario))


def _needs_tls(name: str) -> bool:
    return SCENARIOS[name].tls


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = (
        "scenario",
        "calls",
        "failed",
        "wrong",
        "cut",
        *(f"{part}, ms" for part in ("before", "during", "after")),
    )
    lines = [
        "| " + " | ".join((*head, "origin calls", "full L2 service after, s")) + " |",
        "|---|" + "---:|" * (len(head) + 1),
    ]
    for row in rows:
        parts = (row.before, row.during, row.after)
        cells = [f"`{row.scenario}`", row.calls, row.failed, row.wrong, row.cut]
        cells += [f"{part.p50_ms} / {part.p99_ms} / {part.max_ms}" for part in parts]
        cells += [" / ".join(str(part.origin_calls) for part in parts), row.full_service_s]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def unmet(row: Row) -> list[str]:
    """What this row promised and did not keep."""
    bites = SCENARIOS[row.scenario].bites
    promises = {
        f"calls failed: {'; '.join(row.errors)}": row.failed == 0,
        "wrong answers": row.wrong == 0,
        "L2 was not back in time": row.full_service_s <= RECOVERS_WITHIN_S,
        "no fault was noticed": not bites or any(row.faults.get(reason, 0) for reason in bites),
    }
    return [f"{row.scenario}: {broken}" for broken, kept in promises.items() if not kept]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short parts, for tests")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=timing.RESULTS, help="folder for the JSON result")
    parser.add_argument("--no-write", action="store_true", help="print only")
    read = parser.parse_args(argv)
    lengths = QUICK if read.quick else Lengths()
    with Progress(console=Console(stderr=True)) as progress:
        rows = asyncio.run(suffer_all(read.only, lengths, progress))
    notes = ("latency is p50 / p99 / max as the SDK sees it", "the origin answers after 10 to 30 ms")
    print(table(rows))
    if not read.no_write:
        timing.write("chaos", Chaos("chaos", timing.machine(), lengths, tuple(rows), notes), read.out)
    broken = [promise for row in rows for promise in unmet(row)]
    print("\n".join(broken) if broken else "every promise kept", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
