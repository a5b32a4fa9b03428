"""`tiered-cache replay`: what the cache would have saved on a trace, beside what any cache could."""

import argparse
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiered_cache.cli.arguments import config_file, size_bytes
from tiered_cache.engine.config import CacheConfig, DiskConfig, MemoryConfig
from tiered_cache.errors import ConfigError

if TYPE_CHECKING:
    from tiered_cache.simulation.replay import ReplayReport

_UNSET = object()  # `--capacity unlimited` is None
_RATIOS = (
    ("hit ratio", "hit_ratio"),
    ("byte hit ratio", "byte_hit_ratio"),
    ("token saving", "token_saving"),
    ("cost saving", "cost_saving"),
)


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it
) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "replay",
        help="replay a trace of LLM calls in virtual time",
        description=(
            "Replay a trace (ts_ms,key_id,prompt_tokens,output_tokens[,tenant]; .gz too) through the real "
            "engine in virtual time, with a simulated origin. Without --capacity and --config space and "
            "lifetimes are unlimited."
        ),
    )
    parser.add_argument("trace", type=Path, metavar="TRACE", help="CSV file, plain or gzipped")
    parser.add_argument(
        "--capacity", type=size_bytes, metavar="SIZE", default=_UNSET, help="memory for entries, e.g. 64MiB"
    )
    parser.add_argument(
        "--disk", type=Path, metavar="DIR", help="also a disk tier, in a fresh folder inside DIR"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="take [cache] of this TOML file; no Redis"
    )
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write the report here (- for standard output)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides how each call is spelled (default: 0)")
    parser.add_argument("--limit", type=_count, metavar="N", help="only the first N rows")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and print the report. Raises ConfigError for input that cannot be used."""
    _publish(_replay(args), args.json)
    return 0


def _replay(args: argparse.Namespace) -> "ReplayReport":
    from tiered_cache.simulation.replay import Plan, Replay  # noqa: PLC0415  # a verb loads only what it runs
    from tiered_cache.simulation.traces import read_trace  # noqa: PLC0415

    rows = list(islice(read_trace(args.trace), args.limit))
    name = args.trace.name.removesuffix(".gz").removesuffix(".csv")
    with _engine_config(args) as config, _progress(len(rows)) as progress:
        return Replay(Plan(name, config, seed=args.seed), rows, progress).run()


@contextmanager
def _engine_config(args: argparse.Namespace) -> Generator[CacheConfig]:
    """The engine's configuration; its disk tier lives in a folder that is removed afterwards."""
    config = CacheConfig(profile="unbounded", memory=MemoryConfig(capacity_bytes=None))
    if args.config is not None:
        config = config_file(args.config).cache
    if args.capacity is not _UNSET:
        config = msgspec.structs.replace(config, memory=MemoryConfig(capacity_bytes=args.capacity))
    if args.disk is None and config.disk is None:
        yield config
        return
    parent = None if args.disk is None else _existing(args.disk)
    with tempfile.TemporaryDirectory(prefix="replay-", dir=parent) as folder:
        disk = DiskConfig(directory=folder) if config.disk is None else config.disk
        yield msgspec.structs.replace(config, disk=msgspec.structs.replace(disk, directory=folder))


def _existing(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot use --disk {directory}: {error.strerror}") from error
    return directory


@contextmanager
def _progress(total: int) -> Generator[Callable[[int], None]]:
    """A bar on standard error where that is a terminal and rich is installed."""
    try:
        from rich.console import Console  # noqa: PLC0415  # optional
        from rich.progress import Progress  # noqa: PLC0415
    except ImportError:
        yield lambda _done: None
        return
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=total)
        yield lambda done: bar.update(task, completed=done)


def _publish(report: "ReplayReport", out: Path | None) -> None:
    text = msgspec.json.format(msgspec.json.encode(report), indent=2)
    if out is not None and str(out) == "-":
        print(text.decode())
        return
    _print_report(report)
    if out is None:
        return
    try:
        out.write_bytes(text + b"\n")
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error


def _print_report(report: "ReplayReport") -> None:
    print(_heading(report))
    header, lines = _table(report)
    try:
        from rich.console import Console  # noqa: PLC0415  # optional
        from rich.table import Table  # noqa: PLC0415
    except ImportError:
        for line in (header, *lines):
            print(f"{line[0]:16}" + "".join(f"{cell:>16}" for cell in line[1:]))
    else:
        table = Table()
        for place, title in enumerate(header):
            table.add_column(title, justify="right" if place else "left")
        for line in lines:
            table.add_row(*line)
        Console().print(table)
    print(_details(report))


def _heading(report: "ReplayReport") -> str:
    space = "unlimited memory" if report.memory_bytes is None else f"{report.memory_bytes:,} bytes of memory"
    return (
        f"{report.trace}: {report.rows:,} requests, {report.calls:,} different, "
        f"over {report.span_s / 60:.0f} min; {space}{', disk' if report.disk else ''}, "
        f"profile {report.profile}"
    )


def _table(report: "ReplayReport") -> tuple[list[str], list[list[str]]]:
    header = ["", "attained", "infinite cache", "share of it"]
    bounds = [report.unbounded, report.reached]
    if report.clairvoyant is not None:
        header.append("clairvoyant")
        bounds.append(report.clairvoyant)
    lines = [
        [title, *(f"{getattr(ratios, field):.2%}" for ratios in (report, *bounds))]
        for title, field in _RATIOS
    ]
    return header, lines


def _details(report: "ReplayReport") -> str:
    by_tier = ", ".join(f"{name} {share:.2%}" for name, share in report.tiers.items())
    outcomes = ", ".join(f"{name} {count:,}" for name, count in report.outcomes.items())
    return (
        f"answered by   {by_tier or 'the origin alone'}\n"
        f"outcomes      {outcomes}; origin calls {report.upstream_calls:,}\n"
        f"wrong answers {report.wrong_answers}\n"
        f"money         ${report.spent_usd:,.2f} spent, ${report.saved_usd:,.2f} saved; "
        f"{report.saved_s / 3600:,.1f} h of waiting saved\n"
        f"replayed in   {report.took_s:.1f} s"
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows")
    return int(text)
