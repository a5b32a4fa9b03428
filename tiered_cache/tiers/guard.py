"""Stands before a tier that may fail: a deadline, a breaker, and every failure becomes a counted miss."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from msgspec import Struct

from tiered_cache.core.vocabulary import CacheKey, Found, Sealed
from tiered_cache.errors import CorruptEntryError, TierUnavailableError
from tiered_cache.tiers.base import Clock, Tier
from tiered_cache.tiers.breaker import Breaker, BreakerConfig, BreakerState

__all__ = ["Breaker", "BreakerConfig", "GuardedTier", "TierHealth"]

T = TypeVar("T")

_log = logging.getLogger("tiered_cache.tiers")


class TierHealth(Struct, frozen=True):
    """How a tier does.

    Attributes:
        state: of the breaker for lookups.
        write_state: of the breaker for everything else.
        counts: faults so far by reason: `timeout`, `unavailable`, `corrupt`, `error`, and `open` for calls
            that were not made; those of writes begin with `write-`.
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

    Args:
        read_deadline_s: what a lookup may take.
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
        self._tier = tier
        self._read_deadline_s = read_deadline_s
        self._write_deadline_s = write_deadline_s
        self._reads = Breaker() if breaker is None else breaker
        self._writes = self._reads.twin()
        self._monotonic = clock.monotonic
        self._counts: Counter[str] = Counter()

    def health(self) -> TierHealth:
        """States and counters now."""
        return TierHealth(self.name, self._reads.state, self._writes.state, dict(self._counts))

    async def get(self, key: CacheKey) -> Found | None:
        """Look `key` up within the deadline; None when absent or for any failure."""
        permit = self._reads.admit(self._monotonic())
        if permit is None:
            self.last_fault = self._count("open")
            return None
        found, fault = await self._attempt(
            self._reads, permit, self._read_deadline_s, lambda: self._get_or_discard(key)
        )
        self.last_fault = None if fault is None else self._count(fault)
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
        await self._attempt(self._writes.twin(), 0, self._write_deadline_s, self._tier.close)

    async def _get_or_discard(self, key: CacheKey) -> Found | None:
        try:
            return await self._tier.get(key)
        except CorruptEntryError:
            with suppress(TierUnavailableError):
                await self._tier.remove(key)
            raise

    async def _write(self, call: Callable[[], Awaitable[None]]) -> None:
        permit = self._writes.admit(self._monotonic())
        if permit is None:
            self._end_write("open")
            return
        _, fault = await self._attempt(self._writes, permit, self._write_deadline_s, call)
        self._end_write(fault)

    def _end_write(self, fault: str | None) -> None:
        self.last_write_fault = fault
        if fault is not None:
            self._count(f"write-{fault}")

    async def _attempt(
        self,
        breaker: Breaker,
        permit: int,
        deadline_s: float,
        call: Callable[[], Awaitable[T]],
    ) -> tuple[T | None, str | None]:
        try:
            async with asyncio.timeout(deadline_s):
                value = await call()
        except CorruptEntryError:
            self._succeeded(breaker, permit)
            return None, "corrupt"
        except Exception as error:  # noqa: BLE001 (the one place where every fault of a tier becomes a miss)
            self._failed(breaker, permit, error)
            return None, _reason(error)
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

    def _failed(self, breaker: Breaker, permit: int, error: Exception) -> None:
        before = breaker.state
        breaker.failed(permit, self._monotonic())
        if before == "closed" != breaker.state:
            _log.warning("tier %s fails and is left alone for a while: %s", self.name, type(error).__name__)

    def _count(self, fault: str) -> str:
        self._counts[fault] += 1
        return fault


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
        return "timeout"
    return "unavailable" if isinstance(error, TierUnavailableError) else "error"
