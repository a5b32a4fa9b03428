"""What all who listen to Redis have in common: how first callers wait for a word, how listening ends."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

FIRST_S = 0.1
"""What the first miss of a process waits for a first word."""

SHORTEST_REST_S = 0.05
LONGEST_REST_S = 1.0
"""Between two connections that fail; each rest is twice the one before."""


class FirstWord:
    """Whether anything has been heard yet; only the first callers wait for that."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()
        self._waited = False

    def note(self) -> None:
        """Something has been heard."""
        self._heard.set()

    async def wait(self) -> None:
        """Return once something has been heard, or has been waited for in vain."""
        if not self._waited and not self._heard.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), FIRST_S)
            self._waited = True


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: redis-py swallows a cancellation that comes while it logs in."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=SHORTEST_REST_S)
