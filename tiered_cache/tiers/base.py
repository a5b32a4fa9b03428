"""The promises of a tier."""

from typing import Protocol, runtime_checkable

from tiered_cache.core.sealed import Found, Sealed
from tiered_cache.core.vocabulary import CacheKey

SHARED = "L2"
"""Name of the tier that all processes and machines share."""


class Clock(Protocol):
    """Where time comes from, and what waits for it: the system, a fake, or a virtual event loop."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; the origin is arbitrary."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once the monotonic clock has gone so far on."""
        ...


@runtime_checkable
class Tier(Protocol):
    """One place where entries are kept; the contract suite in `tiered_cache.testing` proves each promise.

    - `get` returns what was last put under exactly this key, whole, or None; never another key's entry.
    - `get` reports an age that only grows, counted by the tier's own clock from the age given at `put`.
    - An entry is gone once its age reaches its lifetime's retention; an age running backwards is a miss.
    - A put with an age at or beyond retention stores nothing. A retention of zero means zero.
    - `put` replaces; a failed or interrupted put leaves the old entry, the new one or none, never a mixture.
    - Entries can disappear at any time (eviction); `remove` of an absent key does nothing.
    - Stored bytes that are not an entry of this key raise `CorruptEntryError` from `get`.
    - A place that cannot be reached raises `TierUnavailableError`; no other exception is expected.
    - The constructor does no network I/O. `close` is idempotent.
    """

    name: str

    async def get(self, key: CacheKey) -> Found | None:
        """Look `key` up. Raises CorruptEntryError, TierUnavailableError."""
        ...

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """Keep an entry that is `age_s` old. Raises TierUnavailableError."""
        ...

    async def remove(self, key: CacheKey) -> None:
        """Forget `key`. Raises TierUnavailableError."""
        ...

    async def clear(self) -> None:
        """Forget every entry of this cache, and nothing of others that share the place."""
        ...

    async def close(self) -> None:
        """Release connections, files and threads."""
        ...
