"""Tiers that misbehave on demand, and one that keeps nothing."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from tiered_cache.core.sealed import Found, Sealed
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.errors import CorruptEntryError
from tiered_cache.tiers.base import Tier

Operation = Literal["get", "put", "remove", "clear", "close"]


class Fault(Struct, frozen=True, kw_only=True):
    """What happens to one call.

    Attributes:
        delay_s: waits so long first; infinity hangs until cancelled.
        error: raised instead of calling the tier.
        corrupt: a lookup raises CorruptEntryError instead of calling the tier.
    """

    delay_s: float = 0.0
    error: Exception | None = None
    corrupt: bool = False


HANG = Fault(delay_s=float("inf"))
CORRUPT = Fault(corrupt=True)
FINE = Fault()


class ChaosTier:
    """Passes calls on to a tier, except those that the script gives a fault.

    Args:
        inner: the tier that works.

    Attributes:
        calls: how often each operation was asked for, faults included.
    """

    def __init__(self, inner: Tier) -> None:
        self.name = inner.name
        self.calls: Counter[Operation] = Counter()
        self._inner = inner
        self._script: deque[Fault] = deque()
        self._steady = FINE
        self._operations: frozenset[Operation] = frozenset({"get", "put", "remove", "clear"})

    def script(self, faults: Iterable[Fault]) -> None:
        """Give these faults to the next calls, one each, before the steady one applies."""
        self._script.extend(faults)

    def steady(self, fault: Fault) -> None:
        """Give this fault to every call from now on; `heal` ends it."""
        self._steady = fault

    def only(self, *operations: Operation) -> None:
        """Limit faults to these operations."""
        self._operations = frozenset(operations)

    def heal(self) -> None:
        """Drop the script and every steady fault."""
        self._script.clear()
        self._steady = FINE

    async def get(self, key: CacheKey) -> Found | None:
        """Look `key` up, unless the script says otherwise."""
        await self._suffer("get")
        return await self._inner.get(key)

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """Keep an entry, unless the script says otherwise."""
        await self._suffer("put")
        await self._inner.put(key, sealed, age_s)

    async def remove(self, key: CacheKey) -> None:
        """Forget `key`, unless the script says otherwise."""
        await self._suffer("remove")
        await self._inner.remove(key)

    async def clear(self) -> None:
        """Forget every entry, unless the script says otherwise."""
        await self._suffer("clear")
        await self._inner.clear()

    async def close(self) -> None:
        """Close the inner tier, unless the script says otherwise."""
        await self._suffer("close")
        await self._inner.close()

    async def _suffer(self, operation: Operation) -> None:
        self.calls[operation] += 1
        if operation not in self._operations:
            return
        fault = self._script.popleft() if self._script else self._steady
        if fault.delay_s == float("inf"):
            await asyncio.Event().wait()
        elif fault.delay_s > 0.0:
            await asyncio.sleep(fault.delay_s)
        if fault.error is not None:
            raise fault.error
        if fault.corrupt and operation == "get":
            raise CorruptEntryError("chaos")


class NullTier:
    """Keeps nothing, fails never."""

    name = "null"

    async def get(self, key: CacheKey) -> Found | None:
        """Nothing."""
        _ = key
        return None

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """Nothing."""

    async def remove(self, key: CacheKey) -> None:
        """Nothing."""

    async def clear(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""
