"""How fast a stored stream is given again, as rules and callers say it, and when its events first came."""

import re
from array import array
from collections.abc import Iterable
from struct import pack, unpack
from typing import Literal, TypeAlias

from msgspec import Struct

from tiered_cache.core.sse import Event, says_something

SLOWEST_TOKENS_PER_S = 1.0
FASTEST_TOKENS_PER_S = 100_000.0
LONGEST_GAP_MS = 65_535
"""What a longer silence between two events counts as: a gap is kept in two bytes."""

_RATE = re.compile(rb"tokens_per_s=([0-9]{1,6}(?:\.[0-9]{1,3})?)\Z")


class TokenRate(Struct, frozen=True, forbid_unknown_fields=True):
    """A steady pace.

    Attributes:
        tokens_per_s: from 1 to 100,000.
    """

    tokens_per_s: float


Replay: TypeAlias = Literal["instant", "as-recorded"] | TokenRate
"""At once, as the origin timed it, or at a steady rate. The first byte is never delayed."""


def is_possible(rate: TokenRate) -> bool:
    """Whether a reader would see the end of an answer at this rate, and the beginning before it."""
    return SLOWEST_TOKENS_PER_S <= rate.tokens_per_s <= FASTEST_TOKENS_PER_S


def read_replay(value: bytes) -> Replay | None:
    """`instant`, `as-recorded` or `tokens_per_s=80`; None for anything else."""
    if value == b"instant":
        return "instant"
    if value == b"as-recorded":
        return "as-recorded"
    found = _RATE.match(value)
    if found is None:
        return None
    rate = TokenRate(float(found[1]))
    return rate if is_possible(rate) else None


class Arrivals:
    """When the events of one stream came that its entry will hold: two bytes for each.

    Instants are rounded, not gaps, so that a fast stream does not drift.
    """

    __slots__ = ("_began_s", "_gaps_ms", "_last_ms")

    def __init__(self) -> None:
        self._gaps_ms = array("H")
        self._began_s: float | None = None
        self._last_ms = 0

    def note(self, events: Iterable[Event], now: float) -> None:
        """Events that came at `now`, seconds of a clock that never runs back."""
        began_s = self._began_s = now if self._began_s is None else self._began_s
        at_ms = round((now - began_s) * 1000)
        for event in events:
            if says_something(event):
                self._gaps_ms.append(min(at_ms - self._last_ms, LONGEST_GAP_MS))
                self._last_ms = at_ms

    def timing(self) -> bytes:
        """The milliseconds before each event, for the entry (see `read_timing`)."""
        return pack(f">{len(self._gaps_ms)}H", *self._gaps_ms)


def read_timing(timing: bytes) -> tuple[int, ...]:
    """Milliseconds before each event, the first of which counts from the first event's coming."""
    return unpack(f">{len(timing) // 2}H", timing[: len(timing) // 2 * 2])
