"""The last page of the demonstration: the figures, whether they add up, and where to look next."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tiered_cache.cli.demo.report import Group, Joined, Report

NAMES = {
    "L1": "L1 hit",
    "disk": "disk hit",
    "L2": "L2 hit",
    "collapsed": "collapsed",
    "miss": "origin (miss)",
    "bypass": "origin (sampled)",
    "failed": "failed",
}
COLOURS = {
    "L1": "green",
    "disk": "green",
    "L2": "cyan",
    "collapsed": "blue",
    "miss": "yellow",
    "bypass": "magenta",
    "failed": "red",
}
_INDENT = (0, 0, 0, 5)
_NEXT = (
    ("docs/tutorial/first-steps.md", "the same by hand, step by step"),
    ("tiered-cache serve", "the gateway alone, in front of Requesty"),
    ("tiered-cache demo --trace FILE", "this, with a trace of your calls"),
    ("tiered-cache replay FILE", "hours of it in seconds, and the ideal"),
)


def show_report(console: Console, report: Report) -> None:
    """Print everything."""
    console.print()
    console.print(Padding(_answers(report), _INDENT))
    console.print()
    for line in _sentences(report):
        console.print(Padding(line, _INDENT))
    console.print()
    console.print(
        Text.assemble("  ", ("Does it add up?", "bold"), ("   origin, nodes and callers count apart", "dim"))
    )
    console.print(Padding(_checks(report), _INDENT))
    console.print()
    console.print(Text.assemble("  ", ("Where to look next", "bold")))
    console.print(Padding(_next(), _INDENT))
    console.print()


def milliseconds(value_ms: float | None) -> str:
    """A duration to three digits, with its unit."""
    if value_ms is None:
        return "-"
    if value_ms >= 1000:
        return f"{value_ms / 1000:.2f} s"
    return f"{value_ms:.0f} ms" if value_ms >= 100 else f"{value_ms:.1f} ms"


def counted(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def paid_once(found: Joined) -> tuple[tuple[str, str], str]:
    """What a generation that several read while it was written has cost, and where they read it."""
    calls = found.origin_calls
    paid = "1 generation was paid" if calls == 1 else f"{calls} generations were paid"
    where = "at both nodes" if found.nodes > 1 else "at one node"
    alike = "read the same text" if found.texts == 1 else f"read {found.texts} texts"
    readers = counted(found.callers, "client")
    return (paid, "bold green" if calls == 1 else "bold yellow"), f"; {readers} {where} {alike}"


def _answers(report: Report) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("answered from")
    for column in ("calls", "share", "p50", "p99"):
        table.add_column(column, justify="right")
    for how, group in report.answered.items():
        table.add_row(Text(NAMES[how], COLOURS[how]), *_figures(group))
    return table


def _figures(group: Group) -> tuple[str, str, str, str]:
    return f"{group.calls:,}", f"{group.share:.1%}", milliseconds(group.p50_ms), milliseconds(group.p99_ms)


def _sentences(report: Report) -> list[Text]:
    total_usd = report.spent_usd + report.saved_usd
    part = f" ({report.saved_usd / total_usd:.0%} of the bill)" if total_usd else ""
    calls, retried = counted(report.calls, "call"), counted(report.retried, "call")
    return [
        Text.assemble(
            "hit ratio ",
            (f"{report.hit_ratio:.1%}", "bold green"),
            f" of {calls}; a perfect cache would reach {report.best_hit_ratio:.1%} here",
        ),
        Text.assemble(
            "paid ",
            (f"${report.spent_usd:.4f}", "bold yellow"),
            ", saved ",
            (f"${report.saved_usd:.4f}", "bold green"),
            f"{part} and ",
            (f"{report.saved_s:,.0f} s", "bold green"),
            " of waiting",
        ),
        Text.assemble("while it was written: ", *paid_once(report.joined)),
        Text(f"Durations are what callers of the SDK saw, {retried} left out that it had to retry.", "dim"),
        Text(f"Workload: {report.workload}.", "dim"),
        Text("Other traffic has other figures: of a public trace of real chat 1% repeats.", "dim"),
    ]


def _checks(report: Report) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for check in report.checks:
        mark = Text("✔", "green") if check.agrees else Text("✘", "bold red")
        grid.add_row(mark, check.what, Text(check.left, "dim"), Text(check.right, "dim"))
    return grid


def _next() -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for command, text in _NEXT:
        grid.add_row(Text(command, "cyan"), Text(text, "dim"))
    return grid
