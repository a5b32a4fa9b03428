"""Which entry leaves when space runs out: least recently used, under a budget in bytes."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# One entry may take a quarter of the room: beyond that, keeping it costs more other entries than it can earn.
LARGEST_SHARE = 4


class Lru(Generic[K, V]):
    """Values by key, in order of use, whose weights never sum to more than the budget.

    Args:
        capacity_bytes: the budget; None is unlimited, 0 keeps nothing.
    """

    __slots__ = ("_capacity_bytes", "_largest_bytes", "_values", "_weights", "evictions", "weight_bytes")

    def __init__(self, capacity_bytes: int | None) -> None:
        self._capacity_bytes = capacity_bytes
        self._largest_bytes = None if capacity_bytes is None else capacity_bytes // LARGEST_SHARE
        self._values: OrderedDict[K, V] = OrderedDict()
        self._weights: dict[K, int] = {}
        self.weight_bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def get(self, key: K) -> V | None:
        """The value, which becomes the most recently used."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def peek(self, key: K) -> V | None:
        """The value, without a change of order."""
        return self._values.get(key)

    def fits(self, weight_bytes: int) -> bool:
        """Whether one value of this weight may be kept at all."""
        return self._largest_bytes is None or weight_bytes <= self._largest_bytes

    def put(self, key: K, value: V, weight_bytes: int) -> bool:
        """Keep a value as the most recently used and evict what no longer fits.

        Returns:
            False when the value is larger than its share; a former value of this key is gone then, too.
        """
        self.pop(key)
        if not self.fits(weight_bytes):
            return False
        self._values[key] = value
        self._weights[key] = weight_bytes
        self.weight_bytes += weight_bytes
        self._make_room()
        return True

    def reweigh(self, key: K, weight_bytes: int) -> bool:
        """Give a kept value another weight and evict others that no longer fit.

        Returns:
            False, without a change, when the key is absent or the weight is larger than its share.
        """
        old = self._weights.get(key)
        if old is None or not self.fits(weight_bytes):
            return False
        self._weights[key] = weight_bytes
        self.weight_bytes += weight_bytes - old
        self._values.move_to_end(key)
        self._make_room()
        return True

    def pop(self, key: K) -> V | None:
        """Forget a key; returns what it held."""
        value = self._values.pop(key, None)
        self.weight_bytes -= self._weights.pop(key, 0)
        return value

    def clear(self) -> None:
        """Forget all; not counted as evictions."""
        self._values.clear()
        self._weights.clear()
        self.weight_bytes = 0

    def _make_room(self) -> None:
        while self._capacity_bytes is not None and self.weight_bytes > self._capacity_bytes:
            key, _ = self._values.popitem(last=False)
            self.weight_bytes -= self._weights.pop(key)
            self.evictions += 1
