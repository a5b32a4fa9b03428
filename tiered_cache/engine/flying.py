"""Who makes a flight's origin call: this process at once, or the fleet."""

from collections.abc import Coroutine

from tiered_cache.engine.claiming import Boarding
from tiered_cache.engine.fleet import Fleet
from tiered_cache.engine.flight import Flight, Landing, Place
from tiered_cache.engine.pump import Pump
from tiered_cache.engine.underway import Lookup

_LOSSES = 1
"""How often contact with another process may be lost before this one asks for itself."""


class Flying:
    """Makes flights fly.

    Args:
        pump: makes calls from here.
        fleet: other processes; None where there are none.
    """

    def __init__(self, pump: Pump, fleet: Fleet | None = None) -> None:
        self._pump = pump
        self._fleet = fleet
        self.note_end = pump.note_end

    def start(self) -> None:
        """Begin to hear of other processes."""
        if self._fleet is not None:
            self._fleet.start()

    async def close(self) -> None:
        """End that."""
        if self._fleet is not None:
            await self._fleet.close()

    def fly(self, lookup: Lookup, flight: Flight) -> Coroutine[None, None, Landing]:
        """The origin call that `lookup` leads."""
        terms = lookup.terms
        flight.ordered = self._fleet is not None
        if self._fleet is None or lookup.gave_up:
            flight.place(Place.HERE)
            return self._pump.fly(flight)
        boarding = Boarding(
            names=lookup.joinable,
            own_leader=terms.own_leader,
            began_after_s=lookup.began_s if lookup.request.ask.no_cache else None,
            looked_s=None if terms.reload or lookup.told_stored else lookup.looked_s,
            hears=lookup.losses <= _LOSSES,
            private=lookup.alone or terms.unstored is not None,
            retry=lookup.request.ask.retry,
        )
        return self._fleet.fly(flight, boarding)
