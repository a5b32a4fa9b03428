"""The lookup as a table: which state follows which event. The docs' diagram is generated from it.

The engine's driver performs the effect that a state names and hands the event back to `advance`.
"""

from enum import Enum
from types import MappingProxyType

from tiered_cache.core.diagrams import state_diagram


class State(Enum):
    """Where a call stands; the value says what the engine does there."""

    START = "read what the caller asks"
    LOOKUP = "look into L1, disk and L2, nearest first"
    FLIGHT = "join the running call or lead one"
    RECHECK = "leader looks into L1 once more"
    CLAIM = "lead for all processes, or follow the one that leads"
    FORWARD = "ask the origin"
    FOLLOW = "wait for the leader's answer"
    HIT = "serve the fresh entry"
    STALE_HIT = "serve the stale entry, refresh once in the background"
    FALLBACK = "serve the stale entry instead of the origin's failure"
    DELIVER = "give the answer, live or whole"
    BYPASS = "forward uncached"
    UNMET = "504: only-if-cached and nothing usable"
    FAIL = "give the origin's failure"

    __hash__ = object.__hash__  # an Enum's own hashes the name, in Python


class Event(Enum):
    """What performing a state found."""

    FORBIDDEN = "not cacheable, or no-store"
    LOOK = "may be answered from store"
    RELOAD = "no-cache: only a newer answer will do"
    UNSTORED = "never stored: only its own retry joins it"
    FRESH = "fresh entry"
    STALE = "within stale-while-revalidate"
    ABSENT = "no usable entry"
    UNSATISFIED = "no usable entry, only-if-cached"
    LEADS = "no flight to join"
    JOINS = "flight under way"
    CLAIMED = "this process leads"
    STORED = "another process has just stored it"
    ANSWERED = "the origin answered"
    RELEASED = "this flight is not for us"
    FAILED_STALE = "failed, within stale-if-error"
    FAILED = "failed"

    __hash__ = object.__hash__


TERMINAL = frozenset(
    {
        State.HIT,
        State.STALE_HIT,
        State.FALLBACK,
        State.DELIVER,
        State.BYPASS,
        State.UNMET,
        State.FAIL,
    },
)

TRANSITIONS = MappingProxyType(
    {
        (State.START, Event.FORBIDDEN): State.BYPASS,
        (State.START, Event.LOOK): State.LOOKUP,
        (State.START, Event.RELOAD): State.FLIGHT,
        (State.START, Event.UNSTORED): State.FLIGHT,
        (State.START, Event.UNSATISFIED): State.UNMET,
        (State.LOOKUP, Event.FRESH): State.HIT,
        (State.LOOKUP, Event.STALE): State.STALE_HIT,
        (State.LOOKUP, Event.ABSENT): State.FLIGHT,
        (State.LOOKUP, Event.UNSATISFIED): State.UNMET,
        (State.FLIGHT, Event.JOINS): State.FOLLOW,
        (State.FLIGHT, Event.LEADS): State.RECHECK,
        (State.RECHECK, Event.FRESH): State.HIT,
        (State.RECHECK, Event.ABSENT): State.CLAIM,
        (State.CLAIM, Event.CLAIMED): State.FORWARD,
        (State.CLAIM, Event.JOINS): State.FOLLOW,
        (State.CLAIM, Event.STORED): State.LOOKUP,
        (State.FORWARD, Event.ANSWERED): State.DELIVER,
        (State.FORWARD, Event.RELEASED): State.FLIGHT,
        (State.FORWARD, Event.FAILED_STALE): State.FALLBACK,
        (State.FORWARD, Event.FAILED): State.FAIL,
        (State.FOLLOW, Event.STORED): State.LOOKUP,
        (State.FOLLOW, Event.ANSWERED): State.DELIVER,
        (State.FOLLOW, Event.RELEASED): State.FLIGHT,
        (State.FOLLOW, Event.FAILED_STALE): State.FALLBACK,
        (State.FOLLOW, Event.FAILED): State.FAIL,
    },
)


def advance(state: State, event: Event) -> State:
    """The state after `event`. Raises KeyError for a pair that is not in the table (a bug of the driver)."""
    return TRANSITIONS[state, event]


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    return state_diagram(State, State.START, TRANSITIONS, TERMINAL)
