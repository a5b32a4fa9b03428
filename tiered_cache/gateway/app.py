"""The raw ASGI app: cacheable routes from the cache, `/healthz`, `/metrics`, all else under `/v1` sent on."""

import asyncio
import time

from msgspec.structs import replace

from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS
from tiered_cache.core.vocabulary import Response
from tiered_cache.engine.cache import Cache
from tiered_cache.errors import RequestError
from tiered_cache.gateway.admin import ADMIN_PATHS, Admin
from tiered_cache.gateway.admission import Admitted, Gate, body_coding, gate
from tiered_cache.gateway.codings import TooLargeError, UndecodableError, unpack
from tiered_cache.gateway.config import GatewayConfig
from tiered_cache.gateway.departure import ClientGoneError
from tiered_cache.gateway.exchange import Exchanges
from tiered_cache.gateway.forward import PREFIX, Upstream, forward, upstream_path
from tiered_cache.gateway.health import health_answer
from tiered_cache.gateway.instant import ASKED, Asked, Instant
from tiered_cache.gateway.intake import Inlet, Upload, refuse_declared
from tiered_cache.gateway.wire import HttpDate, HttpScope, Receive, Send
from tiered_cache.integrations.metrics import CONTENT_TYPE, Metrics

_ROOM_BYTES = 2**16
"""What the question to explain two bodies may hold beside them."""


