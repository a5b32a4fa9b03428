"""Where purges are kept that no other node has to know: in this process, or beside a disk tier."""

import asyncio
import secrets
from typing import Protocol, TypeAlias

from tiered_cache.core.epochs import TOKEN_BYTES, Purge, PurgeLog
from tiered_cache.engine.purge_view import PurgeView
from tiered_cache.errors import TierUnavailableError

Scopes: TypeAlias = tuple[bytes, ...]


class Keeper(Protocol):
    """Keeps the log that a view judges by."""

    def start(self) -> None:
        """Begin to follow the log, without waiting for it; idempotent. Needs a running loop."""
        ...

    async def ready(self) -> None:
        """Start, and return once the log has been looked for, found or not; never waits long."""
        ...

    async def purge(self, scopes: Scopes, *, soft: bool) -> bool:
        """Write a line; this node obeys it when this returns. Whether every node and restart will."""
        ...

    async def close(self) -> None:
        """End what runs."""
        ...


class ProcessKeeper:
    """For what ends with the process."""

    def __init__(self, view: PurgeView) -> None:
        self._view = view

    def start(self) -> None:
        """There is nothing to follow."""

    async def ready(self) -> None:
        """There is nothing to look for."""

    async def purge(self, scopes: Scopes, *, soft: bool) -> bool:
        """Write a line."""
        self._view.note(next_line(self._view.log, scopes, soft=soft))
        return True

    async def close(self) -> None:
        """There is nothing to end."""


class Journal(Protocol):
    """A file of lines; both methods block."""

    def load(self, new: PurgeLog, /) -> PurgeLog:
        """What it holds, or `new`."""
        ...

    def append(self, purge: Purge, /) -> None:
        """Keep a line. Raises TierUnavailableError."""
        ...


class JournalKeeper:
    """For entries on disk that no other machine knows.

    Args:
        view: adopts what the journal holds.
        journal: read once, in a thread.
    """

    def __init__(self, view: PurgeView, journal: Journal) -> None:
        self._view = view
        self._journal = journal
        self._loading: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    def start(self) -> None:
        """Begin to read the journal."""
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._load())

    async def ready(self) -> None:
        """Return once the journal has been read."""
        self.start()
        if self._loading is not None and not self._loading.done():
            await asyncio.wait({self._loading})

    async def _load(self) -> None:
        self._view.adopt(await asyncio.to_thread(self._journal.load, self._view.log))

    async def purge(self, scopes: Scopes, *, soft: bool) -> bool:
        """Write a line; False where the disk did not take it."""
        await self.ready()
        async with self._lock:
            purge = next_line(self._view.log, scopes, soft=soft)
            self._view.note(purge)
            try:
                await asyncio.to_thread(self._journal.append, purge)
            except TierUnavailableError:
                return False
        return True

    async def close(self) -> None:
        """Wait for what is being read."""
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)


def next_line(log: PurgeLog, scopes: Scopes, *, soft: bool) -> Purge:
    """The line that would come next."""
    return Purge(log.epoch.counter + 1, scopes, soft, secrets.token_bytes(TOKEN_BYTES))
