"""Judges a whole answer: books what it cost, stores or refuses it, and says what the waiters get."""

from msgspec.structs import replace

from tiered_cache.core.answers import is_live, read_json, read_stream, stored_headers, usage_of
from tiered_cache.core.embeddings_parts import split, weigh_inputs
from tiered_cache.core.epochs import Standing, with_scopes
from tiered_cache.core.policy import lifetime
from tiered_cache.core.profiles import Profile
from tiered_cache.core.scopes import key_scope
from tiered_cache.core.shapes import form_of
from tiered_cache.core.sse import Event
from tiered_cache.core.vocabulary import (
    Answer,
    ContentClass,
    Entry,
    Form,
    Keyed,
    Lifetime,
    Refusal,
    Response,
    Usage,
)
from tiered_cache.engine.bodies import field
from tiered_cache.engine.flight import Flight, Landing
from tiered_cache.engine.flights import Flights
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.metering import LastUsage
from tiered_cache.engine.store import Store
from tiered_cache.tiers.base import Clock
from tiered_cache.tiers.memory import Resident

TOO_LARGE = Refusal("too-large")

_UNSTORED = Lifetime(0.0, rule="not stored")
_SHARED_ALL_THE_SAME = frozenset({"superseded", "lifetime", "purged"})
"""Refusals that say nothing of the next answer: one came too late, or its caller wanted it for no time."""
_LARGEST_BATCH = 16
"""How many times as large as an entry the answer to a batch may be: it is held and parsed whole."""


