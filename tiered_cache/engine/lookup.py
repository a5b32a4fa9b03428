"""The driver: performs what each state of the lookup names until the call is answered."""

import asyncio
from collections.abc import Awaitable, Callable

from tiered_cache.core.answers import render
from tiered_cache.core.epochs import Standing
from tiered_cache.core.freshness import Verdict, judge, stale_if_error_allowed
from tiered_cache.core.machine import TERMINAL, Event, State, advance
from tiered_cache.engine.background import Background
from tiered_cache.engine.deadline import Deadline
from tiered_cache.engine.edits import as_stream
from tiered_cache.engine.flight import Course, Flight, Landing, Place
from tiered_cache.engine.flights import Flights
from tiered_cache.engine.flying import Flying
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.store import Candidate, Met, Store, Unfit
from tiered_cache.engine.underway import Lookup
from tiered_cache.errors import OriginCutError, OriginError, OriginTimeoutError, OriginUnreachableError
from tiered_cache.tiers.base import Clock

_CREDENTIAL_STATUSES = frozenset({401, 402, 403, 412})
"""Answers about the leader's credential, which say nothing to callers with another one (SEMANTICS §5)."""

_BROKEN = frozenset({"error-body", "incomplete"})
"""Reason words of streams that began with 200 and failed."""

_RELEASES = 2
"""How often a caller may be sent back to start before it leads a flight of its own."""


