"""Which call comes when: seeded arrivals of new calls and repeats, after what a public trace shows."""

import math
import random
from bisect import bisect_right
from collections.abc import Iterator

from msgspec import Struct

GAP_LAW: tuple[tuple[float, float], ...] = (
    (0.05, 0.038),
    (0.1, 0.070),
    (0.2, 0.117),
    (0.5, 0.204),
    (1.0, 0.258),
    (2.0, 0.301),
    (5.0, 0.370),
    (10.0, 0.427),
    (20.0, 0.490),
    (60.0, 0.602),
    (300.0, 0.754),
    (600.0, 0.828),
    (1800.0, 0.966),
    (3600.0, 1.0),
)
"""Seconds since the last equal call, and the share of repeats within: measured on mix_azureconv_x_web07."""

REPEAT_SHARE = 0.494
"""Share of calls that were asked before in mix_azureconv_x_web07 (real chat of one service: 0.0098)."""

_DRAWS = 32


class Arrival(Struct, frozen=True):
    """One call to come.

    Attributes:
        at_s: seconds from the start.
        number: which call it is: the n-th distinct one, from 0.
        repeat: it was asked before.
    """

    at_s: float
    number: int
    repeat: bool


def arrivals(rate_per_s: float, repeat_share: float, randomness: random.Random) -> Iterator[Arrival]:
    """Poisson arrivals without end; a repeat copies the call that came a gap of `GAP_LAW` before it.

    Copying earlier arrivals makes the often-asked be asked more often (Simon 1955), hence a Zipf-like
    popularity. A gap that reaches before the start is drawn again: the law is cut to the time passed.
    """
    times: list[float] = []
    numbers: list[int] = []
    at_s, distinct = 0.0, 0
    while True:
        at_s += randomness.expovariate(rate_per_s)
        source = _source(times, at_s, randomness) if randomness.random() < repeat_share else None
        number = distinct if source is None else numbers[source]
        distinct += source is None
        times.append(at_s)
        numbers.append(number)
        yield Arrival(at_s, number, source is not None)


def _source(times: list[float], at_s: float, randomness: random.Random) -> int | None:
    """Which earlier arrival is repeated; None while nothing came before."""
    for _ in range(_DRAWS):
        before = bisect_right(times, at_s - gap_s(randomness.random()))
        if before:
            return before - 1
    return len(times) - 1 if times else None


def gap_s(share: float) -> float:
    """The gap that `share` of all repeats stay within: `GAP_LAW` inverted, log-linear between points."""
    earlier_s, below = 0.0, 0.0
    for upper_s, within in GAP_LAW:
        if share <= within:
            part = (share - below) / (within - below)
            if earlier_s == 0.0:
                return upper_s * part
            return earlier_s * math.exp(part * math.log(upper_s / earlier_s))
        earlier_s, below = upper_s, within
    return GAP_LAW[-1][0]
