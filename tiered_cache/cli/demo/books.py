"""What the nodes booked, read from their metrics pages, and whether it agrees with the origin's own bill."""

import re
from collections.abc import Iterable

from msgspec import Struct

from tiered_cache.cli.demo.tally import Tally
from tiered_cache.core.accounting import PICO
from tiered_cache.simulation.requesty import Stats

_SAMPLE = re.compile(r"^(tiered_cache_[a-z_]+?)(?:_total)?(?:\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)


class Books(Struct, frozen=True, kw_only=True):
    """Sums over the nodes; money in 1e-12 USD."""

    upstream_calls: int = 0
    spent_picousd: int = 0
    saved_picousd: int = 0
    saved_s: float = 0.0
    saved_tokens: int = 0


def read_books(pages: Iterable[str]) -> Books:
    """Add the pages up."""
    sums: dict[str, float] = {}
    for page in pages:
        for name, value in _SAMPLE.findall(page):
            sums[name] = sums.get(name, 0.0) + float(value)
    return Books(
        upstream_calls=round(sums.get("tiered_cache_upstream_calls", 0.0)),
        spent_picousd=round(sums.get("tiered_cache_spent_usd", 0.0) * PICO),
        saved_picousd=round(sums.get("tiered_cache_saved_usd", 0.0) * PICO),
        saved_s=sums.get("tiered_cache_saved_seconds", 0.0),
        saved_tokens=round(sums.get("tiered_cache_saved_tokens", 0.0)),
    )


class Check(Struct, frozen=True):
    """Two figures that must be the same, from two who do not know each other."""

    what: str
    left: str
    right: str
    agrees: bool


def checks(tally: Tally, books: Books, origin: Stats) -> list[Check]:
    """What callers, nodes and origin say about the same calls."""
    answered = tally.calls - tally.failed
    return [
        Check(
            "calls that reached the origin",
            f"origin {origin.chat_calls:,}",
            f"nodes {books.upstream_calls:,}",
            origin.chat_calls == books.upstream_calls,
        ),
        *_money_checks(tally, books, origin),
        Check(
            "answers to the right call",
            f"{answered:,} answers",
            f"{answered - tally.wrong:,} right",
            tally.wrong == 0,
        ),
    ]


def _money_checks(tally: Tally, books: Books, origin: Stats) -> list[Check]:
    """Callers know the price list and where each answer came from, but not the provider's discounts."""
    billed, saved = origin.spent_picousd, books.saved_picousd
    if origin.cached_tokens:
        return [_money("dollars billed", "origin", billed, "nodes", books.spent_picousd)]
    paid = tally.asked_picousd - tally.saved_picousd
    return [
        _money("dollars billed", "origin", billed, "callers", paid),
        _money("dollars saved", "nodes", saved, "callers", tally.saved_picousd),
    ]


def _money(what: str, one: str, left_picousd: int, other: str, right_picousd: int) -> Check:
    left, right = f"{one} {usd(left_picousd)}", f"{other} {usd(right_picousd)}"
    return Check(what, left, right, left_picousd == right_picousd)


def usd(cost_picousd: int) -> str:
    """Dollars to a millionth: single calls cost that little."""
    return f"${cost_picousd / PICO:,.6f}"
