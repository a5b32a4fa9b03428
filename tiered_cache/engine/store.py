"""The tiers as one stack: look from the nearest down, promote what is found, fill all."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core import codec
from tiered_cache.core.answers import render, with_cut
from tiered_cache.core.epochs import Standing
from tiered_cache.core.sealed import Found, Sealed
from tiered_cache.core.vocabulary import CacheKey, Entry, Keyed, Rendering, Shape
from tiered_cache.engine.background import Background
from tiered_cache.engine.coherence import Coherence
from tiered_cache.engine.config import CacheConfig
from tiered_cache.engine.ledger import Ledger
from tiered_cache.tiers.base import SHARED, Clock
from tiered_cache.tiers.guard import GuardedTier, TierHealth
from tiered_cache.tiers.memory import MemoryTier, Resident

_WRITTEN = frozenset({Standing.VALID, Standing.SOFT})
"""What is put into the tiers below; for the rest it is too late."""


class Candidate(Struct, frozen=True):
    """An entry met on the way down, in the shape that was asked for.

    Attributes:
        tier: where it was found.
        resident: its place in memory, once it has one.
    """

    entry: Entry
    rendering: Rendering
    age_s: float
    tier: str
    resident: Resident | None


class Met(Struct, frozen=True):
    """An entry met on the way down, in no shape yet.

    Attributes:
        tier: where it was found.
        resident: its place in memory, once it has one.
    """

    entry: Entry
    age_s: float
    tier: str
    resident: Resident | None


class Unfit(Struct, frozen=True):
    """Why a tier has nothing to give: an entry of another shape, or a fault, as in `L2/timeout`.

    Attributes:
        detail: reason word for Cache-Status.
    """

    detail: str


class _Write(Struct, frozen=True):
    """What a lower tier is to hold.

    Attributes:
        born_s: instant of its fill on the monotonic clock, as the write may have to wait.
    """

    sealed: Sealed
    born_s: float


class Store:
    """Memory before the guarded tiers, nearest first.

    Args:
        memory: looked into synchronously.
        lower: disk and Redis, behind their guards.
        background: where writes run.
        ledger: where dropped writes are counted.
        clock: ages of what is in memory.
        coherence: what purges say of an entry.
        config: what lookups below may cost one call (by default the longest deadline), what writes may weigh.

    Attributes:
        depths: numbers of the tiers below memory, nearest first.
    """

    def __init__(
        self,
        memory: MemoryTier,
        lower: Sequence[GuardedTier],
        background: Background,
        ledger: Ledger,
        clock: Clock,
        coherence: Coherence,
        *,
        config: CacheConfig,
    ) -> None:
        self.coherence = coherence
        self.memory = memory
        self._lower = tuple(lower)
        self.depths = range(len(self._lower))
        self._background = background
        self._ledger = ledger
        self._clock = clock
        longest_s = max((tier.read_deadline_s for tier in self._lower), default=0.0)
        self._budget_s = longest_s if config.lookup_budget_s is None else config.lookup_budget_s
        self._writing: dict[tuple[str, CacheKey], _Write | None] = {}
        self._settling: dict[CacheKey, asyncio.Future[None]] = {}
        self._pending_bytes = 0
        self._most_pending_bytes = config.pending_write_bytes

    def budget_ends_s(self) -> float:
        """Until when a call that begins now may wait for the lower tiers, on the monotonic clock."""
        return self._clock.monotonic() + self._budget_s

    async def below(self, depth: int, key: CacheKey, until_s: float) -> Met | Unfit | None:
        """What a tier below memory holds for `key`, or why it could not say so.

        Args:
            depth: one of `depths`; who wants what the nearest holds asks them in turn.
            key: what is looked up.
            until_s: end of the call's budget, see `budget_ends_s`.
        """
        tier = self._lower[depth]
        found = await tier.get(key, until_s - self._clock.monotonic())
        if found is None:
            return None if tier.last_fault is None else Unfit(f"{tier.name}/{tier.last_fault}")
        sound = await self._sound(tier, found)
        return None if sound is None else self._promoted(key, sound, depth)

    async def _sound(self, tier: GuardedTier, found: Found) -> Found | None:
        """What no purge has taken of what a tier holds; what a soft purge has reached is stale."""
        await self.coherence.ready()
        entry = found.sealed.entry
        match self.coherence.standing(entry.stamp, self._clock.monotonic() - found.age_s):
            case Standing.VALID:
                return found
            case Standing.SOFT:
                aged = Found(found.sealed, max(found.age_s, entry.lifetime.fresh_s))
                return aged if aged.age_s < entry.lifetime.retention_s else None
            case Standing.PURGED | Standing.UNSURE:
                self._ledger.count("purged", tier.name)
                return None

    def nearby(self, key: CacheKey) -> Met | None:
        """What memory holds for `key`."""
        resident = self.memory.find(key)
        return None if resident is None else self._met(resident)

    def _met(self, resident: Resident) -> Met:
        age_s = self._clock.monotonic() - resident.born_s
        return Met(resident.entry, age_s, self.memory.name, resident)

    def in_memory(self, key: CacheKey, resident: Resident, shape: Shape) -> Candidate | Unfit:
        """The resident in `shape`."""
        rendering = self.rendering(key, resident, shape)
        if rendering is None:
            return _unfit(resident.entry)
        age_s = self._clock.monotonic() - resident.born_s
        return Candidate(resident.entry, rendering, age_s, self.memory.name, resident)

    def rendering(self, key: CacheKey, resident: Resident, shape: Shape) -> Rendering | None:
        """The kept rendering, or a new one, which is then kept."""
        rendering = resident.renderings.get(shape)
        if rendering is None:
            rendering = render(resident.entry, shape)
            if rendering is not None:
                self.memory.add_rendering(key, resident, shape, rendering)
        return rendering

    def landed_rendering(self, keyed: Keyed, resident: Resident | None, entry: Entry) -> Rendering | None:
        """A follower's shape of an answer that has just landed, stored or not."""
        if resident is None:
            return render(entry, keyed.shape)
        return self.rendering(keyed.key, resident, keyed.shape)

    def _promoted(self, key: CacheKey, found: Found, depth: int) -> Met:
        newer = self._filled_since(key, found)
        if newer is not None:
            return self._met(newer)
        resident = self.memory.keep(key, found.sealed, found.age_s)
        for tier in self._lower[:depth]:
            self._write(tier, key, found.sealed, found.age_s)
        return Met(found.sealed.entry, found.age_s, self._lower[depth].name, resident)

    def shaped(self, key: CacheKey, met: Met, shape: Shape) -> Candidate | Unfit:
        """What was met, in `shape`."""
        entry, resident = met.entry, met.resident
        rendering = render(entry, shape) if resident is None else self.rendering(key, resident, shape)
        if rendering is None:
            return _unfit(entry)
        return Candidate(entry, rendering, met.age_s, met.tier, resident)

    def _filled_since(self, key: CacheKey, found: Found) -> Resident | None:
        """What memory got while the tier below was asked, if it is the younger one."""
        resident = self.memory.find(key)
        if resident is None or resident.born_s < self._clock.monotonic() - found.age_s:
            return None
        return resident

    def fill(
        self,
        key: CacheKey,
        entry: Entry,
        shape: Shape | None = None,
        *,
        fence: int = 0,
        relayed: bool = False,
    ) -> Resident | None:
        """Keep a new answer: memory at once, the others behind. None when memory would not take it.

        Args:
            key: its name.
            entry: the answer.
            shape: how it was asked for; others will ask so as well.
            fence: of the lease under which it was asked for.
            relayed: the process that asked writes it to the tier that is shared.
        """
        rendering = render(entry, shape) if self._lower and shape is not None else None
        if shape is not None and rendering is not None:
            entry = with_cut(entry, shape, rendering)
        sealed = codec.seal(key, entry)
        resident = self.memory.keep(key, sealed)
        if resident is not None and shape is not None and rendering is not None:
            self.memory.add_rendering(key, resident, shape, rendering)
        sealed = replace(sealed, fence=fence) if fence else sealed
        for tier in self._lower:
            if not (relayed and tier.name == SHARED):
                self._write(tier, key, sealed, 0.0)
        return resident

    def _write(self, tier: GuardedTier, key: CacheKey, sealed: Sealed, age_s: float) -> None:
        """Write behind; writes of one key to one tier are made in order, and only the last that waits."""
        name = (tier.name, key)
        write = _Write(sealed, self._clock.monotonic() - age_s)
        waiting = self._writing.get(name)
        pending_bytes = self._pending_bytes + len(sealed.payload) - (_weight(waiting) if waiting else 0)
        if pending_bytes > self._most_pending_bytes:
            self._ledger.count("dropped-write", tier.name)
        elif name in self._writing:
            self._pending_bytes = pending_bytes
            self._writing[name] = write
        elif self._background.try_start(self._written(tier, key, write)):
            self._pending_bytes = pending_bytes
            self._writing[name] = None
        else:
            self._ledger.count("dropped-write", tier.name)

    async def _written(self, tier: GuardedTier, key: CacheKey, first: _Write) -> None:
        name = (tier.name, key)
        write: _Write | None = first
        try:
            while write is not None:
                if self.coherence.standing(write.sealed.entry.stamp, write.born_s) in _WRITTEN:
                    await tier.put(key, write.sealed, self._clock.monotonic() - write.born_s)
                self._pending_bytes -= _weight(write)
                write, self._writing[name] = self._writing[name], None
        finally:
            for left in (write, self._writing.pop(name)):
                self._pending_bytes -= _weight(left) if left else 0
            self._settle(tier, key)

    def _settle(self, tier: GuardedTier, key: CacheKey) -> None:
        settling = self._settling.pop(key, None) if tier.name == SHARED else None
        if settling is not None and not settling.done():
            settling.set_result(None)

    async def settled(self, key: CacheKey) -> None:
        """Return once nothing waits to be written to the shared tier under this key."""
        if (SHARED, key) not in self._writing:
            return
        settling = self._settling.get(key)
        if settling is None:
            settling = self._settling[key] = asyncio.get_running_loop().create_future()
        await asyncio.wait({settling})

    @property
    def has_lower(self) -> bool:
        """Whether there is a tier below memory."""
        return bool(self._lower)

    @property
    def tiers(self) -> tuple[str, ...]:
        """Names of all tiers, nearest first."""
        return (self.memory.name, *(tier.name for tier in self._lower))

    def health(self) -> tuple[TierHealth, ...]:
        """State and failure counts of each guarded tier."""
        return tuple(tier.health() for tier in self._lower)

    async def clear(self) -> None:
        """Forget everything in every tier."""
        await self.memory.clear()
        for tier in self._lower:
            await tier.clear()

    async def close(self) -> None:
        """Stop following purges, close every tier."""
        await self.coherence.close()
        await self.memory.close()
        for tier in self._lower:
            await tier.close()


def _weight(write: _Write) -> int:
    return len(write.sealed.payload)


def _unfit(entry: Entry) -> Unfit:
    return Unfit("shape-locked" if entry.locked or entry.has_usage else "no-usage")
