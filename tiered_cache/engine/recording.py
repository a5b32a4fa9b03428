"""What a streamed answer has said so far: written once, read by any number of callers at their own pace."""

import asyncio

from tiered_cache.core.replay import Arrivals
from tiered_cache.core.sse import Event


class Recording:
    """Events of one stream in order, and whether it ended whole. Readers hold a place in it, and no events.

    Attributes:
        events: what is held of it; grows while the stream runs.
        arrivals: when they came, for who replays them at the origin's pace.
        dropped: how many events before those were let go.
        passing: it will not be stored, so that what everybody has read need not be held.
        size_bytes: what has been written in all.
        closed: nothing more will come.
        whole: the origin ended the stream by itself.
        waiting: what wakes each reader that waits.
    """

    __slots__ = (
        "_cursors",
        "_held_bytes",
        "_wanted",
        "arrivals",
        "closed",
        "dropped",
        "events",
        "passing",
        "size_bytes",
        "waiting",
        "whole",
    )

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.arrivals = Arrivals()
        self.dropped = 0
        self.passing = False
        self.size_bytes = 0
        self.closed = False
        self.whole = False
        self._held_bytes = 0
        self._cursors: set[Cursor] = set()
        self.waiting: dict[Cursor, asyncio.Future[None]] = {}
        self._wanted: asyncio.Future[None] | None = None

    def extend(self, events: list[Event]) -> None:
        """Write events and wake the readers."""
        if events:
            size_bytes = sum(len(event.raw) for event in events)
            self.events += events
            self.size_bytes += size_bytes
            self._held_bytes += size_bytes
            self._wake()

    def close(self, *, whole: bool) -> None:
        """End the recording; idempotent."""
        if not self.closed:
            self.closed = True
            self.whole = whole
            self._wake()

    def _wake(self) -> None:
        waiting, self.waiting = self.waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(None)

    @property
    def end(self) -> int:
        """Number of the event that comes next."""
        return self.dropped + len(self.events)

    def open(self) -> "Cursor":
        """A new reader, before the first event that is held."""
        cursor = Cursor(self, self.dropped)
        self._cursors.add(cursor)
        return cursor

    def let_go(self, most_bytes: int) -> None:
        """Drop what all readers have; who holds up more than `most_bytes` is left behind."""
        self._drop()
        while self._held_bytes > most_bytes and len(self._cursors) > 1:
            slowest = min(self._cursors, key=_place)
            slowest.lost = True
            self.shut(slowest)

    def _drop(self) -> None:
        least = min(map(_place, self._cursors), default=self.end)
        gone = self.events[: least - self.dropped]
        if gone:
            del self.events[: len(gone)]
            self.dropped += len(gone)
            self._held_bytes -= sum(len(event.raw) for event in gone)

    async def wanted(self) -> None:
        """Return once the fastest reader of a passing recording has read all of it: it is not read ahead."""
        if self.passing and not self._cursors:
            await asyncio.sleep(
                0
            )  # nobody holds it back, so an origin that never waits would hold up the loop
        while self.passing and self._cursors and max(map(_place, self._cursors)) < self.end:
            self._wanted = asyncio.get_running_loop().create_future()
            await self._wanted

    def note_read(self) -> None:
        """Hear that a reader has gone on, which the stream may have waited for."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None and not wanted.done():
            wanted.set_result(None)

    def shut(self, cursor: "Cursor") -> None:
        """Count a reader out."""
        self._cursors.discard(cursor)
        cursor.nudge()
        if self.passing:
            self._drop()
        self.note_read()


class Cursor:
    """One reader's place.

    Attributes:
        index: number of the event that it takes next.
        lost: it was so slow that its next event has been let go.
    """

    __slots__ = ("_recording", "index", "lost")

    def __init__(self, recording: Recording, index: int) -> None:
        self._recording = recording
        self.index = index
        self.lost = False

    def take(self, most_bytes: int) -> list[Event]:
        """The next events, until they have `most_bytes` or more; the last one is given whole."""
        if self.lost:
            return []
        recording = self._recording
        events = recording.events
        begin = end = self.index - recording.dropped
        size_bytes = 0
        while end < len(events) and size_bytes < most_bytes:
            size_bytes += len(events[end].raw)
            end += 1
        taken = events[begin:end]
        self.index += len(taken)
        recording.note_read()
        return taken

    def at(self, number: int) -> Event | None:
        """The event of this number, if it has been written."""
        recording = self._recording
        return None if self.lost or number >= recording.end else recording.events[number - recording.dropped]

    @property
    def over(self) -> bool:
        """Whether nothing more will be written for it."""
        return self.lost or self._recording.closed

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to take, ever."""
        return self.lost or (self._recording.closed and self.index >= self._recording.end)

    @property
    def whole(self) -> bool:
        """Whether the stream ended by itself and this reader could follow it."""
        return self._recording.whole and not self.lost

    async def wait(self, number: int) -> None:
        """Return once there is an event of this number, the recording is closed, or at a nudge.

        A future for each reader: a reader that is cancelled cancels only its own.
        """
        recording = self._recording
        if number < recording.end or recording.closed or self.lost:
            return
        future = asyncio.get_running_loop().create_future()
        recording.waiting[self] = future
        try:
            await future
        finally:
            recording.waiting.pop(self, None)

    def nudge(self) -> None:
        """Wake this reader alone."""
        future = self._recording.waiting.pop(self, None)
        if future is not None and not future.done():
            future.set_result(None)

    def close(self) -> None:
        """Read no more; the recording goes on for the others."""
        self._recording.shut(self)


def _place(cursor: Cursor) -> int:
    return cursor.index
