"""Flights: one origin call in this process, shared by the callers that ask for the same.

A flight is a task of its own, so that no caller's leaving ends it for the others.
"""

import asyncio
from enum import Enum
from typing import Literal, NamedTuple

from msgspec import Struct

from tiered_cache.core.live import LIFE, Life, Turn
from tiered_cache.core.vocabulary import (
    CacheKey,
    Entry,
    Headers,
    Keyed,
    Origin,
    Request,
    Response,
    Scope,
    Usage,
)
from tiered_cache.engine.recording import Recording
from tiered_cache.tiers.memory import Resident

FINISH_S = 120.0
"""How long a call that nobody waits for may take after its linger."""

YOUNG_STREAM_S = 5.0
"""Streams that began less than this before the linger ends are cancelled."""


class FlightName(NamedTuple):
    """Names a flight: key, upstream mode and service tier (the entry is named by the key alone)."""

    key: CacheKey
    stream: bool
    service_tier: str | None


def flight_name(keyed: Keyed) -> FlightName:
    """The flight that a call would lead."""
    return FlightName(keyed.key, keyed.call.stream, keyed.call.service_tier)


def followable(keyed: Keyed, *, follow_json: bool = False) -> tuple[FlightName, ...]:
    """Flights that a call may follow: its own mode; a JSON caller also a stream's (SEMANTICS §5).

    A stream caller would see no token of a JSON flight until its end, so it takes a rule (`follow_json`).
    """
    own = flight_name(keyed)
    return (own, own._replace(stream=not own.stream)) if follow_json or not own.stream else (own,)


class Landing(Struct, frozen=True):
    """What a flight ended in: a complete HTTP response of any status.

    Attributes:
        body: the origin's exact bytes; empty when the answer was streamed (see the recording).
        entry: the 2xx answer, stored or not, from which followers' shapes are rendered; else None.
        stored: it went into the tiers.
        resident: its place in memory, when memory took it.
        detail: why it was not stored.
    """

    status: int
    headers: Headers
    body: bytes
    entry: Entry | None = None
    stored: bool = False
    resident: Resident | None = None
    detail: str | None = None


class Place(Enum):
    """Who asks the origin on behalf of a flight."""

    HERE = "this process"
    ELSEWHERE = "another process, whose answer is followed"
    STORED = "another process did, and has stored the answer"


class Course(Struct, frozen=True, kw_only=True):
    """What rules and the leader say of a flight before it begins.

    Attributes:
        linger_s: how long it lives on when its last caller has left.
        on_abandon: what becomes of it then; None finishes what is worth it.
        shared: others may join it, not its own retries alone.
        unstored: why its answer is never stored, or None.
        reload: begun by a caller who wants an answer newer than any there is.
        generation: 0, or 1 for the one takeover after a failed flight.
        root: that flight's token.
    """

    linger_s: float
    on_abandon: Literal["finish", "cancel"] | None = None
    shared: bool = True
    unstored: str | None = None
    reload: bool = False
    generation: int = 0
    root: bytes = b""


