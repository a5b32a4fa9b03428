"""Turns the end of a lookup into the response for this caller, and books it."""

from typing import Literal

from msgspec import Struct

from tiered_cache.core.machine import State
from tiered_cache.core.pace import pace
from tiered_cache.core.policy import Plan, plan
from tiered_cache.core.profiles import Profile
from tiered_cache.core.shapes import form_of
from tiered_cache.core.validators import matches
from tiered_cache.core.vocabulary import (
    PLAIN,
    Entry,
    Fwd,
    Headers,
    Keyed,
    Outcome,
    Rendering,
    Request,
    Response,
    Usage,
)
from tiered_cache.engine import following, heads
from tiered_cache.engine.flight import Flight, Landing
from tiered_cache.engine.ledger import Ledger, LedgerRow
from tiered_cache.engine.metering import metered
from tiered_cache.engine.pacing import PacedBody
from tiered_cache.engine.store import Store
from tiered_cache.engine.underway import Lookup
from tiered_cache.tiers.base import Clock
from tiered_cache.tiers.memory import Resident

_UNMET = (
    b'{"error":{"message":"only-if-cached: no usable entry is stored for this call",'
    b'"type":"invalid_request_error","param":null,"code":"not_cached"}}'
)


class Head(Struct, frozen=True):
    """All of an L1 hit's answer but its request id, as it is for one second of its age."""

    second: int
    headers: Headers
    rendering: Rendering
    outcome: Outcome
    row: LedgerRow


