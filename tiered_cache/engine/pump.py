"""One origin call from its request to its landing: forward, record, judge, store, book."""

from msgspec.structs import replace

from tiered_cache.core.answers import ends_stream, read_json, read_stream, refuse_head, stored_headers
from tiered_cache.core.canonical import with_usage_requested
from tiered_cache.core.directives import read_origin
from tiered_cache.core.policy import Profile, lifetime
from tiered_cache.core.sse import Event
from tiered_cache.core.vocabulary import (
    Answer,
    ContentClass,
    Entry,
    Form,
    Keyed,
    Lifetime,
    Refusal,
    Request,
    Response,
)
from tiered_cache.engine.bodies import content_length, events_of, field, whole_body
from tiered_cache.engine.flight import Flight, Flights, Landing
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.store import Store
from tiered_cache.errors import OriginError
from tiered_cache.tiers.base import Clock

_UNSTORED = Lifetime(0.0, rule="not stored")
_REMEMBERED_ORIGINS = 1000


class Pump:
    """Runs flights.

    Args:
        store: filled with what may be stored.
        flights: told when nobody may join any more.
        ledger: told what each call cost.
        profile: lifetimes.
        clock: how long the origin took.
        max_entry_bytes: larger answers are not stored.
    """

    def __init__(
        self,
        store: Store,
        flights: Flights,
        ledger: Ledger,
        profile: Profile,
        clock: Clock,
        max_entry_bytes: int,
    ) -> None:
        self._store = store
        self._flights = flights
        self._ledger = ledger
        self._profile = profile
        self._clock = clock
        self._max_entry_bytes = max_entry_bytes
        self._refuses_usage_edit: set[tuple[str, str]] = set()

    async def fly(self, flight: Flight) -> Landing:
        """Make the origin call. Whatever the origin callable raises is the flight's failure."""
        try:
            response = await self._ask(flight)
            refusal = self._head_refusal(flight.keyed, response)
            if response.status == 200 and refusal is not None:
                self._release(flight)
            if _streams(flight.keyed, response):
                return await self._land_stream(flight, response, refusal)
            flight.begin_head(response, streaming=False)
            body = await whole_body(response)
            if response.status != 200 and refusal is not None:
                return self._judge(flight, response, refusal, refusal, body)
            return self._judge(flight, response, read_json(flight.keyed.call, body), refusal, body)
        finally:
            flight.recording.close(whole=False)

    async def _ask(self, flight: Flight) -> Response:
        request = flight.request
        place = (flight.scope.origin_id, flight.keyed.call.model)
        edited = request if place in self._refuses_usage_edit else _with_usage(flight.keyed, request)
        response = await self._ask_once(flight, edited)
        if edited is request or not 400 <= response.status < 500:
            return response
        body = await whole_body(response)
        if b"stream_options" not in body:
            return Response(response.status, response.headers, body)
        if len(self._refuses_usage_edit) < _REMEMBERED_ORIGINS:
            self._refuses_usage_edit.add(place)
        self._ledger.count("usage-edit-refused")
        return await self._ask_once(flight, request)

    async def _ask_once(self, flight: Flight, request: Request) -> Response:
        self._ledger.upstream_calls += 1
        flight.asking = True
        response = await flight.origin(request)
        flight.asking = False
        return response

    def _head_refusal(self, keyed: Keyed, response: Response) -> Refusal | None:
        """What status and header fields already forbid."""
        refusal = refuse_head(keyed.call, response.status, response.headers)
        if refusal is not None:
            return refusal
        if read_origin(response.headers).no_store:
            return Refusal("origin-no-store")
        too_large = content_length(response.headers) > self._max_entry_bytes
        return Refusal("too-large") if too_large else None

    def _release(self, flight: Flight) -> None:
        """The headers forbid sharing: followers start anew, at once and in parallel."""
        flight.released = True
        self._flights.forget(flight)
        self._flights.miss_for_a_while(flight.keyed.key, self._clock.monotonic())

    async def _land_stream(self, flight: Flight, response: Response, refusal: Refusal | None) -> Landing:
        flight.begin_head(response, streaming=True)
        recording = flight.recording
        endpoint = flight.keyed.call.endpoint
        landing: Landing | None = None
        try:
            async for events in events_of(response):
                # Judged before its last event is passed on: who saw the end finds the entry.
                if landing is None and any(ends_stream(endpoint, event) for event in events):
                    landing = self._judge_last(flight, response, events, refusal)
                recording.extend(events)
        except OriginError:
            if landing is None:
                raise
        recording.close(whole=True)
        if landing is None:
            landing = self._judge_stream(flight, response, recording.events, refusal)
        return landing

    def _judge_last(
        self, flight: Flight, response: Response, events: list[Event], refusal: Refusal | None
    ) -> Landing:
        """Judge with the last events; a defect of ours there must not cost the leader its whole stream."""
        recording = flight.recording
        judged = False
        try:
            landing = self._judge_stream(flight, response, recording.events + events, refusal)
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

    def _judge_stream(
        self, flight: Flight, response: Response, events: list[Event], refusal: Refusal | None
    ) -> Landing:
        raw = b"".join([event.raw for event in events])
        return self._judge(flight, response, read_stream(flight.keyed.call, events), refusal, raw)

    def _judge(
        self,
        flight: Flight,
        response: Response,
        read: Answer | Refusal,
        refusal: Refusal | None,
        raw: bytes,
    ) -> Landing:
        """Book the cost, store or refuse, and say what the waiters get."""
        took_s = self._clock.monotonic() - flight.began_s
        self._book(flight, response, read, took_s)
        self._flights.forget(flight)
        entry = _entry(flight.keyed, response, read, raw, took_s)
        reason = refusal or self._refusal(flight, read, raw)
        if reason is None and isinstance(read, Answer):
            life = lifetime(self._profile, flight.keyed.call, read, flight.request.ask)
            entry = replace(entry, lifetime=life)
            reason = None if life.fresh_s > 0 else Refusal("lifetime")
        if reason is not None:
            return self._refused(flight, response, raw, entry, reason)
        resident = self._store.fill(flight.keyed.key, entry)
        self._ledger.count("stored")
        return Landing(response.status, response.headers, raw, entry, stored=True, resident=resident)

    def _book(self, flight: Flight, response: Response, read: Answer | Refusal, took_s: float) -> None:
        self._ledger.spend(read.usage, for_nobody=flight.callers == 0)
        kind = "miss" if response.status == 200 else "error"
        row = self._ledger.row(flight.scope.tenant, flight.keyed.call.model, "origin", kind)
        row.add(read.usage, took_s)

    def _refusal(self, flight: Flight, read: Answer | Refusal, raw: bytes) -> Refusal | None:
        if isinstance(read, Refusal):
            return read
        if len(raw) > self._max_entry_bytes:
            return Refusal("too-large")
        return Refusal("superseded") if flight.superseded else None

    def _refused(
        self, flight: Flight, response: Response, raw: bytes, entry: Entry, reason: Refusal
    ) -> Landing:
        self._ledger.count("refused", reason.detail)
        if response.status != 200:
            return Landing(response.status, response.headers, raw, detail=reason.detail)
        if not flight.superseded:
            self._flights.miss_for_a_while(flight.keyed.key, self._clock.monotonic())
        return Landing(response.status, response.headers, raw, entry, detail=reason.detail)


