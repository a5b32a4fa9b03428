"""Reads request bodies: whole up to a limit, or piece by piece while they are sent on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from tiered_cache.core.vocabulary import Headers
from tiered_cache.errors import RequestError
from tiered_cache.gateway.departure import ClientGoneError
from tiered_cache.gateway.wire import Message, Receive

_DISCARD_BYTES = 64 * 2**20
_DISCARD_S = 10.0


class Inlet:
    """A request body on its way in.

    Args:
        receive: the ASGI channel.
        message: the first message, if it has been received.

    Attributes:
        first: the piece of body in `message`.
        begun: something has been received.
        ended: set once the last piece has been received; only then may somebody else use `receive`.
    """

    def __init__(self, receive: Receive, message: Message | None = None) -> None:
        self.receive = receive
        self.ended = asyncio.Event()
        self.begun = False
        self.first = b"" if message is None else self._taken(message)

    async def piece(self) -> bytes:
        """The next piece, perhaps empty. Raises ClientGoneError."""
        return self._taken(await self.receive())

    def _taken(self, message: Message) -> bytes:
        self.begun = True
        if message["type"] == "http.disconnect":
            self.ended.set()
            raise ClientGoneError
        if not message.get("more_body"):
            self.ended.set()
        piece: bytes = message.get("body", b"")
        return piece

    async def read(self, keep_bytes: int, limit_bytes: int | None) -> "bytes | Upload":
        """The whole body, or an upload to be sent on when it outgrows `keep_bytes`.

        Args:
            keep_bytes: the largest body that is held.
            limit_bytes: the largest body that is taken; None is unlimited.

        Raises:
            RequestError: 413, as soon as the limit is passed.
            ClientGoneError: the caller left.
        """
        pieces, size_bytes = [self.first], len(self.first)
        while True:
            if limit_bytes is not None and size_bytes > limit_bytes:
                raise too_large(limit_bytes)
            if self.ended.is_set():
                return b"".join(pieces)
            if size_bytes > keep_bytes:
                return Upload(self, b"".join(pieces), limit_bytes)
            pieces.append(await self.piece())
            size_bytes += len(pieces[-1])

    async def discard(self) -> None:
        """Read on for a while, so that a caller still sending its body comes to read the refusal."""
        left_bytes = _DISCARD_BYTES
        with suppress(ClientGoneError, TimeoutError):
            async with asyncio.timeout(_DISCARD_S):
                while left_bytes > 0 and not self.ended.is_set():
                    left_bytes -= len(await self.piece())


class Upload(AsyncIterator[bytes]):
    """A request body that is sent on while it arrives. Raises ClientGoneError, RequestError 413.

    Args:
        inlet: where it comes from.
        first: what has been received.
        limit_bytes: what the whole may weigh; None is unlimited.
    """

    def __init__(self, inlet: Inlet, first: bytes, limit_bytes: int | None = None) -> None:
        self._inlet = inlet
        self._first = first
        self._limit_bytes = limit_bytes
        self._size_bytes = len(first)

    def __aiter__(self) -> "Upload":
        return self

    async def __anext__(self) -> bytes:
        piece, self._first = self._first, b""
        while not piece:
            if self._inlet.ended.is_set():
                raise StopAsyncIteration
            piece = await self._inlet.piece()
            self._size_bytes += len(piece)
            if self._limit_bytes is not None and self._size_bytes > self._limit_bytes:
                raise too_large(self._limit_bytes)
        return piece


def refuse_declared(headers: Headers, limit_bytes: int | None) -> None:
    """Refuse a body by its announced length, before it is read. Raises RequestError 413."""
    if limit_bytes is not None and declared_bytes(headers) > limit_bytes:
        raise too_large(limit_bytes)


def declared_bytes(headers: Headers) -> int:
    """The length that Content-Length announces; 0 without one."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def too_large(limit_bytes: int) -> RequestError:
    """The refusal of a body over the operator's limit."""
    return RequestError(
        f"The request body is larger than this gateway accepts ({limit_bytes} bytes).",
        413,
        "request_too_large",
    )
