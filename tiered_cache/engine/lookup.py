"""The driver: performs what each state of the lookup names until the call is answered."""

import asyncio
from collections.abc import Awaitable, Callable

from tiered_cache.core.freshness import Verdict, judge, stale_if_error_allowed
from tiered_cache.core.machine import TERMINAL, Event, State, advance
from tiered_cache.core.vocabulary import Keyed, Origin, Rendering, Request
from tiered_cache.engine.background import Background
from tiered_cache.engine.flight import Flight, FlightName, Flights, Landing, flight_name
from tiered_cache.engine.pump import Pump
from tiered_cache.engine.store import Candidate, Store
from tiered_cache.errors import OriginError, OriginTimeoutError, OriginUnreachableError
from tiered_cache.tiers.base import Clock

_CREDENTIAL_STATUSES = frozenset({401, 402, 403, 412})
"""Answers about the leader's credential, which say nothing to callers with another one (SEMANTICS §5)."""

_RELEASES = 2
"""How often a caller may be sent back to start before it leads a flight of its own."""


class Lookup:
    """One call on its way through the table.

    Attributes:
        keyed, request, origin: the call.
        reload: only an answer newer than this call will do.
        collapse: the rule lets it join and be joined.
        arrived_after: number of the latest flight when it came.
        served: the fresh or stale entry it is answered from.
        fallback: the youngest entry within stale-if-error met on the way.
        detail: reason word for Cache-Status.
        flight, landing: what it led or followed, and how that ended.
        led: it led that flight.
        failure: why there is no answer.
        origin_failed: the failure is the origin's, not ours.
        rendering: a follower's answer.
    """

    def __init__(
        self,
        keyed: Keyed,
        request: Request,
        origin: Origin,
        *,
        reload: bool,
        collapse: bool,
        arrived_after: int,
    ) -> None:
        self.keyed = keyed
        self.request = request
        self.origin = origin
        self.reload = reload
        self.collapse = collapse
        self.arrived_after = arrived_after
        self.served: Candidate | None = None
        self.stale: Candidate | None = None
        self.fallback: Candidate | None = None
        self.detail: str | None = None
        self.flight: Flight | None = None
        self.landing: Landing | None = None
        self.led = False
        self.failure: BaseException | None = None
        self.origin_failed = False
        self.rendering: Rendering | None = None
        self.generation = 0
        self.releases = 0

    @property
    def joinable(self) -> tuple[FlightName, ...]:
        """Flights this call may follow: its own mode; a JSON caller also a stream's (SEMANTICS §5)."""
        own = flight_name(self.keyed)
        return (own,) if own.stream else (own, own._replace(stream=True))


