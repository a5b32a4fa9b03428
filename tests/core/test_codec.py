"""Entry bytes: a written-down layout per version; bytes that are not this key's entry are one typed error."""

from pathlib import Path
from struct import unpack_from

import msgspec
import pytest
from msgspec import structs
from xxhash import xxh3_64

from tiered_cache.core import codec
from tiered_cache.core.codec import seal, unseal
from tiered_cache.core.sealed import Sealed
from tiered_cache.core.vocabulary import CacheKey, Entry, Lifetime, Usage
from tiered_cache.errors import CorruptEntryError

KEY = CacheKey(bytes(range(33)))
ENTRY = Entry(
    endpoint="chat/completions",
    form="json",
    status=200,
    headers=((b"content-type", b"application/json"), (b"openai-version", b"2020-10-01")),
    body='{"id":"1","choices":[{"text":"Grüße"}]}'.encode(),
    locked=False,
    has_usage=True,
    content_class="chat",
    model="openai/gpt-4o",
    usage=Usage(12, 34, 5, 210_000_000),
    lifetime=Lifetime(600.0, 0.0, 3600.0, "unstated"),
    origin_s=1.25,
    origin_request_id=b"req-1",
)


class Vector(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    key: str
    entry: Entry
    payload: str
    earlier: list[str]


VECTORS = msgspec.json.decode(
    (Path(__file__).parent / "vectors" / "entry_v1.json").read_bytes(), type=list[Vector]
)


def with_checksum(whole: bytes) -> bytes:
    return whole + xxh3_64(whole).digest()


def forged(fields: object) -> bytes:
    """Bytes with every seal in place around a body of our choice."""
    return with_checksum(b"TC\x01\x00\x00\x21" + KEY + msgspec.msgpack.encode(fields))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_the_bytes_of_version_1_never_change(vector):
    key = CacheKey(bytes.fromhex(vector.key))
    assert seal(key, vector.entry).payload.hex() == vector.payload
    assert unseal(key, bytes.fromhex(vector.payload)).entry == vector.entry


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_what_builds_wrote_before_a_field_was_appended_is_still_read(vector):
    """Nodes of two builds share a tier while they are replaced one by one."""
    for payload in vector.earlier:
        assert unseal(CacheKey(bytes.fromhex(vector.key)), bytes.fromhex(payload)).entry == vector.entry


def test_the_layout_is_the_documented_one():
    payload = seal(KEY, ENTRY).payload
    magic, version, flags, key_length = unpack_from(">2sBBH", payload)
    assert (magic, version, flags, key_length) == (b"TC", 1, 0, 33)
    assert payload[6:39] == KEY
    assert msgspec.msgpack.decode(payload[39:-8])[:3] == ["chat/completions", "json", 200]
    assert payload[-8:] == xxh3_64(payload[:-8]).digest()


def test_what_is_sealed_comes_back_whole_with_its_bytes():
    sealed = seal(KEY, ENTRY)
    assert sealed.entry is ENTRY
    assert unseal(KEY, sealed.payload) == sealed


@pytest.mark.parametrize(
    "changes",
    [
        {"body": b"", "headers": (), "model": "", "origin_request_id": b""},
        {"usage": Usage(0, 0, 0, 0)},
        {"usage": Usage(cost_picousd=None), "has_usage": False},
        {"lifetime": Lifetime(0.0)},
        {"form": "sse", "locked": True, "body": b"data: [DONE]\n\n", "timing": b"\0\0"},
        {"body": bytes(range(256)) * 5000},
    ],
    ids=["empty", "zero-cost", "unpriced", "zero-lifetime", "stream", "large"],
)
def test_edge_values_come_back_as_they_were(changes):
    entry = structs.replace(ENTRY, **changes)
    assert unseal(KEY, seal(KEY, entry).payload).entry == entry


def test_another_keys_bytes_are_corrupt():
    payload = seal(KEY, ENTRY).payload
    for other in (b"", KEY[:-1], KEY + b"\0", KEY[:-1] + b"\xff", b"\xff" + KEY[1:]):
        with pytest.raises(CorruptEntryError):
            unseal(CacheKey(other), payload)


def test_another_keys_bytes_are_corrupt_even_if_every_checksum_were_equal(monkeypatch):
    """SEMANTICS §1: with the fast hash a constant nobody may get another call's answer."""
    monkeypatch.setattr(codec, "xxh3_64_digest", lambda _: b"constant")
    payload = seal(KEY, ENTRY).payload
    assert unseal(KEY, payload).entry == ENTRY
    with pytest.raises(CorruptEntryError):
        unseal(CacheKey(bytes(33)), payload)


def test_each_flipped_bit_is_noticed():
    payload = seal(KEY, ENTRY).payload
    for position in range(len(payload)):
        for bit in range(8):
            damaged = bytearray(payload)
            damaged[position] ^= 1 << bit
            with pytest.raises(CorruptEntryError):
                unseal(KEY, bytes(damaged))


def test_each_truncation_and_an_extension_are_noticed():
    payload = seal(KEY, ENTRY).payload
    for length in range(len(payload)):
        with pytest.raises(CorruptEntryError):
            unseal(KEY, payload[:length])
    for tail in (b"\0", payload):
        with pytest.raises(CorruptEntryError):
            unseal(KEY, payload + tail)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "magic"),
        (b"XX", "magic"),
        (b"TC", "version"),
        (b"TC\x01", "version"),
        (b"TC\x02\x00", "version"),
        (b"TC\x01\x02", "flags"),
        (b"TC\x01\x00\x00\x00", "key"),
        (b"TC\x01\x00\x00\x21" + KEY, "checksum"),
        (b"TC\x01\x00\x00\x21" + KEY + bytes(8), "checksum"),
        (with_checksum(b"TC\x01\x00\x00\x21" + KEY), "structure"),
    ],
)
def test_the_error_says_which_part_is_wrong_and_nothing_of_the_content(payload, reason):
    with pytest.raises(CorruptEntryError) as raised:
        unseal(KEY, payload)
    assert str(raised.value) == reason
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {"endpoint": "x"},
        ["chat/completions"],
        ["chat/completions", "neither", 200, [], b"", False, True, "chat", "m", [], [1.0], 1.0],
        ["chat/completions", "json", "200", [], b"", False, True, "chat", "m", [], [1.0], 1.0],
        ["chat/completions", "json", 200, [[b"one"]], b"", False, True, "chat", "m", [], [1.0], 1.0],
    ],
)
def test_well_sealed_bytes_of_another_structure_are_corrupt(fields):
    with pytest.raises(CorruptEntryError):
        unseal(KEY, forged(fields))


