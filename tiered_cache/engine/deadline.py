"""A caller's own time-out."""

import asyncio


class Deadline:
    """A caller's own time-out, counted once over all that it waits for."""

    __slots__ = ("_ends_s", "_time")

    def __init__(self, timeout_s: float | None) -> None:
        self._time = asyncio.get_running_loop().time
        self._ends_s = None if timeout_s is None else self._time() + timeout_s

    def left_s(self) -> float | None:
        """Seconds left, None for ever."""
        return None if self._ends_s is None else max(0.0, self._ends_s - self._time())
