"""Shows explanations to people: with colours and tables where rich is installed, else as plain lines."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import json

from tiered_cache.core.explain import Comparison, Explanation
from tiered_cache.core.lasting import Lasting
from tiered_cache.core.replay import Replay, TokenRate

_EXCERPT = 64
"""Characters of a value that a table shows."""

_BEFORE = 16
"""Characters shown before the first that differs."""


def show_explanation(told: Explanation, path: str, circumstances: str) -> None:
    """Print the page about one request."""
    console = _console()
    if console is None:
        print(_verdict(told, path))
        for name, value in _facts(told, circumstances):
            print(f"  {name:10} {value}")
        for row in told.dropped:
            print(f"  not in the key: {row.path} ({row.why}; {row.source})")
        print(_pretty(told.canonical))
        return
    from rich.highlighter import JSONHighlighter  # noqa: PLC0415  # optional, like rich itself
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console.print()
    console.print(Text(_verdict(told, path), style=f"bold {_colour(told)}"))
    console.print(Padding(_grid(_facts(told, circumstances)), (1, 0, 0, 2)))
    if told.dropped:
        rows = [(row.path, row.why, row.source) for row in told.dropped]
        console.print(Padding(_table(("not in the key", "why", "who says so"), rows), (1, 0, 0, 2)))
    if told.canonical is not None:
        console.print(Padding(Text("canonical form", style="bold"), (1, 0, 0, 3)))
        shown = JSONHighlighter()(Text(_pretty(told.canonical)))
        console.print(Padding(shown, (0, 0, 1, 3)), soft_wrap=False)


def show_comparison(told: Comparison, first: str, second: str) -> None:
    """Print the page about two requests."""
    rows = [(each.path or "the body", *excerpts(each.a, each.b)) for each in told.differences]
    console = _console()
    if console is None:
        print(_same(told))
        for path, a, b in rows:
            print(f"  {path}: {a} / {b}")
        return
    from rich.padding import Padding  # noqa: PLC0415  # optional, like rich itself
    from rich.text import Text  # noqa: PLC0415

    console.print()
    console.print(Text(_same(told), style="bold green" if told.same else "bold yellow"))
    if rows:
        console.print(Padding(_table(("where", first, second), rows), (1, 0, 1, 2)))
    else:
        console.print()


def duration(seconds: float) -> str:
    """A duration as people say it: `7 days`, `24 h`, `10 min`, `5 s`."""
    for size, unit, least in ((86_400, "days", 2), (3_600, "h", 1), (60, "min", 1)):
        if seconds >= least * size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


def excerpts(a: str | None, b: str | None) -> tuple[str, str]:
    """Both values where they begin to differ, short enough for a table."""
    pairs = zip(a or "", b or "", strict=False)
    common = next((place for place, (one, other) in enumerate(pairs) if one != other), 0)
    begin = max(0, common - _BEFORE) if max(len(a or ""), len(b or "")) > _EXCERPT else 0
    return _excerpt(a, begin), _excerpt(b, begin)


def _excerpt(text: str | None, begin: int) -> str:
    if text is None:
        return "—"
    end = begin + _EXCERPT
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}"


def _verdict(told: Explanation, path: str) -> str:
    verdict = "cacheable" if told.cacheable else "not cached"
    return f"POST {path}: {verdict}{f' ({told.reason})' if told.reason else ''}"


def _same(told: Comparison) -> str:
    if told.same:
        return "The same call: one key, one answer."
    count = len(told.differences)
    return f"Not the same call: {count} difference{'' if count == 1 else 's'}."


def _colour(told: Explanation) -> str:
    if not told.cacheable:
        return "red"
    return "yellow" if told.reason else "green"


def _facts(told: Explanation, circumstances: str) -> Iterator[tuple[str, str]]:
    yield "key", told.key or "none"
    if told.key:
        yield "", f"made with {circumstances}"
    yield "rule", told.rule
    if told.looser:
        yield "overlooks", ", ".join(told.looser)
    if told.lifetime is not None:
        yield from _lasting(told.lifetime)
    if told.variants:
        yield (
            "variants",
            f"{told.variants}: the first calls ask the origin, the others get these answers in turn",
        )
    if told.replay != "instant":
        yield "replay", _replay(told.replay)
    for edit in told.edits:
        yield "edit", f"{edit.path} = {json.encode(edit.value).decode()}: {edit.why}"


def _replay(replay: Replay) -> str:
    return f"{replay.tokens_per_s:g} tokens per second" if isinstance(replay, TokenRate) else replay


def _lasting(lasting: Lasting) -> Iterator[tuple[str, str]]:
    yield "fresh", f"{duration(lasting.fresh_s)} ({lasting.rule})"
    if lasting.stale_while_revalidate_s:
        yield "", f"and {duration(lasting.stale_while_revalidate_s)} more while a newer answer is fetched"
    if lasting.stale_if_error_s:
        yield "", f"and {duration(lasting.stale_if_error_s)} more while the origin fails"
    for number, limit in enumerate(lasting.by_answer):
        yield "" if number else "by answer", f"{duration(limit.fresh_s)} ({limit.rule})"


def _pretty(text: str | None) -> str:
    return "" if text is None else json.format(text.encode(), indent=2).decode()


def _console() -> Any:
    """None where rich is not installed."""
    try:
        from rich.console import Console  # noqa: PLC0415  # optional
    except ImportError:
        return None
    return Console(highlight=False)


def _grid(facts: Iterator[tuple[str, str]]) -> Any:
    from rich.table import Table  # noqa: PLC0415  # optional
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(Text(name), Text(value))
    return grid


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Any:
    from rich import box  # noqa: PLC0415  # optional
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(Text(title), overflow="fold")
    styles = ("cyan", "", "dim") if titles[0] != "where" else ("cyan", "green", "magenta")
    for row in rows:
        table.add_row(*(Text(cell, style=style) for cell, style in zip(row, styles, strict=True)))
    return table
