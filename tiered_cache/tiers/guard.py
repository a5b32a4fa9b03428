"""Stands before a tier that may fail: a deadline, a breaker, and every failure becomes a counted miss."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import TypeVar
from weakref import WeakKeyDictionary

from msgspec import Struct

from tiered_cache.core.sealed import Found, Sealed
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.errors import CorruptEntryError, ForeignEntryError, TierUnavailableError
from tiered_cache.tiers.base import Clock, Tier
from tiered_cache.tiers.breaker import Breaker, BreakerConfig, BreakerState
from tiered_cache.tiers.deadlines import Deadlines

__all__ = ["Breaker", "BreakerConfig", "GuardedTier", "TierHealth"]

T = TypeVar("T")

_log = logging.getLogger("tiered_cache.tiers")


class TierHealth(Struct, frozen=True):
    """How a tier does.

    Attributes:
        state: of the breaker for lookups; of a tier in parts, that of the worst.
        write_state: of the breaker for everything else.
        counts: faults so far by reason: `timeout`, `unavailable`, `corrupt`, `foreign`, `error`, and for
            calls that were not made `open`, or `budget` where tiers nearer by had used up the time. Those of
            writes begin with `write-`, those of probes, for which no caller waits, with `probe-`.
    """

    name: str
    state: BreakerState
    write_state: BreakerState
    counts: dict[str, int]


class Part:
    """What fails as one: a whole tier, or a node of a cluster.

    Attributes:
        reads, writes: breakers for lookups, and for the rest.
        probing: who looks whether it answers again.
    """

    __slots__ = ("probing", "reads", "writes")

    def __init__(self, reads: Breaker) -> None:
        self.reads = reads
        self.writes = reads.twin()
        self.probing: asyncio.Task[None] | None = None


class GuardedTier:
    """A tier that never fails and never takes longer than its deadline.

    - `get` returns None for every failure; a corrupt entry is removed within the same deadline.
    - `put`, `remove`, `clear` and `close` return whatever happens. Cancellation alone passes through.
    - Lookups and writes have a breaker each: a full or read-only place can still be read.
    - Of a place that hangs a lookup takes the read deadline, the next one half of it, and then no caller
      waits any more: a task of the guard's own looks, after each cool-down, whether it answers again.
    - Where a tier has parts that fail one by one, each has breakers of its own: a sick one is left alone.

    Args:
        read_deadline_s: what a lookup may take; an attribute too.
        write_deadline_s: what a put, a remove or a clear may take.
        breaker: for lookups; writes get its twin, and so does each part.
        part_of: names the part that holds a key by an object that goes when the part has gone (it is
            referred to weakly); None while the parts are not known. Without it the tier fails as a whole.
        clock: what the breakers measure with.

    Attributes:
        last_fault, last_write_fault: reason of the latest lookup's or write's failure, None when it had none.
            Read right after the await, they belong to that call.
    """

    def __init__(
        self,
        tier: Tier,
        *,
        read_deadline_s: float = 0.025,
        write_deadline_s: float = 1.0,
        breaker: Breaker | None = None,
        part_of: Callable[[CacheKey], object | None] | None = None,
        clock: Clock,
    ) -> None:
        self.name = tier.name
        self.last_fault: str | None = None
        self.last_write_fault: str | None = None
        self.read_deadline_s = read_deadline_s
        self._tier = tier
        self._write_deadline_s = write_deadline_s
        self._whole = Part(Breaker() if breaker is None else breaker)
        self._part_of = part_of
        self._parts: WeakKeyDictionary[object, Part] = WeakKeyDictionary()
        self._clock = clock
        self._monotonic = clock.monotonic
        self._deadlines = Deadlines()
        self._counts: Counter[str] = Counter()
        self._probes: set[asyncio.Task[None]] = set()
        self._closed = False

    def health(self) -> TierHealth:
        """States and counters now."""
        parts = tuple(self._parts.values()) or (self._whole,)
        return TierHealth(
            self.name,
            _worst([part.reads for part in parts]),
            _worst([part.writes for part in parts]),
            dict(self._counts),
        )

    def sound(self, key: CacheKey) -> bool:
        """Lookups are answered where this key is, as far as the latest of them tell."""
        reads = self._part(key).reads
        return reads.closed and not reads.suspect

    async def get(self, key: CacheKey, within_s: float = inf) -> Found | None:
        """Look `key` up within the deadline and what is left of the caller's; None when absent or failed."""
        part = self._part(key)
        if not part.reads.closed:
            self.last_fault = self._count("open")
            return None
        if within_s <= 0.0:
            self.last_fault = self._count("budget")
            return None
        own_s = self.read_deadline_s / 2 if part.reads.suspect else self.read_deadline_s
        found, fault = await self._attempt(
            part.reads,
            min(own_s, within_s),
            lambda: self._get_or_discard(key),
            cut_short=2 * within_s < own_s,
        )
        self.last_fault = None if fault is None else self._count(fault)
        self._probe_if_open(part, key)
        return found

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """Keep an entry if that works within the deadline; see `last_write_fault`."""
        await self._write(self._part(key), lambda: self._tier.put(key, sealed, age_s))

    async def remove(self, key: CacheKey) -> None:
        """Forget `key` if that works within the deadline; see `last_write_fault`."""
        await self._write(self._part(key), lambda: self._tier.remove(key))

    async def clear(self) -> None:
        """Forget every entry if that works within the deadline; see `last_write_fault`."""
        await self._write(self._whole, self._tier.clear)

    async def close(self) -> None:
        """Release what the tier holds, within the write deadline, whatever the breaker says."""
        self._closed = True
        if self._probes:
            for probe in self._probes:
                probe.cancel()
            await asyncio.wait(self._probes)
        await self._attempt(self._whole.writes.twin(), self._write_deadline_s, self._tier.close)

    def _part(self, key: CacheKey) -> Part:
        place = None if self._part_of is None else self._part_of(key)
        if place is None:
            return self._whole
        part = self._parts.get(place)
        if part is None:
            part = self._parts[place] = Part(self._whole.reads.twin())
        return part

    def _probe_if_open(self, part: Part, key: CacheKey) -> None:
        if part.reads.closed or self._closed:
            return
        if part.probing is None or part.probing.done():
            part.probing = asyncio.get_running_loop().create_task(self._probe(part, key))
            self._probes.add(part.probing)
            part.probing.add_done_callback(self._probes.discard)

    async def _probe(self, part: Part, key: CacheKey) -> None:
        """Look up a key that somebody asked for until that is answered, by whichever part then holds it."""
        reads = part.reads
        while not reads.closed:
            await self._clock.sleep(reads.rests_s(self._monotonic()))
            _, fault = await self._attempt(reads, self.read_deadline_s, lambda: self._get_or_discard(key))
            if fault not in {None, "open"}:  # a timer may wake it a little early
                self._count(f"probe-{fault}")
        if self._part(key) is part:
            part.writes.hurry(self._monotonic())
        else:
            part.writes = part.writes.twin()  # perhaps nobody writes there any more

    async def _get_or_discard(self, key: CacheKey) -> Found | None:
        try:
            return await self._tier.get(key)
        except ForeignEntryError:
            raise  # others can read it
        except CorruptEntryError:
            with suppress(TierUnavailableError):
                await self._tier.remove(key)
            raise

    async def _write(self, part: Part, call: Callable[[], Awaitable[None]]) -> None:
        _, fault = await self._attempt(part.writes, self._write_deadline_s, call)
        self._end_write(fault)

    def _end_write(self, fault: str | None) -> None:
        self.last_write_fault = fault
        if fault is not None:
            self._count(f"write-{fault}")

    async def _attempt(
        self,
        breaker: Breaker,
        deadline_s: float,
        call: Callable[[], Awaitable[T]],
        *,
        cut_short: bool = False,
    ) -> tuple[T | None, str | None]:
        """The result, or None and why there is none. A deadline cut by half says nothing of the tier."""
        began_s = self._monotonic()
        permit = breaker.admit(began_s)
        if permit is None:
            return None, "open"
        try:
            with self._deadlines.within(deadline_s):
                value = await call()
        except CorruptEntryError as error:
            self._succeeded(breaker, permit)
            return None, error.code
        except Exception as error:  # noqa: BLE001 (the one place where every fault of a tier becomes a miss)
            reason = _reason(error)
            if reason == "timeout" and cut_short:
                breaker.abandoned(permit)
                return None, "budget"
            self._failed(breaker, permit, error, began_s if reason == "timeout" else None)
            return None, reason
        except BaseException:
            breaker.abandoned(permit)
            raise
        self._succeeded(breaker, permit)
        return value, None

    def _succeeded(self, breaker: Breaker, permit: int) -> None:
        before = breaker.state
        breaker.succeeded(permit)
        if breaker.state != before:
            _log.warning("tier %s answers again", self.name)

    def _failed(self, breaker: Breaker, permit: int, error: Exception, since_s: float | None) -> None:
        before = breaker.state
        breaker.failed(permit, self._monotonic(), since_s)
        if before == "closed" != breaker.state:
            _log.warning("tier %s fails and is left alone for a while: %s", self.name, type(error).__name__)

    def _count(self, fault: str) -> str:
        self._counts[fault] += 1
        return fault


def _worst(breakers: list[Breaker]) -> BreakerState:
    states = {breaker.state for breaker in breakers}
    return "open" if "open" in states else "half-open" if "half-open" in states else "closed"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
        return "timeout"
    return "unavailable" if isinstance(error, TierUnavailableError) else "error"
