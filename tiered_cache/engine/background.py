"""The bounded set of work that outlives a call: writes to lower tiers, flights, refreshes."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Tasks that somebody holds, so that none is lost and close can wait for them.

    Args:
        limit: how many droppable jobs may be under way; further ones are refused.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._droppable: set[asyncio.Task[Any]] = set()
        self._kept: set[asyncio.Task[Any]] = set()

    def try_start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Start droppable work, or close it unstarted and return False when the set is full."""
        if len(self._droppable) >= self._limit:
            work.close()
            return False
        self._hold(work, self._droppable)
        return True

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start work that must run (a flight); its number is bounded by the calls that lead."""
        return self._hold(work, self._kept)

    def _hold(self, work: Coroutine[Any, Any, T], held: set[asyncio.Task[Any]]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        held.add(task)
        task.add_done_callback(held.discard)
        return task

    @property
    def pending(self) -> int:
        """How many tasks are under way."""
        return len(self._droppable) + len(self._kept)

    async def drain(self, timeout_s: float) -> int:
        """Wait for all work, cancel what is left after `timeout_s`; returns how many were cancelled."""
        tasks = self._droppable | self._kept
        late: set[asyncio.Task[Any]] = set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)
        fresh = (self._droppable | self._kept) - tasks
        return len(late) + (await self.drain(timeout_s) if fresh else 0)
