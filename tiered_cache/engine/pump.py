"""One origin call from its request to its landing: forward, record, judge, store, book."""

from collections.abc import AsyncIterator

from msgspec.structs import replace

from tiered_cache.core.answers import ends_stream, read_json, read_stream, refuse_head, stored_headers
from tiered_cache.core.canonical import USAGE_ON_REQUEST, with_usage_requested
from tiered_cache.core.directives import read_origin
from tiered_cache.core.embeddings_parts import split, weigh_inputs
from tiered_cache.core.policy import lifetime
from tiered_cache.core.profiles import Profile
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
    Usage,
)
from tiered_cache.engine.bodies import content_length, events_of, field, whole_body
from tiered_cache.engine.credentials import Credentials
from tiered_cache.engine.flight import Flight, Flights, Landing
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.metering import LastUsage
from tiered_cache.engine.store import Store
from tiered_cache.errors import OriginCutError, OriginError
from tiered_cache.tiers.base import Clock
from tiered_cache.tiers.memory import Resident

_UNSTORED = Lifetime(0.0, rule="not stored")
_TOO_LARGE = Refusal("too-large")
_SHARED_ALL_THE_SAME = frozenset({"superseded", "lifetime"})
"""Refusals that say nothing of the next answer: one came too late, or its caller wanted it for no time."""
_REMEMBERED_ORIGINS = 1000
_LONGEST_MODEL = 256
_LARGEST_BATCH = 16
"""How many times as large as an entry the answer to a batch may be: it is held and parsed whole."""


