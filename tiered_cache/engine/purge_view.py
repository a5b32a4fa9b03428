"""The log of purges as this node sees it, and how far it may rely on that."""

import secrets
from math import inf

from tiered_cache.core.epochs import INCARNATION_BYTES, Epoch, Purge, PurgeLog, Standing
from tiered_cache.tiers.base import Clock
from tiered_cache.tiers.memory import MemoryTier

_DOUBTFUL = -2
"""A generation in which no entry was ever found: each is asked about each time."""


class PurgeView:
    """Judges entries by a log that may be behind.

    In doubt, an entry is used for `bound_s` after this node last knew the log to be whole, or after it was
    filled, whichever is later.

    Args:
        memory: told to ask anew when there is something new.
        clock: its monotonic clock is that of births.
        bound_s: see above.

    Attributes:
        log: what is known.
    """

    def __init__(self, memory: MemoryTier, clock: Clock, bound_s: float = inf) -> None:
        self.log = new_log()
        self._memory = memory
        self._monotonic = clock.monotonic
        self._bound_s = bound_s
        self._whole_s = -inf
        self._in_doubt = False
        self._generation = 0
        memory.heed(self.standing)

    def standing(self, stamp: bytes, born_s: float) -> Standing:
        """What is known of an entry or a call with this stamp, born then."""
        standing = self.log.standing(stamp)
        if self._in_doubt and standing is not Standing.PURGED:
            confirmed_s = max(self._whole_s, born_s)
            return standing if self._monotonic() - confirmed_s <= self._bound_s else Standing.UNSURE
        return standing

    def note(self, purge: Purge) -> None:
        """Take a line in."""
        self.log.note(purge)
        self._renew()

    def adopt(self, log: PurgeLog) -> None:
        """Judge by another log from now on."""
        self.log = log
        self._renew()

    def trust(self) -> None:
        """The log is known to be whole now."""
        self._whole_s = self._monotonic()
        if self._in_doubt:
            self._in_doubt = False
            self._renew()

    def doubt(self) -> None:
        """Lines may have been missed since it was last known to be whole."""
        self._in_doubt = True
        self._memory.generation = _DOUBTFUL

    def _renew(self) -> None:
        self._generation += 1
        self._memory.generation = _DOUBTFUL if self._in_doubt else self._generation


def new_log() -> PurgeLog:
    """A log that has nothing to do with any other."""
    return PurgeLog(Epoch(secrets.token_bytes(INCARNATION_BYTES), 0))
