"""Answers batches element by element: what is stored is kept, and one smaller call asks for the rest."""

import asyncio
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core.answers import read_json
from tiered_cache.core.embeddings_parts import (
    join,
    joined_headers,
    split,
    total_usage,
    weigh_inputs,
    with_inputs,
)
from tiered_cache.core.freshness import Verdict, judge
from tiered_cache.core.keys import Keyer
from tiered_cache.core.machine import State
from tiered_cache.core.validators import make_etag
from tiered_cache.core.vocabulary import (
    Answer,
    CacheKey,
    Entry,
    Keyed,
    Origin,
    Outcome,
    Rendering,
    Request,
    Response,
)
from tiered_cache.engine.answering import Answering
from tiered_cache.engine.flight import Landing
from tiered_cache.engine.lookup import Driver, stands_in
from tiered_cache.engine.store import Met, Store, Unfit
from tiered_cache.engine.terms import Terms
from tiered_cache.engine.underway import Lookup

_AT_ONCE = 32
"""Elements looked up below memory at the same time: a batch must not use up the tiers' deadlines."""

_FAILED = frozenset({State.FAIL, State.FALLBACK})
_JSON = b"application/json"
_ASKED = "origin"
_USABLE = frozenset({Verdict.STALE_WHILE_REVALIDATE, Verdict.STALE_IF_ERROR})


class _Batch:
    """One batch on its way.

    Attributes:
        found: fresh entries by element.
        stale: those within stale-if-error.
        fault: why a tier could not say what it holds, as in `L2/timeout`.
    """

    def __init__(self, keyed: Keyed, request: Request) -> None:
        self.keyed = keyed
        self.request = request
        self.found: dict[CacheKey, Met] = {}
        self.stale: dict[CacheKey, Met] = {}
        self.fault: str | None = None

    def weigh(self, key: CacheKey, met: Met | None) -> bool:
        """Whether this entry answers the element."""
        if met is None:
            return False
        verdict = judge(met.entry.lifetime, met.age_s, self.request.ask)
        if verdict is Verdict.FRESH:
            self.found[key] = met
        elif verdict in _USABLE:
            self.stale[key] = met
        return key in self.found

    def missing(self) -> tuple[CacheKey, ...]:
        """Elements without a fresh entry, in their order, each once."""
        return tuple(dict.fromkeys(key for key in self.keyed.elements if key not in self.found))

    def hits(self) -> list[Met]:
        """What was found, once for each input that it answers."""
        return [self.found[key] for key in self.keyed.elements if key in self.found]

    def detail(self) -> str | None:
        """How many of the inputs were answered from store, where it is some of them."""
        hits = len(self.hits())
        return f"partial:{hits}/{len(self.keyed.elements)}" if hits else None


class _Smaller(Struct, frozen=True):
    """The call for what is missing."""

    keyed: Keyed
    request: Request

    @property
    def elements(self) -> tuple[CacheKey, ...]:
        """What it asks for; a call for one element is no batch."""
        return self.keyed.elements or (self.keyed.key,)


