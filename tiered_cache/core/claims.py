"""What processes say to each other of a flight: a claim to lead it, the replies, and the news of it."""

from typing import TypeAlias

from msgspec import Struct

from tiered_cache.core.vocabulary import CacheKey

PROCESS_BYTES = 8
TOKEN_BYTES = 16
"""A token is the id of a process and a number of its own: it names one flight for ever."""


class Claim(Struct, frozen=True, kw_only=True):
    """A process' wish to ask the origin on behalf of all.

    Attributes:
        key: of the call.
        modes: names of flights of this key: the claimed one, then others that would be followed instead.
        token: of the flight that would be led.
        stamp, credential: given to followers as they are.
        generation: 1 for one that takes over from a flight that failed.
        root: that flight's token; it is not followed.
        began_within_us: only flights that began at most so long ago are followed; None for any.
        looked_us: L2 was looked into so long ago; None where what is there would not do.
        follow: this process hears news, so it can follow.
        lease_ms: how long the lease lasts without a sign of life.
    """

    key: CacheKey
    modes: tuple[bytes, ...]
    token: bytes
    stamp: bytes = b""
    credential: bytes = b""
    generation: int = 0
    root: bytes = b""
    began_within_us: int | None = None
    looked_us: int | None = None
    follow: bool = True
    lease_ms: int = 3000


class Led(Struct, frozen=True):
    """The lease is granted, or was to this token already.

    Attributes:
        fence: larger than that of any lease of this key before.
    """

    fence: int


class Followed(Struct, frozen=True, kw_only=True):
    """Another process leads, and this one is among its followers from now on.

    Attributes:
        token, mode, generation, root, stamp, credential: of that flight.
        age_us: how long ago it was claimed.
        left_ms: what is left of its lease.
        frames: all it has told so far; the next ones are news.
    """

    token: bytes
    mode: bytes
    age_us: int
    left_ms: int
    generation: int = 0
    root: bytes = b""
    stamp: bytes = b""
    credential: bytes = b""
    frames: tuple[bytes, ...] = ()


class Stored(Struct, frozen=True):
    """An entry of this key was written since L2 was looked into; nothing was claimed."""


class Busy(Struct, frozen=True):
    """Another process leads, and this one cannot follow; nothing was claimed."""


class Over(Struct, frozen=True):
    """The flight that took over has failed as well; nothing was claimed."""


Claimed: TypeAlias = Led | Followed | Stored | Busy | Over


class Standing(Struct, frozen=True):
    """What a leader learns with each sign of life.

    Attributes:
        followers: processes that follow.
        frames: how many frames there are.
    """

    followers: int
    frames: int


class Log(Struct, frozen=True):
    """What is kept of a flight.

    Attributes:
        frames: from the number that was asked for on.
        left_ms: what is left of the lease; 0 or less where it has run out.
        ended: there will be no more.
    """

    frames: tuple[bytes, ...]
    left_ms: int
    ended: bool


class FollowedBy(Struct, frozen=True):
    """To the leader: a process has begun to follow."""

    token: bytes


class Left(Struct, frozen=True):
    """To the leader: the last process has left."""

    token: bytes


class Frame(Struct, frozen=True):
    """To followers: a frame."""

    token: bytes
    number: int
    frame: bytes


class Bell(Struct, frozen=True):
    """To followers: a frame that is too large to be pushed."""

    token: bytes
    number: int


class Beat(Struct, frozen=True):
    """To followers: the leader lives, and there are so many frames."""

    token: bytes
    number: int


News: TypeAlias = FollowedBy | Left | Frame | Bell | Beat
