"""Calls on parsed values: JSON values in, JSON values or an iterator of chunks out."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec
from msgspec import Struct

from tiered_cache.core.answers import closing, is_chunk, write_chunk
from tiered_cache.core.canonical import with_usage_requested
from tiered_cache.core.vocabulary import Ask, Headers, Origin, Outcome, Request, Response, Scope
from tiered_cache.engine.bodies import aclose, events_of
from tiered_cache.errors import OriginCutError, OriginStatusError

Chunks: TypeAlias = AsyncIterator[Mapping[str, Any]]
Fetch: TypeAlias = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any] | Chunks]]
Serve: TypeAlias = Callable[[Request, Origin], Awaitable[Response]]

_JSON: Headers = ((b"content-type", b"application/json"),)
_EVENTS: Headers = ((b"content-type", b"text/event-stream"),)
_UNSTORED: Headers = (*_JSON, (b"cache-control", b"no-store"))

_UNENCODABLE = b'{"unencodable":'
"""Begin of what stands for a value without a JSON form; only the call that fetched it can have it."""

_NO_JSON = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
"""What encoders raise for values that no JSON text stands for: NaN, a lone surrogate, a circle, bytes."""


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
    own = dict(body)
    text = _text(own)
    if text is None:
        # No JSON text stands for this body, so no key does.
        return CallResult(await fetch(own), (), None)
    fetching = _Fetching(endpoint, own, text, fetch)
    response = await serve(Request(endpoint, text, scope, ask=ask), fetching)
    if response.outcome is not None and response.status >= 400:
        if fetching.error is None or response.outcome.collapsed:
            raise OriginStatusError(response.status)
        raise fetching.error
    return CallResult(fetching.value(response), response.headers, response.outcome, response.status)


def _text(body: Mapping[str, Any]) -> bytes | None:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except _NO_JSON:
        return None


class _Fetching:
    """The origin of one call: `fetch` between values and bytes.

    Answers that do not survive becoming JSON are not stored, and are given as they are to the caller whose
    call fetched them.

    Args:
        endpoint: whose dialect the chunks are in.
        body: the caller's.
        text: the same as JSON, as it was keyed.
        fetch: the caller's.

    Attributes:
        error: what `fetch` raised that stands for a whole HTTP response.
    """

    def __init__(self, endpoint: str, body: dict[str, Any], text: bytes, fetch: Fetch) -> None:
        self._endpoint = endpoint
        self._body = body
        self._text = text
        self._fetch = fetch
        self._odd: dict[bytes, Any] = {}
        self.error: Exception | None = None

    async def __call__(self, request: Request) -> Response:
        try:
            answer = await self._fetch(self._asked(request.body))
        except Exception as error:
            status = getattr(error, "status_code", None)
            if type(status) is not int or not 400 <= status <= 599:
                raise
            self.error = error
            return Response(status, _headers_of(error), _body_of(error))
        if isinstance(answer, AsyncIterable):
            return Response(200, _EVENTS, self._events(answer))
        text = self._encoded(answer)
        return Response(200, _UNSTORED if text in self._odd else _JSON, text)

    def _asked(self, sent: bytes) -> dict[str, Any]:
        """The caller's own values with the edit that `sent` has; a copy, as a flight may outlive the call."""
        edited = sent != self._text
        if _text(self._body) != self._text or (edited and sent != with_usage_requested(self._text)):
            # The caller has changed them since they were keyed, or the edit is another.
            decoded: dict[str, Any] = msgspec.json.decode(sent)
            return decoded
        try:
            asked: dict[str, Any] = _copied(self._body)
        except RecursionError:
            asked = self._body  # too deep to be cached, so nobody shares it
        if edited:
            asked["stream_options"] = {**(asked.get("stream_options") or {}), "include_usage": True}
        return asked

    async def _events(self, chunks: AsyncIterable[Mapping[str, Any]]) -> AsyncIterator[bytes]:
        """Without an end behind a chunk that did not survive, so that the stream is not stored."""
        try:
            async for chunk in chunks:
                text = self._encoded(chunk)
                yield write_chunk(self._endpoint, text, survives=text not in self._odd)
        finally:
            await aclose(chunks)
        if not self._odd:
            yield closing(self._endpoint)

    def _encoded(self, value: Any) -> bytes:
        """JSON that stands for `value`; remembers a value that would not come back the same."""
        try:
            text = msgspec.json.encode(value)
            survives = isinstance(value, Mapping) and msgspec.json.decode(text) == value
        except _NO_JSON:
            text, survives = b"%b%d}" % (_UNENCODABLE, len(self._odd)), False
        if not survives:
            self._odd[text] = value
        return text

    def value(self, response: Response) -> Any:
        """What the caller gets for this response."""
        headers, body = dict(response.headers), response.body
        if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            return self._chunks(body)
        return self._decoded(body) if isinstance(body, bytes) and body else None

    async def _chunks(self, body: bytes | AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for events in events_of(Response(200, (), body)):
            for event in events:
                if event.data is not None and is_chunk(self._endpoint, event):
                    yield self._decoded(event.data)

    def _decoded(self, text: bytes) -> Any:
        if text in self._odd:
            return self._odd[text]
        if text.startswith(_UNENCODABLE):
            raise OriginCutError("a chunk of the call that was shared has no JSON form")
        return msgspec.json.decode(text)


def _copied(value: Any) -> Any:
    """The same JSON value in containers of its own."""
    if isinstance(value, dict):
        return {name: _copied(member) for name, member in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        elements = [_copied(element) for element in cast("list[Any]", value)]
        return elements if isinstance(value, list) else tuple(elements)
    return value


def _headers_of(error: Exception) -> Headers:
    """The field lines of the HTTP response that an SDK's exception carries."""
    fields: Any = getattr(getattr(error, "response", None), "headers", None)
    if not hasattr(fields, "items"):
        return ()
    return tuple([(_latin(name).lower(), _latin(value)) for name, value in fields.items()])


def _latin(text: object) -> bytes:
    return str(text).encode("latin-1", "replace")


def _body_of(error: Exception) -> bytes:
    """What that response said: an edit of ours that the origin refused is named there."""
    try:
        return msgspec.json.encode(getattr(error, "body", None) or {})
    except _NO_JSON:
        return b"{}"
