"""Ctrl-C, SIGTERM and SIGHUP as one exception at safe points, so that nothing started is left behind."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):  # no error: like KeyboardInterrupt it must pass every handler
    """The user wants it to end.

    Attributes:
        signal: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class Interrupts:
    """Takes the signals over while it is entered. Use it on the main thread."""

    def __init__(self) -> None:
        self._caught: int | None = None
        self._holding = 0
        self._task: asyncio.Task[Any] | None = None
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._handle) for number in _SIGNALS]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Generator[None]:
        """Do this to the end first: what is started is also noted, what is made is also removed."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
        self.check()

    @contextmanager
    def ignored(self) -> Generator[None]:
        """For the short time of cleaning up, which no second Ctrl-C may cut short."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1

    def check(self) -> None:
        """Raise Interrupted when a signal came meanwhile."""
        if self._caught is not None and not self._holding:
            raise Interrupted(self._caught)

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on a loop of its own. A signal cancels it; after its end Interrupted is raised.

        It takes what makes the coroutine, so that no signal can fall between its making and its start.
        """
        try:
            with self.held():
                return asyncio.run(self._cancellable(work))
        except asyncio.CancelledError:
            self.check()
            raise

    async def _cancellable(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._task = asyncio.current_task()
        try:
            if self._caught is not None:
                raise asyncio.CancelledError
            return await work()
        finally:
            self._task = None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._caught = number
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        else:
            self.check()
