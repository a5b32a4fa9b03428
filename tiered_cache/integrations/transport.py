"""The cache under an SDK's httpx2 client: equal inference calls are answered here, the rest passes by."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from tiered_cache.core.vocabulary import Request, Response, Scope
from tiered_cache.engine.blocking import BlockingCache
from tiered_cache.engine.cache import Cache
from tiered_cache.errors import CacheClosedError, OriginError, RequestError
from tiered_cache.integrations.fields import lowered, to_origin, value_of, without_validators
from tiered_cache.integrations.httpx2_bridge import (
    Network,
    as_httpx2,
    httpx2,
    mapped,
    origin_id_of,
    read_response,
)

SDK_TIMEOUT = httpx2.Timeout(600.0, connect=5.0)
"""What the OpenAI SDK gives its own client; httpx2's default of 5 s is too short for inference."""

_PATIENCE: Mapping[str, float | None] = {"connect": 5.0, "read": 600.0, "write": 600.0, "pool": None}
"""What a call that many may wait for is given at least, in seconds; None is for ever."""

_SUFFIXES = {"messages": "/v1/messages"}
"""Ends of paths that say more than the endpoint: a message of an OpenAI thread goes to `…/messages` too."""


def async_client(
    cache: Cache,
    *,
    scope: Scope | None = None,
    inner: httpx2.AsyncBaseTransport | None = None,
    origin_id: str | None = None,
) -> httpx2.AsyncClient:
    """A client for `AsyncOpenAI(http_client=…)`; arguments as for `AsyncCacheTransport`."""
    transport = AsyncCacheTransport(cache, inner, scope=scope, origin_id=origin_id)
    return httpx2.AsyncClient(transport=transport, timeout=SDK_TIMEOUT, follow_redirects=True)


def client(
    cache: BlockingCache,
    *,
    scope: Scope | None = None,
    inner: httpx2.AsyncBaseTransport | None = None,
    origin_id: str | None = None,
) -> httpx2.Client:
    """A client for `OpenAI(http_client=…)`; arguments as for `CacheTransport`."""
    transport = CacheTransport(cache, inner, scope=scope, origin_id=origin_id)
    return httpx2.Client(transport=transport, timeout=SDK_TIMEOUT, follow_redirects=True)


class AsyncCacheTransport(httpx2.AsyncBaseTransport):
    """Serves cacheable calls through the cache and hands all others to `inner` as they are.

    Answers of different upstreams are kept apart by URL, those of different credentials by tenant. A caller's
    read time-out is its own: the call that it shares with others goes on without it.

    Args:
        cache: must stay open as long as the transport is used.
        inner: the way to the network; None connects directly or by the environment's proxy. Closed with this.
        scope: who may share the answers; None takes each call's own credential.
        origin_id: name of the upstream in the partition; None takes URL and Host. Needed where `inner` alone
            decides which upstream a URL leads to (a Unix socket, say) and there are several of them.
    """

    def __init__(
        self,
        cache: Cache,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        scope: Scope | None = None,
        origin_id: str | None = None,
    ) -> None:
        self._cache = cache
        self._inner = Network() if inner is None else inner
        self._scope = scope
        self._origin_id = origin_id

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request.

        Raises:
            httpx2.TransportError: what the network raised, as without the cache.
            CacheClosedError: the cache is closed.
        """
        endpoint = _endpoint(request, self._cache.endpoints)
        if endpoint is None:
            return await self._inner.handle_async_request(request)
        call = self._call(endpoint, request, await request.aread())
        try:
            response = await self._cache.serve(call, _InnerOrigin(self._inner, request))
        except RequestError:
            # The origin says what is wrong with it, as it would without us.
            return await self._inner.handle_async_request(request)
        except OriginError as failure:
            raise as_httpx2(failure, request) from failure
        return _to_httpx2(response, request, call.ask.read_timeout_s)

    def _call(self, endpoint: str, request: httpx2.Request, body: bytes) -> Request:
        path, _, query = request.url.raw_path.partition(b"?")
        headers = lowered(request.headers.raw)
        call = self._cache.request(endpoint, body, headers=headers, query=query, scope=self._scope)
        read_s = _timeouts(request).get("read")
        if call.ask.read_timeout_s is None and read_s is not None:
            call = replace(call, ask=replace(call.ask, read_timeout_s=read_s))
        if call.scope is None:
            return call
        origin_id = self._origin_id
        if origin_id is None:
            prefix = path.decode("ascii").removesuffix(endpoint)
            origin_id = origin_id_of(request.url, prefix, value_of(headers, b"host"))
        return replace(call, scope=replace(call.scope, origin_id=origin_id))

    async def aclose(self) -> None:
        """Close the inner transport; the cache stays open."""
        await self._inner.aclose()


class CacheTransport(httpx2.BaseTransport):
    """The same for synchronous clients; every call runs on the cache's loop thread.

    Args:
        cache: must stay open as long as the transport is used.
        inner: an asynchronous transport, used on that thread; None as for `AsyncCacheTransport`.
        scope, origin_id: as for `AsyncCacheTransport`.
    """

    def __init__(
        self,
        cache: BlockingCache,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        scope: Scope | None = None,
        origin_id: str | None = None,
    ) -> None:
        self._blocking = cache
        self._through = AsyncCacheTransport(cache.cache, inner, scope=scope, origin_id=origin_id)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request. Raises as `AsyncCacheTransport.handle_async_request`."""
        if self._blocking.loop.is_closed():
            raise CacheClosedError("this cache is closed; keep it open as long as its clients are used")
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            request.read()  # a synchronous generator cannot be iterated on the loop; read, it can
        response = self._blocking.run(self._through.handle_async_request(request))
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        if not isinstance(stream, httpx2.SyncByteStream):
            stream = _BlockingStream(self._blocking, stream)
        return httpx2.Response(response.status_code, headers=response.headers.raw, stream=stream)

    def close(self) -> None:
        """Close the inner transport; the cache stays open."""
        if not self._blocking.loop.is_closed():
            self._blocking.run(self._through.aclose())


