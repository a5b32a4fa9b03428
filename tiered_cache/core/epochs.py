"""Decides which stored answers a purge has reached: a log of purges, and stamps that say how much was known.

An epoch is (incarnation, counter). The incarnation is random, and new whenever the log may have lost a purge;
the counter counts purges. A fill is stamped with the epoch known when its origin call began, so that whatever
is purged after that moment reaches it, wherever and whenever it lands.
"""

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

INCARNATION_BYTES = 8
SCOPE_BYTES = 16
CAPACITY = 100_000
"""Scopes whose last purge is remembered one by one."""

_COUNTER_BYTES = 8
_EPOCH_BYTES = INCARNATION_BYTES + _COUNTER_BYTES


class Epoch(Struct, frozen=True, array_like=True, gc=False):
    """How much of a log of purges somebody knew.

    Attributes:
        incarnation: names the log; two logs have nothing to do with each other.
        counter: purges so far.
    """

    incarnation: bytes
    counter: int


class Standing(Enum):
    """What the log says of an entry."""

    VALID = "no purge has reached it"
    SOFT = "a soft purge has: it is stale"
    PURGED = "a hard purge has, or the log cannot tell"
    UNSURE = "purges may have been missed: not now"


class Purge(Struct, frozen=True, array_like=True):
    """One line of the log.

    Attributes:
        counter: its number.
        scopes: digests of what it reaches: everything, a tenant, a model, a tag or keys.
        soft: its entries are stale, not gone.
    """

    counter: int
    scopes: tuple[bytes, ...]
    soft: bool


def stamp_of(epoch: Epoch, scopes: Iterable[bytes]) -> bytes:
    """What an entry carries: the epoch at which its call began, and by which scopes a purge reaches it."""
    return b"".join([epoch.incarnation, epoch.counter.to_bytes(_COUNTER_BYTES, "big"), *scopes])


def with_scopes(stamp: bytes, scopes: Iterable[bytes]) -> bytes:
    """The stamp of an entry that further scopes reach."""
    return b"".join([stamp, *scopes])


class PurgeLog:
    """The last purge of each scope, and everything older than the oldest that is remembered.

    Promises:
        - an entry is `PURGED` or `SOFT` as soon as one of its scopes has been purged after its stamp;
        - an entry of another incarnation, without a stamp, or older than what is remembered is `PURGED`;
        - lines may be noted twice and in any order.

    Args:
        epoch: where it begins.
        capacity: scopes remembered; when there are more, the oldest are forgotten down to half of it, and
            what is stamped before the youngest of those counts as purged.

    Attributes:
        epoch: how far this log goes.
        floor: stamps below this are too old to be judged.
    """

    __slots__ = ("_capacity", "_hard", "_soft", "epoch", "floor")

    def __init__(self, epoch: Epoch, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.begin(epoch)

    def begin(self, epoch: Epoch, floor: int = 0) -> None:
        """Start anew: nothing is known but this epoch, and that stamps below `floor` cannot be judged."""
        self.epoch = epoch
        self.floor = floor
        self._hard: dict[bytes, int] = {}
        self._soft: dict[bytes, int] = {}

    def note(self, purge: Purge) -> None:
        """Take one line in."""
        marks = self._soft if purge.soft else self._hard
        for scope in purge.scopes:
            marks[scope] = max(purge.counter, marks.get(scope, 0))
        if purge.counter > self.epoch.counter:
            self.epoch = Epoch(self.epoch.incarnation, purge.counter)
        if len(self) > self._capacity:
            self._forget()

    def has(self, purge: Purge) -> bool:
        """Whether a line that is no news was noted; one that is too old to be remembered counts as noted."""
        marks = self._soft if purge.soft else self._hard
        return purge.counter <= self.floor or all(
            marks.get(scope, 0) >= purge.counter for scope in purge.scopes
        )

    def standing(self, stamp: bytes) -> Standing:
        """What becomes of an entry with this stamp."""
        if len(stamp) < _EPOCH_BYTES or not stamp.startswith(self.epoch.incarnation):
            return Standing.PURGED
        counter = int.from_bytes(stamp[INCARNATION_BYTES:_EPOCH_BYTES], "big")
        if counter < self.floor:
            return Standing.PURGED
        if counter >= self.epoch.counter:
            return Standing.VALID
        standing = Standing.VALID
        for start in range(_EPOCH_BYTES, len(stamp), SCOPE_BYTES):
            scope = stamp[start : start + SCOPE_BYTES]
            if self._hard.get(scope, 0) > counter:
                return Standing.PURGED
            if self._soft.get(scope, 0) > counter:
                standing = Standing.SOFT
        return standing

    def __len__(self) -> int:
        return len(self._hard) + len(self._soft)

    def lines(self) -> list[Purge]:
        """What is remembered, a line for each scope and kind, oldest first."""
        kinds = ((self._hard, False), (self._soft, True))
        lines = [Purge(number, (scope,), soft) for marks, soft in kinds for scope, number in marks.items()]
        return sorted(lines, key=_number)

    def _forget(self) -> None:
        """Drop the oldest until there is room again; what they could have reached counts as reached."""
        old = self.lines()[: len(self) - self._capacity // 2]
        for purge in old:
            del (self._soft if purge.soft else self._hard)[purge.scopes[0]]
        self.floor = max(self.floor, old[-1].counter)


def _number(purge: Purge) -> int:
    return purge.counter
