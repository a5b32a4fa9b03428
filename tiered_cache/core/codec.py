"""Turns an entry into bytes and back; bytes that are not this key's entry are one typed error.

Layout: magic `TC`, format version, flags, length of the key (2 bytes, big-endian), key, MessagePack array
of the entry's fields, XXH3-64 of all before it (8 bytes). The key stands in full, so that no equal checksum
passes another call's bytes. The array is append-only; any other change of the bytes is a new version.
Flag 1 says that the array is a zstd frame.
"""

from math import inf

from msgspec import DecodeError
from msgspec.msgpack import Decoder, Encoder
from xxhash import xxh3_64_digest

from tiered_cache.core import zstd
from tiered_cache.core.sealed import Sealed
from tiered_cache.core.vocabulary import CacheKey, Entry, Lifetime
from tiered_cache.errors import CorruptEntryError, ForeignEntryError

MAGIC = b"TC"
VERSION = 1
PLAIN = 0
COMPRESSED = 1
"""Flags; the other bits are reserved for encryption. A reader that does not know a flag must not guess."""

MAX_PLAIN_BYTES = 64 * 2**20
"""What a compressed entry may hold."""
_LEAST_SAVED = 1 / 8
_START = MAGIC + bytes((VERSION, PLAIN))
_COMPRESSED_START = MAGIC + bytes((VERSION, COMPRESSED))
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


def packed(key: CacheKey, payload: bytes) -> bytes:
    """The compressed form of what `seal` made; `payload` itself where that saves little, or without zstd."""
    if zstd.ZSTD is None:
        return payload
    start = len(_prefix(key))
    frame = zstd.compress(payload[start:-_CHECKSUM_BYTES])
    if len(frame) > (len(payload) - start) * (1 - _LEAST_SAVED):
        return payload
    whole = _prefix(key, COMPRESSED) + frame
    return whole + xxh3_64_digest(whole)


def unseal(key: CacheKey, payload: bytes) -> Sealed:
    """Decode what `seal` or `packed` made for exactly this key; the result's payload is what `seal` made.

    Other bytes raise CorruptEntryError, and nothing else; what another build can read, ForeignEntryError.
    """
    prefix = _prefix(key)
    if not payload.startswith(prefix):
        payload = _unpacked(key, payload)
    if not _is_whole(payload):
        raise CorruptEntryError("checksum")
    try:
        entry = _decode(payload[len(prefix) : -_CHECKSUM_BYTES])
    except (DecodeError, UnicodeDecodeError, RecursionError):
        # The cause would quote stored text.
        raise CorruptEntryError("structure") from None
    if not _is_possible(entry.lifetime):
        raise CorruptEntryError("lifetime")
    return Sealed(entry, payload)


def _unpacked(key: CacheKey, payload: bytes) -> bytes:
    """What was compressed, sealed anew."""
    prefix = _prefix(key, COMPRESSED)
    if not payload.startswith(prefix):
        raise _difference(payload)
    if not _is_whole(payload):
        raise CorruptEntryError("checksum")
    if zstd.ZSTD is None:
        raise ForeignEntryError("compression")
    try:
        plain = zstd.decompress(payload[len(prefix) : -_CHECKSUM_BYTES], MAX_PLAIN_BYTES)
    except ValueError:
        raise CorruptEntryError("compression") from None
    whole = _prefix(key) + plain
    return whole + xxh3_64_digest(whole)


def _prefix(key: CacheKey, flags: int = PLAIN) -> bytes:
    if len(key) > 0xFFFF:
        raise ValueError("a cache key has at most 65535 bytes")
    start = _START if flags == PLAIN else _COMPRESSED_START
    return start + len(key).to_bytes(2, "big") + key


def _difference(payload: bytes) -> CorruptEntryError:
    """Which part of the start is not what it must be; foreign only if the bytes are whole."""
    if not payload.startswith(MAGIC):
        return CorruptEntryError("magic")
    kind = ForeignEntryError if _is_whole(payload) else CorruptEntryError
    if len(payload) < len(_START) or payload[2] != VERSION:
        return kind("version") if payload[2:3] > bytes((VERSION,)) else CorruptEntryError("version")
    return CorruptEntryError("key") if payload[3] in {PLAIN, COMPRESSED} else kind("flags")


def _is_whole(payload: bytes) -> bool:
    """Whether the checksum is right, which ends the bytes of every version."""
    return xxh3_64_digest(memoryview(payload)[:-_CHECKSUM_BYTES]) == payload[-_CHECKSUM_BYTES:]


def _is_possible(lifetime: Lifetime) -> bool:
    """Whether the windows are durations; NaN fails every comparison."""
    return (
        0.0 <= lifetime.fresh_s < inf
        and 0.0 <= lifetime.stale_while_revalidate_s < inf
        and 0.0 <= lifetime.stale_if_error_s < inf
    )
