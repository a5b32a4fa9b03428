"""Reading response bodies: whole, or as events while they arrive; the source is closed whatever happens."""

from collections.abc import AsyncIterator

from tiered_cache.core.sse import Event, EventParser
from tiered_cache.core.vocabulary import Headers, Response


def field(headers: Headers, name: bytes) -> bytes:
    """The first value of a field, empty when absent."""
    return next((value for key, value in headers if key == name), b"")


def content_length(headers: Headers) -> int:
    """Content-Length, 0 when absent or not a number."""
    value = field(headers, b"content-length")
    return int(value) if value.isdigit() else 0


async def aclose(body: object) -> None:
    """Close an async iterator that can be closed."""
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()


async def closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks; the source is closed at the end, at an error and at cancellation."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await aclose(chunks)


async def whole_body(response: Response) -> bytes:
    """All bytes of a response."""
    body = response.body
    if isinstance(body, bytes):
        return body
    pieces = [chunk async for chunk in closing(body)]
    return b"".join(pieces)


async def pieces_of(response: Response) -> AsyncIterator[list[Event]]:
    """Bytes that are no events, as they arrive: each piece as one that says nothing to a reader of events."""
    body = response.body
    if isinstance(body, bytes):
        yield [_piece(body)]
        return
    async for chunk in closing(body):
        yield [_piece(chunk)]


def _piece(data: bytes) -> Event:
    return Event(raw=data, data=None, name=b"")


async def events_of(response: Response) -> AsyncIterator[list[Event]]:
    """Batches of events as they arrive; bytes after the last whole event come as an event of their own."""
    parser = EventParser()
    body = response.body
    if isinstance(body, bytes):
        yield parser.feed(body)
    else:
        async for chunk in closing(body):
            events = parser.feed(chunk)
            if events:
                yield events
    rest = parser.rest()
    if rest:
        yield [_piece(rest)]