class Answering:
    """Writes responses.

    Args:
        store: where renderings are kept.
        ledger: where answers are booked.
        profile: whose rule has a word for some calls (`unstated`).
        resume: where followers go on whose stream broke off before it delivered anything.
        clock: what paced answers are timed by.
    """

    def __init__(
        self, store: Store, ledger: Ledger, profile: Profile, resume: following.Resume, clock: Clock
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._profile = profile
        self._resume = resume
        self._clock = clock
        self._ids = heads.RequestIds()

    def hit(self, request: Request, keyed: Keyed, resident: Resident, now: float) -> Response | None:
        """A fresh entry of L1; None when it cannot be written in this shape, or not at once."""
        age_s = now - resident.born_s
        head = resident.heads.get(keyed.shape)
        if head is None or head.second != int(age_s):
            head = self._head(request, keyed, resident, age_s)
            if head is None:
                return None
        entry = resident.entry
        head.row.add(entry.usage, entry.origin_s)
        ask = request.ask
        headers = (*head.headers, (b"x-request-id", self._ids()))
        if ask.if_none_match and matches(ask.if_none_match, head.rendering.etag):
            return Response(304, heads.not_modified(headers), b"", head.outcome)
        return Response(200, headers, head.rendering.body, head.outcome)

    def _head(self, request: Request, keyed: Keyed, resident: Resident, age_s: float) -> Head | None:
        planned = self._plan(request, keyed)
        if form_of(keyed.shape) == "sse" and planned.replay_for(PLAIN) != "instant":
            return None  # it is paced, by the way of those who can wait
        rendering = self._store.rendering(keyed.key, resident, keyed.shape)
        if rendering is None:
            return None
        entry = resident.entry
        outcome = Outcome(
            kind="hit",
            tier="L1",
            ttl_s=entry.lifetime.fresh_s - age_s,
            detail=planned.detail,
            age_s=age_s,
            saved_picousd=entry.usage.cost_picousd,
        )
        row = self._row(request, keyed, outcome)
        head = Head(int(age_s), heads.stored_answer(entry, rendering, outcome), rendering, outcome, row)
        if resident.renderings.get(keyed.shape) is rendering:  # else it weighs too much to be held
            resident.heads[keyed.shape] = head
        return head

    def _row(self, request: Request, keyed: Keyed, outcome: Outcome) -> LedgerRow:
        tier = outcome.tier or "origin"
        return self._ledger.row(tenant_of(request), keyed.call.model, tier, outcome.kind)

    def finish(self, state: State, lookup: Lookup) -> Response:
        """The response of a lookup that ended in `state`."""
        match state:
            case State.HIT | State.STALE_HIT | State.FALLBACK:
                return self._from_store(state, lookup)
            case State.UNMET:
                return self.unmet()
            case _:
                return self._delivered(lookup)

    def unmet(self) -> Response:
        """504 for only-if-cached without a usable entry (RFC 9111 §5.2.1.7)."""
        self._ledger.count("unmet")
        lines = (
            (b"content-type", b"application/json"),
            (b"cache-control", heads.private(None)),
            (b"x-request-id", self._ids()),
        )
        return Response(504, lines, _UNMET)

    def _plan(self, request: Request, keyed: Keyed) -> Plan:
        return plan(self._profile, keyed.call, tenant_of(request))

    def _from_store(self, state: State, lookup: Lookup) -> Response:
        candidate = lookup.served
        assert candidate is not None
        entry = candidate.entry
        left_s = entry.lifetime.fresh_s - candidate.age_s
        fell_back = state is State.FALLBACK
        status = None if lookup.landing is None else lookup.landing.status
        outcome = Outcome(
            kind="hit" if state is State.HIT else "stale",
            tier=candidate.tier,
            fwd="stale" if fell_back else None,
            fwd_status=status if fell_back else None,
            ttl_s=left_s,
            detail="stale-if-error" if fell_back else lookup.terms.detail,
            age_s=candidate.age_s,
            saved_picousd=entry.usage.cost_picousd,
        )
        self.book(lookup.request, lookup.keyed, outcome, entry)
        response = self.give(lookup.request, entry, candidate.rendering, outcome)
        if lookup.terms.replay != "instant" and form_of(lookup.keyed.shape) == "sse" and response.body:
            steps = pace(entry, lookup.keyed.shape, candidate.rendering.body, lookup.terms.replay)
            response.body = PacedBody(candidate.rendering.body, steps, self._clock)
        return response

    def book(self, request: Request, keyed: Keyed, outcome: Outcome, entry: Entry) -> None:
        """Book what was answered from `entry`."""
        if outcome.kind == "collapsed":
            self._ledger.count_avoided()
        self._row(request, keyed, outcome).add(entry.usage, entry.origin_s)

    def give(self, request: Request, entry: Entry, rendering: Rendering, outcome: Outcome) -> Response:
        """The response that writes `entry` so."""
        headers = (*heads.stored_answer(entry, rendering, outcome), (b"x-request-id", self._ids()))
        asked = request.ask.if_none_match
        if asked and rendering.etag and matches(asked, rendering.etag):
            return Response(304, heads.not_modified(headers), b"", outcome)
        return Response(200, headers, rendering.body, outcome)

    def _delivered(self, lookup: Lookup) -> Response:
        flight, landing = lookup.flight, lookup.landing
        assert flight is not None
        if landing is None:
            return self._live(lookup, flight)
        if landing.entry is None:
            return self._origins_own(lookup, landing)
        return (
            self._led(lookup, landing, landing.entry) if lookup.led else self._followed(lookup, landing.entry)
        )

    def _live(self, lookup: Lookup, flight: Flight) -> Response:
        """A stream event by event; whether it will be stored is not known yet."""
        outcome = Outcome(
            kind=_led_kind(lookup) if lookup.led else "collapsed",
            fwd=_fwd(lookup),
            fwd_status=flight.status,
            collapsed=not lookup.led,
            detail=lookup.detail,
        )
        if lookup.led:
            return following.led(lookup, flight, outcome)
        follower = following.Follower(lookup, self._resume, self._ledger)
        return following.followed(lookup, flight, outcome, (b"x-request-id", self._ids()), follower)

    def _origins_own(self, lookup: Lookup, landing: Landing) -> Response:
        """An error of the origin, as it is, to all who waited for it."""
        outcome = Outcome(
            kind="bypass" if lookup.led and lookup.terms.unstored is not None else "error",
            fwd=_fwd(lookup),
            fwd_status=landing.status,
            collapsed=not lookup.led,
            detail=lookup.detail,
        )
        if lookup.led:
            headers = heads.led(landing.headers, outcome, None)
        else:
            self._ledger.count("collapsed-error", str(landing.status))
            self._ledger.count_avoided()
            headers = (*heads.shared_error(landing.headers, outcome), (b"x-request-id", self._ids()))
        return Response(landing.status, headers, landing.body, outcome)

    def _led(self, lookup: Lookup, landing: Landing, entry: Entry) -> Response:
        outcome = Outcome(
            kind=_led_kind(lookup),
            fwd=_fwd(lookup),
            fwd_status=landing.status,
            stored=landing.stored,
            ttl_s=entry.lifetime.fresh_s if landing.stored else None,
            detail=landing.detail or lookup.detail,
        )
        etag = self._leaders_etag(lookup.keyed, landing, entry) if landing.stored else None
        if lookup.rendering is not None:  # its call went out as one for a stream
            written = heads.rewritten(landing.headers, lookup.rendering)
            return Response(200, heads.led(written, outcome, None), lookup.rendering.body, outcome)
        return Response(200, heads.led(landing.headers, outcome, etag), landing.body, outcome)

    def _leaders_etag(self, keyed: Keyed, landing: Landing, entry: Entry) -> bytes | None:
        """The tag that hits will carry: weak here where a hit's bytes differ (its `usage.cost` is 0).

        None where the origin answered in another form than hits will have, and for a batch, which hits
        put together anew.
        """
        if keyed.elements or entry.form != form_of(keyed.shape):
            return None
        rendering = self._store.landed_rendering(keyed, landing.resident, entry)
        if rendering is None:
            return None
        return rendering.etag if rendering.body == landing.body else b"W/" + rendering.etag

    def _followed(self, lookup: Lookup, entry: Entry) -> Response:
        rendering, landing = lookup.rendering, lookup.landing
        assert rendering is not None
        assert landing is not None
        outcome = Outcome(
            kind="collapsed",
            fwd=_fwd(lookup),
            fwd_status=landing.status,
            collapsed=True,
            stored=landing.stored,
            ttl_s=entry.lifetime.fresh_s if landing.stored else None,
            detail=landing.detail or lookup.detail,
            saved_picousd=entry.usage.cost_picousd,
        )
        self.book(lookup.request, lookup.keyed, outcome, entry)
        return self.give(lookup.request, entry, rendering, outcome)

    def forwarded(self, request: Request, model: str, response: Response, outcome: Outcome) -> Response:
        """What a call that is not cached gets: the origin's answer with our Cache-Status."""
        row = self._ledger.row(tenant_of(request), model, "origin", "bypass")
        self._ledger.count("bypass", outcome.detail or "")

        def book(usage: Usage) -> None:
            row.add(usage, 0.0)
            if response.status == 200:
                self._ledger.spend(usage)

        response = metered(request.endpoint, response, book)
        return Response(response.status, heads.led(response.headers, outcome, None), response.body, outcome)


def tenant_of(request: Request) -> str:
    """The name of the tenant that asks; empty where there is none."""
    return "" if request.scope is None else request.scope.tenant


def _led_kind(lookup: Lookup) -> Literal["bypass", "miss"]:
    return "miss" if lookup.terms.unstored is None else "bypass"


def _fwd(lookup: Lookup) -> Fwd:
    if lookup.fwd is not None:
        return lookup.fwd
    if lookup.terms.unstored is not None:
        return "bypass"
    if lookup.terms.reload:
        return "request"
    return "uri-miss" if lookup.fallback is None else "stale"
