"""Bodies of live answers: each is one caller's view of a recording, at that caller's own pace."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from msgspec import Struct

from tiered_cache.core.answers import error_event, idle, live, opens
from tiered_cache.core.live import FOLLOWING, FOLLOWING_ENDS, Following, Sight
from tiered_cache.core.sse import Event
from tiered_cache.engine.recording import Cursor

PIECE_BYTES = 16 * 1024
"""About what a piece joins of the events that wait: a caller that stalls holds no more than that."""

IDLE_S = 15.0
"""Silence behind a follower's header fields that is filled."""


class View(Struct, frozen=True):
    """How a caller sees the events of a stream.

    Attributes:
        endpoint: whose dialect they are in.
        include_usage: this caller asked for the usage chunk.
        free: this caller pays nothing.
    """

    endpoint: str
    include_usage: bool
    free: bool

    def piece(self, events: list[Event]) -> bytes:
        """What this caller gets of these events."""
        usage, free = self.include_usage, self.free
        return b"".join([live(self.endpoint, event, include_usage=usage, free=free) for event in events])

    def broken(self) -> bytes:
        """What ends a stream that cannot go on. Raises OriginCutError where no event can say so."""
        return error_event(self.endpoint, "the origin's stream broke off", "origin_cut")


class LedBody(AsyncIterator[bytes]):
    """A leader's view: each piece holds what was written since the last.

    Args:
        cursor: its place in the recording.
        view: how it sees the events.
        leave: called once, when this caller has read all or gone away.
    """

    def __init__(self, cursor: Cursor, view: View, leave: Callable[[], None]) -> None:
        self._cursor = cursor
        self._view = view
        self._leave: Callable[[], None] | None = leave

    async def __anext__(self) -> bytes:
        cursor = self._cursor
        while self._leave is not None:
            await cursor.wait(cursor.index)
            piece = self._next_piece()
            if piece:
                return piece
        raise StopAsyncIteration

    def _next_piece(self) -> bytes:
        piece = self._view.piece(self._cursor.take(PIECE_BYTES))
        if self._cursor.ended:
            self._end()
            return piece if self._cursor.whole else piece + self._view.broken()
        return piece

    def _end(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    async def aclose(self) -> None:
        """Stop reading; the recording goes on for the others."""
        self._end()


class Joined(Struct, frozen=True):
    """What a follower has gone on with: another running stream, which it may lead."""

    cursor: Cursor
    view: View


class Rest(Struct, frozen=True):
    """What a follower has gone on with: all that it will get.

    Attributes:
        failed: it is an error event.
    """

    body: bytes
    failed: bool


class FollowedBody(AsyncIterator[bytes]):
    """A follower's view: every event from the first on, then the live tail.

    Until an event delivers something, all is held: should the stream break off before, the caller is given
    the successor's stream, and never parts of two.

    Args:
        cursor: its place in the recording.
        view: how it sees the events.
        anew: goes back to the flights when the stream broke off before anything was delivered.
        done: called once at the end, with how it ended.
    """

    def __init__(
        self,
        cursor: Cursor,
        view: View,
        *,
        anew: Callable[[], Awaitable[Joined | Rest]],
        done: Callable[[Following], None],
    ) -> None:
        self._cursor = cursor
        self._view = view
        self._anew = anew
        self._done = done
        self._state = Following.HELD
        self._seen = cursor.index
        self._starting: asyncio.Future[Joined | Rest] | None = None
        self._loop = asyncio.get_running_loop()
        self._quiet_since_s = self._loop.time()
        self._silent = False
        self._timer: asyncio.TimerHandle | None = None
        self._waits = False

    async def __anext__(self) -> bytes:
        while self._state not in FOLLOWING_ENDS:
            piece = await self._start_anew() if self._state is Following.ANEW else self._next_piece()
            if not piece and self._silent:
                self._silent, self._quiet_since_s = False, self._loop.time()
                piece = idle(self._view.endpoint)
            if piece:
                self._silent = False
                self._quiet_since_s = self._loop.time()
                return piece
            if self._state in {Following.HELD, Following.DELIVERED}:
                await self._wait()
        raise StopAsyncIteration

    async def _wait(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(self._quiet_since_s + IDLE_S, self._look_at_the_time)
        self._waits = True
        try:
            await self._cursor.wait(self._seen)
        finally:
            self._waits = False

    def _next_piece(self) -> bytes:
        cursor = self._cursor
        if self._state is Following.HELD:
            self._look()
        if self._state is not Following.DELIVERED:
            return b""
        piece = self._view.piece(cursor.take(PIECE_BYTES))
        self._seen = cursor.index
        if not cursor.ended:
            return piece
        self._see(Sight.ENDED if cursor.whole else Sight.CUT)
        return piece if cursor.whole else piece + self._view.broken()

    def _look(self) -> None:
        """Whether something is delivered by what has been written; the end of a whole stream delivers all."""
        cursor = self._cursor
        if cursor.over and not cursor.whole:
            self._see(Sight.CUT)
            return
        while (event := cursor.at(self._seen)) is not None:
            if not opens(self._view.endpoint, event):
                self._see(Sight.CONTENT)
                return
            self._seen += 1
        if cursor.over:
            self._see(Sight.CONTENT)

    async def _start_anew(self) -> bytes:
        """Wait for the successor, or until the silence has to be filled."""
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._anew())
        due_s = max(0.0, self._quiet_since_s + IDLE_S - self._loop.time())
        await asyncio.wait({self._starting}, timeout=due_s)
        if not self._starting.done():
            self._silent = True
            return b""
        found, self._starting = self._starting.result(), None
        if isinstance(found, Joined):
            self._cursor, self._view, self._seen = found.cursor, found.view, found.cursor.index
            self._see(Sight.FLYING)
            return b""
        self._see(Sight.FAILED if found.failed else Sight.ANSWERED)
        return found.body

    def _see(self, sight: Sight) -> None:
        self._state = FOLLOWING[self._state, sight]
        if self._state in FOLLOWING_ENDS:
            if self._timer is not None:
                self._timer.cancel()
            self._done(self._state)

    def _look_at_the_time(self) -> None:
        """One timer for each follower, not one for each event; none while its caller is busy."""
        self._timer = None
        due_s = self._quiet_since_s + IDLE_S
        if self._waits and self._loop.time() < due_s:
            self._timer = self._loop.call_at(due_s, self._look_at_the_time)
        elif self._waits:
            self._silent = True
            self._cursor.nudge()

    async def aclose(self) -> None:
        """Stop reading; the recording goes on for the others."""
        if self._state in FOLLOWING_ENDS:
            return
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            await asyncio.wait({starting})
        self._see(Sight.LEFT)
