"""The real OpenAI SDK transcribes through gateway and transports, each call with its own boundary, paid once."""

import io
import json
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest

from tests.core.form_kit import FIELDS, form, typed
from tests.integration.gateway_kit import KEY, Upstream, ask, gateway
from tests.integration.test_sdk_embeddings import WAYS
from tiered_cache import BlockingCache
from tiered_cache.core.vocabulary import Response
from tiered_cache.integrations.transport import CacheTransport

BASE = "http://gateway.test/v1"
PATH = "/v1/audio/transcriptions"
SOUND = bytes(range(256)) * 40
TEXTS = {"srt": b"1\n00:00:00,000 --> 00:00:01,000\nhi\n", "text": b"hi\n", "vtt": b"WEBVTT\n\nhi\n"}
SAID = {"text": "hi", "usage": {"type": "duration", "seconds": 1}}


class Origin:
    """Transcribes, and keeps the bodies it was sent."""

    def __init__(self):
        self.bodies: list[bytes] = []

    def answer(self, raw: bytes) -> tuple[str, bytes]:
        self.bodies.append(raw)
        for name, text in TEXTS.items():
            if b'name="response_format"\r\n\r\n' + name.encode() + b"\r\n" in raw:
                return "text/plain; charset=utf-8", text
        return "application/json", json.dumps(SAID).encode()

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        media, body = self.answer(await request.aread())
        return httpx2.Response(200, headers={"content-type": media}, content=body)

    def upstream(self) -> Upstream:
        def give(request):
            media, body = self.answer(request.body)
            return Response(200, ((b"content-type", media.encode()),), body)

        return Upstream(give)


@asynccontextmanager
async def sdk(way, origin):
    async with (
        way(origin) as http,
        openai.AsyncOpenAI(base_url=BASE, api_key="rqy_one", max_retries=0, http_client=http) as opened,
    ):
        yield opened


async def heard(opened, sound=SOUND, name="a.mp3", **fields):
    fields = {"model": "openai/whisper-1", **fields}
    made = opened.audio.transcriptions.with_raw_response
    raw = await made.create(file=(name, io.BytesIO(sound)), **fields)
    return raw.parse(), raw.headers


@pytest.mark.parametrize("way", WAYS)
async def test_a_sound_is_paid_once_whatever_the_boundary(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        first, miss = await heard(opened, timestamp_granularities=["word", "segment"])
        again, hit = await heard(opened, timestamp_granularities=["word", "segment"])
        await heard(opened, timestamp_granularities=["segment", "word"])
        await heard(opened, SOUND + b"\0", timestamp_granularities=["word", "segment"])
        await heard(opened, name="a.wav", timestamp_granularities=["word", "segment"])

    assert first.text == again.text == "hi"
    assert miss["content-type"] == hit["content-type"] == "application/json"
    assert "stored" in miss["cache-status"]
    assert "; hit;" in hit["cache-status"]
    assert miss["etag"] == hit["etag"]
    assert "x-tiered-cache-saved-usd" not in hit  # unpriced, never 0
    assert len(origin.bodies) == 4
    assert SOUND in origin.bodies[0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("response_format", sorted(TEXTS))
async def test_texts_keep_their_media_type(way, response_format):
    origin = Origin()
    async with sdk(way, origin) as opened:
        for _ in range(2):
            told, headers = await heard(opened, response_format=response_format)
            assert told == TEXTS[response_format].decode()
            assert headers["content-type"] == "text/plain; charset=utf-8"
    assert "; hit;" in headers["cache-status"]
    assert len(origin.bodies) == 1


def test_a_synchronous_program_hears_the_same():
    origin = Origin()
    with (
        BlockingCache.open() as cache,
        httpx2.Client(transport=CacheTransport(cache, httpx2.MockTransport(origin.handle))) as http,
        openai.OpenAI(base_url=BASE, api_key="k", max_retries=0, http_client=http) as opened,
    ):
        made = opened.audio.transcriptions
        told = [made.create(model="openai/whisper-1", file=("a.mp3", SOUND)).text for _ in range(3)]
    assert told == ["hi"] * 3
    assert len(origin.bodies) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_is_forwarded(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        for _ in range(2):
            made = opened.audio.transcriptions.with_raw_response
            raw = await made.create(model="openai/whisper-1", file=("a.mp3", SOUND), stream=True)
            assert raw.headers["cache-status"].endswith("fwd=bypass; fwd-status=200; detail=stream")
    assert len(origin.bodies) == 2


@pytest.mark.parametrize("content_type", [b"application/json", b"text/plain", b"multipart/form-data"])
async def test_a_body_that_is_no_form_is_forwarded_as_it_came(content_type):
    origin = Origin()
    async with gateway(origin.upstream()) as app:
        lines = (KEY, (b"content-type", content_type))
        told = await ask(app, b"{}", path=PATH, headers=lines)
    assert told.cache_status == "tiered-cache; fwd=bypass; fwd-status=200; detail=multipart"
    assert origin.bodies == [b"{}"]


async def test_a_validator_gets_304_and_a_large_body_comes_in_pieces():
    origin = Origin()
    raw = form(*FIELDS)
    lines = (KEY, (b"content-type", typed()))
    async with gateway(origin.upstream()) as app:
        await ask(app, raw[:50], raw[50:90], raw[90:], path=PATH, headers=lines)
        hit = await ask(app, raw, path=PATH, headers=lines)
        again = await ask(
            app, raw, path=PATH, headers=(*lines, (b"if-none-match", hit.value("etag").encode()))
        )
    assert (hit.status, again.status, again.body) == (200, 304, b"")
    assert origin.bodies == [raw]


def test_explain_reads_a_form(tmp_path):
    (tmp_path / "form").write_bytes(form(*FIELDS))
    told = subprocess.run(
        [
            *(sys.executable, "-m", "tiered_cache.cli.main", "explain", str(tmp_path / "form"), "--json"),
            *("--path", PATH, "--header", f"content-type: {typed().decode()}"),
        ],
        capture_output=True,
        check=True,
        timeout=30,
    )
    made = json.loads(told.stdout)
    assert made["cacheable"] is True
    assert json.loads(made["canonical"])["model"] == ["openai/whisper-1"]
