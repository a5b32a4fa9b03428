"""A clock that stands still until it is told to go on."""

import asyncio


class FakeClock:
    """Both clocks of a `Clock`, moved by hand.

    Args:
        monotonic_s: where the monotonic clock begins.
        wall_s: where the wall clock begins, in seconds since the Unix epoch.
    """

    def __init__(self, monotonic_s: float = 1_000.0, wall_s: float = 1_800_000_000.0) -> None:
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return self._monotonic_s

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        return self._wall_s

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has been moved so far on."""
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers[sleeper] = self._monotonic_s + seconds
        if seconds <= 0.0:
            sleeper.set_result(None)
        try:
            await sleeper
        finally:
            del self._sleepers[sleeper]

    @property
    def sleeping(self) -> int:
        """How many wait for this clock."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks. Raises ValueError for a negative duration."""
        if seconds < 0.0:
            raise ValueError("time passes forwards: use jump_wall to set the wall clock")
        self._monotonic_s += seconds
        self._wall_s += seconds
        for sleeper, until_s in self._sleepers.items():
            if until_s <= self._monotonic_s and not sleeper.done():
                sleeper.set_result(None)

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forwards or back, as an administrator or NTP does."""
        self._wall_s += seconds
