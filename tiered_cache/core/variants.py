"""Chooses which of several answers to one call a caller gets: empty places are filled, then all in turn."""

from collections.abc import Iterable, Sequence
from enum import Enum

FEWEST = 2
MOST = 16
"""How many answers to one call may be kept."""


class Place(Enum):
    """What one caller finds at the place of one variant."""

    EMPTY = "nothing usable is stored, and nobody is asking for it"
    STORED = "an answer that this caller may have"
    RUNNING = "a flight under way that this caller may follow"
    TAKEN = "something that this caller cannot have"


def choose(places: Sequence[Place], turn: int, *, fill: bool = True) -> int:
    """The place of a caller: the first empty one from `turn` on, else the first that can answer, else `turn`.

    Args:
        places: what there is, one for each variant.
        turn: where the round stands.
        fill: whether this caller may have an empty place filled.
    """
    order = _order(places, turn)
    if fill and (empty := _first(order, places, {Place.EMPTY})) is not None:
        return empty
    usable = _first(order, places, {Place.STORED, Place.RUNNING} if fill else {Place.STORED})
    return order[0] if usable is None else usable


def replaced(places: Sequence[Place], turn: int) -> int:
    """The place of a caller who wants a newer answer than any there is: an empty one, else that of `turn`."""
    order = _order(places, turn)
    empty = _first(order, places, {Place.EMPTY})
    return order[0] if empty is None else empty


def _order(places: Sequence[Place], turn: int) -> list[int]:
    return [(turn + step) % len(places) for step in range(len(places))]


def _first(order: Iterable[int], places: Sequence[Place], wanted: set[Place]) -> int | None:
    return next((index for index in order if places[index] in wanted), None)
