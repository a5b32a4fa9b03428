"""The origin over HTTP: inference calls for the engine, everything else forwarded untouched."""

from collections.abc import AsyncIterator
from urllib.parse import quote, quote_from_bytes, unquote

from tiered_cache.core.vocabulary import Headers, Request, Response
from tiered_cache.engine.checks import demand_seconds
from tiered_cache.errors import ConfigError, RequestError
from tiered_cache.integrations.fields import to_origin, value_of, with_credential, without_validators
from tiered_cache.integrations.httpx2_bridge import (
    ACCEPT_ENCODING,
    Network,
    httpx2,
    mapped,
    origin_id_of,
    raw_response,
    read_response,
)

_PATH_SAFE = "/%:@!$&'()*+,;=~"
_QUERY_SAFE = _PATH_SAFE + '?[]"\\^`{}|<>'
_WITH_BODY = frozenset({"PATCH", "POST", "PUT", "QUERY"})


class HttpOrigin:
    """One upstream API, asked over httpx2; an `Origin` for the engine.

    No cookie is kept, no redirect followed, nothing retried: each answer belongs to the caller who asked.

    Args:
        base_url: the API base as SDKs take it, e.g. `https://router.requesty.ai/v1`.
        connect_timeout_s: to connect.
        read_timeout_s: for each next piece of a response; also to send.
        api_key: goes instead of whatever credential the caller sent; None passes the caller's on.
        transport: other ways to the network; None connects directly or by the environment's proxy.

    Attributes:
        origin_id: normalised scheme, host, port and path prefix, as the partition names it.

    Raises:
        ConfigError: `base_url`, a time-out or `api_key` cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 600.0,
        api_key: str | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        demand_seconds(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)
        self._url = _checked(base_url)
        self._prefix = self._url.raw_path.decode("ascii").rstrip("/")
        self.origin_id = origin_id_of(self._url, self._prefix)
        self._authorization = None if api_key is None else _bearer(api_key)
        self._timeout = {
            "connect": connect_timeout_s,
            "pool": None,
            "read": read_timeout_s,
            "write": read_timeout_s,
        }
        self._transport = Network() if transport is None else transport

    async def __call__(self, request: Request) -> Response:
        """The origin's answer to an inference call, its content coding removed.

        The body is bytes when it is JSON, else an iterator that must be read to its end or closed.

        Raises:
            OriginError: no response began, or a body read whole broke off; a subclass says which.
            RequestError: the request cannot be written as HTTP.
        """
        headers = (
            *[
                line
                for line in without_validators(to_origin(request.headers))
                if line[0] != b"accept-encoding"
            ],
            (b"accept-encoding", ACCEPT_ENCODING),
            (b"content-length", b"%d" % len(request.body)),
        )
        response = await self._send("POST", request.endpoint, request.query, headers, request.body)
        return await read_response(response)

    async def forward(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Headers,
        body: bytes | AsyncIterator[bytes],
    ) -> Response:
        """Any other call, untouched both ways, streaming both ways.

        Args:
            method: as the caller wrote it.
            path: below the API base, percent-encoded or not, e.g. `models`.
            query: raw, without the question mark.
            headers: the caller's, names lower-case.
            body: an iterator keeps the Content-Length that `headers` give, else it goes chunked.

        Raises:
            OriginError: no response began; failures of the body come from its iterator.
            RequestError: the path leaves the API base, or the request cannot be written as HTTP.
        """
        framing = _framing(method, headers, body)
        response = await self._send(method, path, query, (*to_origin(headers), *framing), body)
        return await raw_response(response, bodiless=method == "HEAD")

    async def _send(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Headers,
        body: bytes | AsyncIterator[bytes],
    ) -> httpx2.Response:
        if self._authorization is not None:
            headers = with_credential(headers, self._authorization)
            query = b"&".join([word for word in query.split(b"&") if not word.startswith(b"key=")])
        request = httpx2.Request(
            method,
            self._url,
            headers=[(b"host", self._url.netloc), *headers],
            stream=httpx2.ByteStream(body) if isinstance(body, bytes) else _Upload(body),
            extensions={"timeout": self._timeout, "target": self._target(path, query)},
        )
        with mapped():
            return await self._transport.handle_async_request(request)

    def _target(self, path: str, query: bytes) -> bytes:
        """Path and query as they go on the wire; the query keeps the caller's bytes."""
        below = quote(path, safe=_PATH_SAFE)
        if not {".", ".."}.isdisjoint(unquote(below).split("/")):
            raise RequestError(
                "the path has a '.' or '..' segment: name the resource directly", code="invalid_path"
            )
        target = f"{self._prefix}/{below}"
        return f"{target}?{quote_from_bytes(query, safe=_QUERY_SAFE)}".encode() if query else target.encode()

    async def aclose(self) -> None:
        """Close every connection; idempotent."""
        await self._transport.aclose()


class _Upload(httpx2.AsyncByteStream):
    """A request body that is sent as it comes."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks


def _checked(base_url: str) -> httpx2.URL:
    try:
        url = httpx2.URL(base_url.strip())
    except httpx2.InvalidURL as error:
        raise ConfigError(f"the upstream is not a URL ({error}): give one such as https://host/v1") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError("the upstream must be an http:// or https:// URL such as https://host/v1")
    if not base_url.strip().isprintable() or " " in base_url.strip():
        raise ConfigError("the upstream URL must not hold spaces or control characters")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise ConfigError("the upstream's port must be between 1 and 65535")
    if url.userinfo or url.query or url.fragment:
        raise ConfigError(
            "the upstream URL must not carry credentials, a query or a fragment: give the API base alone"
        )
    return url


def _bearer(api_key: str) -> bytes:
    if not api_key.isascii() or not api_key.isprintable() or not api_key.strip():
        raise ConfigError("the upstream API key must be printable ASCII and not empty")
    return b"Bearer " + api_key.strip().encode()


def _framing(method: str, headers: Headers, body: bytes | AsyncIterator[bytes]) -> Headers:
    """How the length of the body is told (RFC 9112 §6)."""
    if isinstance(body, bytes):
        needed = body != b"" or method in _WITH_BODY
        return ((b"content-length", b"%d" % len(body)),) if needed else ()
    length = value_of(headers, b"content-length")
    return ((b"content-length", length),) if length else ((b"transfer-encoding", b"chunked"),)