class Driver:
    """Runs lookups over one store and one set of flights.

    Args:
        store, flights, flying, background, clock: what the effects act on.
        ledger: told who led, who followed and what was left.
        linger_s: how long a call lives on when its last caller has left.
    """

    def __init__(
        self,
        store: Store,
        flights: Flights,
        flying: Flying,
        background: Background,
        clock: Clock,
        ledger: Ledger,
        *,
        linger_s: float,
    ) -> None:
        self._coherence = store.coherence
        self._store = store
        self._flights = flights
        self._flying = flying
        self._background = background
        self._clock = clock
        self._ledger = ledger
        self._linger_s = linger_s
        self._effects: dict[State, Callable[[Lookup], Awaitable[Event]]] = {
            State.START: self._start,
            State.LOOKUP: self._look,
            State.FLIGHT: self._board,
            State.RECHECK: self._recheck,
            State.CLAIM: self._claim,
            State.FORWARD: self._forward,
            State.FOLLOW: self._follow,
        }

    @property
    def launched(self) -> int:
        """Number of the latest flight."""
        return self._flights.launched

    async def run(self, lookup: Lookup, state: State = State.START) -> State:
        """Drive `lookup` to its end; returns the terminal state, its results are in `lookup`.

        Args:
            lookup: the call.
            state: where it begins; `FLIGHT` for what was looked up already.
        """
        if lookup.began_s is None:
            lookup.began_s = self._clock.monotonic()
        while state not in TERMINAL:
            state = advance(state, await self._effects[state](lookup))
        return state

    async def _start(self, lookup: Lookup) -> Event:
        terms = lookup.terms
        barred = terms.reload or (terms.forbidden or terms.unstored) is not None
        if barred and lookup.request.ask.only_if_cached:
            return Event.UNSATISFIED
        if terms.forbidden is not None:
            return Event.FORBIDDEN
        if terms.unstored is not None:
            return Event.UNSTORED
        return Event.RELOAD if terms.reload else Event.LOOK

    async def _look(self, lookup: Lookup) -> Event:
        lookup.looked_s = self._clock.monotonic()
        key, shape, store = lookup.keyed.key, lookup.keyed.shape, self._store
        resident = store.memory.find(key)
        if resident is not None and self._answers(lookup, store.in_memory(key, resident, shape)):
            return Event.FRESH
        until_s = store.budget_ends_s()
        for depth in store.depths:
            met = await store.below(depth, key, until_s)
            candidate = store.shaped(key, met, shape) if isinstance(met, Met) else met
            if candidate is not None and self._answers(lookup, candidate):
                return Event.FRESH
        if lookup.stale is not None:
            lookup.served = lookup.stale
            return Event.STALE
        return Event.UNSATISFIED if lookup.request.ask.only_if_cached else Event.ABSENT

    def _answers(self, lookup: Lookup, candidate: Candidate | Unfit) -> bool:
        """Whether what a tier gave answers the call."""
        if isinstance(candidate, Unfit):
            lookup.detail = candidate.detail
            return False
        return self._weigh(lookup, candidate)

    def _weigh(self, lookup: Lookup, candidate: Candidate) -> bool:
        """Whether this entry answers the call; a stale one is kept for later."""
        verdict = judge(candidate.entry.lifetime, candidate.age_s, lookup.request.ask)
        if verdict is Verdict.FRESH:
            lookup.served = candidate
            return True
        if verdict is Verdict.STALE_WHILE_REVALIDATE:
            lookup.stale = _younger(lookup.stale, candidate)
        if verdict is not Verdict.EXPIRED:
            lookup.fallback = _younger(lookup.fallback, candidate)
        return False

    async def _board(self, lookup: Lookup) -> Event:
        await self._coherence.ready()  # what a node fills before it knows the log is good for itself alone
        if lookup.generation and not lookup.keyed.call.stream:
            # Who asked for a stream goes first: this one may follow what that one leads, not the other way.
            await asyncio.sleep(0)
        now = self._clock.monotonic()
        # An SDK's retry joins what its first try began, hit-for-miss or not, whatever the rule.
        lookup.alone = not lookup.terms.collapse or self._flights.is_alone(lookup.keyed.key, now)
        lookup.gave_up = lookup.releases > _RELEASES
        if lookup.gave_up or (lookup.alone and not lookup.request.ask.retry):
            return Event.LEADS
        flight = self._flights.find(lookup.joinable, lookup.terms.after)
        if flight is None or flight.given_up or not _may_follow(lookup, flight) or self._was_purged(flight):
            return Event.LEADS
        if lookup.request.ask.no_cache and not _is_newer(flight, lookup):
            return Event.LEADS
        lookup.enter(flight, led=False)
        self._ledger.count("follower", _mode(flight))
        return Event.JOINS

    def _was_purged(self, flight: Flight) -> bool:
        """Whether its answer is as old as what a purge was to end."""
        return self._coherence.standing(flight.stamp, flight.began_s) is not Standing.VALID

    def _stamp(self, lookup: Lookup) -> bytes:
        scope, tags = lookup.request.scope, lookup.terms.gives.tags
        assert scope is not None  # else the call would not be keyed
        return self._coherence.stamp(
            scope, lookup.keyed, (*(() if tags is None else tags), *lookup.request.ask.tags)
        )

    async def _recheck(self, lookup: Lookup) -> Event:
        """L1 again: another flight may have landed while the lower tiers were asked. Never suspends."""
        looks = not lookup.terms.reload and lookup.terms.unstored is None
        resident = None if not looks else self._store.memory.find(lookup.keyed.key)
        if resident is None:
            return Event.ABSENT
        candidate = self._store.in_memory(lookup.keyed.key, resident, lookup.keyed.shape)
        fresh = isinstance(candidate, Candidate) and self._weigh(lookup, candidate)
        return Event.FRESH if fresh else Event.ABSENT

    def launch(self, lookup: Lookup) -> Flight:
        """Start the flight that `lookup` leads; its task is held until it lands."""
        terms, gives = lookup.terms, lookup.terms.gives
        keyed, request = lookup.keyed, lookup.request
        if gives.upstream_stream and lookup.releases == 0 and terms.unstored is None:
            keyed, request = as_stream(keyed, request)
        course = Course(
            linger_s=self._linger_s if gives.linger_s is None else gives.linger_s,
            on_abandon=gives.on_abandon,
            shared=terms.collapse,
            unstored=terms.unstored,
            generation=lookup.generation,
            root=lookup.root,
            reload=terms.reload,
        )
        flight = Flight(keyed, request, lookup.origin, self._clock.monotonic(), course)
        flight.stamp = self._stamp(lookup)
        self._flights.launch(flight)
        task = self._background.start(self._flying.fly(lookup, flight))
        task.add_done_callback(lambda ended: self._landed(flight, ended))
        flight.task = task
        return flight

    def refresh(self, lookup: Lookup) -> None:
        """Ask for a newer answer in the background, unless somebody already does; nobody waits for it."""
        if self._flights.find(lookup.joinable) is None:
            self.launch(lookup)

    def _landed(self, flight: Flight, task: asyncio.Task[Landing]) -> None:
        self._flights.end(flight)
        if flight.abandoned:
            self._ledger.count("abandoned", "cancelled" if task.cancelled() else "finished")
        flight.done(task)
        self._flying.note_end(flight)

    async def _claim(self, lookup: Lookup) -> Event:
        flight = self.launch(lookup)
        lookup.enter(flight, led=True)
        stays = False
        try:
            if not flight.placed.done():
                await asyncio.wait({flight.placed})
            stays = flight.placed.result() is not Place.STORED
        finally:
            if not stays:
                lookup.leave()
        if not stays:
            return self._look_again(lookup)
        lookup.led = flight.placed.result() is Place.HERE
        self._ledger.count("leader" if lookup.led else "follower", _mode(flight))
        return Event.CLAIMED if lookup.led else Event.JOINS

    @staticmethod
    def _look_again(lookup: Lookup) -> Event:
        """What is there by now may do; if it does not, no other process need say again that it is there."""
        lookup.told_stored = True
        lookup.flight = None
        return Event.STORED

    async def _forward(self, lookup: Lookup) -> Event:
        flight = lookup.flight
        assert flight is not None
        deadline = Deadline(lookup.request.ask.read_timeout_s)
        stays = False
        try:
            await asyncio.wait({flight.head}, timeout=deadline.left_s())
            stays = flight.streaming and lookup.cursor is not None
            event = Event.ANSWERED if stays else await self._outcome(lookup, flight, deadline)
        finally:
            if not stays:
                lookup.leave()
        return self._assembled(lookup, flight, event) if flight.streaming and not stays else event

    def _assembled(self, lookup: Lookup, flight: Flight, event: Event) -> Event:
        """What a leader who asked for JSON gets of the stream that a rule made of its call."""
        landing = lookup.landing
        if flight.released:
            return self._start_anew(lookup)
        if landing is None or landing.entry is None or event is Event.FAILED_STALE:
            return event
        lookup.rendering = render(landing.entry, lookup.keyed.shape, free=False)
        return event if lookup.rendering is not None else self._unwritten(lookup, landing)

    async def _follow(self, lookup: Lookup) -> Event:
        flight = lookup.flight
        assert flight is not None
        deadline = Deadline(lookup.request.ask.read_timeout_s)
        stays = False
        try:
            await asyncio.wait({flight.head}, timeout=deadline.left_s())
            if flight.runs and lookup.cursor is not None:
                stays = _may_follow(lookup, flight)
                return Event.ANSWERED if stays else self._start_anew(lookup)
            event = Event.RELEASED if flight.released else await self._outcome(lookup, flight, deadline)
        finally:
            if not stays:
                lookup.leave()
        if flight.placed.result() is Place.STORED:
            return self._look_again(lookup)
        return self._start_anew(lookup) if flight.released else self._shared(lookup, flight, event)

    async def resume(self, lookup: Lookup) -> State:
        """Go on where the stream that `lookup` follows broke off before it delivered anything."""
        flight = lookup.flight
        assert flight is not None
        lookup.leave()
        if flight.lost:
            return await self.run(lookup, advance(State.FOLLOW, self._start_anew(lookup)))
        event = await self._outcome(lookup, flight, Deadline(None))
        return await self.run(lookup, advance(State.FOLLOW, self._shared(lookup, flight, event)))

    def _shared(self, lookup: Lookup, flight: Flight, event: Event) -> Event:
        """What the leader's outcome means to a follower."""
        landing = lookup.landing
        if landing is None:
            if flight.course.generation == 0 == lookup.generation and not lookup.timed_out:
                lookup.generation, lookup.root = 1, flight.token
                return self._start_anew(lookup)
            return event
        if event is Event.FAILED_STALE:
            return event
        if landing.status in _CREDENTIAL_STATUSES and not _same_credential(lookup, flight):
            return self._start_anew(lookup)
        if landing.entry is not None:
            lookup.rendering = self._store.landed_rendering(lookup.keyed, landing.resident, landing.entry)
            if lookup.rendering is None:
                return self._unwritten(lookup, landing)
        return event

    def _unwritten(self, lookup: Lookup, landing: Landing) -> Event:
        """An answer that has no JSON: of a stream that failed there is none to be had, of others there is."""
        if landing.detail not in _BROKEN:
            return self._start_anew(lookup)
        lookup.landing = None
        lookup.failure = OriginCutError("the stream that was shared ended in an error, or too early")
        lookup.origin_failed = True
        return self._weigh_failure(lookup)

    def _start_anew(self, lookup: Lookup) -> Event:
        if lookup.flight is not None and lookup.flight.lost:
            lookup.losses += 1
        else:
            lookup.releases += 1
        lookup.flight = lookup.landing = None
        lookup.failure, lookup.origin_failed = None, False
        return Event.RELEASED

    async def _outcome(self, lookup: Lookup, flight: Flight, deadline: Deadline) -> Event:
        """Wait for the landing; a failure or an error status may give way to the fallback."""
        landed = flight.landed
        if not landed.done():
            await asyncio.wait({landed}, timeout=deadline.left_s())
        if not landed.done():
            lookup.failure = OriginTimeoutError("the origin's answer outlasted this caller's time-out")
            lookup.origin_failed = lookup.timed_out = True
        elif landed.cancelled():
            lookup.failure = OriginUnreachableError("the call was given up before the origin answered")
            lookup.origin_failed = True
        elif (error := landed.exception()) is not None:
            lookup.failure = error
            lookup.origin_failed = flight.asking or isinstance(error, OriginError)
        else:
            lookup.landing = landed.result()
        return self._weigh_failure(lookup)

    def _weigh_failure(self, lookup: Lookup) -> Event:
        failure, landing = lookup.failure, lookup.landing
        status = None if landing is None else landing.status
        if failure is None and status == 200:
            return Event.ANSWERED
        if lookup.fallback is not None and stands_in(failure, status):
            lookup.served = lookup.fallback
            return Event.FAILED_STALE
        return Event.ANSWERED if failure is None else Event.FAILED


