"""The system's clocks behind the `Clock` promise."""

import time


class SystemClock:
    """Monotonic time for ages in this process, wall time for stamps that outlive it."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


SYSTEM_CLOCK = SystemClock()