def _streams(keyed: Keyed, response: Response) -> bool:
    media_type = field(response.headers, b"content-type")
    return keyed.call.stream and response.status == 200 and media_type.startswith(b"text/event-stream")


def _with_usage(keyed: Keyed, request: Request) -> Request:
    """The one edit of a cacheable stream; a body with a Content-Encoding goes as it came."""
    if not keyed.call.stream or keyed.call.include_usage or request.plain_body is not None:
        return request
    return replace(request, body=with_usage_requested(request.body))


def _entry(keyed: Keyed, response: Response, read: Answer | Refusal, raw: bytes, took_s: float) -> Entry:
    answer = _unstored_answer(keyed, response, read, raw) if isinstance(read, Refusal) else read
    return Entry(
        endpoint=keyed.call.endpoint,
        form=answer.form,
        status=response.status,
        headers=stored_headers(response.headers),
        body=answer.body,
        locked=answer.locked,
        has_usage=answer.has_usage,
        content_class=answer.content_class.value,
        model=answer.model,
        usage=answer.usage,
        lifetime=_UNSTORED,
        origin_s=took_s,
        origin_request_id=field(response.headers, b"x-request-id"),
    )


def _unstored_answer(keyed: Keyed, response: Response, read: Refusal, raw: bytes) -> Answer:
    """A refused answer as it came, for those who already follow it."""
    form: Form = "sse" if _streams(keyed, response) else "json"
    return Answer(
        form=form,
        body=raw,
        locked=False,
        has_usage=True,
        content_class=ContentClass.GENERIC,
        model=keyed.call.model,
        usage=read.usage,
    )
