"""What an origin's response must be to be handed on: no control bytes in fields, a status, a whole coding."""

import gzip
import zlib

import httpx2
import pytest

from tests.integration.raw_server import Exchange, RawServer
from tiered_cache.core.vocabulary import Request, Response
from tiered_cache.errors import OriginCutError, OriginUnreachableError
from tiered_cache.integrations.origin import HttpOrigin

ANSWER = b'{"id":"a","choices":[]}'
EVENTS = b"data: 1\n\ndata: [DONE]\n\n"


def call() -> Request:
    return Request("chat/completions", b"{}", None, (), b"")


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


async def read(response: Response) -> bytes:
    body = response.body
    return body if isinstance(body, bytes) else await body.whole()


async def asked(handler, *, forwarded: bool = False) -> Response:
    """What a call of either kind gives, its body read."""
    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        try:
            if forwarded:
                response = await origin.forward("GET", "models", b"", (), b"")
            else:
                response = await origin(call())
            return Response(response.status, response.headers, await read(response))
        finally:
            await origin.aclose()


@pytest.mark.parametrize("control", [b"\x00", b"\x01", b"\x1b[0m", b"\x7f"])
@pytest.mark.parametrize("forwarded", [False, True])
async def test_a_field_with_a_control_byte_is_not_handed_on(control, forwarded):
    async def handler(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nx-note: a%bb\r\nx-tab: a\tb\r\nx-latin: \xe9\r\nx-empty:\r\n" % control
        await exchange.send(head + b"content-length: 2\r\n\r\n{}")

    try:
        response = await asked(handler, forwarded=forwarded)
    except OriginUnreachableError:
        assert control == b"\x00"  # h11 refuses this one itself
        return
    assert response.headers == (
        (b"x-tab", b"a\tb"),
        (b"x-latin", b"\xe9"),
        (b"x-empty", b""),
        (b"content-length", b"2"),
    )


@pytest.mark.parametrize("status", ["101", "099", "600", "999"])
@pytest.mark.parametrize("forwarded", [False, True])
async def test_a_status_that_http_does_not_know_is_no_answer(status, forwarded):
    async def handler(exchange: Exchange) -> None:
        await exchange.send(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}".encode())

    with pytest.raises(OriginUnreachableError):
        await asked(handler, forwarded=forwarded)


CUT = {
    "gzip without trailer": ("gzip", gzip.compress(EVENTS)[:-8]),
    "gzip with half a trailer": ("gzip", gzip.compress(EVENTS)[:-3]),
    "gzip cut in the middle": ("gzip", gzip.compress(EVENTS)[:-14]),
    "gzip with a wrong sum": ("gzip", gzip.compress(EVENTS)[:-8] + bytes(8)),
    "the header of gzip alone": ("gzip", gzip.compress(EVENTS)[:10]),
    "a second member cut": ("gzip", gzip.compress(EVENTS) + gzip.compress(EVENTS)[:-8]),
    "rubbish behind gzip": ("gzip", gzip.compress(EVENTS) + b"rubbish"),
    "deflate without trailer": ("deflate", zlib.compress(EVENTS)[:-4]),
    "one byte of deflate": ("deflate", zlib.compress(EVENTS)[:1]),
    "bare deflate cut": ("deflate", bare(EVENTS)[:-2]),
    "rubbish behind deflate": ("deflate", zlib.compress(EVENTS) + zlib.compress(EVENTS)),
    "the inner of two cut": ("gzip, gzip", gzip.compress(gzip.compress(EVENTS)[:-8])),
}


@pytest.mark.parametrize(("coding", "packed"), CUT.values(), ids=CUT.keys())
@pytest.mark.parametrize("media_type", ["application/json", "text/event-stream"])
async def test_a_coding_that_does_not_end_is_a_cut_body(coding, packed, media_type):
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(200, packed, f"content-encoding: {coding}", content_type=media_type)

    with pytest.raises(OriginCutError):
        await asked(handler)


WHOLE = {
    "gzip": ("content-encoding: gzip", gzip.compress(ANSWER)),
    "several members": ("content-encoding: gzip", gzip.compress(ANSWER[:9]) + gzip.compress(ANSWER[9:])),
    "deflate": ("content-encoding: deflate", zlib.compress(ANSWER)),
    "bare deflate": ("content-encoding: deflate", bare(ANSWER)),
    "two codings": ("content-encoding: deflate, gzip", gzip.compress(zlib.compress(ANSWER))),
    "two lines": (
        "content-encoding: deflate\r\ncontent-encoding: gzip",
        gzip.compress(zlib.compress(ANSWER)),
    ),
}


@pytest.mark.parametrize(("lines", "packed"), WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("piece_bytes", [1, 3, 1000])
async def test_a_coded_body_is_read_whole_however_it_is_cut_into_pieces(lines, packed, piece_bytes):
    async def handler(exchange: Exchange) -> None:
        await exchange.begin_chunked(*lines.split("\r\n"), content_type="application/json")
        for start in range(0, len(packed), piece_bytes):
            await exchange.chunk(packed[start : start + piece_bytes])
        await exchange.end_chunked()

    assert (await asked(handler)).body == ANSWER


async def test_much_that_was_packed_small_comes_whole():
    many = bytes(9 * 2**20 + 1)

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(200, gzip.compress(many), "content-encoding: gzip")

    assert (await asked(handler)).body == many


async def test_a_coded_answer_without_a_body_is_whole():
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(500, b"", "content-encoding: gzip")

    assert (await asked(handler)).body == b""


async def test_a_transport_that_gives_loaded_responses_may_code_them():
    def respond(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx2.Response(200, headers=headers, content=gzip.compress(ANSWER))

    origin = HttpOrigin("http://origin.example/v1", transport=httpx2.MockTransport(respond))
    assert (await origin(call())).body == ANSWER


@pytest.mark.parametrize("media_type", ["Text/Event-Stream", "TEXT/EVENT-STREAM; charset=UTF-8"])
async def test_a_stream_is_one_in_any_letter_case(media_type):
    """RFC 9110 §8.3.1: type and subtype are case-insensitive."""

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(200, EVENTS, content_type=media_type)

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        response = await origin(call())
        assert not isinstance(response.body, bytes)
        assert await response.body.whole() == EVENTS
        await origin.aclose()
