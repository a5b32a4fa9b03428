"""L1: entries as objects in this process, within a budget of bytes."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tiered_cache.core.codec import seal
from tiered_cache.core.epochs import Standing
from tiered_cache.core.eviction import Lru
from tiered_cache.core.sealed import Found, Sealed
from tiered_cache.core.vocabulary import CacheKey, Entry, Rendering, Shape
from tiered_cache.tiers.base import Clock

# What an entry costs beside its bytes (objects, slots, order), and a rendering with its header block.
ENTRY_OVERHEAD_BYTES = 1_400
RENDERING_OVERHEAD_BYTES = 1_500
_FIELD_OVERHEAD_BYTES = 130
_SLICE = 500
_NEVER = -1


Judge: TypeAlias = Callable[[bytes, float], Standing]
"""What purges say of an entry: its stamp, and its birth on the monotonic clock."""


class Resident:
    """One entry in memory with what was computed from it so far.

    Attributes:
        born_s, fresh_until_s, retained_until_s: instants of the monotonic clock.
        renderings: the shapes written out so far; add through `MemoryTier.add_rendering`, which weighs them.
        heads: what the engine wrote out for hits of each shape; its scratch, not weighed.
        generation: of purges, when it was last found to be untouched by them; -1 for never.
        weight_bytes: what this entry counts for in the budget.
    """

    __slots__ = (
        "born_s",
        "entry",
        "fresh_until_s",
        "generation",
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
        self.generation = _NEVER

    def end_freshness(self, now: float) -> None:
        """Make it stale from `now` on, if it is not: as old as its lifetime, with its windows before it."""
        self.born_s = min(self.born_s, now - self.entry.lifetime.fresh_s)
        self.fresh_until_s = self.born_s + self.entry.lifetime.fresh_s
        self.retained_until_s = self.born_s + self.entry.lifetime.retention_s


class MemoryTier:
    """The tier that answers without a task, a thread, a lock or the network.

    Ages count on the monotonic clock. Everything but the `Tier` methods is synchronous.

    Args:
        capacity_bytes: what entries and renderings may weigh; None is unlimited, 0 keeps nothing. One entry
            may take a quarter of it.
        clock: where time comes from.

    Attributes:
        generation: changed by who knows of purges whenever there was one; an entry found in this generation
            already is not asked about again. Below -1 each is asked about each time.
    """

    name = "L1"

    def __init__(self, capacity_bytes: int | None, clock: Clock) -> None:
        self._lru: Lru[CacheKey, Resident] = Lru(capacity_bytes)
        self._monotonic = clock.monotonic
        self._standing: Judge = _valid
        self.generation = _NEVER

    def heed(self, standing: Judge) -> None:
        """Ask `standing` of each entry that is found for the first time since `generation` was changed."""
        self._standing = standing
        self.generation = 0

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
        if resident.generation != self.generation and not self._stands(key, resident):
            return None
        return resident

    def _stands(self, key: CacheKey, resident: Resident) -> bool:
        """Whether an entry may be used for all that was purged; what may not for good is dropped."""
        now = self._monotonic()
        match self._standing(resident.entry.stamp, resident.born_s):
            case Standing.UNSURE:
                return False
            case Standing.PURGED:
                self._lru.pop(key)
                return False
            case Standing.SOFT:
                resident.end_freshness(now)
            case Standing.VALID:
                pass
        resident.generation = max(self.generation, _NEVER)
        return now < resident.retained_until_s

    def stamps(self) -> Iterator[list[bytes]]:
        """The stamps of all entries that were there when it began, some hundreds at a time."""
        keys = list(self._lru)
        for start in range(0, len(keys), _SLICE):
            residents = map(self._lru.peek, keys[start : start + _SLICE])
            yield [resident.entry.stamp for resident in residents if resident is not None]

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


def _valid(_stamp: bytes, _born_s: float) -> Standing:
    return Standing.VALID


def _weigh(key: CacheKey, entry: Entry) -> int:
    fields = sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in entry.headers)
    return ENTRY_OVERHEAD_BYTES + len(key) + len(entry.body) + len(entry.timing) + fields


def _weigh_rendering(rendering: Rendering, entry: Entry) -> int:
    own_bytes = 0 if rendering.body is entry.body else len(rendering.body)
    return RENDERING_OVERHEAD_BYTES + own_bytes
