"""Ends what takes too long: as `asyncio.timeout`, with one timer for all that wait at the same time."""

import asyncio
from math import ceil
from types import TracebackType
from typing import Any, Self

_TICKS_PER_S = 1000
"""How finely instants are told apart; an event loop's own timers are no finer."""
_LONGEST_S = 1e9
"""Endless, as a number of ticks."""
_PROMPT_S = 0.002
"""A timer that is later than this tells of a busy process."""
MOST = 2
"""How many times as long as it was given a task may take in a busy process."""


class Deadline:
    """A block in which its task may stay for some time. Made by `Deadlines.within`; entered once.

    Attributes:
        seconds: how long.
        tick: when that ends; None before it has begun.
        left: the task is there no more.
        renewed: it has been given once more.
    """

    __slots__ = ("_among", "_cancelling", "_expired", "_task", "left", "renewed", "seconds", "tick")

    def __init__(self, among: "Deadlines", task: "asyncio.Task[Any]", seconds: float) -> None:
        self._among = among
        self._task = task
        self.seconds = seconds
        self.tick: int | None = None
        self.renewed = False
        self._cancelling = task.cancelling()
        self._expired = self.left = False

    def expire(self) -> None:
        """Wake the task, if it is still there."""
        if not self.left:
            self._expired = True
            self._task.cancel()

    def __enter__(self) -> Self:
        self._among.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises TimeoutError for its own cancellation, and lets that of others pass."""
        self.left = True
        if not self._expired:
            self._among.discard(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Deadlines:
    """The deadlines of many tasks.

    A timer of its own would cost each task several microseconds, most of them for nothing. Where hundreds of
    calls come at once, the event loop has to begin with all of them before it can send a command or read a
    reply, which says nothing of who is waited for. So the time counts from the loop's next turn on, what has
    come by the end is taken, and where the timer is late, who waited for it is given that once more.
    """

    def __init__(self) -> None:
        self._fresh: list[Deadline] = []
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
            self._fresh, self._waiting = [], {}
        return Deadline(self, task, min(seconds, _LONGEST_S))

    def add(self, deadline: Deadline) -> None:
        """Let its time begin in the loop's next turn."""
        assert self._loop is not None
        if not self._fresh:
            self._loop.call_soon(self._begin, self._fresh)
        self._fresh.append(deadline)

    def _begin(self, fresh: list[Deadline]) -> None:
        if fresh is not self._fresh:
            return  # of a former loop
        assert self._loop is not None
        self._fresh = []
        now_s = self._loop.time()
        for deadline in fresh:
            if not deadline.left:
                self._wait(deadline, now_s + deadline.seconds)

    def _wait(self, deadline: Deadline, until_s: float) -> None:
        tick = deadline.tick = ceil(until_s * _TICKS_PER_S)
        waiting = self._waiting.get(tick)
        if waiting is None:
            self._waiting[tick] = {deadline: None}
            if self._timer is None or tick < self._next_tick:
                self._set(tick)
        else:
            waiting[deadline] = None

    def discard(self, deadline: Deadline) -> None:
        """It is over in time."""
        tick = deadline.tick
        waiting = None if tick is None else self._waiting.get(tick)
        if tick is None or waiting is None:
            return  # before the first turn, or in the last moment
        waiting.pop(deadline, None)
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
        now_s = self._loop.time()
        late = now_s - self._next_tick / _TICKS_PER_S > _PROMPT_S
        # The timer's own tick is due whatever rounding says: else it might be set anew for ever.
        due = max(self._next_tick, int(now_s * _TICKS_PER_S))
        ended = [
            deadline
            for tick in sorted(tick for tick in self._waiting if tick <= due)
            for deadline in self._waiting.pop(tick)
        ]
        for deadline in ended:
            if late and not deadline.renewed:
                deadline.renewed = True
                self._wait(deadline, now_s + (MOST - 1) * deadline.seconds)
            else:
                # Who was answered in this turn of the loop goes on before that.
                self._loop.call_soon(deadline.expire)
        if self._waiting and self._timer is None:
            self._set(min(self._waiting))