class Flight:
    """One origin call under way.

    Attributes:
        name: what others join it by.
        keyed, request, origin: the leader's call.
        began_s: when it was started (monotonic).
        course: what rules and caller say of it.
        stamp: what was known of purges when it began, and which of them reach its answer.
        number: its place in the order of all flights.
        credential: of the caller whose credential the origin is asked with.
        placed: done once it is known who asks the origin.
        token: its name among the flights of all processes; empty where it has none.
        fence: order of its lease among those of its key; 0 without one.
        ordered: other processes may have stored something newer, lease or not.
        relayed: another process asks the origin, and books it.
        lost: nobody knows any more what that process is doing.
        framed: length or chunks tell the end of the response's body.
        head: done once the response's status and headers are known (see `status`, `headers`).
        begun: some of the response has come, so it is paid for.
        booked: what it cost is in the ledger.
        usage, took_s: what that was, and how long the origin took.
        counts_tokens: the origin was asked for its token counts where it gives them only on request.
        streaming: the response is an event stream, which `recording` holds.
        landed: done once the whole answer is judged, before a slow origin has closed the connection.
        released: the answer cannot be shared; followers start anew.
        asking: the origin is at work (its callable or its body), so an exception is its own, not ours.
        callers: how many wait for it.
        abandoned: the last of them left before it had landed.
    """

    def __init__(
        self,
        keyed: Keyed,
        request: Request,
        origin: Origin,
        began_s: float,
        course: Course,
    ) -> None:
        self.name = flight_name(keyed)
        self.keyed = keyed
        self.request = request
        self.origin = origin
        self.began_s = began_s
        self.course = course
        self.stamp = b""
        self.number = 0
        self.credential = b"" if request.scope is None else request.scope.credential
        self.token = b""
        self.fence = 0
        self.ordered = False
        self.relayed = False
        self.lost = False
        self.framed = True
        loop = asyncio.get_running_loop()
        self.placed: asyncio.Future[Place] = loop.create_future()
        self.head: asyncio.Future[None] = loop.create_future()
        self.landed: asyncio.Future[Landing] = loop.create_future()
        self.recording = Recording()
        self.status = 0
        self.headers: Headers = ()
        self.streaming = False
        self.begun = False
        self.booked = False
        self.usage = Usage()
        self.took_s = 0.0
        self.counts_tokens = True
        self.released = False
        self.asking = False
        self.callers = 0
        self.abandoned = False
        self.task: asyncio.Task[Landing] | None = None
        self._life = Life.FLYING
        self._timer: asyncio.TimerHandle | None = None
        self._headed_s = 0.0

    @property
    def keys(self) -> tuple[CacheKey, ...]:
        """The entries that its answer becomes: one, or one for each element of a batch."""
        return self.keyed.elements or (self.keyed.key,)

    @property
    def scope(self) -> Scope:
        """The leader's scope; a call without one is never cached, so it leads no flight."""
        scope = self.request.scope
        assert scope is not None
        return scope

    @property
    def given_up(self) -> bool:
        """Whether it is being cancelled: nobody may join any more."""
        return self._life is Life.CANCELLED

    @property
    def runs(self) -> bool:
        """Whether it is a running stream that others may read."""
        return self.streaming and not self.released and not self.landed.done()

    def begin_head(self, response: Response, *, streaming: bool) -> None:
        """Tell the waiters that the response has begun."""
        self.status, self.headers, self.streaming = response.status, response.headers, streaming
        self.framed = response.framed
        self.begun = True
        self._headed_s = asyncio.get_running_loop().time()
        if not self.head.done():
            self.head.set_result(None)

    def place(self, place: Place) -> None:
        """Tell the waiters who asks the origin."""
        if not self.placed.done():
            self.placed.set_result(place)

    def lose(self) -> None:
        """Send the followers on their own ways: what the other process does is not known any more."""
        self.lost = self.released = True

    def land(self, landing: Landing) -> None:
        """Give the waiters what it ended in."""
        if not self.landed.done():
            self.landed.set_result(landing)

    def release(self) -> None:
        """Send the followers on their own ways: what comes cannot be shared."""
        self.released = True
        if not self.landed.done() and self.head.done():
            self.landed.cancel()

    def join(self) -> None:
        """Count a caller in; a lingering flight lives again."""
        self.callers += 1
        self.abandoned = False
        self._turn(Turn.JOINED)

    def leave(self) -> None:
        """Count a caller out; after the last one the call lingers, then finishes or is cancelled."""
        self.callers -= 1
        if self.callers == 0 and self.task is not None and not self.task.done():
            self.abandoned = not self.landed.done()
            self._turn(Turn.LEFT)

    def _turn(self, turn: Turn) -> None:
        """Go on in its life; what changes nothing there is passed over."""
        life = LIFE.get((self._life, turn))
        if life is None:
            return
        self._life = life
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        match life:
            case Life.LINGERING:
                self._timer = loop.call_later(self.course.linger_s, self._linger_over)
            case Life.FINISHING:
                self._timer = loop.call_later(FINISH_S, self._turn, Turn.OUT_OF_TIME)
            case Life.CANCELLED if self.task is not None:
                self.task.cancel()
            case _:
                pass

    def _linger_over(self) -> None:
        self._turn(Turn.LINGERED if self._worth_finishing() else Turn.NOT_WORTH_IT)

    def _worth_finishing(self) -> bool:
        """A young stream costs more than it has cost, and what is not stored is of use to nobody."""
        if self.course.on_abandon is not None:
            return self.course.on_abandon == "finish"
        young = asyncio.get_running_loop().time() - self._headed_s < YOUNG_STREAM_S
        return self.course.unstored is None and not (self.streaming and young)

    def done(self, task: asyncio.Task[Landing]) -> None:
        """End with its task: nobody is left waiting, whatever happened."""
        self._turn(Turn.ENDED)
        self.place(Place.HERE)
        if not self.head.done():
            self.head.cancel()
        if self.landed.done():
            return
        if task.cancelled():
            self.landed.cancel()
        elif (error := task.exception()) is not None:
            self.landed.set_exception(error)
            self.landed.exception()  # there may be nobody to look at it
        else:
            self.landed.set_result(task.result())
