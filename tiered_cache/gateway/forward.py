"""Sends everything that is not cached on to the origin, untouched, streaming both ways."""

from collections.abc import AsyncIterator
from typing import Protocol
from urllib.parse import quote

from msgspec.structs import replace

from tiered_cache.core.status import cache_status
from tiered_cache.core.vocabulary import Fwd, Headers, Outcome, Request, Response
from tiered_cache.errors import RequestError
from tiered_cache.gateway.admission import Admitted
from tiered_cache.gateway.wire import HttpScope

PREFIX = "/v1/"
"""Paths below it are the upstream's."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Upstream(Protocol):
    """What the gateway needs of the origin's client."""

    async def __call__(self, request: Request) -> Response:
        """Make an inference call. Raises OriginError."""
        ...

    async def forward(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Headers,
        body: bytes | AsyncIterator[bytes],
    ) -> Response:
        """Make any other call, nothing changed. Raises OriginError."""
        ...


def upstream_path(http: HttpScope) -> str:
    """The path below the API base, percent-encoded as the caller wrote it.

    Raises:
        RequestError: 404 for a path that is not below `/v1`, or that would climb out of it.
    """
    path: str = http["path"]
    segments = path.replace("\\", "/").split("/")
    raw: bytes = http.get("raw_path") or quote(path).encode()
    if not raw.startswith(PREFIX.encode()) or ".." in segments or "." in segments:
        raise RequestError(
            "There is nothing at this path. API calls go to /v1/…, as at the upstream.", 404, "not_found"
        )
    return raw[len(PREFIX) :].decode("ascii")


async def forward(
    upstream: Upstream,
    http: HttpScope,
    admitted: Admitted,
    body: bytes | AsyncIterator[bytes],
    detail: str,
) -> Response:
    """The upstream's answer as it came, but for our Cache-Status member after its own (RFC 9211 §2).

    Args:
        upstream: where it goes.
        http: method and path.
        admitted: header fields and query that go on.
        body: goes on as it is.
        detail: reason word: `route` for what is never cached, else what made this call an exception.

    Raises:
        RequestError: 404, see `upstream_path`.
        OriginError: no response began.
    """
    method: str = http["method"]
    path = upstream_path(http)
    response = await upstream.forward(method, path, admitted.query, admitted.headers, body)
    fwd: Fwd = "bypass" if detail != "route" or method in _SAFE else "method"
    outcome = Outcome(kind="bypass", fwd=fwd, fwd_status=response.status, detail=detail)
    earlier = b", ".join(value for name, value in response.headers if name == b"cache-status")
    kept = [line for line in response.headers if line[0] != b"cache-status"]
    status = (b"cache-status", cache_status(outcome, earlier=earlier))
    return replace(response, headers=(*kept, status), outcome=outcome)
