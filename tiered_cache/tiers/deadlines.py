"""Ends what takes too long: as `asyncio.timeout`, with one timer for all that wait at the same time."""

import asyncio
from math import ceil
from types import TracebackType
from typing import Any, Self

_TICKS_PER_S = 1000
"""How finely instants are told apart; an event loop's own timers are no finer."""
_LONGEST_S = 1e9
"""Endless, as a number of ticks."""


class Deadline:
    """A block in which its task may stay until an instant. Made by `Deadlines.within`; entered once."""

    __slots__ = ("_among", "_cancelling", "_expired", "_task", "_tick")

    def __init__(self, among: "Deadlines", task: "asyncio.Task[Any]", tick: int) -> None:
        self._among = among
        self._task = task
        self._tick = tick
        self._cancelling = task.cancelling()
        self._expired = False

    def expire(self) -> None:
        """Wake the task."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        self._among.add(self._tick, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises TimeoutError for its own cancellation, and lets that of others pass."""
        if not self._expired:
            self._among.discard(self._tick, self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Deadlines:
    """The deadlines of many tasks.

    A timer of its own would cost each task several microseconds, most of them for nothing.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, dict[Deadline, None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_tick = 0

    def within(self, seconds: float) -> Deadline:
        """A block that ends with TimeoutError unless the task has left it so many seconds from now."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be given a deadline")
        loop = task.get_loop()
        if loop is not self._loop:
            self._loop, self._timer = loop, None
            self._waiting = {}
        return Deadline(self, task, ceil((loop.time() + min(seconds, _LONGEST_S)) * _TICKS_PER_S))

    def add(self, tick: int, deadline: Deadline) -> None:
        """Let it wait for its tick."""
        waiting = self._waiting.get(tick)
        if waiting is None:
            self._waiting[tick] = {deadline: None}
            if self._timer is None or tick < self._next_tick:
                self._set(tick)
        else:
            waiting[deadline] = None

    def discard(self, tick: int, deadline: Deadline) -> None:
        """It is over in time."""
        waiting = self._waiting[tick]
        del waiting[deadline]
        if not waiting:
            del self._waiting[tick]

    def _set(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._loop is not None
        self._next_tick = tick
        self._timer = self._loop.call_at(tick / _TICKS_PER_S, self._expire)

    def _expire(self) -> None:
        assert self._loop is not None
        self._timer = None
        # The timer's own tick is due whatever rounding says: else it might be set anew for ever.
        due = max(self._next_tick, int(self._loop.time() * _TICKS_PER_S))
        for tick in sorted(tick for tick in self._waiting if tick <= due):
            for deadline in self._waiting.pop(tick):
                deadline.expire()
        if self._waiting:
            self._set(min(self._waiting))
