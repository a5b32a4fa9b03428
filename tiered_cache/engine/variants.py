"""Finds the variant that a sampled call gets, where a rule keeps several answers to each."""

import asyncio
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core.freshness import Verdict, judge
from tiered_cache.core.keys import Keyer
from tiered_cache.core.machine import State
from tiered_cache.core.variants import Place, choose, replaced
from tiered_cache.core.vocabulary import CacheKey, Keyed, Request
from tiered_cache.engine.flight import Flight, followable
from tiered_cache.engine.flights import Flights
from tiered_cache.engine.store import Met, Store, Unfit
from tiered_cache.engine.terms import Terms

_ROUNDS = 10_000
"""Calls whose turn is remembered; a forgotten one begins its round anew."""

_USABLE = frozenset({Verdict.FRESH, Verdict.STALE_WHILE_REVALIDATE})


class _Round:
    """Whose turn it is among the variants of one call.

    Attributes:
        keys: of the variants, in order.
        turn: the place that comes next.
    """

    __slots__ = ("keys", "turn")

    def __init__(self, keys: tuple[CacheKey, ...], turn: int) -> None:
        self.keys = keys
        self.turn = turn


class Assigned(Struct, frozen=True):
    """The call as that of one variant.

    Attributes:
        keyed: under the variant's key.
        terms: what is allowed, with the word for Cache-Status.
        start: where its lookup begins.
    """

    keyed: Keyed
    terms: Terms
    start: State


class Variants:
    """Assigns calls to variants.

    Args:
        store: where they are stored.
        flights: those under way in this process.
        keyer: names them.
        draw: a random number below another one, for where a round begins.
    """

    def __init__(self, store: Store, flights: Flights, keyer: Keyer, draw: Callable[[int], int]) -> None:
        self._store = store
        self._flights = flights
        self._keyer = keyer
        self._draw = draw
        self._rounds: dict[CacheKey, _Round] = {}

    async def assign(self, request: Request, keyed: Keyed, terms: Terms, count: int) -> Assigned:
        """The variant that this call gets, of `count`. Nothing is awaited once it is chosen.

        So a lookup that is run at once finds what was seen here: calls that come together fill places of
        their own.
        """
        turns = self._round(keyed.key, count)
        met = await self._below(turns.keys)
        views = [replace(keyed, key=key, asked=keyed.key) for key in turns.keys]
        places = [self._place(request, view, terms, met.get(view.key)) for view in views]
        index = self._index(request, views, places, terms, turns.turn)
        turns.turn = (index + 1) % count
        terms = replace(terms, detail=f"variant:{index + 1}/{count}", variant=True)
        started = places[index] in {Place.EMPTY, Place.RUNNING} and not request.ask.only_if_cached
        return Assigned(views[index], terms, State.FLIGHT if started else State.START)

    def _index(
        self, request: Request, views: list[Keyed], places: list[Place], terms: Terms, turn: int
    ) -> int:
        if terms.reload:
            return replaced(places, turn)
        if request.ask.retry and (lost := self._lost(views)) is not None:
            places[lost] = Place.RUNNING
            return lost
        index = choose(places, turn, fill=not request.ask.only_if_cached)
        while places[index] is Place.STORED and not self._fits(views[index]):
            places[index] = Place.TAKEN
            index = choose(places, turn, fill=not request.ask.only_if_cached)
        return index

    def _lost(self, views: list[Keyed]) -> int | None:
        """Where an SDK's first try may have left its flight: one that nobody waits for, else the latest."""
        running = [(index, flight) for index, view in enumerate(views) if (flight := self._running(view))]
        if not running:
            return None
        return max(running, key=lambda each: (each[1].callers == 0, each[1].number))[0]

    def _running(self, view: Keyed, after: int = 0) -> Flight | None:
        return self._flights.find(followable(view), after)

    def _round(self, key: CacheKey, count: int) -> _Round:
        turns = self._rounds.pop(key, None)
        if turns is None or len(turns.keys) != count:
            keys = tuple([self._keyer.variant(key, number) for number in range(count)])
            turns = _Round(keys, self._draw(count))
        self._rounds[key] = turns
        if len(self._rounds) > _ROUNDS:
            del self._rounds[next(iter(self._rounds))]
        return turns

    async def _below(self, keys: tuple[CacheKey, ...]) -> dict[CacheKey, Met]:
        """What the tiers below memory hold of those that are neither in memory nor under way."""
        if not self._store.has_lower:
            return {}
        absent = [
            key
            for key in keys
            if self._store.memory.find(key) is None and not self._flights.is_under_way(key)
        ]
        until_s = self._store.budget_ends_s()
        found = await asyncio.gather(*[self._nearest(key, until_s) for key in absent])
        return {key: met for key, met in zip(absent, found, strict=True) if met is not None}

    async def _nearest(self, key: CacheKey, until_s: float) -> Met | None:
        for depth in self._store.depths:
            met = await self._store.below(depth, key, until_s)
            if isinstance(met, Met):
                return met
        return None

    def _place(self, request: Request, view: Keyed, terms: Terms, below: Met | None) -> Place:
        """What there is now; memory may have got more than it had when the tiers below were asked."""
        met = self._store.nearby(view.key)
        met = below if met is None else met
        if met is not None and judge(met.entry.lifetime, met.age_s, request.ask) in _USABLE:
            return Place.STORED
        if not self._flights.is_under_way(view.key):
            return Place.EMPTY
        joins = terms.collapse and self._running(view, terms.after) is not None
        return Place.RUNNING if joins else Place.TAKEN

    def _fits(self, view: Keyed) -> bool:
        """Whether what memory holds can be given in this caller's shape; of other tiers it is hoped."""
        resident = self._store.memory.find(view.key)
        if resident is None:
            return True
        return not isinstance(self._store.in_memory(view.key, resident, view.shape), Unfit)
