"""Reads what a call cost that is forwarded uncached, without touching what is passed on."""

from collections.abc import AsyncIterator, Callable, Iterable

from tiered_cache.core.answers import usage_of
from tiered_cache.core.sse import Event, EventParser
from tiered_cache.core.vocabulary import Response, Usage
from tiered_cache.engine.bodies import aclose, field


def metered(endpoint: str, response: Response, book: Callable[[Usage], None]) -> Response:
    """The same response; `book` is called once with its usage, when it is known or the body has ended."""
    if isinstance(response.body, bytes):
        book(usage_of(endpoint, response.body))
        return response
    body = response.body
    if field(response.headers, b"content-type").lower().startswith(b"text/event-stream"):
        response.body = _MeteredStream(endpoint, body, book)
    else:
        book(Usage())
    return response


class LastUsage:
    """What a stream says it cost, read event by event: the last statement counts, never the sum.

    The first one is kept too: in some dialects it has the counts that the last one leaves out.
    """

    __slots__ = ("_endpoint", "_said")

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._said: list[bytes] = []

    def note(self, events: Iterable[Event]) -> None:
        """Look at the next events."""
        for event in events:
            if event.data is not None and b'"usage"' in event.data and b'"usage":null' not in event.data:
                self._said = [*self._said[:1], event.data]

    def usage(self) -> Usage:
        """As far as it is known."""
        return usage_of(self._endpoint, *self._said)


class _MeteredStream(AsyncIterator[bytes]):
    """Chunks as they come."""

    def __init__(self, endpoint: str, chunks: AsyncIterator[bytes], book: Callable[[Usage], None]) -> None:
        self._chunks = chunks
        self._book: Callable[[Usage], None] | None = book
        self._parser = EventParser()
        self._usage = LastUsage(endpoint)

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except BaseException:
            self._settle()
            raise
        self._usage.note(self._parser.feed(chunk))
        return chunk

    def _settle(self) -> None:
        book, self._book = self._book, None
        if book is not None:
            book(self._usage.usage())

    async def aclose(self) -> None:
        """Close the source; what was read so far is booked."""
        self._settle()
        await aclose(self._chunks)
