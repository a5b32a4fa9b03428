"""Between httpx2's words and ours: failures, responses, and the default way to the network."""

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Self
from urllib.request import getproxies, proxy_bypass

from tiered_cache.core.speech_answers import is_recording
from tiered_cache.core.stored_fields import valid_lines
from tiered_cache.core.vocabulary import Headers, Response
from tiered_cache.errors import (
    MissingExtraError,
    OriginCutError,
    OriginError,
    OriginTimeoutError,
    OriginUnreachableError,
    RequestError,
)
from tiered_cache.integrations.fields import end_to_end, lowered, value_of

try:
    import httpx2

    from tiered_cache.integrations.inflating import INFLATED, inflated
    from tiered_cache.integrations.reuse import used_once_unless_clean

    # httpx2 loads it with the first transport and reads its metadata from disk: not in a running loop.
    import_module("httpcore2")
except ImportError as error:
    raise MissingExtraError("talking to an origin over HTTP", "httpx2") from error

__all__ = [
    "Body",
    "Network",
    "as_httpx2",
    "httpx2",
    "mapped",
    "origin_id_of",
    "raw_response",
    "read_response",
]

ACCEPT_ENCODING = b"gzip, deflate"
"""What we ask origins for: what httpx2 decodes without further packages."""

_BODILESS = frozenset({204, 304})
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=200, keepalive_expiry=5.0)
"""No bound of our own on calls under way: whoever makes them is the bound, as without the cache."""

_REMEMBERED_HOSTS = 1000


@contextmanager
def mapped(*, begun: bool = False) -> Generator[None]:
    """Turn httpx2's failures into ours, which keep them as `__cause__`.

    Args:
        begun: the response has begun, so that a failure is a cut.

    Raises:
        OriginTimeoutError: the origin did not answer in time.
        OriginUnreachableError: no response began.
        OriginCutError: a response broke off or cannot be decoded.
        RequestError: the request cannot be written as HTTP.
    """
    try:
        yield
    except httpx2.TimeoutException as error:
        raise OriginTimeoutError("the origin did not answer in time") from error
    except httpx2.LocalProtocolError as error:
        raise RequestError("the request cannot be forwarded: it is not valid HTTP") from error
    except (httpx2.TransportError, httpx2.DecodingError) as error:
        if begun:
            raise OriginCutError("the origin's response broke off") from error
        raise OriginUnreachableError("the origin cannot be reached") from error


def as_httpx2(failure: OriginError, request: httpx2.Request) -> httpx2.TransportError | httpx2.DecodingError:
    """The exception that a caller of httpx2 would have seen without us.

    One of its own for each caller, as a client writes the request into it and tracebacks grow.
    """
    cause = failure.__cause__
    if isinstance(cause, (httpx2.TransportError, httpx2.DecodingError)):
        kind = type(cause)
        if kind.__init__ is httpx2.RequestError.__init__:
            return kind(str(cause), request=request)
        return cause
    return _kind_of(failure)(str(failure), request=request)


def _kind_of(failure: OriginError) -> type[httpx2.TransportError]:
    if isinstance(failure, OriginTimeoutError):
        return httpx2.ReadTimeout
    return httpx2.RemoteProtocolError if isinstance(failure, OriginCutError) else httpx2.ConnectError


def origin_id_of(url: httpx2.URL, path_prefix: str, host: bytes = b"") -> str:
    """Names an upstream in the partition: normalised scheme, host, port and path prefix (SEMANTICS §1).

    A Host field that says another name than the URL is part of it: one address can serve several origins.
    """
    named = f"{url.scheme}://{url.netloc.decode('ascii')}{path_prefix.rstrip('/')}"
    return named if host.lower() in {b"", url.netloc} else f"{named} as {host.decode('latin-1').lower()}"


class Body(AsyncIterator[bytes]):
    """The chunks of a response as they arrive.

    Args:
        response: nothing of it read yet.
        codings: to be taken off, in the order in which they were applied; None leaves what there is.

    Failures come as in `mapped(begun=True)`. `aclose` ends the connection if the body is not whole.
    """

    __slots__ = ("_chunks", "_response")

    def __init__(self, response: httpx2.Response, codings: Sequence[bytes] | None) -> None:
        self._response = used_once_unless_clean(response)
        if codings is None:
            self._chunks = response.aiter_raw()
        elif codings and INFLATED.issuperset(codings) and not response.is_stream_consumed:
            self._chunks = inflated(response.aiter_raw(), codings)
        else:
            self._chunks = response.aiter_bytes()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with mapped(begun=True):
            return await anext(self._chunks)

    async def aclose(self) -> None:
        """Stop reading; idempotent."""
        await self._chunks.aclose()
        await self._response.aclose()

    async def whole(self) -> bytes:
        """All of it. The connection is given back or closed, whatever happens."""
        try:
            return b"".join([chunk async for chunk in self])
        finally:
            await self.aclose()


