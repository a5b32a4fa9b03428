"""The real OpenAI SDK has speech through gateway and transports, byte for byte, and pays once a recording."""

import asyncio
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest

from tests.integration.gateway_kit import JSON, KEY, Pieces, Upstream, Wire, ask, gateway
from tests.integration.raw_server import RawServer
from tests.integration.test_sdk_embeddings import WAYS as EMBEDDING_WAYS
from tiered_cache import BlockingCache, Cache
from tiered_cache.core.vocabulary import Response
from tiered_cache.errors import OriginCutError
from tiered_cache.integrations.origin import HttpOrigin
from tiered_cache.integrations.transport import CacheTransport

BASE = "http://gateway.test/v1"
MP3 = bytes(range(256)) * 200 + b"\n\ndata: [DONE]\n\n"
CALL = {"model": "openai/gpt-4o-mini-tts", "voice": "alloy", "input": "Hello"}
PATH = "/v1/audio/speech"
RAW = b'{"model":"openai/gpt-4o-mini-tts","voice":"alloy","input":"Hello"}'


class Origin:
    """Speaks: the same bytes for every call, and knows how often it was asked."""

    def __init__(self, body=MP3, media="audio/mpeg"):
        self.body, self.media = body, media
        self.calls = 0

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.path.endswith(("/audio/speech", "/audio/translations"))
        await request.aread()
        self.calls += 1
        return httpx2.Response(200, headers={"content-type": self.media}, content=self.body)

    def upstream(self) -> Upstream:
        def give(_request):
            self.calls += 1
            middle = len(self.body) // 2
            media = (b"content-type", self.media.encode())
            return Response(200, (media,), Pieces(self.body[:middle], self.body[middle:]))

        return Upstream(give)


@asynccontextmanager
async def sdk(way, origin):
    async with (
        way(origin) as http,
        openai.AsyncOpenAI(base_url=BASE, api_key="rqy_one", max_retries=0, http_client=http) as opened,
    ):
        yield opened


async def spoken(opened, **fields):
    raw = await opened.audio.speech.with_raw_response.create(**CALL, **fields)
    return raw.content, raw.headers


