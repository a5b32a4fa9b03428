"""When to stop asking a place that fails, and when to try it again; `now` is an argument."""

import random
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

BreakerState = Literal["closed", "open", "half-open"]


class BreakerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds of a breaker.

    Attributes:
        failures: it opens at this many failures ...
        window: ... among the last so many outcomes (at least `failures`).
        timeouts: it opens at so many time-outs without an answer between them: each costs a whole deadline.
        forget_s: failures count no longer after so long without a further one.
        cool_down_s: how long it stays open the first time; each failed probe doubles it ...
        max_cool_down_s: ... up to this.
        jitter: share by which a cool-down is longer or shorter, so that many processes do not probe at once.
    """

    failures: int = 5
    window: int = 20
    timeouts: int = 2
    forget_s: float = 10.0
    cool_down_s: float = 0.25
    max_cool_down_s: float = 1.0
    jitter: float = 0.25


class Breaker:
    """Counts outcomes; closed lets every call pass, open none, half-open a single probe.

    Each call asks `admit` and reports its outcome with the permit it got. An outcome of a call that began
    before the breaker last changed its state says nothing about now and is ignored.

    Args:
        config: thresholds.
        draw: gives numbers from 0 to below 1, for the jitter.
    """

    __slots__ = (
        "_config",
        "_cool_down_s",
        "_draw",
        "_generation",
        "_last_failure_s",
        "_outcomes",
        "_retry_at_s",
        "_timeouts",
        "state",
    )

    def __init__(
        self, config: BreakerConfig | None = None, draw: Callable[[], float] = random.random
    ) -> None:
        self._config = BreakerConfig() if config is None else config
        self._draw = draw
        self._cool_down_s = self._config.cool_down_s
        self._generation = 0
        self._last_failure_s = 0.0
        self._outcomes = 0
        self._retry_at_s = 0.0
        self._timeouts = 0
        self.state: BreakerState = "closed"

    def twin(self) -> "Breaker":
        """A closed breaker with the same thresholds."""
        return Breaker(self._config, self._draw)

    @property
    def closed(self) -> bool:
        """Calls pass."""
        return self.state == "closed"

    @property
    def suspect(self) -> bool:
        """The latest thing heard of the place is that it did not answer in time."""
        return self._timeouts > 0

    def rests_s(self, now_s: float) -> float:
        """Until a probe may be made; 0 when it may be made now."""
        return max(0.0, self._retry_at_s - now_s)

    def hurry(self, now_s: float) -> None:
        """There is a sign of life: an open breaker lets the next call probe."""
        self._retry_at_s = min(self._retry_at_s, now_s)

    def admit(self, now_s: float) -> int | None:
        """A permit to call, or None while the breaker is open or its probe is under way."""
        if self.state == "closed":
            return self._generation
        if self.state == "open" and now_s >= self._retry_at_s:
            self._change("half-open")
            return self._generation
        return None

    def succeeded(self, permit: int) -> None:
        """The call with this permit was answered."""
        if permit != self._generation:
            return
        self._timeouts = 0
        if self.state == "half-open":
            self._change("closed")
            self._outcomes = 0
            self._cool_down_s = self._config.cool_down_s
        elif self._outcomes:
            self._record(0)

    def failed(self, permit: int, now_s: float, timed_out_since_s: float | None = None) -> None:
        """The call with this permit was not answered.

        Args:
            permit: what `admit` gave.
            now_s: the present.
            timed_out_since_s: when a call began that got no answer in time. One that began before the failure
                counted last tells nothing new: all that wait together when a process or a network stalls for
                a moment are one time-out.
        """
        if permit != self._generation:
            return
        if self.state == "half-open":
            self._cool_down_s = min(self._cool_down_s * 2, self._config.max_cool_down_s)
            self._open(now_s)
            return
        if now_s - self._last_failure_s > self._config.forget_s:
            self._outcomes = self._timeouts = 0
        elif self.suspect and timed_out_since_s is not None and timed_out_since_s < self._last_failure_s:
            return
        self._timeouts += timed_out_since_s is not None
        self._last_failure_s = now_s
        self._record(1)
        if self._outcomes.bit_count() >= self._config.failures or self._timeouts >= self._config.timeouts:
            self._open(now_s)

    def abandoned(self, permit: int) -> None:
        """The call with this permit ended without an outcome: the next one may be the probe."""
        if permit == self._generation and self.state == "half-open":
            self._change("open")

    def _record(self, failure: int) -> None:
        self._outcomes = (self._outcomes << 1 | failure) & ((1 << self._config.window) - 1)

    def _open(self, now_s: float) -> None:
        self._change("open")
        self._outcomes = self._timeouts = 0
        spread = 1.0 + self._config.jitter * (2.0 * self._draw() - 1.0)
        self._retry_at_s = now_s + self._cool_down_s * spread

    def _change(self, state: BreakerState) -> None:
        self.state = state
        self._generation += 1