class Driver:
    """Runs lookups over one store and one set of flights.

    Args:
        store, flights, pump, background, clock: what the effects act on.
        linger_s: how long a call lives on when its last caller has left.
    """

    def __init__(
        self,
        store: Store,
        flights: Flights,
        pump: Pump,
        background: Background,
        clock: Clock,
        linger_s: float,
    ) -> None:
        self._store = store
        self._flights = flights
        self._pump = pump
        self._background = background
        self._clock = clock
        self._linger_s = linger_s
        self._effects: dict[State, Callable[[Lookup], Awaitable[Event]]] = {
            State.START: self._start,
            State.LOOKUP: self._look,
            State.FLIGHT: self._board,
            State.RECHECK: self._recheck,
            State.FORWARD: self._forward,
            State.FOLLOW: self._follow,
        }

    async def run(self, lookup: Lookup) -> State:
        """Drive `lookup` to its end; returns the terminal state, its results are in `lookup`."""
        state = State.START
        while state not in TERMINAL:
            state = advance(state, await self._effects[state](lookup))
        return state

    async def _start(self, lookup: Lookup) -> Event:
        return Event.RELOAD if lookup.reload else Event.LOOK

    async def _look(self, lookup: Lookup) -> Event:
        async for candidate in self._store.candidates(lookup.keyed.key, lookup.keyed.shape):
            if candidate is None:
                lookup.detail = "shape-locked"
            elif self._weigh(lookup, candidate):
                return Event.FRESH
        if lookup.stale is not None:
            lookup.served = lookup.stale
            return Event.STALE
        return Event.UNSATISFIED if lookup.request.ask.only_if_cached else Event.ABSENT

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
        now = self._clock.monotonic()
        waits = lookup.collapse and not self._flights.is_alone(lookup.keyed.key, now)
        if not waits or lookup.releases > _RELEASES:
            return Event.LEADS
        flight = self._flights.find(lookup.joinable, lookup.arrived_after if lookup.reload else 0)
        if flight is None:
            return Event.LEADS
        lookup.flight, lookup.led = flight, False
        flight.join()
        return Event.JOINS

    async def _recheck(self, lookup: Lookup) -> Event:
        """L1 again: another flight may have landed while the lower tiers were asked. Never suspends."""
        resident = None if lookup.reload else self._store.memory.find(lookup.keyed.key)
        if resident is None:
            return Event.ABSENT
        candidate = self._store.in_memory(lookup.keyed.key, resident, lookup.keyed.shape)
        fresh = candidate is not None and self._weigh(lookup, candidate)
        return Event.FRESH if fresh else Event.ABSENT

    def launch(self, lookup: Lookup) -> Flight:
        """Start the flight that `lookup` leads; its task is held until it lands."""
        now = self._clock.monotonic()
        flight = Flight(lookup.keyed, lookup.request, lookup.origin, now, lookup.generation)
        if lookup.collapse:
            self._flights.register(flight)
        task = self._background.start(self._pump.fly(flight))
        task.add_done_callback(lambda _: self._landed(flight))
        flight.task = task
        return flight

    def refresh(self, lookup: Lookup) -> None:
        """Ask for a newer answer in the background, unless somebody already does; nobody waits for it."""
        if self._flights.find(lookup.joinable) is None:
            self.launch(lookup)

    def _landed(self, flight: Flight) -> None:
        self._flights.forget(flight)
        flight.done()
        self._pump.note_end(flight)

    async def _forward(self, lookup: Lookup) -> Event:
        flight = self.launch(lookup)
        lookup.flight, lookup.led = flight, True
        flight.join()
        try:
            await asyncio.wait({flight.head})
            if flight.streaming:
                return Event.ANSWERED
            event = await self._outcome(lookup, flight, None)
        except asyncio.CancelledError:
            flight.leave(self._linger_s)
            raise
        flight.leave(self._linger_s)
        return event

    async def _follow(self, lookup: Lookup) -> Event:
        flight = lookup.flight
        assert flight is not None
        timeout_s = lookup.request.ask.read_timeout_s
        try:
            done, _ = await asyncio.wait({flight.head}, timeout=timeout_s)
            if done and flight.released:
                return self._start_anew(lookup)
            event = await self._outcome(lookup, flight, timeout_s)
        finally:
            flight.leave(self._linger_s)
        return self._shared(lookup, flight, event)

    def _shared(self, lookup: Lookup, flight: Flight, event: Event) -> Event:
        """What the leader's outcome means to a follower."""
        landing = lookup.landing
        if event is Event.FAILED_STALE:
            return event
        if landing is None:
            takes_over = flight.generation == 0 and not isinstance(lookup.failure, OriginTimeoutError)
            if takes_over and lookup.generation == 0:
                lookup.generation = 1
                lookup.failure, lookup.origin_failed = None, False
                return self._start_anew(lookup)
            return event
        if landing.status in _CREDENTIAL_STATUSES and not _same_credential(lookup, flight):
            return self._start_anew(lookup)
        if landing.entry is not None:
            lookup.rendering = self._store.landed_rendering(lookup.keyed, landing.resident, landing.entry)
            if lookup.rendering is None:
                return self._start_anew(lookup)
        return event

    def _start_anew(self, lookup: Lookup) -> Event:
        lookup.releases += 1
        lookup.flight = lookup.landing = None
        return Event.RELEASED

    async def _outcome(self, lookup: Lookup, flight: Flight, timeout_s: float | None) -> Event:
        """Wait for the landing; a failure or an error status may give way to the fallback."""
        task = flight.task
        assert task is not None
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        if not done:
            lookup.failure = OriginTimeoutError("the call that was joined outlasted this caller's time-out")
            lookup.origin_failed = True
        elif task.cancelled():
            lookup.failure = OriginUnreachableError("the call was given up before the origin answered")
            lookup.origin_failed = True
        elif (error := task.exception()) is not None:
            lookup.failure = error
            lookup.origin_failed = flight.asking or isinstance(error, OriginError)
        else:
            lookup.landing = task.result()
        return self._weigh_failure(lookup)

    def _weigh_failure(self, lookup: Lookup) -> Event:
        failure, landing = lookup.failure, lookup.landing
        status = None if landing is None else landing.status
        if failure is None and status == 200:
            return Event.ANSWERED
        if lookup.fallback is not None and stale_if_error_allowed(status):
            lookup.served = lookup.fallback
            return Event.FAILED_STALE
        return Event.ANSWERED if failure is None else Event.FAILED


def _same_credential(lookup: Lookup, flight: Flight) -> bool:
    scope = lookup.request.scope
    return scope is not None and scope.credential == flight.scope.credential


def _younger(one: Candidate | None, other: Candidate) -> Candidate:
    return other if one is None or other.age_s < one.age_s else one
