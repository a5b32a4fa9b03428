"""Flights: one origin call in this process, shared by the callers that ask for the same.

A flight is a task of its own, so that no caller's leaving ends it for the others.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from tiered_cache.core.vocabulary import CacheKey, Entry, Headers, Keyed, Origin, Request, Response, Scope
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


class Flight:
    """One origin call under way.

    Attributes:
        name: what others join it by.
        keyed, request, origin: the leader's call.
        began_s: when it was started (monotonic).
        number: its place in the order of all flights; 0 until others may join it.
        generation: 0, or 1 for the one takeover after a failed flight.
        head: done once the response's status and headers are known (see `status`, `headers`).
        streaming: the response is an event stream, which `recording` holds.
        released: the headers forbade sharing; followers start anew.
        superseded: a newer flight was begun by a no-cache call; this one's answer is not stored.
        asking: the origin callable is at work, so an exception is the origin's and not ours.
        callers: how many wait for it.
    """

    def __init__(
        self, keyed: Keyed, request: Request, origin: Origin, began_s: float, generation: int
    ) -> None:
        self.name = flight_name(keyed)
        self.keyed = keyed
        self.request = request
        self.origin = origin
        self.began_s = began_s
        self.number = 0
        self.generation = generation
        self.head: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.recording = Recording()
        self.status = 0
        self.headers: Headers = ()
        self.streaming = False
        self.superseded = False
        self.released = False
        self.asking = False
        self.callers = 0
        self.task: asyncio.Task[Landing] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._headed_s = 0.0

    @property
    def scope(self) -> Scope:
        """The leader's scope; a call without one is never cached, so it leads no flight."""
        scope = self.request.scope
        assert scope is not None
        return scope

    def begin_head(self, response: Response, *, streaming: bool) -> None:
        """Tell the waiters that the response has begun."""
        self.status, self.headers, self.streaming = response.status, response.headers, streaming
        self._headed_s = asyncio.get_running_loop().time()
        if not self.head.done():
            self.head.set_result(None)

    def join(self) -> None:
        """Count a caller in; a lingering flight lives again."""
        self.callers += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave(self, linger_s: float) -> None:
        """Count a caller out; after the last one the call lingers, then finishes or is cancelled."""
        self.callers -= 1
        if self.callers == 0 and not self._finished():
            self._timer = asyncio.get_running_loop().call_later(linger_s, self._linger_over)

    def _finished(self) -> bool:
        return self.task is None or self.task.done()

    def _linger_over(self) -> None:
        loop = asyncio.get_running_loop()
        if self.streaming and loop.time() - self._headed_s < YOUNG_STREAM_S:
            self._cancel()
        else:
            self._timer = loop.call_later(FINISH_S, self._cancel)

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def done(self) -> None:
        """Drop the timer of an ended flight."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.head.done():
            self.head.cancel()


HIT_FOR_MISS_S = 60.0
"""How long calls of a key whose answer was refused storage do not wait for one another."""

_REFUSED_KEYS = 10_000


class Flights:
    """The flights of this process by name, and the keys for which nobody waits (hit-for-miss).

    Attributes:
        launched: how many could be joined so far; the number of the latest.
    """

    def __init__(self) -> None:
        self.launched = 0
        self._by_name: dict[FlightName, Flight] = {}
        self._alone_until_s: dict[CacheKey, float] = {}

    def miss_for_a_while(self, key: CacheKey, now: float) -> None:
        """Set hit-for-miss: a 2xx of this key was refused storage at `now`."""
        self._alone_until_s.pop(key, None)
        self._alone_until_s[key] = now + HIT_FOR_MISS_S
        if len(self._alone_until_s) > _REFUSED_KEYS:
            del self._alone_until_s[next(iter(self._alone_until_s))]

    def is_alone(self, key: CacheKey, now: float) -> bool:
        """Whether calls of this key go to the origin in parallel."""
        until_s = self._alone_until_s.get(key)
        if until_s is None:
            return False
        if now < until_s:
            return True
        del self._alone_until_s[key]
        return False

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, names: Iterable[FlightName], after: int = 0) -> Flight | None:
        """The first running flight among `names` whose number is above `after`."""
        for name in names:
            flight = self._by_name.get(name)
            if flight is not None and flight.number > after:
                return flight
        return None

    def register(self, flight: Flight) -> None:
        """Let others join; an older flight of this name keeps its callers and loses its right to store."""
        self.launched += 1
        flight.number = self.launched
        older = self._by_name.get(flight.name)
        if older is not None:
            older.superseded = True
        self._by_name[flight.name] = flight

    def forget(self, flight: Flight) -> None:
        """Let nobody join any more."""
        if self._by_name.get(flight.name) is flight:
            del self._by_name[flight.name]
