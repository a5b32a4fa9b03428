"""What a streamed answer has said so far: written once, read by any number of callers at their own pace."""

import asyncio
from collections.abc import AsyncIterator, Callable

from tiered_cache.core.answers import live
from tiered_cache.core.replay import Arrivals
from tiered_cache.core.sse import Event


class Recording:
    """Events of one stream in order, and whether it ended whole.

    Attributes:
        events: what is held of it; grows while the stream runs.
        arrivals: when they came, for who replays them at the origin's pace.
        dropped: how many events before those were read by everyone and let go.
        passing: it will not be stored, so that what was read need not be held.
        closed: nothing more will come.
        whole: the origin ended the stream by itself.
    """

    __slots__ = ("_waiting", "arrivals", "closed", "dropped", "events", "passing", "size_bytes", "whole")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.arrivals = Arrivals()
        self.dropped = 0
        self.passing = False
        self.size_bytes = 0
        self.closed = False
        self.whole = False
        self._waiting: list[asyncio.Future[None]] = []

    def extend(self, events: list[Event]) -> None:
        """Write events and wake the readers."""
        if events:
            self.events += events
            self.size_bytes += sum(len(event.raw) for event in events)
            self._wake()

    def close(self, *, whole: bool) -> None:
        """End the recording; idempotent."""
        if not self.closed:
            self.closed = True
            self.whole = whole
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def read_from(self, index: int) -> list[Event]:
        """The events from the one numbered `index` on; a passing recording lets them go."""
        events = self.events[index - self.dropped :]
        if self.passing:
            self.dropped += len(self.events)
            self.events.clear()
        return events

    @property
    def end(self) -> int:
        """Number of the event that comes next."""
        return self.dropped + len(self.events)

    async def wait_beyond(self, index: int) -> None:
        """Return once there is an event numbered `index` or the recording is closed.

        A future for each reader: a reader that is cancelled cancels only its own.
        """
        while index >= self.end and not self.closed:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future


class LiveBody(AsyncIterator[bytes]):
    """One caller's view of a recording: each piece holds every event written since the last.

    Args:
        recording: what is read.
        endpoint: whose dialect the events are in.
        include_usage: whether this caller asked for the usage chunk.
        broken: bytes that end the body when the recording ends before it is whole.
        leave: called once, when this caller has read all or gone away.
    """

    def __init__(
        self,
        recording: Recording,
        endpoint: str,
        *,
        include_usage: bool,
        broken: bytes,
        leave: Callable[[], None],
    ) -> None:
        self._recording = recording
        self._endpoint = endpoint
        self._include_usage = include_usage
        self._broken = broken
        self._leave: Callable[[], None] | None = leave
        self._index = 0

    def __aiter__(self) -> "LiveBody":
        return self

    async def __anext__(self) -> bytes:
        while self._leave is not None:
            await self._recording.wait_beyond(self._index)
            piece = self._next_piece()
            if piece:
                return piece
        raise StopAsyncIteration

    def _next_piece(self) -> bytes:
        recording = self._recording
        events = recording.read_from(self._index)
        self._index += len(events)
        piece = b"".join([live(self._endpoint, event, include_usage=self._include_usage) for event in events])
        if recording.closed and self._index >= recording.end:
            self._end()
            return piece if recording.whole else piece + self._broken
        return piece

    def _end(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    async def aclose(self) -> None:
        """Stop reading; the recording goes on for the others."""
        self._end()
