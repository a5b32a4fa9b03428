"""A small bounded map that forgets what was not asked for lately."""

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Weighed(Protocol):
    """What a value must tell: its weight, in the unit of the capacity, never changing."""

    @property
    def weight(self) -> int:
        """How much of the capacity it takes."""
        ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Weighed)


class RecentMap(Generic[K, V]):
    """Two generations of a dict, together of bounded weight.

    What is found in the old one moves to the young one, and when the young one holds half the capacity it
    becomes the old one. A hit costs one or two dict lookups and no bookkeeping.

    Promises:
        - the weights held never exceed `capacity`, whatever is put;
        - zero capacity holds nothing;
        - what was put or found within the last half of the capacity is still there.
    """

    __slots__ = ("_half", "_old", "_young", "_young_weight")

    def __init__(self, capacity: int) -> None:
        self._half = capacity // 2
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._young_weight = 0

    def get(self, key: K) -> V | None:
        """The value, or None when it was never put or is forgotten."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember `value` if it weighs at most half the capacity; it replaces what `key` had."""
        weight = value.weight
        self._old.pop(key, None)
        previous = self._young.pop(key, None)
        if previous is not None:
            self._young_weight -= previous.weight
        if weight > self._half:
            return
        if self._young_weight + weight > self._half:
            self._old, self._young, self._young_weight = self._young, {}, 0
        self._young[key] = value
        self._young_weight += weight

    @property
    def weight(self) -> int:
        """Sum of the weights held."""
        return self._young_weight + sum(value.weight for value in self._old.values())
