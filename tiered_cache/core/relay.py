"""Frames in which a flight's answer is told to other processes: its head, its bytes, how it ended.

Layout: XXH3-64 of what follows (8 bytes), MessagePack array of the frame's fields. The array is append-only.
"""

from typing import Literal, TypeAlias

from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, Encoder
from xxhash import xxh3_64_digest

from tiered_cache.core.vocabulary import Headers
from tiered_cache.errors import CorruptEntryError

End: TypeAlias = Literal["", "whole", "failed", "unshared"]

_CHECKSUM_BYTES = 8
_OF_ONE_CLIENT = frozenset({b"set-cookie", b"set-cookie2", b"www-authenticate", b"proxy-authenticate"})


class RelayHead(Struct, frozen=True, array_like=True):
    """Status and header fields of the origin's response, as they came but for what is one client's.

    Attributes:
        status: HTTP status.
        headers: lower-case names.
        framed: length or chunks told the end of the body.
        counts_tokens: the origin was asked for its token counts where it gives them only on request.
    """

    status: int
    headers: Headers
    framed: bool = True
    counts_tokens: bool = True


class RelayFrame(Struct, frozen=True, array_like=True):
    """What happened since the frame before.

    Attributes:
        data: bytes of the body.
        head: in the first frame, unless the call failed before there was one.
        end: nothing more comes; the body is whole, the call failed, or its answer is not to be shared.
        at: how much of the body was told before.
    """

    data: bytes = b""
    head: RelayHead | None = None
    end: End = ""
    at: int = 0


_encode = Encoder().encode
_decode = Decoder(RelayFrame).decode


def relay_head(status: int, headers: Headers, *, framed: bool, counts_tokens: bool) -> RelayHead:
    """The head that other processes are told."""
    shared = tuple(line for line in headers if line[0] not in _OF_ONE_CLIENT)
    return RelayHead(status, shared, framed, counts_tokens)


def write_frame(frame: RelayFrame) -> bytes:
    """The frame's bytes."""
    body = _encode(frame)
    return xxh3_64_digest(body) + body


def read_frame(raw: bytes) -> RelayFrame:
    """What `write_frame` made. Other bytes raise CorruptEntryError, and nothing else."""
    body = memoryview(raw)[_CHECKSUM_BYTES:]
    if xxh3_64_digest(body) != raw[:_CHECKSUM_BYTES]:
        raise CorruptEntryError("checksum")
    try:
        return _decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise CorruptEntryError("structure") from None
