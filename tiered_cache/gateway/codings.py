"""Reads bodies that carry a Content-Encoding, and never unpacks more than the limit (RFC 9110 §8.4)."""

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from tiered_cache.core.zstd import zstd_module

_MEMBERS = 64
"""Parts that one body may be packed in; copying what follows each would otherwise cost time without bound."""


class _Unpacker(Protocol):
    """What zlib's and zstd's incremental decoders have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class TooLargeError(Exception):
    """The unpacked body is over the limit. Never leaves the gateway."""


class UndecodableError(Exception):
    """The coding is unknown here, or the bytes are not of that coding. Never leaves the gateway."""


def unpack(coding: bytes, packed: bytes, limit_bytes: int) -> bytes:
    """The body without its coding.

    Args:
        coding: value of Content-Encoding.
        packed: the body as it came.
        limit_bytes: what the result may weigh; at most one byte more is ever unpacked.

    Raises:
        TooLargeError: the result would be larger.
        UndecodableError: an unknown coding, several codings, broken or cut bytes.
    """
    make = UNPACKERS.get(coding.strip().lower())
    if make is None:
        raise UndecodableError
    try:
        return _unpack(make, packed, limit_bytes)
    except _BROKEN as error:
        raise UndecodableError from error


def _unpack(make: Callable[[bytes], _Unpacker], packed: bytes, limit_bytes: int) -> bytes:
    pieces: list[bytes] = []
    room = limit_bytes + 1
    for _ in range(_MEMBERS):
        unpacker = make(packed)
        pieces.append(unpacker.decompress(packed, room))
        room -= len(pieces[-1])
        if room <= 0:
            raise TooLargeError
        if not unpacker.eof:
            raise UndecodableError
        packed = unpacker.unused_data
        if not packed:
            return b"".join(pieces)
    raise UndecodableError


def _gzip(_: bytes) -> _Unpacker:
    return zlib.decompressobj(wbits=31)


def _deflate(packed: bytes) -> _Unpacker:
    """`deflate` is zlib's format by the standard, a bare stream in much software: the first bytes tell."""
    wrapped = len(packed) >= 2 and packed[0] & 0x0F == 8 and int.from_bytes(packed[:2]) % 31 == 0
    return zlib.decompressobj(wbits=15 if wrapped else -15)


_ZSTD = zstd_module()
_BROKEN: tuple[type[Exception], ...] = (zlib.error,) if _ZSTD is None else (zlib.error, _ZSTD.ZstdError)


def _zstd(_: bytes) -> _Unpacker:
    unpacker: _Unpacker = _ZSTD.ZstdDecompressor()
    return unpacker


def _known() -> Mapping[bytes, Callable[[bytes], _Unpacker]]:
    known = {b"gzip": _gzip, b"x-gzip": _gzip, b"deflate": _deflate}
    return MappingProxyType(known if _ZSTD is None else {**known, b"zstd": _zstd})


UNPACKERS = _known()
"""Codings that are read for the key; bodies in others are forwarded uncached."""