class Gateway:
    """An ASGI application for the length of one cache and one upstream.

    Args:
        cache: answers cacheable routes.
        upstream: everything else goes there.
        config: limits, credentials, metrics.

    Attributes:
        draining: set by the server when it has stopped accepting; health then says so.
        instant: answers from L1 what has arrived whole; a server may ask it first.
    """

    def __init__(self, cache: Cache, upstream: Upstream, config: GatewayConfig) -> None:
        self.draining = False
        self._cache = cache
        self._upstream = upstream
        self._gate: Gate = gate(config, cache)
        token = config.admin_token
        self._admin = None if token is None else Admin(cache, self._gate, token)
        self._date = HttpDate()
        self._exchanges = Exchanges(self._date)
        latencies = self._exchanges.latencies
        self._metrics = (
            Metrics(cache.ledger, cache.health, latencies, cache.traffic) if config.metrics else None
        )
        self._endpoints = {PREFIX + endpoint: endpoint for endpoint in cache.endpoints}
        self._limit_bytes = config.body_limit_bytes
        self._keep_bytes = config.cache.max_body_bytes
        limit_bytes = self._keep_bytes if self._limit_bytes is None else self._limit_bytes
        self._usual_bytes = min(self._keep_bytes, limit_bytes)
        self._hits = latencies.of("hit-L1")
        self.instant = Instant(
            cache,
            self._gate,
            endpoints={path.encode(): endpoint for path, endpoint in self._endpoints.items()},
            date=self._date,
            hits=self._hits,
            usual_bytes=self._usual_bytes,
        )

    async def __call__(self, http: HttpScope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI 3)."""
        if http["type"] != "http":
            raise RuntimeError("this app speaks HTTP alone: run it with lifespan and WebSockets off")
        try:
            endpoint = None if b"%" in http.get("raw_path", b"") else self._endpoints.get(http["path"])
            if endpoint is not None and http["method"] == "POST":
                await self._cached(endpoint, http, receive, send)
            else:
                await self._other(http, receive, send, cacheable=endpoint in CACHEABLE_ENDPOINTS)
        except RequestError as error:
            headers, began_s = tuple(http["headers"]), time.perf_counter()
            await self._exchanges.refuse(error, headers, Inlet(receive), send, began_s)

    async def _cached(self, endpoint: str, http: HttpScope, receive: Receive, send: Send) -> None:
        """A cacheable call. What L1 holds leaves from here, in as few steps as there are."""
        asked = http.get(ASKED)
        if asked is not None:
            await self._miss(asked, receive, send)
            return
        admitted = self._gate(tuple(http["headers"]), http["query_string"])
        coding = body_coding(admitted.headers, endpoint)
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        began_s = time.perf_counter()
        body = message.get("body", b"")
        inlet = Inlet(receive, message)
        if coding is not None or message.get("more_body") or len(body) > self._usual_bytes:
            await self._unusual(endpoint, http, admitted, coding, inlet, send)
            return
        try:
            asked = self.instant.ask(endpoint, admitted, body)
        except RequestError as error:
            await self._exchanges.refuse(error, admitted.headers, inlet, send, began_s)
            return
        hit = self.instant.answer(asked)
        if hit is None:
            await self._conclude(asked, inlet, send, began_s)
            return
        lines = self.instant.lines(hit)
        await send({"type": "http.response.start", "status": hit.status, "headers": lines})
        await send({"type": "http.response.body", "body": hit.body})
        self._hits.observe(time.perf_counter() - began_s)

    async def _miss(self, asked: Asked, receive: Receive, send: Send) -> None:
        """A call that the server has read whole and that L1 did not answer."""
        began_s = time.perf_counter()
        message = await receive()
        if message["type"] != "http.disconnect":
            await self._conclude(asked, Inlet(receive, message), send, began_s)

    async def _conclude(self, asked: Asked, inlet: Inlet, send: Send, began_s: float) -> None:
        answer = self._cache.serve(asked.request, self._upstream, asked.named)
        await self._exchanges.conclude(answer, asked.request.headers, inlet, send, began_s)

    async def _unusual(
        self,
        endpoint: str,
        http: HttpScope,
        admitted: Admitted,
        coding: bytes | None,
        inlet: Inlet,
        send: Send,
    ) -> None:
        """A cacheable call whose body is long, packed, or comes in pieces."""
        began_s = time.perf_counter()
        try:
            if not inlet.ended.is_set():
                refuse_declared(admitted.headers, self._limit_bytes)
            body = await inlet.read(self._keep_bytes, self._limit_bytes)
        except RequestError as error:
            await self._exchanges.refuse(error, admitted.headers, inlet, send, began_s)
            return
        except ClientGoneError:
            return
        if isinstance(body, Upload):
            answer = forward(self._upstream, http, admitted, body, "too-large")
        else:
            answer = self._serve(endpoint, admitted, body, coding)
        await self._exchanges.conclude(answer, admitted.headers, inlet, send, began_s)

    async def _serve(self, endpoint: str, admitted: Admitted, body: bytes, coding: bytes | None) -> Response:
        plain: bytes | None = None
        bypass: str | None = None
        if coding is not None:
            try:
                # In a thread: unpacking up to the limit would hold up every other call.
                plain = await asyncio.to_thread(unpack, coding, body, self._usual_bytes)
            except TooLargeError:
                bypass = "too-large"
            except UndecodableError:
                bypass = "content-coding"
        headers, query, scope = admitted.headers, admitted.query, admitted.scope
        request = self._cache.request(
            endpoint, body, headers=headers, query=query, scope=scope, plain_body=plain
        )
        if bypass is not None:
            request = replace(request, ask=replace(request.ask, bypass=bypass))
        return await self._cache.serve(request, self._upstream)

    async def _other(self, http: HttpScope, receive: Receive, send: Send, *, cacheable: bool) -> None:
        """Everything that is not a cacheable call. Raises RequestError before the body has been read."""
        headers = tuple(http["headers"])
        if self._admin is not None and http["path"] in ADMIN_PATHS:
            await self._operate(self._admin, http, Inlet(receive), send)
            return
        own = self._own(http)
        if own is not None:
            await self._exchanges.give(own, headers, Inlet(receive), send)
            return
        upstream_path(http)
        if cacheable and http["method"] != "OPTIONS":
            raise RequestError("Use POST for this path.", 405, "method_not_allowed")
        began_s = time.perf_counter()
        admitted = self._gate(headers, http["query_string"])
        inlet = Inlet(receive)
        answer = self._forward(http, admitted, inlet)
        await self._exchanges.conclude(answer, headers, inlet, send, began_s)

    async def _forward(self, http: HttpScope, admitted: Admitted, inlet: Inlet) -> Response:
        first = await inlet.piece()
        body = first if inlet.ended.is_set() else Upload(inlet, first)
        return await forward(self._upstream, http, admitted, body, "route")

    async def _operate(self, admin: Admin, http: HttpScope, inlet: Inlet, send: Send) -> None:
        """What an operator asks. Raises RequestError before the body has been read."""
        headers, path = tuple(http["headers"]), http["path"]
        admin.admit(headers)
        if http["method"] != ADMIN_PATHS[path]:
            raise RequestError(f"Use {ADMIN_PATHS[path]} for this path.", 405, "method_not_allowed")
        began_s = time.perf_counter()
        limit_bytes = 2 * self._keep_bytes + _ROOM_BYTES
        try:
            body = await inlet.read(limit_bytes, limit_bytes)
            assert isinstance(body, bytes)  # what is longer was refused
            answer = await admin.answer(path, body)
        except RequestError as error:
            await self._exchanges.refuse(error, headers, inlet, send, began_s)
        except ClientGoneError:
            return
        else:
            await self._exchanges.give(answer, headers, inlet, send)

    def _own(self, http: HttpScope) -> Response | None:
        """The answer of a path of our own; None for any other path. Raises RequestError 405."""
        path = http["path"]
        if path == "/healthz":
            make = self._health
        elif path == "/metrics" and self._metrics is not None:
            make = self._page
        else:
            return None
        if http["method"] not in {"GET", "HEAD"}:
            raise RequestError("Use GET for this path.", 405, "method_not_allowed")
        return make()

    def _health(self) -> Response:
        return health_answer(self._cache.health(), draining=self.draining)

    def _page(self) -> Response:
        assert self._metrics is not None
        headers = ((b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"))
        return Response(200, headers, self._metrics.page())
