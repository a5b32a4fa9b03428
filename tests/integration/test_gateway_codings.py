"""Bodies with a Content-Encoding: read for the key, forwarded as they came, never unpacked beyond the limit."""

import gzip
import tracemalloc
import zlib

import pytest
from backports import zstd

from tests.integration.gateway_kit import JSON, KEY, Upstream, ask, chat, gateway
from tiered_cache.gateway.codings import TooLargeError, UndecodableError, unpack


def _bare_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


PACKERS = [
    (b"gzip", gzip.compress),
    (b"GZIP", gzip.compress),
    (b"x-gzip", gzip.compress),
    (b"deflate", zlib.compress),
    (b"deflate", _bare_deflate),
    (b"zstd", zstd.compress),
]


@pytest.mark.parametrize(("coding", "pack"), PACKERS)
class TestUnpack:
    def test_gives_the_bytes_that_were_packed(self, coding, pack):
        assert unpack(coding, pack(b"hello" * 100), 500) == b"hello" * 100

    def test_an_empty_body_unpacks_to_one(self, coding, pack):
        assert unpack(coding, pack(b""), 0) == b""

    def test_one_byte_over_the_limit_is_too_large(self, coding, pack):
        with pytest.raises(TooLargeError):
            unpack(coding, pack(b"x" * 501), 500)

    def test_cut_bytes_are_undecodable_at_every_length(self, coding, pack):
        packed = pack(b"hello, how are you?")
        for end in range(len(packed)):
            with pytest.raises(UndecodableError):
                unpack(coding, packed[:end], 1000)

    def test_a_bomb_is_never_unpacked_beyond_the_limit(self, coding, pack):
        bomb = pack(b"\0" * 50_000_000)
        tracemalloc.start()
        try:
            with pytest.raises(TooLargeError):
                unpack(coding, bomb, 100_000)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(("coding", "pack"), [(b"gzip", gzip.compress), (b"zstd", zstd.compress)])
def test_several_members_are_one_body_but_not_without_bound(coding, pack):
    assert unpack(coding, pack(b"a") + pack(b"b"), 2) == b"ab"
    with pytest.raises(TooLargeError):
        unpack(coding, pack(b"a") * 3, 2)
    with pytest.raises(UndecodableError):
        unpack(coding, pack(b"") * 10_000, 2)


@pytest.mark.parametrize("coding", [b"br", b"compress", b"gzip, gzip", b"nonsense", b""])
def test_other_codings_are_undecodable(coding):
    with pytest.raises(UndecodableError):
        unpack(coding, b"whatever", 1000)


def _fields(coding: bytes):
    return (KEY, JSON, (b"content-encoding", coding))


@pytest.mark.parametrize(("coding", "pack"), PACKERS)
async def test_a_packed_call_hits_the_entry_of_the_plain_one_and_goes_on_as_it_came(coding, pack):
    upstream = Upstream()
    packed = pack(chat())
    async with gateway(upstream) as app:
        first = await ask(app, packed, headers=_fields(coding))
        plain = await ask(app, chat())
        again = await ask(app, packed[:5], packed[5:], headers=_fields(coding))
    assert "fwd=uri-miss" in first.cache_status
    assert upstream.requests[0].body == packed
    assert (b"content-encoding", coding) in upstream.requests[0].headers
    assert "; hit" in plain.cache_status
    assert "; hit" in again.cache_status


async def test_a_packed_call_with_another_meaning_misses():
    async with gateway() as app:
        await ask(app, gzip.compress(chat("one")), headers=_fields(b"gzip"))
        other = await ask(app, gzip.compress(chat("two")), headers=_fields(b"gzip"))
    assert "; hit" not in other.cache_status


@pytest.mark.parametrize(
    ("coding", "body", "detail"),
    [
        (b"br", b"whatever", "content-coding"),
        (b"gzip, gzip", gzip.compress(gzip.compress(chat())), "content-coding"),
        (b"gzip", b"not gzip", "content-coding"),
        (b"gzip", gzip.compress(chat())[:-4], "content-coding"),
        (b"gzip", gzip.compress(chat("x" * 100_000)), "too-large"),
    ],
)
async def test_what_cannot_be_read_is_forwarded_uncached_as_it_came(coding, body, detail):
    upstream = Upstream()
    async with gateway(upstream, max_body_bytes=50_000) as app:
        for _ in range(2):
            answered = await ask(app, body, headers=_fields(coding))
            assert answered.status == 200
            assert f"fwd=bypass; fwd-status=200; detail={detail}" in answered.cache_status
    assert [request.body for request in upstream.requests] == [body, body]


async def test_identity_is_no_coding():
    async with gateway() as app:
        await ask(app, chat())
        assert "; hit" in (await ask(app, chat(), headers=_fields(b"identity"))).cache_status


async def test_a_packed_body_that_holds_no_json_is_400():
    async with gateway() as app:
        assert (await ask(app, gzip.compress(b"{"), headers=_fields(b"gzip"))).status == 400
