"""The flights of a process by name, and what is known of a key while calls of it are under way."""

from collections.abc import Iterable

from msgspec import Struct

from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.engine.flight import Flight, FlightName

HIT_FOR_MISS_S = 60.0
"""How long calls of a key whose answer was refused storage do not wait for one another."""

_REFUSED_KEYS = 10_000


class _Air:
    """What is known of a key while calls of it are under way.

    Attributes:
        flights: how many there are.
        filled_by: number of the flight whose answer was stored last; 0 for none.
        filled_at: number of the latest flight of all when that was stored.
    """

    __slots__ = ("filled_at", "filled_by", "flights")

    def __init__(self) -> None:
        self.flights = 0
        self.filled_by = 0
        self.filled_at = 0


class Traffic(Struct, frozen=True):
    """The flights of a process at one moment.

    Attributes:
        flights: calls to the origin.
        streams: those of them whose stream has begun.
        callers: how many wait for them or read them.
        lingering: flights that all callers have left.
    """

    flights: int
    streams: int
    callers: int
    lingering: int


class Flights:
    """The flights of this process by name, and the keys for which nobody waits (hit-for-miss).

    Attributes:
        launched: how many there were so far; the number of the latest.
    """

    def __init__(self) -> None:
        self.launched = 0
        self._by_name: dict[FlightName, Flight] = {}
        self._air: dict[CacheKey, _Air] = {}
        self._alone_until_s: dict[CacheKey, float] = {}
        self._under_way: set[Flight] = set()

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

    def is_under_way(self, key: CacheKey) -> bool:
        """Whether any flight, of whatever mode, may yet become this entry."""
        return key in self._air

    def __len__(self) -> int:
        return len(self._by_name)

    def now(self) -> "Traffic":
        """What is under way."""
        return Traffic(
            flights=len(self._under_way),
            streams=sum(flight.streaming for flight in self._under_way),
            callers=sum(flight.callers for flight in self._under_way),
            lingering=sum(flight.abandoned for flight in self._under_way),
        )

    def find(self, names: Iterable[FlightName], after: int = 0) -> Flight | None:
        """The first running flight among `names` whose number is above `after`."""
        for name in names:
            flight = self._by_name.get(name)
            if flight is not None and flight.number > after:
                return flight
        return None

    def launch(self, flight: Flight) -> None:
        """Number a flight that begins, and let others find it."""
        self.launched += 1
        flight.number = self.launched
        self._under_way.add(flight)
        for key in flight.keys:
            self._air.setdefault(key, _Air()).flights += 1
        self._by_name[flight.name] = flight

    def may_store(self, flight: Flight, key: CacheKey) -> bool:
        """Whether its answer is to be kept as `key`: the first whole one, or one asked for to replace it.

        Entries are named by the key alone, so flights of every mode and service tier count. A reload gives
        way to a younger flight only; any other gives way to what was stored since it began.
        """
        air = self._air.get(key)
        if air is None or air.filled_by == 0:
            return True
        return flight.number > (air.filled_by if flight.course.reload else air.filled_at)

    def stored(self, flight: Flight, key: CacheKey) -> None:
        """Note that its answer has become the entry `key`."""
        air = self._air.get(key)
        if air is not None:
            air.filled_by, air.filled_at = flight.number, self.launched

    def forget(self, flight: Flight) -> None:
        """Let nobody join any more."""
        if self._by_name.get(flight.name) is flight:
            del self._by_name[flight.name]

    def end(self, flight: Flight) -> None:
        """Forget a flight for good. What it knew of its key goes with the last one under way."""
        self.forget(flight)
        self._under_way.discard(flight)
        for key in flight.keys:
            air = self._air[key]
            air.flights -= 1
            if air.flights == 0:
                del self._air[key]