class Elements:
    """Serves batches.

    Args:
        store: where the elements are.
        driver: asks the origin.
        answering: writes the responses.
        keyer: names the smaller calls.
    """

    def __init__(self, store: Store, driver: Driver, answering: Answering, keyer: Keyer) -> None:
        self._store = store
        self._driver = driver
        self._answering = answering
        self._keyer = keyer

    def in_memory(self, request: Request, keyed: Keyed) -> Response | None:
        """The answer, if L1 holds every element fresh: no task, no network."""
        batch = _Batch(keyed, request)
        if not all(batch.weigh(key, self._store.nearby(key)) for key in keyed.elements):
            return None
        return self._from_store(batch, "hit")

    async def serve(
        self, request: Request, keyed: Keyed, origin: Origin, terms: Terms
    ) -> Response | Lookup | None:
        """The answer to a batch that may be looked up.

        Returns:
            the response; or the lookup of the smaller call that failed; or None where the batch has to be
            asked for whole.
        """
        batch = _Batch(keyed, request)
        await self._look(batch)
        answer = None if batch.missing() else self._from_store(batch, "hit")
        if answer is not None:
            return answer
        if request.ask.only_if_cached:
            return self._answering.unmet()
        smaller = self._smaller(batch)
        if smaller is None:
            return None
        lookup = Lookup(smaller.keyed, smaller.request, origin, terms)
        if batch.found:
            lookup.fwd, lookup.detail = "partial", batch.detail()
        elif batch.fault is not None:
            lookup.detail = batch.fault
        state = await self._driver.run(lookup, State.FLIGHT)
        return self._concluded(batch, smaller, lookup, state)

    async def _look(self, batch: _Batch) -> None:
        """Memory, then the tiers below, then memory again: another flight may have landed meanwhile."""
        self._look_nearby(batch)
        if len(self._store.tiers) == 1:
            return
        missing, until_s = batch.missing(), self._store.budget_ends_s()
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            await asyncio.gather(*[self._look_below(batch, key, until_s) for key in some])
        self._look_nearby(batch)

    def _look_nearby(self, batch: _Batch) -> None:
        for key in batch.missing():
            batch.weigh(key, self._store.nearby(key))

    async def _look_below(self, batch: _Batch, key: CacheKey, until_s: float) -> None:
        for depth in self._store.depths:
            met = await self._store.below(depth, key, until_s)
            if isinstance(met, Unfit):
                batch.fault = met.detail
            elif batch.weigh(key, met):
                return

    def _smaller(self, batch: _Batch) -> _Smaller | None:
        """The call for the missing elements: the batch itself where nothing was found.

        None where there is none: what was found does not fit together, or the caller's body is packed, and
        would have to be packed again.
        """
        missing = batch.missing()
        if not missing:
            return None
        if missing == batch.keyed.elements:
            return _Smaller(batch.keyed, batch.request)
        if batch.request.plain_body is not None:
            return None
        places = [batch.keyed.elements.index(key) for key in missing]
        request = replace(batch.request, body=with_inputs(batch.request.body, places))
        keyed = self._keyer.key(request)
        if not isinstance(keyed, Keyed):
            return None
        smaller = _Smaller(keyed, request)
        return smaller if smaller.elements == missing else None

    def _concluded(
        self, batch: _Batch, smaller: _Smaller, lookup: Lookup, state: State
    ) -> Response | Lookup | None:
        landing = lookup.landing
        if state in _FAILED or (landing is not None and landing.status != 200):
            return self._instead(batch, lookup) or lookup
        if smaller.keyed is batch.keyed:
            return self._answering.finish(state, lookup)
        if state is State.HIT and lookup.served is not None:
            served = lookup.served
            batch.found[smaller.keyed.key] = Met(served.entry, served.age_s, served.tier, served.resident)
            return self._from_store(batch, "hit")
        return None if landing is None else self._merged(batch, smaller, landing, led=lookup.led)

    def _instead(self, batch: _Batch, lookup: Lookup) -> Response | None:
        """What is stale, where the origin failed and nothing is missing then."""
        status = None if lookup.landing is None else lookup.landing.status
        if not stands_in(lookup.failure, status) or not batch.stale.keys() >= set(batch.missing()):
            return None
        batch.found = {**batch.stale, **batch.found}
        return self._from_store(batch, "stale", status)

    def _from_store(
        self, batch: _Batch, kind: Literal["hit", "stale"], status: int | None = None
    ) -> Response | None:
        """Every element from store; None where they do not fit together."""
        parts = batch.hits()
        age_s, left_s = _ages(parts)
        stale = kind == "stale"
        outcome = Outcome(
            kind=kind,
            tier=self._farthest(parts),
            fwd="stale" if stale else None,
            fwd_status=status,
            ttl_s=left_s,
            detail="stale-if-error" if stale else None,
            age_s=age_s,
            saved_picousd=_saved(parts),
        )
        whole = self._joined(batch, parts, 0)
        if whole is None:
            return None
        entry = replace(whole, usage=total_usage([part.entry.usage for part in parts]))
        self._answering.book(batch.request, batch.keyed, outcome, entry)
        rendering = Rendering(entry.body, _JSON, make_etag(entry.body))
        return self._answering.give(batch.request, entry, rendering, outcome)

    def _merged(self, batch: _Batch, smaller: _Smaller, landing: Landing, *, led: bool) -> Response | None:
        """What was found and what was asked for, as one answer."""
        asked = _answers(smaller, landing)
        if asked is None:
            return None
        hits = batch.hits()
        by_key = {**batch.found, **asked}
        parts = [by_key[key] for key in batch.keyed.elements]
        call = landing.entry
        assert call is not None
        whole = self._joined(batch, parts, call.usage.cost_picousd if led else 0)
        if whole is None:
            return None
        age_s, left_s = _ages(parts)
        free = hits if led else parts
        outcome = Outcome(
            kind="partial" if hits else "miss" if led else "collapsed",
            tier=self._farthest(hits) if hits else None,
            fwd="partial" if hits else "uri-miss",
            fwd_status=landing.status,
            stored=landing.stored,
            collapsed=not led,
            ttl_s=left_s if landing.stored else None,
            detail=batch.detail() or landing.detail,
            age_s=age_s,
            saved_picousd=_saved(free),
        )
        self._book_merged(batch, outcome, hits, None if led else call)
        entry = replace(whole, origin_request_id=call.origin_request_id)
        return self._answering.give(batch.request, entry, Rendering(entry.body, _JSON, b""), outcome)

    def _book_merged(self, batch: _Batch, outcome: Outcome, hits: list[Met], shared: Entry | None) -> None:
        """What was stored is saved; so is a call that another one led. Who led has paid for it as a miss."""
        if hits:
            saved = replace(
                hits[0].entry,
                usage=total_usage([hit.entry.usage for hit in hits]),
                origin_s=max(hit.entry.origin_s for hit in hits),
            )
            self._answering.book(batch.request, batch.keyed, outcome, saved)
        if shared is not None:
            collapsed = Outcome(kind="collapsed")
            self._answering.book(batch.request, batch.keyed, collapsed, shared)

    def _joined(self, batch: _Batch, parts: list[Met], paid_picousd: int | None) -> Entry | None:
        """An entry that is never stored: the batch's answer with the field lines of its first part."""
        entries = [part.entry for part in parts]
        joined = join(entries, batch.keyed.shape, paid_picousd, batch.keyed.key)
        if joined is None:
            return None
        ids = {entry.origin_request_id for entry in entries}
        return replace(
            entries[0],
            headers=joined_headers(entries[0], estimated=joined.estimated),
            body=joined.body,
            origin_s=max(entry.origin_s for entry in entries),
            origin_request_id=ids.pop() if len(ids) == 1 else b"",
        )

    def _farthest(self, parts: list[Met]) -> str:
        """The tier that the batch had to reach into."""
        return max((part.tier for part in parts), key=self._store.tiers.index)


def _answers(smaller: _Smaller, landing: Landing) -> Mapping[CacheKey, Met] | None:
    """The elements of what the origin answered; None for an answer that is none."""
    entry = landing.entry
    if entry is None:
        return None
    if not landing.stored and not isinstance(read_json(smaller.keyed.call, entry.body), Answer):
        return None
    weights = weigh_inputs(smaller.request.body)
    parts = split(entry, weights, smaller.keyed.key)
    if parts is None:
        return None
    mets = [Met(part, 0.0, _ASKED, None) for part in parts]
    return dict(zip(smaller.elements, mets, strict=True))


def _ages(parts: list[Met]) -> tuple[float, float]:
    """The age of the oldest part, and what is left of the one that ends first."""
    left_s = min(part.entry.lifetime.fresh_s - part.age_s for part in parts)
    return max(part.age_s for part in parts), left_s


def _saved(parts: list[Met]) -> int | None:
    """What these parts cost when they were made; None where none has a price."""
    costs = [part.entry.usage.cost_picousd for part in parts]
    priced = [cost for cost in costs if cost is not None]
    return sum(priced) if priced else None