class _InnerOrigin:
    """The origin of one call: the request as the SDK wrote it, with the engine's body.

    A flight may outlive the call that began it; nothing here belongs to that call but its bytes.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, request: httpx2.Request) -> None:
        self._inner = inner
        self._request = request
        self._caller = asyncio.current_task()

    async def __call__(self, call: Request) -> Response:
        request = self._request
        extensions = {name: value for name, value in request.extensions.items() if name != "trace"}
        # A flight has a task of its own, and others may wait for it. In the caller's task nobody else does.
        if "timeout" in extensions and asyncio.current_task() is not self._caller:
            extensions["timeout"] = _patient(_timeouts(request))
        headers = lowered(request.headers.raw)
        own = ((b"host", value_of(headers, b"host")), (b"content-length", b"%d" % len(call.body)))
        outgoing = httpx2.Request(
            request.method,
            request.url,
            headers=[*own, *without_validators(to_origin(headers))],
            stream=httpx2.ByteStream(call.body),
            extensions=extensions,
        )
        with mapped():
            response = await self._inner.handle_async_request(outgoing)
        return await read_response(response, asked=value_of(headers, b"accept-encoding"))


class _Stream(httpx2.AsyncByteStream):
    """A response body of the engine, failing as httpx2 does.

    Args:
        body: what is read.
        request: of the exceptions.
        read_timeout_s: for each next piece; None is for ever.
    """

    def __init__(
        self, body: AsyncIterator[bytes], request: httpx2.Request, read_timeout_s: float | None
    ) -> None:
        self._body = body
        self._request = request
        self._read_timeout_s = read_timeout_s

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        deadline = asyncio.timeout(self._read_timeout_s)
        try:
            async with deadline:
                return await anext(self._body)
        except TimeoutError as late:
            if not deadline.expired():
                raise
            raise httpx2.ReadTimeout("the origin did not go on in time", request=self._request) from late
        except OriginError as failure:
            raise as_httpx2(failure, self._request) from failure

    async def aclose(self) -> None:
        await _close(self._body)


class _BlockingStream(httpx2.SyncByteStream):
    """A response body, each piece awaited on the loop thread."""

    def __init__(self, blocking: BlockingCache, stream: httpx2.AsyncByteStream) -> None:
        self._blocking = blocking
        self._stream = stream
        self._pieces = aiter(stream)

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._blocking.run(_next_or_none(self._pieces))) is not None:
            yield piece

    def close(self) -> None:
        if not self._blocking.loop.is_closed():
            self._blocking.run(self._end())

    async def _end(self) -> None:
        await _close(self._pieces)
        await self._stream.aclose()


async def _next_or_none(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


async def _close(pieces: AsyncIterator[bytes]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


def _endpoint(request: httpx2.Request, endpoints: Collection[str]) -> str | None:
    """Which inference call this is; None for whatever only passes by."""
    if request.method != "POST" or "content-encoding" in request.headers:
        return None
    path = request.url.raw_path.partition(b"?")[0].decode("ascii")
    found = [name for name in endpoints if path.endswith(_SUFFIXES.get(name, f"/{name}"))]
    # `…/chat/completions` ends like the older `…/completions` too.
    return max(found, key=len, default=None)


def _timeouts(request: httpx2.Request) -> dict[str, Any]:
    """The caller's time-outs in seconds; None is for ever, and so is what is not there."""
    found: dict[str, Any] = request.extensions.get("timeout", {})
    return found


def _patient(timeouts: Mapping[str, float | None]) -> dict[str, float | None]:
    """Time-outs of a call that is shared: the caller's where they are longer."""
    return {name: _longer(timeouts.get(name), least_s) for name, least_s in _PATIENCE.items()}


def _longer(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _to_httpx2(response: Response, request: httpx2.Request, read_timeout_s: float | None) -> httpx2.Response:
    body = response.body
    if isinstance(body, bytes):
        return httpx2.Response(response.status, headers=list(response.headers), content=body)
    stream = _Stream(body, request, read_timeout_s)
    return httpx2.Response(response.status, headers=list(response.headers), stream=stream)
