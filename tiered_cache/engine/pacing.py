"""A stored stream given again at a pace: no task, no timer but the one that its reader waits for."""

from collections.abc import AsyncIterator, Sequence

from tiered_cache.core.pace import Step
from tiered_cache.tiers.base import Clock


class PacedBody(AsyncIterator[bytes]):
    """Pieces of a body, each when it is due; a reader that fell behind gets all that is due at once.

    It holds the body once, whoever else reads the entry, and counts from its first reading. A reader that is
    cancelled or that stops reading leaves nothing behind.

    Args:
        body: all of it.
        steps: when which part goes out.
        clock: what is slept by.
    """

    __slots__ = ("_began_s", "_body", "_clock", "_next", "_sent", "_steps")

    def __init__(self, body: bytes, steps: Sequence[Step], clock: Clock) -> None:
        self._body = body
        self._steps = steps
        self._clock = clock
        self._next = 0
        self._sent = 0
        self._began_s: float | None = None

    def __aiter__(self) -> "PacedBody":
        return self

    async def __anext__(self) -> bytes:
        if self._next >= len(self._steps):
            raise StopAsyncIteration
        wait_s = self._steps[self._next].offset_s - self._passed_s()
        if wait_s > 0:
            await self._clock.sleep(wait_s)
        piece = self._due()
        if not piece:  # closed while it slept
            raise StopAsyncIteration
        return piece

    def _passed_s(self) -> float:
        """Seconds since the first reading."""
        now = self._clock.monotonic()
        if self._began_s is None:
            self._began_s = now
        return now - self._began_s

    def _due(self) -> bytes:
        """The step that was waited for, and those behind it whose time has come too."""
        steps, passed_s = self._steps, self._passed_s()
        begin = self._sent
        while self._next < len(steps) and (begin == self._sent or steps[self._next].offset_s <= passed_s):
            self._sent = steps[self._next].end
            self._next += 1
        return self._body[begin : self._sent]

    async def aclose(self) -> None:
        """Stop; what was not read is let go."""
        self._steps, self._body = (), b""
