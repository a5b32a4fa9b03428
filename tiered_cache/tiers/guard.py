"""Stands before a tier that may fail: a deadline, a breaker, and every failure becomes a counted miss."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import TypeVar

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
        state: of the breaker for lookups.
        write_state: of the breaker for everything else.
        counts: faults so far by reason: `timeout`, `unavailable`, `corrupt`, `foreign`, `error`, and for
            calls that were not made `open`, or `budget` where tiers nearer by had used up the time. Those of
            writes begin with `write-`, those of probes, for which no caller waits, with `probe-`.
    """

    name: str
    state: BreakerState
    write_state: BreakerState
    counts: dict[str, int]


class GuardedTier:
    """A tier that never fails and never takes longer than its deadline.

    - `get` returns None for every failure; a corrupt entry is removed within the same deadline.
    - `put`, `remove`, `clear` and `close` return whatever happens. Cancellation alone passes through.
    - Lookups and writes have a breaker each: a full or read-only place can still be read.
    - Of a place that hangs a lookup takes the read deadline, the next one half of it, and then no caller
      waits any more: a task of the guard's own looks, after each cool-down, whether it answers again.

    Args:
        read_deadline_s: what a lookup may take; an attribute too.
        write_deadline_s: what a put, a remove or a clear may take.
        breaker: for lookups; writes get its twin.
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
        clock: Clock,
    ) -> None:
        self.name = tier.name
        self.last_fault: str | None = None
        self.last_write_fault: str | None = None
        self.read_deadline_s = read_deadline_s
        self._tier = tier
        self._write_deadline_s = write_deadline_s
        self._reads = Breaker() if breaker is None else breaker
        self._writes = self._reads.twin()
        self._clock = clock
        self._monotonic = clock.monotonic
        self._deadlines = Deadlines()
        self._counts: Counter[str] = Counter()
        self._probing: asyncio.Task[None] | None = None
        self._closed = False

    def health(self) -> TierHealth:
        """States and counters now."""
        return TierHealth(self.name, self._reads.state, self._writes.state, dict(self._counts))

    @property
    def sound(self) -> bool:
        """Lookups are answered, as far as the latest of them tell."""
        return self._reads.closed and not self._reads.suspect

    async def get(self, key: CacheKey, within_s: float = inf) -> Found | None:
        """Look `key` up within the deadline and what is left of the caller's; None when absent or failed."""
        if not self._reads.closed:
            self.last_fault = self._count("open")
            return None
        if within_s <= 0.0:
            self.last_fault = self._count("budget")
            return None
        own_s = self.read_deadline_s / 2 if self._reads.suspect else self.read_deadline_s
        found, fault = await self._attempt(
            self._reads,
            min(own_s, within_s),
            lambda: self._get_or_discard(key),
            cut_short=2 * within_s < own_s,
        )
        self.last_fault = None if fault is None else self._count(fault)
        self._probe_if_open(key)
        return found

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """Keep an entry if that works within the deadline; see `last_write_fault`."""
        await self._write(lambda: self._tier.put(key, sealed, age_s))

    async def remove(self, key: CacheKey) -> None:
        """Forget `key` if that works within the deadline; see `last_write_fault`."""
        await self._write(lambda: self._tier.remove(key))

    async def clear(self) -> None:
        """Forget every entry if that works within the deadline; see `last_write_fault`."""
        await self._write(self._tier.clear)

    async def close(self) -> None:
        """Release what the tier holds, within the write deadline, whatever the breaker says."""
        self._closed = True
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait({self._probing})
        await self._attempt(self._writes.twin(), self._write_deadline_s, self._tier.close)

    def _probe_if_open(self, key: CacheKey) -> None:
        if self._reads.closed or self._closed:
            return
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._probe(key))

    async def _probe(self, key: CacheKey) -> None:
        """Look up a key that somebody asked for until that is answered."""
        while not self._reads.closed:
            await self._clock.sleep(self._reads.rests_s(self._monotonic()))
            _, fault = await self._attempt(
                self._reads, self.read_deadline_s, lambda: self._get_or_discard(key)
            )
            if fault not in {None, "open"}:  # a timer may wake it a little early
                self._count(f"probe-{fault}")
        self._writes.hurry(self._monotonic())

    async def _get_or_discard(self, key: CacheKey) -> Found | None:
        try:
            return await self._tier.get(key)
        except ForeignEntryError:
            raise  # others can read it
        except CorruptEntryError:
            with suppress(TierUnavailableError):
                await self._tier.remove(key)
            raise

    async def _write(self, call: Callable[[], Awaitable[None]]) -> None:
        _, fault = await self._attempt(self._writes, self._write_deadline_s, call)
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


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
        return "timeout"
    return "unavailable" if isinstance(error, TierUnavailableError) else "error"
