"""Decides which stored answers a purge has reached: a log of purges, and stamps that say how much was known.

An epoch is (incarnation, counter, token). The incarnation is random, and new whenever the log is known to
have lost a purge; the counter counts purges; the token is random and belongs to the last line. So an epoch
says by which lines a log came where it is: one that lost lines and went on with others has another token
under the same number. A fill is stamped with the epoch known when its origin call began, so that whatever is
purged after that moment reaches it, wherever and whenever it lands.
"""

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

INCARNATION_BYTES = 8
TOKEN_BYTES = 8
SCOPE_BYTES = 16
CAPACITY = 100_000
"""Scopes whose last purge is remembered one by one."""

LINES = 65_536
"""Lines whose tokens are remembered; a stamp that is older counts as purged."""

UNTOLD = bytes(TOKEN_BYTES)
"""Token of line 0, with which every log begins; and of a line that is not known."""

_COUNTER_BYTES = 8
_NUMBER_BYTES = INCARNATION_BYTES + _COUNTER_BYTES
_EPOCH_BYTES = _NUMBER_BYTES + TOKEN_BYTES


class Epoch(Struct, frozen=True, array_like=True, gc=False):
    """How much of a log of purges somebody knew.

    Attributes:
        incarnation: names the log; two logs have nothing to do with each other.
        counter: purges so far.
        token: of the last of them.
    """

    incarnation: bytes
    counter: int
    token: bytes = UNTOLD

    def then(self, purge: "Purge") -> "Epoch":
        """How much is known with the next line."""
        return Epoch(self.incarnation, purge.counter, purge.token)


NOWHERE = Epoch(b"", 0)
"""Of who has not seen a log yet."""


class Standing(Enum):
    """What the log says of an entry."""

    VALID = "no purge has reached it"
    SOFT = "a soft purge has: it is stale"
    PURGED = "a hard purge has, or the log cannot tell"
    UNSURE = "purges may have been missed, or it is ahead of what is known: not now"


class Purge(Struct, frozen=True, array_like=True):
    """One line of the log.

    Attributes:
        counter: its number.
        scopes: digests of what it reaches: everything, a tenant, a model, a tag or keys.
        soft: its entries are stale, not gone.
        token: tells it from another line that was given its number when it was lost.
    """

    counter: int
    scopes: tuple[bytes, ...]
    soft: bool
    token: bytes


def stamp_of(epoch: Epoch, scopes: Iterable[bytes]) -> bytes:
    """What an entry carries: the epoch at which its call began, and by which scopes a purge reaches it."""
    number = epoch.counter.to_bytes(_COUNTER_BYTES, "big")
    return b"".join([epoch.incarnation, number, epoch.token, *scopes])


def with_scopes(stamp: bytes, scopes: Iterable[bytes]) -> bytes:
    """The stamp of an entry that further scopes reach."""
    return b"".join([stamp, *scopes])


