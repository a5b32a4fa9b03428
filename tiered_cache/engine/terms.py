"""What rule, caller and credential allow a call, known before anything is looked up."""

from msgspec import Struct

from tiered_cache.core.policy import Plan
from tiered_cache.core.profiles import GENERATION
from tiered_cache.core.replay import Replay
from tiered_cache.core.rules import Gives
from tiered_cache.core.vocabulary import Call, Request

NO_STORE = "no-store"
"""Reason word of a call that its caller wants kept apart."""


class Terms(Struct, frozen=True, kw_only=True):
    """What is allowed.

    Attributes:
        reload: nothing stored will do.
        collapse: the rule lets it join and be joined.
        after: only a flight with a higher number will do.
        own_leader: only a flight whose leader has this caller's credential will do.
        forbidden: why it is not looked up at all, or None.
        unstored: why its answer is never stored, or None; its flight is joined by its own retries alone.
        detail: what the rule says of every such call.
        replay: how fast a stored stream is given.
        variant: it is one of several answers to its call that a rule keeps.
        gives: what the operator's rule gives.
    """

    reload: bool = False
    collapse: bool = True
    after: int = 0
    own_leader: bool = False
    forbidden: str | None = None
    unstored: str | None = None
    detail: str | None = None
    replay: Replay = "instant"
    variant: bool = False
    gives: Gives = Gives()


def terms_of(request: Request, call: Call, intended: Plan, *, closed: bool, launched: int) -> Terms:
    """The terms of a call.

    Args:
        request: who asks, and what of the cache.
        call: what it is.
        intended: what the rules say of it.
        closed: nothing says that the origin still takes this credential.
        launched: number of the latest flight.
    """
    ask = request.ask
    barred = None if intended.store else intended.detail or intended.rule
    retried = barred is not None and call.bypass is None and call.endpoint in GENERATION
    return Terms(
        reload=ask.no_cache or closed,
        collapse=intended.collapse,
        after=launched if ask.no_cache else 0,
        own_leader=closed or barred is not None,  # an answer to others says nothing of this credential
        forbidden=_forbidden(request, None if retried else barred),
        unstored=barred if retried else None,
        detail=intended.detail if barred is None else barred,
        replay=intended.replay_for(ask),
        gives=intended.gives,
    )


def _forbidden(request: Request, barred: str | None) -> str | None:
    """Why a call that could be keyed is neither looked up nor shared."""
    return NO_STORE if request.ask.no_store else barred
