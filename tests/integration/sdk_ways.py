"""An origin by script that the real OpenAI SDK reaches through the gateway and through the transport."""

import json
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest

from tests.integration.gateway_kit import Pieces, Upstream, gateway
from tiered_cache import Cache, CacheConfig
from tiered_cache.core.vocabulary import Request, Response
from tiered_cache.integrations.transport import AsyncCacheTransport

BASE = "http://gateway.test/v1"
EVENTS = (b"content-type", b"text/event-stream")


class ScriptedOrigin:
    """Keeps what it was asked; `reply` gives the content type and the body of an answer."""

    def __init__(self):
        self.asked: list[dict] = []

    def reply(self, asked: dict) -> tuple[tuple[bytes, bytes], bytes]:
        raise NotImplementedError

    def answer(self, raw: bytes) -> tuple[tuple[bytes, bytes], bytes]:
        self.asked.append(json.loads(raw))
        return self.reply(self.asked[-1])

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        kind, body = self.answer(await request.aread())
        return httpx2.Response(200, headers=[kind], content=body)

    def give(self, request: Request) -> Response:
        kind, body = self.answer(request.body)
        pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
        return Response(200, (kind,), Pieces(*pieces) if kind == EVENTS else body)


@asynccontextmanager
async def through_gateway(origin: ScriptedOrigin, **cache):
    async with gateway(Upstream(origin.give), cache=cache) as app:
        yield httpx2.AsyncClient(transport=httpx2.ASGITransport(app))


@asynccontextmanager
async def through_transport(origin: ScriptedOrigin, **cache):
    async with Cache.open(CacheConfig(**cache)) as opened:
        yield httpx2.AsyncClient(transport=AsyncCacheTransport(opened, httpx2.MockTransport(origin.handle)))


WAYS = pytest.mark.parametrize(
    "way", [pytest.param(through_gateway, id="gateway"), pytest.param(through_transport, id="transport")]
)


@asynccontextmanager
async def sdk(way, origin: ScriptedOrigin, **cache):
    """The SDK, `cache` being fields of the configuration."""
    async with (
        way(origin, **cache) as http,
        openai.AsyncOpenAI(base_url=BASE, api_key="rqy_one", max_retries=0, http_client=http) as opened,
    ):
        yield opened