class PurgeLog:
    """The last purge of each scope, and everything older than the oldest that is remembered.

    Promises:
        - an entry is `PURGED` or `SOFT` as soon as one of its scopes has been purged after its stamp;
        - an entry of another incarnation, without a stamp, or older than what is remembered is `PURGED`;
        - so is one that was stamped after a line that this log lost, whatever got that line's number;
        - one that is stamped after a line that is not known here is `UNSURE`;
        - lines may be noted twice and in any order.

    Args:
        epoch: where it begins.
        capacity: scopes remembered; when there are more, the oldest are forgotten down to half of it, and
            what is stamped before the youngest of those counts as purged.
        lines: tokens remembered; when there are an eighth more, the oldest are forgotten in the same way.

    Attributes:
        epoch: how far this log goes.
        floor: stamps below this are too old to be judged.
    """

    __slots__ = ("_capacity", "_hard", "_lines", "_soft", "_tokens", "epoch", "floor")

    def __init__(self, epoch: Epoch, capacity: int = CAPACITY, lines: int = LINES) -> None:
        self._capacity = capacity
        self._lines = lines
        self._hard: dict[bytes, int] = {}
        self._soft: dict[bytes, int] = {}
        self.begin(epoch, epoch.counter, epoch.token)

    def begin(self, epoch: Epoch, floor: int, tokens: bytes) -> None:
        """Start anew, with no purge of any scope.

        Args:
            epoch: how far it goes.
            floor: stamps below this cannot be judged.
            tokens: of line `floor` and those that follow, up to that of `epoch`.
        """
        self.epoch = epoch
        self.floor = floor
        self._tokens = bytearray(tokens)
        self._hard.clear()
        self._soft.clear()

    def note(self, purge: Purge) -> None:
        """Take one line in."""
        if purge.counter <= self.floor:
            return
        marks = self._soft if purge.soft else self._hard
        for scope in purge.scopes:
            marks[scope] = max(purge.counter, marks.get(scope, 0))
        self._keep(purge)
        if purge.counter > self.epoch.counter:
            self.epoch = self.epoch.then(purge)
        if len(self) > self._capacity:
            self._forget()

    def _keep(self, purge: Purge) -> None:
        """Remember a line's token; where its number has one, that one stays."""
        if self.token(purge.counter) != UNTOLD:
            return
        missing = purge.counter - self.floor - len(self._tokens) // TOKEN_BYTES
        if missing > self._lines:
            self._raise(purge.counter)
            missing = 0
        self._tokens.extend(bytes(max(0, missing + 1) * TOKEN_BYTES))
        at = (purge.counter - self.floor) * TOKEN_BYTES
        self._tokens[at : at + TOKEN_BYTES] = purge.token
        if len(self._tokens) > (self._lines + self._lines // 8) * TOKEN_BYTES:
            self._raise(purge.counter - self._lines + 1)

    def token(self, counter: int) -> bytes:
        """Of the line with this number, at `floor` or above it; `UNTOLD` if it is not known."""
        at = (counter - self.floor) * TOKEN_BYTES
        return bytes(self._tokens[at : at + TOKEN_BYTES]) if at < len(self._tokens) else UNTOLD

    def tokens(self) -> bytes:
        """Of line `floor` and of those that follow."""
        return bytes(self._tokens)

    def holds(self, epoch: Epoch) -> bool:
        """Whether this log came by that epoch, as far as it remembers."""
        return epoch.incarnation == self.epoch.incarnation and (
            epoch.counter < self.floor or self.token(epoch.counter) == epoch.token
        )

    def has(self, purge: Purge) -> bool:
        """Whether a line that is no news was noted; one that is too old to be remembered counts as noted."""
        return purge.counter < self.floor or self.token(purge.counter) == purge.token

    def standing(self, stamp: bytes) -> Standing:
        """What becomes of an entry with this stamp."""
        if len(stamp) < _EPOCH_BYTES or not stamp.startswith(self.epoch.incarnation):
            return Standing.PURGED
        counter = int.from_bytes(stamp[INCARNATION_BYTES:_NUMBER_BYTES], "big")
        if counter < self.floor:
            return Standing.PURGED
        token = self.token(counter)
        if token != stamp[_NUMBER_BYTES:_EPOCH_BYTES]:
            return Standing.UNSURE if token == UNTOLD else Standing.PURGED
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
        lines = [
            Purge(number, (scope,), soft, self.token(number))
            for marks, soft in kinds
            for scope, number in marks.items()
        ]
        return sorted(lines, key=_number)

    def _forget(self) -> None:
        """Drop the oldest until there is room again; what they could have reached counts as reached."""
        old = self.lines()[: len(self) - self._capacity // 2]
        self._raise(old[-1].counter)

    def _raise(self, floor: int) -> None:
        """Forget what is below `floor`, or reaches nothing that is not."""
        del self._tokens[: max(0, floor - self.floor) * TOKEN_BYTES]
        self.floor = max(self.floor, floor)
        for marks in (self._hard, self._soft):
            for scope in [scope for scope, number in marks.items() if number <= self.floor]:
                del marks[scope]


def _number(purge: Purge) -> int:
    return purge.counter
