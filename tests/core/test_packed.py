"""Compressed entries: read as what they were sealed from, by who has zstd, and left alone by who has not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from xxhash import xxh3_64_digest

from tests.core.test_codec import ENTRY, KEY
from tiered_cache.core import codec, zstd
from tiered_cache.core.codec import packed, seal, unseal
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.errors import CorruptEntryError, ForeignEntryError

LONG = seal(KEY, replace(ENTRY, body=b"an answer that repeats itself " * 400))
PACKED = packed(KEY, LONG.payload)
# What zstd 1.5 at level 1 made of the entry of `test_codec`, written down: later builds must read it.
WRITTEN = bytes.fromhex(
    "544301010021000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2028b52ffd6064"
    "009d0500140a9fb0636861742f636f6d706c6574696f6e73a46a736f6eccc89292c40c636f6e74656e742d7479"
    "7065c4106170706c69636174696f6e2f6a736f6e92c40e6f70656e61692d76657273696f6ec40a323032302d31"
    "302d3031c4b448656c6c6f20c2c3a463686174ad2f6770742d346f940c2205ce0c84588094cb4082c000000000"
    "00cb000000cb40ac20a8756e737461746564cb3ff400c4057265712d31c4009005003425b19c39d5c6d660115c"
    "852a5139958518689e4727"
)


def test_a_compressed_entry_is_what_it_was_sealed_from():
    assert len(PACKED) < len(LONG.payload) / 8
    assert unseal(KEY, PACKED) == LONG


def test_the_layout_is_the_documented_one():
    assert PACKED[:6] == b"TC\x01\x01\x00\x21"
    assert PACKED[6:39] == KEY
    assert zstd.decompress(PACKED[39:-8], 2**20) == LONG.payload[39:-8]
    assert PACKED[-8:] == xxh3_64_digest(PACKED[:-8])


def test_bytes_that_were_written_once_are_read_for_ever():
    assert unseal(KEY, WRITTEN).entry == replace(ENTRY, body=b"Hello " * 30)


def test_what_hardly_shrinks_stays_as_it_is():
    noise = seal(KEY, replace(ENTRY, body=b"".join(xxh3_64_digest(b"%d" % n) for n in range(500))))
    assert packed(KEY, noise.payload) is noise.payload


def test_without_zstd_nothing_is_compressed_and_what_is_stays_where_it_is(monkeypatch):
    monkeypatch.setattr(zstd, "ZSTD", None)
    assert packed(KEY, LONG.payload) is LONG.payload
    with pytest.raises(ForeignEntryError, match="compression"):
        unseal(KEY, PACKED)
    with pytest.raises(CorruptEntryError, match="checksum") as caught:
        unseal(KEY, PACKED[:-1] + b"\0")
    assert not isinstance(caught.value, ForeignEntryError)


@pytest.mark.parametrize("start", [b"TC\x02\x00", b"TC\x09\x01", b"TC\x01\x02", b"TC\x01\x83"])
def test_a_later_version_and_an_unknown_flag_are_another_builds(start):
    whole = start + LONG.payload[4:-8]
    with pytest.raises(ForeignEntryError):
        unseal(KEY, whole + xxh3_64_digest(whole))
    with pytest.raises(CorruptEntryError) as caught:
        unseal(KEY, whole + LONG.payload[-8:])  # a flipped bit is no other build
    assert not isinstance(caught.value, ForeignEntryError)


def test_another_keys_compressed_bytes_are_corrupt_even_if_every_checksum_were_equal(monkeypatch):
    monkeypatch.setattr(codec, "xxh3_64_digest", lambda _: b"constant")
    payload = packed(KEY, LONG.payload[:-8] + b"constant")
    assert unseal(KEY, payload).entry == LONG.entry
    with pytest.raises(CorruptEntryError, match="key"):
        unseal(CacheKey(bytes(33)), payload)


def test_each_flipped_bit_and_each_truncation_is_noticed():
    for position in range(len(PACKED)):
        damaged = bytearray(PACKED)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(CorruptEntryError):
            unseal(KEY, bytes(damaged))
        with pytest.raises(CorruptEntryError):
            unseal(KEY, PACKED[:position])


def forged(frame):
    whole = b"TC\x01\x01\x00\x21" + KEY + frame
    return whole + xxh3_64_digest(whole)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"no frame",
        zstd.compress(b""),
        zstd.compress(b"\xc1"),
        zstd.compress(LONG.payload[39:-8])[:-3],
        zstd.compress(LONG.payload[39:-8]) + b"\0",
        zstd.compress(LONG.payload[39:-8]) * 2,
    ],
    ids=["nothing", "noise", "empty", "structure", "cut", "tail", "twice"],
)
def test_well_sealed_bytes_that_are_no_frame_of_an_entry_are_corrupt(frame):
    with pytest.raises(CorruptEntryError):
        unseal(KEY, forged(frame))


def test_a_frame_that_grows_beyond_the_limit_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(codec, "MAX_PLAIN_BYTES", 2**20)
    with pytest.raises(CorruptEntryError, match="compression"):
        unseal(KEY, forged(zstd.compress(bytes(2**20 + 1))))


@given(st.binary(max_size=200))
def test_any_frame_is_an_entry_or_that_error(frame):
    with pytest.raises(CorruptEntryError):
        unseal(KEY, forged(frame))
