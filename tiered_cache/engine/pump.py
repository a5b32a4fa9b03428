"""One origin call from its request to its landing: forward, record, judge, store, book."""

from collections.abc import AsyncIterator

from tiered_cache.core.answers import ends_stream, refuse_head
from tiered_cache.core.directives import read_origin
from tiered_cache.core.sse import Event
from tiered_cache.core.vocabulary import Keyed, Refusal, Request, Response
from tiered_cache.engine.bodies import content_length, events_of, pieces_of, whole_body
from tiered_cache.engine.credentials import Credentials
from tiered_cache.engine.edits import lacks_usage, with_usage
from tiered_cache.engine.flight import Flight, Landing
from tiered_cache.engine.flights import Flights
from tiered_cache.engine.judge import TOO_LARGE, Judge, streams
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.metering import LastUsage
from tiered_cache.errors import OriginCutError, OriginError
from tiered_cache.tiers.base import Clock

_REMEMBERED_ORIGINS = 1000
_LONGEST_MODEL = 256


class Pump:
    """Runs flights.

    Args:
        judge: lands what came.
        flights: told when nobody may join any more.
        ledger: told what each call cost.
        credentials: told what the origin thinks of each.
        clock: how long the origin took.
        max_entry_bytes: larger streams are not held.
    """

    def __init__(
        self,
        judge: Judge,
        flights: Flights,
        ledger: Ledger,
        credentials: Credentials,
        *,
        clock: Clock,
        max_entry_bytes: int,
    ) -> None:
        self._judge = judge
        self._flights = flights
        self._ledger = ledger
        self._credentials = credentials
        self._clock = clock
        self._max_entry_bytes = max_entry_bytes
        self._refuses_usage_edit: set[tuple[str, str]] = set()

    async def fly(self, flight: Flight) -> Landing:
        """Make the origin call. Whatever the origin callable raises is the flight's failure."""
        usage = LastUsage(flight.keyed.call.endpoint)
        self._count(flight)
        try:
            return await self._fly(flight, usage)
        except OriginCutError:
            flight.begun = True
            raise
        finally:
            self._flights.forget(flight)  # before the readers are woken, so that none joins it again
            flight.recording.close(whole=False)
            if flight.begun and not flight.booked:
                self._judge.lost(flight, usage.usage())

    def _count(self, flight: Flight) -> None:
        if not flight.relayed:
            self._ledger.count("flight", "stream" if flight.name.stream else "json")
            if flight.course.generation:
                self._ledger.count("takeover")

    async def _fly(self, flight: Flight, usage: LastUsage) -> Landing:
        response = await self._ask(flight)
        refusal = self._head_refusal(flight.keyed, response)
        if streams(flight.keyed, response):
            return await self._land_stream(flight, response, refusal, usage)
        return await self._land_whole(flight, response, refusal)

    async def _land_whole(self, flight: Flight, response: Response, refusal: Refusal | None) -> Landing:
        if response.status == 200 and refusal is not None:
            self._release(flight)
        flight.begin_head(response, streaming=False)
        flight.asking = True
        body = await whole_body(response)
        flight.asking = False
        return self._judge.whole(flight, response, body, refusal)

    async def _ask(self, flight: Flight) -> Response:
        if flight.relayed:
            return await self._ask_leader(flight)
        request = flight.request
        place = (flight.scope.origin_id, flight.keyed.call.model)
        untouched = flight.course.unstored is not None or place in self._refuses_usage_edit
        edited = request if untouched else with_usage(flight.keyed, request)
        flight.counts_tokens = edited is not request or not lacks_usage(flight.keyed)
        response = await self._ask_once(flight, edited)
        if edited is request or not 400 <= response.status < 500:
            return response
        body = await whole_body(response)
        if b"stream_options" not in body:
            return Response(response.status, response.headers, body)
        if len(self._refuses_usage_edit) < _REMEMBERED_ORIGINS and len(place[1]) <= _LONGEST_MODEL:
            self._refuses_usage_edit.add(place)
        self._ledger.count("usage-edit-refused")
        flight.counts_tokens = False
        return await self._ask_once(flight, request)

    async def _ask_leader(self, flight: Flight) -> Response:
        """The answer to another process' call, with its edits and under its credential."""
        flight.asking = True
        response = await flight.origin(flight.request)
        flight.asking = False
        if flight.credential == flight.scope.credential:
            self._credentials.note(flight.scope, response.status, self._clock.monotonic())
        return response

    async def _ask_once(self, flight: Flight, request: Request) -> Response:
        self._ledger.upstream_calls += 1
        flight.asking = True
        response = await flight.origin(request)
        flight.asking = False
        self._credentials.note(flight.scope, response.status, self._clock.monotonic())
        return response

    def _head_refusal(self, keyed: Keyed, response: Response) -> Refusal | None:
        """What status and header fields already forbid."""
        refusal = refuse_head(keyed.call, response.status, response.headers)
        if refusal is not None:
            return refusal
        if read_origin(response.headers).no_store:
            return Refusal("origin-no-store")
        if keyed.call.binary and not response.framed:
            return Refusal("incomplete")  # nothing in it would tell a whole one from one that broke off
        too_large = content_length(response.headers) > self._judge.most_bytes(keyed)
        return Refusal("too-large") if too_large else None

    def _release(self, flight: Flight) -> None:
        """What comes cannot be shared: followers start anew, at once and in parallel."""
        flight.release()
        self._flights.forget(flight)
        self._flights.miss_for_a_while(flight.keyed.key, self._clock.monotonic())

    async def _land_stream(
        self, flight: Flight, response: Response, refusal: Refusal | None, usage: LastUsage
    ) -> Landing:
        if refusal is not None:
            self._release(flight)
            flight.recording.passing = True
        flight.begin_head(response, streaming=True)
        recording, endpoint = flight.recording, flight.keyed.call.endpoint
        landing: Landing | None = None
        source = pieces_of(response) if flight.keyed.call.binary else events_of(response)
        try:
            while (events := await self._next_events(flight, source)) is not None:
                usage.note(events)
                if not recording.passing:
                    recording.arrivals.note(events, self._clock.monotonic())
                # Judged before its last event is passed on: who saw the end finds the entry.
                if landing is None and not recording.passing and _ends(endpoint, events):
                    landing = self._judge_last(flight, response, events)
                    flight.land(landing)
                recording.extend(events)
                self._bound(flight)
                await recording.wanted()
        except OriginError:
            if landing is None:
                raise
        finally:
            if landing is not None:
                recording.close(whole=True)
        recording.close(whole=True)
        if landing is None and not recording.passing:
            landing = self._judge.stream(flight, response, recording.events)
        return landing or self._judge.passed(flight, response, refusal or TOO_LARGE, usage.usage())

    @staticmethod
    async def _next_events(flight: Flight, source: AsyncIterator[list[Event]]) -> list[Event] | None:
        flight.asking = True
        events = await anext(source, None)
        flight.asking = False
        return events

    def _bound(self, flight: Flight) -> None:
        """A stream that outgrows what may be stored is only passed on, and nobody else waits for it."""
        recording = flight.recording
        if not recording.passing and recording.size_bytes > self._max_entry_bytes:
            recording.passing = True
            self._release(flight)
        if recording.passing:
            recording.let_go(self._max_entry_bytes)

    def _judge_last(self, flight: Flight, response: Response, events: list[Event]) -> Landing:
        """Judge with the last events; a defect of ours there must not cost the leader its whole stream."""
        recording = flight.recording
        judged = False
        try:
            landing = self._judge.stream(flight, response, recording.events + events)
            judged = True
        finally:
            if not judged:
                recording.extend(events)
                recording.close(whole=True)
        return landing

    def note_end(self, flight: Flight) -> None:
        """Read how an ended flight failed, as nobody else may be left to; faults of ours are counted."""
        task = flight.task
        if task is None or task.cancelled():
            return
        error = task.exception()
        if error is not None and not flight.asking and not isinstance(error, OriginError):
            self._ledger.count("fault", f"flight:{type(error).__name__}")


def _ends(endpoint: str, events: list[Event]) -> bool:
    return any(ends_stream(endpoint, event) for event in events)