async def read_response(response: httpx2.Response, *, asked: bytes = ACCEPT_ENCODING) -> Response:
    """An inference answer, decoded: bytes when it is JSON or of known length, else, as for audio, a `Body`.

    Args:
        response: from a transport, nothing of it read yet.
        asked: the Accept-Encoding that was sent.

    Raises:
        OriginCutError: a body read whole broke off, or came in a coding that was not asked for.
        OriginTimeoutError: its next bytes did not come in time.
    """
    headers = await _fields(response)
    values = [value for name, value in headers if name == b"content-encoding"]
    codings = [coding for coding in _codings(b",".join(values)) if coding not in {b"", b"identity"}]
    body = Body(response, codings)
    if codings:
        if not set(codings) <= set(_codings(asked)):
            await body.aclose()
            raise OriginCutError("the origin used a content coding that was not asked for")
        headers = tuple([line for line in headers if line[0] not in {b"content-encoding", b"content-length"}])
    if _comes_whole(headers) or response.status_code in _BODILESS:
        return Response(response.status_code, headers, await body.whole())
    return Response(response.status_code, headers, body, framed=_is_framed(response))


def _is_framed(response: httpx2.Response) -> bool:
    """Whether the end of the body is told (RFC 9112 §6.3): in HTTP/1 by a length or chunks, later always."""
    version: bytes = response.extensions.get("http_version", b"")
    told = "content-length" in response.headers or "transfer-encoding" in response.headers
    return told or not version.startswith(b"HTTP/1")


async def raw_response(response: httpx2.Response, *, bodiless: bool) -> Response:
    """Any answer as it came, its content coding untouched.

    The body of an answer to HEAD is an iterator where the origin told no length: so will nobody further on.
    """
    headers = await _fields(response)
    body = Body(response, None)
    if response.status_code in _BODILESS or (bodiless and value_of(headers, b"content-length")):
        return Response(response.status_code, headers, await body.whole())
    return Response(response.status_code, headers, body)


async def _fields(response: httpx2.Response) -> Headers:
    """The field lines that mean something further on. Raises OriginUnreachableError: the status is none."""
    if not 200 <= response.status_code <= 599:  # RFC 9110 §15
        await response.aclose()
        raise OriginUnreachableError("the origin's answer has a status that HTTP does not know")
    return valid_lines(end_to_end(lowered(response.headers.raw)))


def _codings(value: bytes) -> list[bytes]:
    return [word.partition(b";")[0].strip().lower() for word in value.split(b",")]


def _comes_whole(headers: Headers) -> bool:
    media_type = value_of(headers, b"content-type").partition(b";")[0].strip().lower()
    if media_type == b"text/event-stream" or is_recording(media_type):
        return False
    return media_type == b"application/json" or value_of(headers, b"content-length") != b""


class Network(httpx2.AsyncBaseTransport):
    """Connections to origins, through the proxy that the environment names for each.

    httpx2 itself reads the proxy variables only when it is given no transport. They are read once for each
    host: that costs as much as a tenth of a call.
    """

    def __init__(self) -> None:
        self._direct = httpx2.AsyncHTTPTransport(limits=_LIMITS)
        self._proxied: dict[str, httpx2.AsyncHTTPTransport] = {}
        self._ways: dict[tuple[str, str], httpx2.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. Raises httpx2.TransportError."""
        url = request.url
        way = self._ways.get((url.scheme, url.host))
        if way is None:
            way = self._towards(url.scheme, url.host)
            if len(self._ways) < _REMEMBERED_HOSTS:
                self._ways[url.scheme, url.host] = way
        return used_once_unless_clean(await way.handle_async_request(request))

    def _towards(self, scheme: str, host: str) -> httpx2.AsyncHTTPTransport:
        proxies = getproxies()
        proxy = proxies.get(scheme, proxies.get("all"))
        if proxy is None or proxy_bypass(host):
            return self._direct
        if proxy not in self._proxied:
            address = proxy if "://" in proxy else f"http://{proxy}"
            self._proxied[proxy] = httpx2.AsyncHTTPTransport(limits=_LIMITS, proxy=address)
        return self._proxied[proxy]

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in (self._direct, *self._proxied.values()):
            await transport.aclose()