class Pump:
    """Runs flights.

    Args:
        store: filled with what may be stored.
        flights: told when nobody may join any more.
        ledger: told what each call cost.
        credentials: told what the origin thinks of each.
        profile: lifetimes.
        clock: how long the origin took.
        max_entry_bytes: larger answers are not stored.
    """

    def __init__(
        self,
        store: Store,
        flights: Flights,
        ledger: Ledger,
        credentials: Credentials,
        *,
        profile: Profile,
        clock: Clock,
        max_entry_bytes: int,
    ) -> None:
        self._store = store
        self._flights = flights
        self._ledger = ledger
        self._credentials = credentials
        self._profile = profile
        self._clock = clock
        self._max_entry_bytes = max_entry_bytes
        self._refuses_usage_edit: set[tuple[str, str]] = set()

    async def fly(self, flight: Flight) -> Landing:
        """Make the origin call. Whatever the origin callable raises is the flight's failure."""
        usage = LastUsage(flight.keyed.call.endpoint)
        try:
            return await self._fly(flight, usage)
        except OriginCutError:
            flight.begun = True
            raise
        finally:
            self._flights.forget(flight)  # before the readers are woken, so that none joins it again
            flight.recording.close(whole=False)
            if flight.begun and not flight.booked:
                self._book_lost(flight, usage.usage())

    async def _fly(self, flight: Flight, usage: LastUsage) -> Landing:
        response = await self._ask(flight)
        refusal = self._head_refusal(flight.keyed, response)
        if _streams(flight.keyed, response):
            return await self._land_stream(flight, response, refusal, usage)
        return await self._land_whole(flight, response, refusal)

    async def _land_whole(self, flight: Flight, response: Response, refusal: Refusal | None) -> Landing:
        if response.status == 200 and refusal is not None:
            self._release(flight)
        flight.begin_head(response, streaming=False)
        flight.asking = True
        body = await whole_body(response)
        flight.asking = False
        if refusal is not None and response.status != 200:
            return self._judge(flight, response, refusal, refusal, body)
        if len(body) > self._most_bytes(flight.keyed):
            refusal = refusal or _TOO_LARGE
            return self._judge(flight, response, refusal, refusal, body)
        return self._judge(flight, response, read_json(flight.keyed.call, body), refusal, body)

    async def _ask(self, flight: Flight) -> Response:
        request = flight.request
        place = (flight.scope.origin_id, flight.keyed.call.model)
        edited = request if place in self._refuses_usage_edit else _with_usage(flight.keyed, request)
        flight.counts_tokens = edited is not request or not _lacks_usage(flight.keyed)
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
        too_large = content_length(response.headers) > self._most_bytes(keyed)
        return Refusal("too-large") if too_large else None

    def _most_bytes(self, keyed: Keyed) -> int:
        """What an answer may weigh; that of a batch becomes an entry for each element."""
        return self._max_entry_bytes * min(max(1, len(keyed.elements)), _LARGEST_BATCH)

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
        source = events_of(response)
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
            landing = self._judge_stream(flight, response, recording.events)
        return landing or self._passed(flight, response, refusal or _TOO_LARGE, usage.usage())

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

    def _passed(self, flight: Flight, response: Response, reason: Refusal, usage: Usage) -> Landing:
        """A stream that was never held whole: booked, not judged."""
        self._book(flight, response, Refusal(reason.detail, usage), self._clock.monotonic() - flight.began_s)
        self._ledger.count("refused", reason.detail)
        return Landing(response.status, response.headers, b"", detail=reason.detail)

    def _judge_last(self, flight: Flight, response: Response, events: list[Event]) -> Landing:
        """Judge with the last events; a defect of ours there must not cost the leader its whole stream."""
        recording = flight.recording
        judged = False
        try:
            landing = self._judge_stream(flight, response, recording.events + events)
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

    def _judge_stream(self, flight: Flight, response: Response, events: list[Event]) -> Landing:
        raw = b"".join([event.raw for event in events])
        if len(raw) > self._max_entry_bytes:
            return self._judge(flight, response, _TOO_LARGE, _TOO_LARGE, raw)
        return self._judge(flight, response, read_stream(flight.keyed.call, events), None, raw)

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
        reason = refusal or self._refusal(flight, read)
        if reason is None and isinstance(read, Answer):
            life = self._lifetime(flight, response, read)
            entry = replace(entry, lifetime=life, timing=flight.recording.arrivals.timing())
            reason = None if life.fresh_s > 0 else Refusal("lifetime")
        if reason is not None:
            return self._refused(flight, response, raw, entry, reason)
        resident = self._fill(flight, entry)
        self._ledger.count("stored")
        return Landing(response.status, response.headers, raw, entry, stored=True, resident=resident)

    def _lifetime(self, flight: Flight, response: Response, answer: Answer) -> Lifetime:
        media_type = field(response.headers, b"content-type").partition(b";")[0].strip().lower()
        return lifetime(
            self._profile,
            flight.keyed.call,
            replace(answer, media_type=media_type.decode("latin-1")),
            flight.request.ask,
            tenant=flight.scope.tenant,
            key=flight.keyed.key,
            wall_now_s=self._clock.wall(),
        )

    def _fill(self, flight: Flight, entry: Entry) -> Resident | None:
        """Keep the answer; of a batch each element's, but those of which something newer was stored."""
        residents: list[Resident | None] = []
        shape = None if flight.keyed.elements else flight.keyed.shape
        for key, part in zip(flight.keys, _parts(flight, entry), strict=True):
            if self._flights.may_store(flight, key):
                residents.append(self._store.fill(key, part, shape))
                self._flights.stored(flight, key)
        return None if flight.keyed.elements else residents[0]

    def _book(self, flight: Flight, response: Response, read: Answer | Refusal, took_s: float) -> None:
        flight.booked, flight.usage, flight.took_s = True, read.usage, took_s
        self._ledger.spend(read.usage, for_nobody=flight.callers == 0)
        kind = "miss" if response.status == 200 else "error"
        row = self._ledger.row(flight.scope.tenant, flight.keyed.call.model, "origin", kind)
        row.add(read.usage, took_s)

    def _book_lost(self, flight: Flight, usage: Usage) -> None:
        """A response that began and did not end whole was paid for, as far as it is known."""
        self._ledger.spend(usage, for_nobody=flight.callers == 0)
        row = self._ledger.row(flight.scope.tenant, flight.keyed.call.model, "origin", "error")
        row.add(usage, self._clock.monotonic() - flight.began_s)

    def _refusal(self, flight: Flight, read: Answer | Refusal) -> Refusal | None:
        if isinstance(read, Refusal):
            return read
        newest = any(self._flights.may_store(flight, key) for key in flight.keys)
        return None if newest else Refusal("superseded")

    def _refused(
        self, flight: Flight, response: Response, raw: bytes, entry: Entry, reason: Refusal
    ) -> Landing:
        self._ledger.count("refused", reason.detail)
        if response.status != 200:
            return Landing(response.status, response.headers, raw, detail=reason.detail)
        if reason.detail not in _SHARED_ALL_THE_SAME:
            self._flights.miss_for_a_while(flight.keyed.key, self._clock.monotonic())
        return Landing(response.status, response.headers, raw, entry, detail=reason.detail)


def _parts(flight: Flight, entry: Entry) -> tuple[Entry, ...]:
    """The answer as the entries that it becomes, in the order of the flight's keys."""
    if not flight.keyed.elements:
        return (entry,)
    request = flight.request
    weights = weigh_inputs(request.body if request.plain_body is None else request.plain_body)
    parts = split(entry, weights, flight.keyed.key)
    assert parts is not None  # it was judged to have one result for each
    return parts


def _streams(keyed: Keyed, response: Response) -> bool:
    """Whether events are passed on as they come, whatever letters the media type is written in."""
    media_type = field(response.headers, b"content-type").lower()
    return keyed.call.stream and response.status == 200 and media_type.startswith(b"text/event-stream")


def _ends(endpoint: str, events: list[Event]) -> bool:
    return any(ends_stream(endpoint, event) for event in events)


def _with_usage(keyed: Keyed, request: Request) -> Request:
    """The one edit of a cacheable stream; a body with a Content-Encoding goes as it came."""
    if not _lacks_usage(keyed) or request.plain_body is not None:
        return request
    return replace(request, body=with_usage_requested(request.body))


def _lacks_usage(keyed: Keyed) -> bool:
    """Whether the origin leaves the token counts of this stream out, as nobody asked for them."""
    call = keyed.call
    return call.endpoint in USAGE_ON_REQUEST and call.stream and not call.include_usage


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