@pytest.mark.parametrize(
    "raw",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\x9d\xdb\xff\xff\xff\xff",
        b"\x9d\xa2\xff\xfe",
        b"\x91" * 100_000,
        b"\xdc\x00\x0e" + msgspec.msgpack.encode(ENTRY)[1:] + b"\x91" * 100_000 + b"\xc0",
        b"\xc1",
    ],
    ids=["huge-array", "huge-string", "bad-utf8", "deep", "deep-tail", "reserved"],
)
def test_well_sealed_hostile_bytes_are_corrupt(raw):
    with pytest.raises(CorruptEntryError):
        unseal(KEY, with_checksum(b"TC\x01\x00\x00\x21" + KEY + raw))


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("window", ["fresh_s", "stale_while_revalidate_s", "stale_if_error_s"])
def test_windows_that_are_no_durations_are_corrupt(window, value):
    entry = structs.replace(ENTRY, lifetime=structs.replace(Lifetime(1.0), **{window: value}))
    with pytest.raises(CorruptEntryError, match="lifetime"):
        unseal(KEY, seal(KEY, entry).payload)


def test_fields_that_a_later_build_appends_are_passed_over():
    fields = [*msgspec.msgpack.decode(msgspec.msgpack.encode(ENTRY)), "from the future"]
    assert unseal(KEY, forged(fields)).entry == ENTRY


def test_what_the_format_cannot_hold_is_refused_when_sealing():
    with pytest.raises(ValueError, match="64 bits"):
        seal(KEY, structs.replace(ENTRY, usage=Usage(prompt_tokens=2**64)))
    with pytest.raises(ValueError, match="65535"):
        seal(CacheKey(bytes(65536)), ENTRY)
    longest = CacheKey(bytes(65535))
    assert isinstance(unseal(longest, seal(longest, ENTRY).payload), Sealed)
