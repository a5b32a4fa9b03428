"""Takes gzip and deflate off response bodies, and knows a cut one from a whole one (RFC 9110 §8.4.1)."""

import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Protocol

import httpx2

INFLATED = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""Codings that are taken off here."""

_PIECE_BYTES = 2**20
"""Much more can come out than went in: no more than this at once."""


async def inflated(chunks: AsyncGenerator[bytes], codings: Sequence[bytes]) -> AsyncGenerator[bytes]:
    """The body without its codings, as it comes.

    Args:
        chunks: the body as it was sent; closed at the end.
        codings: of `INFLATED`, in the order in which they were applied.

    Raises:
        DecodingError: the bytes are not of their coding, or end before it does.
    """
    inflaters = [_Inflater(coding) for coding in reversed(codings)]
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                for piece in _through(inflaters, chunk):
                    yield piece
    except zlib.error as error:
        raise httpx2.DecodingError(str(error)) from error
    if not all(inflater.ended for inflater in inflaters):
        raise httpx2.DecodingError("the body ends before its content coding does")


def _through(inflaters: Sequence["_Inflater"], chunk: bytes) -> Iterator[bytes]:
    if not inflaters:
        yield chunk
        return
    for piece in inflaters[0].pieces(chunk):
        yield from _through(inflaters[1:], piece)


class _Unpacker(Protocol):
    """What is used of zlib's decoders, whose type has no public name."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Inflater:
    """Undoes one coding."""

    def __init__(self, coding: bytes) -> None:
        self._gzip = coding != b"deflate"
        self._held = b""
        self._unpacker: _Unpacker | None = None

    @property
    def ended(self) -> bool:
        """Whether the body may end here: behind a trailer, or before anything came."""
        return not self._held and (self._unpacker is None or self._unpacker.eof)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What comes out for the next bytes. Raises zlib.error."""
        self._held += data
        while self._held:
            if self._unpacker is None or self._unpacker.eof:
                if not self._gzip and len(self._held) < 2:
                    return  # the first two bytes tell what it is
                self._unpacker = self._next_member()
            yield from self._inflated(self._unpacker)

    def _inflated(self, unpacker: _Unpacker) -> Iterator[bytes]:
        while piece := unpacker.decompress(self._held, _PIECE_BYTES):
            self._held = unpacker.unconsumed_tail
            yield piece
        self._held = unpacker.unused_data

    def _next_member(self) -> _Unpacker:
        """`deflate` is zlib's format, a bare stream in much software; gzip may have several members."""
        if self._gzip:
            return zlib.decompressobj(wbits=31)
        if self._unpacker is not None:
            raise zlib.error("bytes behind the end")
        wrapped = self._held[0] & 0x0F == 8 and int.from_bytes(self._held[:2]) % 31 == 0
        return zlib.decompressobj(wbits=15 if wrapped else -15)
