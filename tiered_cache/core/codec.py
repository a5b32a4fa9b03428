"""Turns an entry into bytes and back; bytes that are not this key's entry are one typed error.

Layout: magic `TC`, format version, flags, length of the key (2 bytes, big-endian), key, MessagePack array
of the entry's fields, XXH3-64 of all before it (8 bytes). The key stands in full, so that no equal checksum
passes another call's bytes. The array is append-only; any other change of the bytes is a new version.
"""

from math import inf

from msgspec import DecodeError
from msgspec.msgpack import Decoder, Encoder
from xxhash import xxh3_64_digest

from tiered_cache.core.sealed import Sealed
from tiered_cache.core.vocabulary import CacheKey, Entry, Lifetime
from tiered_cache.errors import CorruptEntryError

MAGIC = b"TC"
VERSION = 1
FLAGS = 0
"""Reserved for compression and encryption; a reader that does not know a flag must not guess."""

_START = MAGIC + bytes((VERSION, FLAGS))
_CHECKSUM_BYTES = 8
_encode = Encoder().encode
_decode = Decoder(Entry).decode


def seal(key: CacheKey, entry: Entry) -> Sealed:
    """Encode `entry` as the one stored under `key`.

    Raises ValueError for what the format cannot hold: a key over 65,535 bytes, a count beyond 64 bits.
    """
    try:
        whole = _prefix(key) + _encode(entry)
    except OverflowError as error:
        raise ValueError("a number of the entry exceeds 64 bits") from error
    return Sealed(entry, whole + xxh3_64_digest(whole))


def unseal(key: CacheKey, payload: bytes) -> Sealed:
    """Decode what `seal` made for exactly this key. Other bytes raise CorruptEntryError, and nothing else."""
    prefix = _prefix(key)
    whole = memoryview(payload)[:-_CHECKSUM_BYTES]
    if not payload.startswith(prefix):
        raise CorruptEntryError(_what_differs(payload))
    if xxh3_64_digest(whole) != payload[-_CHECKSUM_BYTES:]:
        raise CorruptEntryError("checksum")
    try:
        entry = _decode(whole[len(prefix) :])
    except (DecodeError, UnicodeDecodeError, RecursionError):
        # The cause would quote stored text.
        raise CorruptEntryError("structure") from None
    if not _is_possible(entry.lifetime):
        raise CorruptEntryError("lifetime")
    return Sealed(entry, payload)


def _prefix(key: CacheKey) -> bytes:
    if len(key) > 0xFFFF:
        raise ValueError("a cache key has at most 65535 bytes")
    return b"%b%b%b" % (_START, len(key).to_bytes(2, "big"), key)


def _what_differs(payload: bytes) -> str:
    """Which part of the start is not what it must be."""
    if not payload.startswith(MAGIC):
        return "magic"
    if len(payload) < len(_START) or payload[2] != VERSION:
        return "version"
    return "flags" if payload[3] != FLAGS else "key"


def _is_possible(lifetime: Lifetime) -> bool:
    """Whether the windows are durations; NaN fails every comparison."""
    return (
        0.0 <= lifetime.fresh_s < inf
        and 0.0 <= lifetime.stale_while_revalidate_s < inf
        and 0.0 <= lifetime.stale_if_error_s < inf
    )
