"""L1: entries as objects in this process, within a budget of bytes."""

from typing import Any

from tiered_cache.core.codec import seal
from tiered_cache.core.eviction import Lru
from tiered_cache.core.vocabulary import CacheKey, Entry, Found, Rendering, Sealed, Shape
from tiered_cache.tiers.base import Clock

# What an entry costs beside its bytes (objects, slots, order), and a rendering with its header block.
ENTRY_OVERHEAD_BYTES = 1_400
RENDERING_OVERHEAD_BYTES = 1_500
_FIELD_OVERHEAD_BYTES = 130


class Resident:
    """One entry in memory with what was computed from it so far.

    Attributes:
        born_s, fresh_until_s, retained_until_s: instants of the monotonic clock.
        renderings: the shapes written out so far; add through `MemoryTier.add_rendering`, which weighs them.
        heads: what the engine wrote out for hits of each shape; its scratch, not weighed.
        weight_bytes: what this entry counts for in the budget.
    """

    __slots__ = (
        "born_s",
        "entry",
        "fresh_until_s",
        "heads",
        "renderings",
        "retained_until_s",
        "weight_bytes",
    )

    def __init__(self, entry: Entry, born_s: float, weight_bytes: int) -> None:
        self.entry = entry
        self.born_s = born_s
        self.fresh_until_s = born_s + entry.lifetime.fresh_s
        self.retained_until_s = born_s + entry.lifetime.retention_s
        self.renderings: dict[Shape, Rendering] = {}
        self.heads: dict[Shape, Any] = {}
        self.weight_bytes = weight_bytes


class MemoryTier:
    """The tier that answers without a task, a thread, a lock or the network.

    Ages count on the monotonic clock. Everything but the `Tier` methods is synchronous.

    Args:
        capacity_bytes: what entries and renderings may weigh; None is unlimited, 0 keeps nothing. One entry
            may take a quarter of it.
        clock: where time comes from.
    """

    name = "L1"

    def __init__(self, capacity_bytes: int | None, clock: Clock) -> None:
        self._lru: Lru[CacheKey, Resident] = Lru(capacity_bytes)
        self._monotonic = clock.monotonic

    @property
    def entries(self) -> int:
        """How many entries are kept, expired ones that nobody asked for included."""
        return len(self._lru)

    @property
    def weight_bytes(self) -> int:
        """What they weigh together."""
        return self._lru.weight_bytes

    @property
    def evictions(self) -> int:
        """How many entries left for lack of space."""
        return self._lru.evictions

    def find(self, key: CacheKey) -> Resident | None:
        """The entry, fresh or stale, as the most recently used; None once its retention is over."""
        resident = self._lru.get(key)
        if resident is None:
            return None
        if self._monotonic() >= resident.retained_until_s:
            self._lru.pop(key)
            return None
        return resident

    def keep(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> Resident | None:
        """Keep an entry that is `age_s` old; None when it is too old or too large to be kept."""
        entry = sealed.entry
        if age_s >= entry.lifetime.retention_s:
            return None
        resident = Resident(entry, self._monotonic() - age_s, _weigh(key, entry))
        return resident if self._lru.put(key, resident, resident.weight_bytes) else None

    def add_rendering(self, key: CacheKey, resident: Resident, shape: Shape, rendering: Rendering) -> None:
        """Remember a shape of a kept entry, unless the entry has left or would outgrow its share."""
        if self._lru.peek(key) is not resident:
            return
        weight_bytes = resident.weight_bytes + _weigh_rendering(rendering, resident.entry)
        former = resident.renderings.get(shape)
        if former is not None:
            weight_bytes -= _weigh_rendering(former, resident.entry)
        if self._lru.reweigh(key, weight_bytes):
            resident.weight_bytes = weight_bytes
            resident.renderings[shape] = rendering

    async def get(self, key: CacheKey) -> Found | None:
        """As `find`; the entry is encoded anew, since memory keeps objects."""
        resident = self.find(key)
        if resident is None:
            return None
        return Found(seal(key, resident.entry), self._monotonic() - resident.born_s)

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """As `keep`."""
        self.keep(key, sealed, age_s)

    async def remove(self, key: CacheKey) -> None:
        """Forget `key`."""
        self._lru.pop(key)

    async def clear(self) -> None:
        """Forget every entry."""
        self._lru.clear()

    async def close(self) -> None:
        """Give the memory back."""
        self._lru.clear()


def _weigh(key: CacheKey, entry: Entry) -> int:
    fields = sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in entry.headers)
    return ENTRY_OVERHEAD_BYTES + len(key) + len(entry.body) + len(entry.timing) + fields


def _weigh_rendering(rendering: Rendering, entry: Entry) -> int:
    own_bytes = 0 if rendering.body is entry.body else len(rendering.body)
    return RENDERING_OVERHEAD_BYTES + own_bytes