class Judge:
    """Lands flights.

    Args:
        store: filled with what may be stored.
        flights: told what was stored, and when nobody may join any more.
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
        *,
        profile: Profile,
        clock: Clock,
        max_entry_bytes: int,
    ) -> None:
        self._store = store
        self._coherence = store.coherence
        self._flights = flights
        self._ledger = ledger
        self._profile = profile
        self._clock = clock
        self._max_entry_bytes = max_entry_bytes

    def most_bytes(self, keyed: Keyed) -> int:
        """What an answer may weigh; that of a batch becomes an entry for each element."""
        return self._max_entry_bytes * min(max(1, len(keyed.elements)), _LARGEST_BATCH)

    def whole(self, flight: Flight, response: Response, body: bytes, refusal: Refusal | None) -> Landing:
        """Land with one body; `refusal` is what its head forbids."""
        if flight.course.unstored is not None:
            return self._unkept(flight, response, usage_of(flight.keyed.call.endpoint, body), body)
        if refusal is not None and response.status != 200:
            return self._judge(flight, response, refusal, refusal, body)
        if len(body) > self.most_bytes(flight.keyed):
            refusal = refusal or TOO_LARGE
            return self._judge(flight, response, refusal, refusal, body)
        return self._judge(flight, response, read_json(flight.keyed.call, body), refusal, body)

    def stream(self, flight: Flight, response: Response, events: list[Event]) -> Landing:
        """Land with all events of a stream."""
        raw = b"".join([event.raw for event in events])
        if flight.course.unstored is not None:
            usage = LastUsage(flight.keyed.call.endpoint)
            usage.note(events)
            return self._unkept(flight, response, usage.usage(), raw)
        if len(raw) > self._max_entry_bytes:
            return self._judge(flight, response, TOO_LARGE, TOO_LARGE, raw)
        return self._judge(flight, response, read_stream(flight.keyed.call, events), None, raw)

    def passed(self, flight: Flight, response: Response, reason: Refusal, usage: Usage) -> Landing:
        """Land with a stream that was never held whole: booked, not judged."""
        self._book(flight, response, usage, self._clock.monotonic() - flight.began_s)
        self._count(flight, reason.detail)
        return Landing(response.status, response.headers, b"", detail=reason.detail)

    def _unkept(self, flight: Flight, response: Response, usage: Usage, raw: bytes) -> Landing:
        """Land with what no rule lets be stored, whatever it is."""
        read = Refusal(str(flight.course.unstored), usage)
        took_s = self._clock.monotonic() - flight.began_s
        self._book(flight, response, usage, took_s)
        self._flights.forget(flight)
        self._count(flight, read.detail)
        entry = _entry(flight.keyed, response, read, raw, took_s) if response.status == 200 else None
        return Landing(response.status, response.headers, raw, entry, detail=read.detail)

    def _count(self, flight: Flight, detail: str) -> None:
        if flight.course.unstored is None:
            self._ledger.count("refused", detail)
        else:
            self._ledger.count("bypass", flight.course.unstored)

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
        self._book(flight, response, read.usage, took_s)
        self._flights.forget(flight)
        entry = _entry(flight.keyed, response, read, raw, took_s)
        reason = refusal or self._refusal(flight, read)
        if reason is None and isinstance(read, Answer):
            life = self._lifetime(flight, response, read)
            timing = b"" if entry.form == "bytes" else flight.recording.arrivals.timing()
            stamp = self._coherence.stamped(flight.stamp, flight.scope, entry.model, response.headers)
            entry = replace(entry, lifetime=life, timing=timing, stamp=stamp)
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
        fence = 0 if flight.keyed.elements else self._fence(flight)  # a lease is of one key
        for key, part in zip(flight.keys, _parts(flight, entry), strict=True):
            if self._flights.may_store(flight, key):
                residents.append(self._store.fill(key, part, shape, fence=fence, relayed=flight.relayed))
                self._flights.stored(flight, key)
        return None if flight.keyed.elements else residents[0]

    def _fence(self, flight: Flight) -> int:
        if flight.fence or not flight.ordered:
            return flight.fence
        return min(-1, round((flight.began_s - self._clock.monotonic()) * 1e6))

    def _book(self, flight: Flight, response: Response, usage: Usage, took_s: float) -> None:
        flight.booked, flight.usage, flight.took_s = True, usage, took_s
        self._row(flight, usage, took_s, failed=response.status != 200)

    def lost(self, flight: Flight, usage: Usage) -> None:
        """Book a response that began and did not end whole: paid for, as far as it is known."""
        self._row(flight, usage, self._clock.monotonic() - flight.began_s, failed=True)

    def _row(self, flight: Flight, usage: Usage, took_s: float, *, failed: bool) -> None:
        if flight.relayed:
            return  # booked by the process that asked the origin
        self._ledger.spend(usage, for_nobody=flight.callers == 0)
        kind = "bypass" if flight.course.unstored is not None else "error" if failed else "miss"
        row = self._ledger.row(flight.scope.tenant, flight.keyed.call.model, "origin", kind)
        row.add(usage, took_s)

    def _refusal(self, flight: Flight, read: Answer | Refusal) -> Refusal | None:
        if isinstance(read, Refusal):
            return read
        if self._coherence.standing(flight.stamp, flight.began_s) is not Standing.VALID:
            return Refusal("purged")
        newest = any(self._flights.may_store(flight, key) for key in flight.keys)
        return None if newest else Refusal("superseded")

    def _refused(
        self, flight: Flight, response: Response, raw: bytes, entry: Entry, reason: Refusal
    ) -> Landing:
        self._count(flight, reason.detail)
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
    keyed = zip(parts, flight.keyed.elements, strict=True)
    return tuple(replace(part, stamp=with_scopes(part.stamp, (key_scope(key),))) for part, key in keyed)


def streams(keyed: Keyed, response: Response) -> bool:
    """Whether events are passed on as they come, whatever letters the media type is written in."""
    return is_live(keyed.call, response.status, field(response.headers, b"content-type"))


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
        content_type=field(response.headers, b"content-type") if answer.form == "bytes" else b"",
    )


def _unstored_answer(keyed: Keyed, response: Response, read: Refusal, raw: bytes) -> Answer:
    """A refused answer as it came, for those who already follow it."""
    as_asked = keyed.call.binary or streams(keyed, response)
    form: Form = form_of(keyed.shape) if as_asked else "json"
    return Answer(
        form=form,
        body=raw,
        locked=False,
        has_usage=True,
        content_class=ContentClass.GENERIC,
        model=keyed.call.model,
        usage=read.usage,
    )
