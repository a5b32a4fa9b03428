"""Puts together what makes origin calls: judge, pump and, with Redis, the fleet."""

from tiered_cache.engine.background import Background
from tiered_cache.engine.build import Parts
from tiered_cache.engine.claiming import Claiming
from tiered_cache.engine.credentials import Credentials
from tiered_cache.engine.fleet import Fleet
from tiered_cache.engine.flights import Flights
from tiered_cache.engine.flying import Flying
from tiered_cache.engine.judge import Judge
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.pump import Pump
from tiered_cache.engine.store import Store


def make_flying(
    parts: Parts,
    store: Store,
    flights: Flights,
    ledger: Ledger,
    credentials: Credentials,
    background: Background,
) -> Flying:
    """What flies the flights of a cache made of `parts`."""
    config, clock = parts.config, parts.clock
    most_bytes = config.max_entry_bytes
    judge = Judge(store, flights, ledger, profile=parts.profile, clock=clock, max_entry_bytes=most_bytes)
    pump = Pump(judge, flights, ledger, credentials, clock=clock, max_entry_bytes=most_bytes)
    if parts.flight_board is None:
        return Flying(pump)
    claiming = Claiming(parts.flight_board, clock, parts.fleet_options, background)
    fleet = Fleet(
        parts.flight_board,
        claiming,
        pump,
        store=store,
        flights=flights,
        ledger=ledger,
        background=background,
    )
    return Flying(pump, fleet)
