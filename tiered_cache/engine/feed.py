"""The answer of a flight that another process leads, as an origin would give it: whole, or an error."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from tiered_cache.core.claims import Log
from tiered_cache.core.relay import RelayFrame, RelayHead, read_frame
from tiered_cache.core.vocabulary import Request, Response
from tiered_cache.errors import (
    CorruptEntryError,
    OriginCutError,
    OriginUnreachableError,
    TierUnavailableError,
)

_MARGIN_S = 0.01
"""Added to a lease before it is looked at: it ends by the server's clock."""

_REREADS = 20
"""How often a feed asks for the frame that it has missed before it gives up."""


class ContactLostError(OriginUnreachableError):
    """Nobody can tell any more what the flight is doing: it says nothing of the origin."""

    code = "contact_lost"


class Feed:
    """Frames of one flight in order, pushed as they are written; what was missed is read.

    Args:
        read: the log from a number on; None where there is no such flight. Raises TierUnavailableError.
        lease_s: silence after which the leader's lease is looked at.
        left_s: what is left of it now.

    Attributes:
        ended: the last frame has been given.
    """

    def __init__(self, read: Callable[[int], Awaitable[Log | None]], lease_s: float, left_s: float) -> None:
        self._read = read
        self._lease_s = lease_s
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time() + left_s + _MARGIN_S
        self._frames: dict[int, bytes] = {}
        self._next = 0
        self._told_bytes = 0
        self._behind = False
        self._lost = False
        self._reads = 0
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False

    def hear(self, number: int, frame: bytes | None = None) -> None:
        """A frame was written, or (without one) there are so many: it may have to be read."""
        self._due_s = self._loop.time() + self._lease_s + _MARGIN_S
        if frame is not None and number >= self._next:  # what was read may still be pushed
            self._frames.setdefault(number, frame)
        held = self._next + len(self._frames)
        self._behind = self._behind or (number if frame is None else number + 1) > held
        self._wake()

    def resume(self) -> None:
        """Pushes may have been missed."""
        self._behind = True
        self._wake()

    def lose(self) -> None:
        """Nothing will be heard any more."""
        self._lost = True
        self._wake()

    async def next(self) -> RelayFrame:
        """The next frame.

        Raises:
            OriginUnreachableError: the leader died.
            ContactLostError: nobody knows.
        """
        while self._next not in self._frames:
            if self._lost:
                raise ContactLostError("the process that asks the origin cannot be heard any more")
            if self._behind:
                await self._catch_up()
            else:
                await self._wait()
        raw = self._frames.pop(self._next)
        self._next += 1
        self._reads = 0
        try:
            frame = read_frame(raw)
        except CorruptEntryError as error:
            raise ContactLostError("what another process told of its call is garbled") from error
        if frame.at != self._told_bytes:
            raise ContactLostError("what another process told of its call does not fit together")
        self._told_bytes += len(frame.data)
        self.ended = frame.end != ""
        return frame

    async def _catch_up(self) -> None:
        self._behind = False
        self._reads += 1
        try:
            log = await self._read(self._next) if self._reads <= _REREADS else None
        except TierUnavailableError:
            log = None
        if log is None:
            self._lost = self._next not in self._frames
            return
        for number, frame in enumerate(log.frames, self._next):
            self._frames.setdefault(number, frame)
        if self._next in self._frames:
            return
        if log.ended:
            self._lost = True
        elif log.left_ms <= 0:
            raise OriginUnreachableError("the process that asked the origin ended before it had an answer")
        else:
            self._due_s = max(self._due_s, self._loop.time() + log.left_ms / 1000.0 + _MARGIN_S)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        timer = self._loop.call_at(self._due_s, self._look)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _look(self) -> None:
        """There was silence for as long as the leader's lease lasts."""
        if self._loop.time() >= self._due_s:
            self.resume()
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class RelayedOrigin:
    """Asks the leader instead of the origin.

    Args:
        feed: what it tells.
        headed: called with the head before the response is given.
        lost: called when contact is lost, before that is raised.
        unshared: called when the answer turns out to be for the leader alone, before that is raised.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        headed: Callable[[RelayHead], None],
        lost: Callable[[], None],
        unshared: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._headed = headed
        self._lost = lost
        self._unshared = unshared

    async def __call__(self, request: Request) -> Response:
        """The leader's response. Raises OriginUnreachableError where it had none."""
        _ = request
        first = await self._next()
        head = first.head
        if head is None:
            raise OriginUnreachableError("the call that was shared failed before there was an answer")
        self._headed(head)
        body = first.data if first.end == "whole" else self._body(first)
        return Response(head.status, head.headers, body, framed=head.framed)

    async def _next(self) -> RelayFrame:
        try:
            frame = await self._feed.next()
        except ContactLostError:
            self._lost()
            raise
        if frame.end == "unshared":
            self._unshared()
            raise ContactLostError("the answer that was waited for cannot be shared")
        return frame

    async def _body(self, frame: RelayFrame) -> AsyncGenerator[bytes]:
        while True:
            if frame.data:
                yield frame.data
            if frame.end == "whole":
                return
            if frame.end == "failed":
                raise OriginCutError("the call that was shared broke off")
            try:
                frame = await self._next()
            except OriginUnreachableError as error:
                raise OriginCutError("the process that asked the origin is gone") from error
