"""The system's clocks behind the `Clock` promise."""

import asyncio
import time


class SystemClock:
    """Monotonic time for ages in this process, wall time for stamps that outlive it."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of the event loop's clock, which is the monotonic one."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
