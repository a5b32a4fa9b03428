"""Live answers: a leader's stream as it comes, and a follower's, which may go on with another flight."""

from collections.abc import Awaitable, Callable

from tiered_cache.core.answers import error_event, render
from tiered_cache.core.live import Following
from tiered_cache.core.machine import State
from tiered_cache.core.vocabulary import Entry, Headers, Outcome, Response, Usage
from tiered_cache.engine import heads
from tiered_cache.engine.flight import Flight
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.live import FollowedBody, Joined, LedBody, Rest, View
from tiered_cache.engine.underway import Lookup
from tiered_cache.errors import OriginStatusError

Resume = Callable[[Lookup], Awaitable[State | None]]
"""Goes on with a lookup whose stream broke off; None where a fault of ours ended it."""

_NOTHING_SAVED = Usage(cost_picousd=0)


def led(lookup: Lookup, flight: Flight, outcome: Outcome) -> Response:
    """The leader's stream, event by event; whether it will be stored is not known yet."""
    assert lookup.cursor is not None
    body = LedBody(lookup.cursor, _view(lookup), lookup.leave)
    return Response(flight.status, heads.led(flight.headers, outcome, None), body, outcome)


def followed(
    lookup: Lookup, flight: Flight, outcome: Outcome, request_id: tuple[bytes, bytes], follower: "Follower"
) -> Response:
    """The stream of another's call: all that it has said so far, then what it says."""
    assert lookup.cursor is not None
    body = FollowedBody(lookup.cursor, _view(lookup), anew=follower.anew, done=follower.done)
    headers: Headers = (*heads.followed(flight.headers, outcome), request_id)
    return Response(flight.status, headers, body, outcome)


def _view(lookup: Lookup) -> View:
    call = lookup.keyed.call
    return View(call.endpoint, call.include_usage, free=not lookup.led)


class Follower:
    """What a follower's body asks of the engine.

    Args:
        lookup: the call, which is in a flight.
        resume: where it goes on when that breaks off.
        ledger: told at the end what was saved.
    """

    def __init__(self, lookup: Lookup, resume: Resume, ledger: Ledger) -> None:
        self._lookup = lookup
        self._resume = resume
        self._ledger = ledger
        self._entry: Entry | None = None

    async def anew(self) -> Joined | Rest:
        """What the caller goes on with."""
        lookup = self._lookup
        state = await self._resume(lookup)
        if state is State.DELIVER and lookup.cursor is not None:
            return Joined(lookup.cursor, _view(lookup))
        body = self._whole(state)
        return Rest(self._failure(), failed=True) if body is None else Rest(body, failed=False)

    def _whole(self, state: State | None) -> bytes | None:
        """A whole answer; None where there is none."""
        lookup, landing = self._lookup, self._lookup.landing
        if state in {State.HIT, State.FALLBACK} and lookup.served is not None:
            self._entry = lookup.served.entry
            return lookup.served.rendering.body
        if state is not State.DELIVER or landing is None or landing.entry is None:
            return None
        self._entry = landing.entry
        rendering = lookup.rendering
        if lookup.led:
            rendering = render(landing.entry, lookup.keyed.shape, free=False)
        return None if rendering is None else rendering.body

    def _failure(self) -> bytes:
        lookup, landing = self._lookup, self._lookup.landing
        if landing is None or landing.status == 200:
            return _view(lookup).broken()
        error = OriginStatusError(landing.status)
        return error_event(lookup.keyed.call.endpoint, str(error), error.code)

    def done(self, end: Following) -> None:
        """Leave the flight, and book what was saved: nothing for who led at last, left or got an error."""
        lookup, flight, entry = self._lookup, self._lookup.flight, self._entry
        lookup.leave()
        if lookup.led:
            return
        usage, took_s = _NOTHING_SAVED, 0.0
        if end is Following.WHOLE and entry is not None:
            usage, took_s = entry.usage, entry.origin_s
        elif end is Following.WHOLE and flight is not None:
            usage, took_s = flight.usage, flight.took_s
        if end is not Following.BROKEN:
            self._ledger.count_avoided()
        kind = "error" if end is Following.BROKEN else "collapsed"
        scope = lookup.request.scope
        tenant = "" if scope is None else scope.tenant
        self._ledger.row(tenant, lookup.keyed.call.model, "origin", kind).add(usage, took_s)