def stands_in(failure: BaseException | None, status: int | None) -> bool:
    """Whether a stale entry may answer: for failures to reach the origin, not for whatever was raised."""
    if failure is None:
        return stale_if_error_allowed(status)
    return isinstance(failure, (OriginError, OSError))


def _mode(flight: Flight) -> str:
    """The word of counters."""
    return "stream" if flight.name.stream else "json"


def _may_follow(lookup: Lookup, flight: Flight) -> bool:
    """Whether credential and shape allow it; what the origin leaves out is known when it has been asked."""
    call = lookup.keyed.call
    needs_usage = call.include_usage or not call.stream
    own = lookup.terms.own_leader or not flight.course.shared
    return (flight.counts_tokens or not needs_usage) and (not own or _same_credential(lookup, flight))


def _same_credential(lookup: Lookup, flight: Flight) -> bool:
    scope = lookup.request.scope
    return scope is not None and scope.credential == flight.credential


def _is_newer(flight: Flight, lookup: Lookup) -> bool:
    """Whether it began after this call came, whichever process began it."""
    return flight.placed.done() and lookup.began_s is not None and flight.began_s >= lookup.began_s


def _younger(one: Candidate | None, other: Candidate) -> Candidate:
    return other if one is None or other.age_s < one.age_s else one
