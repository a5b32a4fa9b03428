"""Virtual time: an asyncio loop that jumps to its next timer instead of waiting for it."""

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_REAL_LIMIT_S = 60.0
_EPOCH_S = 1_700_000_000.0
_RESOLUTION_S = time.get_clock_info("monotonic").resolution
"""How near asyncio takes a timer for due."""


class _JumpingSelector(selectors.DefaultSelector):
    """Waits in no time: where the loop would sleep, the clock is put forward.

    What threads do takes real time, so while a job of theirs is out the clock stands still.
    """

    def __init__(self, real_limit_s: float) -> None:
        super().__init__()
        self.now_s = 0.0
        self.jobs = 0
        self._real_limit_s = real_limit_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None or (timeout > 0 and self.jobs > 0):
            return self._wait_for_real()
        if self.jobs == 0:
            self._go_on(max(timeout, 0.0))
        return []

    def _go_on(self, seconds: float) -> None:
        """Put the clock forward, far enough that a timer of that instant is due.

        After some months floats are coarser than asyncio's resolution: `now + resolution` is `now`, and a
        timer of now would be waited for without end.
        """
        self.now_s += seconds
        if self.now_s + _RESOLUTION_S == self.now_s:
            self.now_s = math.nextafter(self.now_s, math.inf)

    def _wait_for_real(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(self._real_limit_s)
        if not ready:
            raise RuntimeError("virtual time stands still: no timer is set and no thread reports")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0 and moves only by its own timers.

    Jobs given to `run_in_executor` are waited for in real time, during which no timer fires. Sockets work,
    but their peers live in real time: a timer beside a socket fires at once.

    Args:
        real_limit_s: real seconds to wait for a thread; then the loop raises RuntimeError instead of hanging.
    """

    def __init__(self, real_limit_s: float = _REAL_LIMIT_S) -> None:
        self._jumping = _JumpingSelector(real_limit_s)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> "asyncio.Future[_T]":
        """Run in a thread; virtual time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _future: "asyncio.Future[Any]") -> None:
        self._jumping.jobs -= 1


class VirtualClock:
    """The `Clock` of a virtual loop; wall time runs with it from a fixed instant.

    Args:
        loop: whose time is told.
        epoch_s: wall time at the loop's 0, seconds since the Unix epoch.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, epoch_s: float = _EPOCH_S) -> None:
        self._loop = loop
        self._epoch_s = epoch_s

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._loop.time()

    def wall(self) -> float:
        """Virtual seconds since the Unix epoch."""
        return self._epoch_s + self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Let the loop jump there."""
        await asyncio.sleep(seconds)


def run_virtual(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end in virtual time. Ctrl-C cancels it, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
