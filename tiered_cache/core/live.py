"""Two tables of live streams: the life of a flight, and what a follower of a running stream is given.

The docs' diagrams are generated from them, and the engine goes by them.
"""

from enum import Enum
from types import MappingProxyType

from tiered_cache.core.diagrams import state_diagram


class Life(Enum):
    """How a flight stands to its callers."""

    FLYING = "somebody waits for it"
    LINGERING = "all have left, a retry may join"
    FINISHING = "nobody came back, it may still end and be stored"
    LANDED = "it has ended"
    CANCELLED = "given up"


class Turn(Enum):
    """What changes that."""

    LEFT = "the last caller left"
    JOINED = "a caller joined"
    LINGERED = "linger is over, worth finishing"
    NOT_WORTH_IT = "linger is over, not worth it"
    OUT_OF_TIME = "120 s more are over"
    ENDED = "the origin's answer or failure"


LIFE_ENDS = frozenset({Life.LANDED, Life.CANCELLED})

LIFE = MappingProxyType(
    {
        (Life.FLYING, Turn.LEFT): Life.LINGERING,
        (Life.FLYING, Turn.ENDED): Life.LANDED,
        (Life.LINGERING, Turn.JOINED): Life.FLYING,
        (Life.LINGERING, Turn.LINGERED): Life.FINISHING,
        (Life.LINGERING, Turn.NOT_WORTH_IT): Life.CANCELLED,
        (Life.LINGERING, Turn.ENDED): Life.LANDED,
        (Life.FINISHING, Turn.JOINED): Life.FLYING,
        (Life.FINISHING, Turn.OUT_OF_TIME): Life.CANCELLED,
        (Life.FINISHING, Turn.ENDED): Life.LANDED,
    }
)


class Following(Enum):
    """Where a follower stands whose header fields have left (SEMANTICS §5)."""

    HELD = "nothing delivered: what says nothing yet is held"
    DELIVERED = "given every event, from the first to the last"
    ANEW = "back to FLIGHT: joins the successor or is it"
    WHOLE = "the end of the stream"
    BROKEN = "an error event, then the end"
    GONE = "the caller has left"


class Sight(Enum):
    """What a follower sees of the stream."""

    CONTENT = "content, reasoning, a tool or the end"
    CUT = "broken off"
    ENDED = "its last event"
    FLYING = "another flight streams"
    ANSWERED = "a whole answer"
    FAILED = "no answer, or an error"
    LEFT = "hangs up"


FOLLOWING_ENDS = frozenset({Following.WHOLE, Following.BROKEN, Following.GONE})

FOLLOWING = MappingProxyType(
    {
        (Following.HELD, Sight.CONTENT): Following.DELIVERED,
        (Following.HELD, Sight.CUT): Following.ANEW,
        (Following.HELD, Sight.LEFT): Following.GONE,
        (Following.DELIVERED, Sight.ENDED): Following.WHOLE,
        (Following.DELIVERED, Sight.CUT): Following.BROKEN,
        (Following.DELIVERED, Sight.LEFT): Following.GONE,
        (Following.ANEW, Sight.FLYING): Following.HELD,
        (Following.ANEW, Sight.ANSWERED): Following.WHOLE,
        (Following.ANEW, Sight.FAILED): Following.BROKEN,
        (Following.ANEW, Sight.LEFT): Following.GONE,
    }
)


def life_diagram() -> str:
    """The life of a flight as a Mermaid state diagram."""
    return state_diagram(Life, Life.FLYING, LIFE, LIFE_ENDS)


def following_diagram() -> str:
    """What a follower is given, as a Mermaid state diagram."""
    return state_diagram(Following, Following.HELD, FOLLOWING, FOLLOWING_ENDS)