@pytest.mark.parametrize("way", EMBEDDING_WAYS)
async def test_a_recording_is_paid_once_and_is_the_same_bytes(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        first, miss = await spoken(opened)
        again, hit = await spoken(opened)
        other, _ = await spoken(opened, response_format="mp3")

    assert first == again == other == MP3
    assert "fwd=uri-miss" in miss["cache-status"]
    assert "; hit;" in hit["cache-status"]
    assert miss["content-type"] == hit["content-type"] == "audio/mpeg"
    assert hit["content-length"] == str(len(MP3))
    assert "x-tiered-cache-saved-usd" not in hit  # unpriced, never 0
    assert origin.calls == 2


@pytest.mark.parametrize("way", EMBEDDING_WAYS)
async def test_a_program_that_reads_as_it_comes_gets_the_same(way, tmp_path):
    origin = Origin(media="audio/wav")
    async with sdk(way, origin) as opened:
        for number in range(2):
            async with opened.audio.speech.with_streaming_response.create(**CALL) as told:
                await told.stream_to_file(tmp_path / f"{number}.wav")
    assert [(tmp_path / f"{number}.wav").read_bytes() for number in range(2)] == [MP3, MP3]
    assert origin.calls == 1


def test_a_synchronous_program_hears_the_same():
    origin = Origin()
    with (
        BlockingCache.open() as cache,
        httpx2.Client(transport=CacheTransport(cache, httpx2.MockTransport(origin.handle))) as http,
        openai.OpenAI(base_url=BASE, api_key="k", max_retries=0, http_client=http) as opened,
    ):
        assert [opened.audio.speech.create(**CALL).content for _ in range(3)] == [MP3] * 3
    assert origin.calls == 1


@pytest.mark.parametrize("way", EMBEDDING_WAYS)
@pytest.mark.parametrize(
    ("body", "media"),
    [(b'{"error":{"message":"no"}}', "application/json"), (b"", "audio/mpeg"), (MP3, "text/plain")],
)
async def test_what_is_no_recording_is_passed_on_and_not_stored(way, body, media):
    origin = Origin(body, media)
    async with sdk(way, origin) as opened:
        for _ in range(2):
            told, headers = await spoken(opened)
            assert told == body
            assert headers["content-type"] == media
            assert "hit" not in headers["cache-status"]
    assert origin.calls == 2


@pytest.mark.parametrize("way", EMBEDDING_WAYS)
async def test_a_call_for_events_is_forwarded(way):
    origin = Origin(b'data: {"type":"speech.audio.done"}\n\n', "text/event-stream")
    async with sdk(way, origin) as opened:
        for _ in range(2):
            _, headers = await spoken(opened, stream_format="sse")
            assert headers["cache-status"].endswith("fwd=bypass; fwd-status=200; detail=stream")
    assert origin.calls == 2


def audio(*pieces, length: int | None = None, **told) -> Response:
    lines = ((b"content-type", b"audio/mpeg"),)
    if length is not None:
        lines += ((b"content-length", b"%d" % length),)
    return Response(200, lines, Pieces(*pieces, **told))


async def speak(app, *lines):
    return await ask(app, RAW, path=PATH, headers=(KEY, JSON, *lines))


async def test_a_validator_gets_304_and_other_methods_405():
    async with gateway(Upstream(lambda _: audio(MP3))) as app:
        await speak(app)
        hit = await speak(app)
        told = await speak(app, (b"if-none-match", hit.value("etag").encode()))
        head = await ask(app, path=PATH, method="HEAD")
    assert (told.status, told.body, head.status) == (304, b"", 405)
    assert hit.value("etag").startswith('"')


async def test_calls_at_the_same_time_are_one():
    upstream = Upstream(lambda _: audio(MP3[:5], MP3[5:]))
    upstream.hold = asyncio.Event()
    async with gateway(upstream) as app:
        asked = [asyncio.ensure_future(speak(app)) for _ in range(3)]
        await upstream.arrived.wait()
        await asyncio.sleep(0.01)
        upstream.hold.set()
        told = await asyncio.gather(*asked)
    assert [one.body for one in told] == [MP3] * 3
    assert [one.value("content-type") for one in told] == ["audio/mpeg"] * 3
    assert len(upstream.requests) == 1


async def test_a_cut_recording_never_ends_well_and_is_not_stored():
    """SEMANTICS 5: after delivery a follower is never spliced onto another generation."""
    upstream = Upstream(lambda _: audio(MP3[:7], error=OriginCutError("cut")))
    async with gateway(upstream) as app:
        told = await asyncio.gather(speak(app), speak(app))
        assert [(one.status, one.whole) for one in told] == [(200, False)] * 2
        assert all(MP3.startswith(one.body) for one in told)
        upstream.reply = lambda _: audio(MP3)
        again = await speak(app)
    assert (again.body, again.whole) == (MP3, True)
    assert "hit" not in again.cache_status


@pytest.mark.parametrize("length", [None, 4_000_000])
async def test_a_large_recording_streams_through_without_being_held(length):
    """More than may be stored: each piece is out before the next is asked for."""
    piece = b"\xff" * 100_000
    ahead: list[int] = []
    wire = Wire(RAW)

    class Long(Pieces):
        async def __anext__(self):
            given = (40 - len(self.left)) * len(piece)
            ahead.append(given - len(wire.answered.body))
            return await super().__anext__()

    def give(_request):
        response = audio(length=length)
        response.body = Long(*[piece] * 40)
        return response

    upstream = Upstream(give)
    async with gateway(upstream, cache={"max_entry_bytes": 250_000}) as app:
        for _ in range(2):
            wire = Wire(RAW)
            told = await ask(app, path=PATH, headers=(KEY, JSON), wire=wire)
            assert (told.body == piece * 40, told.whole) == (True, True)
    assert len(upstream.requests) == 2
    assert max(ahead) <= 250_000 + 2 * len(piece)


@pytest.mark.parametrize(
    ("how", "calls"),
    [("length", 1), ("chunked", 1), ("close", 2), ("short", 2)],
)
async def test_only_a_recording_whose_end_was_told_is_stored(how, calls):
    """A connection that closes may be the end or a cut; nothing in a recording tells which."""

    async def handler(exchange):
        if how == "length":
            await exchange.answer(200, MP3, content_type="audio/mpeg")
        elif how == "chunked":
            await exchange.begin_chunked(content_type="audio/mpeg")
            await exchange.chunk(MP3)
            await exchange.end_chunked()
        else:
            length = f"content-length: {len(MP3) + 1}\r\n" if how == "short" else ""
            head = f"HTTP/1.1 200 X\r\ncontent-type: audio/mpeg\r\n{length}connection: close\r\n\r\n"
            await exchange.send(head.encode() + MP3)
            exchange.writer.close()

    with RawServer(handler) as server:
        origin = HttpOrigin(f"{server.url}/v1")
        async with Cache.open() as cache:
            for _ in range(2):
                request = cache.request("audio/speech", RAW, headers=(KEY, JSON))
                response = await cache.serve(request, origin)
                if how == "short":
                    with pytest.raises(OriginCutError):
                        await read(response)
                else:
                    assert await read(response) == MP3
        await origin.aclose()
    assert len(server.seen) == calls


async def read(response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])


async def test_translations_are_forwarded():
    upstream = Upstream()
    async with gateway(upstream) as app:
        lines = (KEY, (b"content-type", b"multipart/form-data; boundary=b"))
        told = await ask(app, b"--b--\r\n", path="/v1/audio/translations", headers=lines)
    assert told.status == 200
    assert told.cache_status == "tiered-cache; fwd=method; fwd-status=200; detail=route"
    assert upstream.calls[0][1] == "audio/translations"
