"""Calls on parsed values: JSON values in, JSON values or an iterator of chunks out."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from tiered_cache.core.answers import ends_stream
from tiered_cache.core.vocabulary import Ask, Headers, Origin, Outcome, Request, Response, Scope
from tiered_cache.engine.bodies import events_of

Chunks: TypeAlias = AsyncIterator[Mapping[str, Any]]
Fetch: TypeAlias = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any] | Chunks]]
Serve: TypeAlias = Callable[[Request, Origin], Awaitable[Response]]

_JSON: Headers = ((b"content-type", b"application/json"),)
_EVENTS: Headers = ((b"content-type", b"text/event-stream"),)


class CallResult(Struct, frozen=True):
    """What a caller of `Cache.call` gets.

    Attributes:
        value: the answer, or an async iterator of chunks for `stream: true`.
        headers: field lines to hand on (Cache-Status, Age, ETag …).
        outcome: how it was answered; None for a call that was not looked at.
        status: 200, 304 or 504.
    """

    value: Any
    headers: Headers
    outcome: Outcome | None
    status: int = 200


async def call(
    serve: Serve,
    endpoint: str,
    body: Mapping[str, Any],
    fetch: Fetch,
    scope: Scope,
    ask: Ask,
) -> CallResult:
    """See `Cache.call`."""
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        # NaN, a lone surrogate or a circle: no JSON text stands for this body, so no key does.
        return CallResult(await fetch(dict(body)), (), None)
    request = Request(endpoint, text, scope, ask=ask)
    response = await serve(request, _origin(fetch))
    return CallResult(_value(endpoint, response), response.headers, response.outcome, response.status)


def _origin(fetch: Fetch) -> Origin:
    async def origin(request: Request) -> Response:
        answer = await fetch(msgspec.json.decode(request.body))
        if isinstance(answer, Mapping):
            return Response(200, _JSON, msgspec.json.encode(answer))
        return Response(200, _EVENTS, _events(answer))

    return origin


async def _events(chunks: Chunks) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield b"data: " + msgspec.json.encode(chunk) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _value(endpoint: str, response: Response) -> Any:
    headers = dict(response.headers)
    if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
        return _chunks(endpoint, response.body)
    return msgspec.json.decode(response.body) if isinstance(response.body, bytes) and response.body else None


async def _chunks(endpoint: str, body: bytes | AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    async for events in events_of(Response(200, (), body)):
        for event in events:
            if event.data is not None and not ends_stream(endpoint, event):
                yield msgspec.json.decode(event.data)
