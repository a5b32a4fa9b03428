"""The public cache: one call in, one answer out, asked of the origin only when it must be."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, overload

from tiered_cache.core.directives import SDK_DEFAULT
from tiered_cache.core.explain import Comparison, Explanation, compare, explain
from tiered_cache.core.freshness import Verdict, judge
from tiered_cache.core.machine import State
from tiered_cache.core.scopes import Selector
from tiered_cache.core.vocabulary import (
    PLAIN,
    Ask,
    Bypass,
    Fwd,
    Headers,
    Keyed,
    Origin,
    Outcome,
    Request,
    Response,
    Scope,
    Usage,
)
from tiered_cache.engine.answering import Answering
from tiered_cache.engine.background import Background
from tiered_cache.engine.beyond import Beyond
from tiered_cache.engine.build import Parts, build
from tiered_cache.engine.callers import Callers
from tiered_cache.engine.calls import CallResult, Fetch, call
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.engine.config import CacheConfig
from tiered_cache.engine.credentials import Credentials
from tiered_cache.engine.driving import make_flying
from tiered_cache.engine.elements import Elements
from tiered_cache.engine.flights import Flights, Traffic
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.lookup import Driver
from tiered_cache.engine.purging import PurgeOrder, PurgeRecord, Purging
from tiered_cache.engine.repeats import Repeats
from tiered_cache.engine.store import Store
from tiered_cache.engine.terms import NO_STORE
from tiered_cache.engine.underway import Lookup
from tiered_cache.engine.variants import Variants
from tiered_cache.errors import CacheClosedError, OriginCutError, RequestError
from tiered_cache.tiers.base import Clock
from tiered_cache.tiers.guard import TierHealth

DRAIN_S = 5.0
"""How long `close` waits for flights and background writes unless told otherwise."""

_AT_ONCE = PurgeOrder()

_FAULT = "engine-fault"
"""Reason word of a call that a defect of ours forwards uncached."""


class Cache:
    """A two-tier response cache of one event loop.

    Open it with `async with Cache.open(config) as cache`. Not safe to share between threads; see
    `BlockingCache` for synchronous programs.

    Attributes:
        config: what it was opened with.
        ledger: what was served, saved and spent.
        memory: the L1 tier, for its size.
        endpoints: paths below the API base whose calls may be cached.
    """

    def __init__(self, parts: Parts) -> None:
        config = parts.config
        self.config = config
        self.ledger = Ledger()
        self.memory = parts.memory
        self._clock = parts.clock
        self._monotonic = parts.clock.monotonic
        self._keyer = parts.keyer
        self.endpoints = parts.keyer.endpoints
        self._profile = parts.profile
        self._credentials = Credentials(parts.keyer, config.origin_id, config.tenants)
        self._callers = Callers(self._credentials, config)
        self._background = Background(config.pending_writes)
        self._store = Store(
            parts.memory,
            parts.lower,
            self._background,
            self.ledger,
            parts.clock,
            parts.coherence,
            config=config,
        )
        self._flights = Flights()
        self._flying = make_flying(
            parts, self._store, self._flights, self.ledger, self._credentials, self._background
        )
        self._driver = Driver(
            self._store,
            self._flights,
            self._flying,
            self._background,
            parts.clock,
            self.ledger,
            linger_s=config.linger_s,
        )
        self._answering = Answering(self._store, self.ledger, parts.profile, self._resume, parts.clock)
        self._elements = Elements(self._store, self._driver, self._answering, parts.keyer)
        self._beyond = Beyond(
            parts.profile,
            self._is_closed,
            driver=self._driver,
            answering=self._answering,
            elements=self._elements,
            variants=Variants(self._store, self._flights, parts.keyer, parts.draw),
            repeats=Repeats(self.ledger),
        )
        self._purging = Purging(parts.coherence, self.name, parts.clock)
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls, config: CacheConfig | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> AsyncGenerator["Cache"]:
        """A cache for the length of a `with` block; leaving it drains what is under way.

        No network I/O happens here: an absent Redis is joined when it appears.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        parts = build(CacheConfig() if config is None else config, clock)
        cache = cls(parts)
        try:
            parts.coherence.start()
            cache._flying.start()
            yield cache
        finally:
            await cache.close()

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Wait at most `drain_s` for flights and background writes, then close the tiers; idempotent."""
        if self._closed:
            return
        self._closed = True
        await self._background.drain(drain_s)
        await self._flying.close()
        await self._store.close()

    def scope(self, tenant: str, credential: bytes = b"") -> Scope:
        """The scope of a tenant that the embedder names; `credential` tells its keys apart."""
        return self._credentials.named(tenant, credential)

    def request(
        self,
        endpoint: str,
        body: bytes,
        *,
        headers: Headers = (),
        query: bytes = b"",
        scope: Scope | None = None,
        plain_body: bytes | None = None,
    ) -> Request:
        """A request as `serve` takes it: what its header fields ask is read here, once.

        Args:
            endpoint: path below the API base, e.g. `chat/completions`.
            body: the caller's bytes.
            headers: lower-case names.
            query: raw, without the question mark.
            scope: None derives it from the credentials in `headers` and `query`.
            plain_body: the decoded body when `body` carries a Content-Encoding.

        A fault of ours is counted and gives a request that is forwarded uncached.
        """
        try:
            caller = self._callers.read(headers, query)
        except Exception as error:  # noqa: BLE001 (the outer edge: no fault of ours becomes the caller's error)
            self._fault(error)
            return Request(endpoint, body, scope, headers, query, Ask(bypass=_FAULT), plain_body)
        if scope is None:
            scope = caller.scope
        return Request(endpoint, body, scope, headers, query, caller.ask, plain_body)

    @overload
    def explain(self, request: Request) -> Explanation: ...

    @overload
    def explain(self, request: Request, other: Request) -> Comparison: ...

    def explain(self, request: Request, other: Request | None = None) -> Explanation | Comparison:
        """What would be decided about `request`, or why `other` is not the same call; nothing is asked.

        Raises:
            RequestError: a body is empty or is not JSON.
        """
        for each in (request, request if other is None else other):
            if len(each.body) > self.config.max_body_bytes:
                raise RequestError("The request body is over max_body_bytes.", 413, "request_too_large")
        if other is None:
            return explain(self._keyer, self._profile, request)
        return compare(self._keyer, request, other)

    def name(self, request: Request) -> Keyed | Bypass:
        """What `request` is looked up by, or why it is not; given to `peek` and `serve` they need not ask.

        A fault of ours is counted and bypasses.

        Raises:
            RequestError: the body is empty or is not JSON.
        """
        if len(request.body) > self.config.max_body_bytes:
            return Bypass("too-large")
        try:
            return self._keyer.key(request)
        except RequestError:
            raise
        except Exception as error:  # noqa: BLE001 (the outer edge: no fault of ours becomes the caller's error)
            return self._fault(error)

    async def purge(self, what: Selector | Request, order: PurgeOrder = _AT_ONCE) -> PurgeRecord:
        """Have no node answer from what it has of `what`, whatever tier it is in or on its way to.

        A flight that began before goes on for those who follow it; who asks from now on does not join it, and
        it is not stored.

        Args:
            what: a key, tag, model, tenant or everything; or a call as it would be served.
            order: soft or hard, counted or not.

        Raises:
            RequestError: `what` names nothing or more than one thing, or a call that is never cached.
        """
        if isinstance(what, Selector):
            return await self._purging.purge(what, order)
        return await self._purging.purge_request(what, order)

    @property
    def purges(self) -> tuple[PurgeRecord, ...]:
        """The last purges that were asked of this node, oldest first."""
        return tuple(self._purging.trail)

    def peek(self, request: Request, named: Keyed | Bypass | None = None) -> Response | None:
        """The answer, if L1 holds a fresh one: no task, no thread, no lock, no network.

        A fault of ours is counted and found nothing.

        Args:
            request: the call.
            named: what `name` said of it; None asks for it here.

        Raises:
            RequestError: the body is empty or is not JSON.
        """
        keyed = self.name(request) if named is None else named
        if isinstance(keyed, Bypass):
            return None
        try:
            return self._fresh_in_memory(request, keyed)
        except Exception as error:  # noqa: BLE001 (the outer edge: no fault of ours becomes the caller's error)
            self._fault(error)
            return None

    def _fault(self, error: Exception) -> Bypass:
        self.ledger.count("fault", f"engine:{type(error).__name__}")
        return Bypass(_FAULT)

    def _fresh_in_memory(self, request: Request, keyed: Keyed) -> Response | None:
        if keyed.elements:
            closed = self._credentials.is_closed(request.scope, self._monotonic())
            return None if closed else self._elements.in_memory(request, keyed)
        resident = self.memory.find(keyed.key)
        if resident is None:
            return None
        now = self._monotonic()
        if request.ask is PLAIN or request.ask is SDK_DEFAULT:
            fresh = now < resident.fresh_until_s
        else:
            fresh = self._may_reuse(request) and (
                judge(resident.entry.lifetime, now - resident.born_s, request.ask) is Verdict.FRESH
            )
        if not fresh or self._credentials.is_closed(request.scope, now):
            return None
        return self._answering.hit(request, keyed, resident, now)

    @staticmethod
    def _may_reuse(request: Request) -> bool:
        ask = request.ask
        return not (ask.no_store or ask.no_cache or ask.bypass is not None or ask.replay is not None)

    async def serve(self, request: Request, origin: Origin, named: Keyed | Bypass | None = None) -> Response:
        """The answer to `request`, from a tier, a running flight or `origin`.

        The response's body is whole bytes or an iterator, which the caller reads to its end or closes with
        `aclose()`. A fault of ours is counted and the call forwarded uncached.

        Args:
            request: the call.
            origin: asked when nothing else can answer.
            named: what `name` said of it; None asks for it here.

        Raises:
            RequestError: the body is empty or is not JSON.
            OriginError: the origin gave no response (or whatever exception `origin` itself raised).
            CacheClosedError: the cache is closed.
        """
        if self._closed:
            raise CacheClosedError("this cache is closed; open another one")
        try:
            answered = await self._answer(request, origin, self.name(request) if named is None else named)
        except RequestError:
            raise
        except Exception as error:  # noqa: BLE001 (the outer edge: no fault of ours becomes the caller's error)
            answered = self._fault(error)
        if isinstance(answered, Response):
            return answered
        if not isinstance(answered, Bypass):
            raise answered
        if request.ask.only_if_cached:
            return self._answering.unmet()
        return await self._forward(request, origin, answered)

    async def _answer(
        self, request: Request, origin: Origin, keyed: Keyed | Bypass
    ) -> Response | BaseException | Bypass:
        """The response, the origin's failure, or the reason word of a call to be forwarded uncached."""
        if request.ask.bypass == _FAULT:
            return Bypass(_FAULT)  # whoever asks: no scope was found then
        if isinstance(keyed, Bypass):
            return keyed
        hit = self._fresh_in_memory(request, keyed)
        return hit if hit is not None else await self._beyond.serve(request, keyed, origin)

    def _is_closed(self, scope: Scope | None) -> bool:
        return self._credentials.is_closed(scope, self._monotonic())

    async def _resume(self, lookup: Lookup) -> State | None:
        """Where a follower goes on whose stream broke off; a fault of ours is counted."""
        try:
            return await self._driver.resume(lookup)
        except Exception as error:  # noqa: BLE001 (the outer edge: no fault of ours becomes the caller's error)
            self._fault(error)
            return None

    async def _forward(self, request: Request, origin: Origin, bypass: Bypass) -> Response:
        self.ledger.upstream_calls += 1
        try:
            response = await origin(request)
        except OriginCutError:
            self.ledger.spend(Usage())  # it began, so it is paid for, nobody knows how much
            raise
        self._credentials.note(request.scope, response.status, self._monotonic())
        fwd: Fwd = "request" if bypass.detail == NO_STORE else "bypass"
        outcome = Outcome(kind="bypass", fwd=fwd, fwd_status=response.status, detail=bypass.detail)
        return self._answering.forwarded(request, bypass.model, response, outcome)

    async def call(
        self,
        endpoint: str,
        body: Mapping[str, Any],
        fetch: Fetch,
        *,
        scope: Scope,
        ask: Ask = PLAIN,
    ) -> CallResult:
        """For a gateway that holds parsed bodies: as `serve`, from values to values.

        Args:
            endpoint: e.g. `chat/completions`.
            body: the request as JSON values; not changed.
            fetch: asks the origin with a body that may carry one more field (`stream_options.include_usage`);
                gives the answer, or for `stream: true` an async iterator of its chunks.
            scope: who may share the answer; see `scope`.
            ask: what the caller's header fields asked, if it had any; see `read_ask`.

        Raises:
            Whatever `fetch` raises.
        """
        return await call(self.serve, endpoint, body, fetch, scope, ask)

    def traffic(self) -> Traffic:
        """The calls to the origin that are under way, and who waits for them."""
        return self._flights.now()

    def health(self) -> tuple[TierHealth, ...]:
        """State and failure counts of each tier below memory."""
        return self._store.health()
