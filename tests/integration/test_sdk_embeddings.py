"""The real OpenAI SDK embeds through gateway and transports as if there were no cache, and pays once an input."""

import json
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest

from tests.core.embeddings_kit import MODEL, inputs_of, reply, vector
from tests.integration.gateway_kit import JSON, Upstream, gateway
from tiered_cache import BlockingCache, Cache
from tiered_cache.core.vocabulary import Response
from tiered_cache.integrations.transport import AsyncCacheTransport, CacheTransport

BASE = "http://gateway.test/v1"
RANK = {"model": "cohere/rerank-v3.5", "query": "q", "documents": ["a", "b"], "top_n": 1}
VERDICT = {"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 0.25}}


class Origin:
    """Answers embeddings in the form asked for, and keeps what it was asked."""

    def __init__(self):
        self.asked: list[list] = []
        self.forms: list[str | None] = []
        self.moderated = self.ranked = 0
        self.down = False

    def answer(self, path: str, raw: bytes) -> tuple[int, bytes]:
        if self.down:
            return 429, b'{"error":{"message":"slow down","code":"rate_limit"}}'
        if path.endswith("rerank"):
            self.ranked += 1
            return 200, b'{"results":[{"index":1,"relevance_score":0.75}],"usage":{"total_tokens":3}}'
        if path.endswith("moderations"):
            self.moderated += 1
            texts = json.loads(raw)["input"]
            results = [VERDICT] * (len(texts) if isinstance(texts, list) else 1)
            return 200, json.dumps({"id": "modr-1", "model": "omni", "results": results}).encode()
        self.asked.append(inputs_of(raw))
        self.forms.append(json.loads(raw).get("encoding_format"))
        return 200, reply(raw)

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        status, body = self.answer(request.url.path, await request.aread())
        return httpx2.Response(status, headers={"content-type": "application/json"}, content=body)

    def upstream(self) -> Upstream:
        def give(request):
            status, body = self.answer(request.endpoint, request.body)
            return Response(status, (JSON,), body)

        return Upstream(give)


@asynccontextmanager
async def through_gateway(origin: Origin):
    async with gateway(origin.upstream()) as app:
        yield httpx2.AsyncClient(transport=httpx2.ASGITransport(app))


@asynccontextmanager
async def through_transport(origin: Origin):
    async with Cache.open() as cache:
        transport = AsyncCacheTransport(cache, httpx2.MockTransport(origin.handle))
        yield httpx2.AsyncClient(transport=transport)


WAYS = [
    pytest.param(through_gateway, id="gateway"),
    pytest.param(through_transport, id="transport"),
]


@asynccontextmanager
async def sdk(way, origin: Origin):
    async with (
        way(origin) as http,
        openai.AsyncOpenAI(base_url=BASE, api_key="rqy_one", max_retries=0, http_client=http) as opened,
    ):
        yield opened


async def embed(opened: openai.AsyncOpenAI, inputs, **fields):
    """Vectors by place, usage and header fields."""
    raw = await opened.embeddings.with_raw_response.create(model=MODEL, input=inputs, **fields)
    told = raw.parse()
    assert [one.index for one in told.data] == list(range(len(told.data)))
    return [one.embedding for one in told.data], told.usage, raw.headers


@pytest.mark.parametrize("way", WAYS)
async def test_the_sdk_asks_for_base64_by_itself_and_reads_floats(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        first, usage, _ = await embed(opened, ["a", "b"])
        again, free, headers = await embed(opened, ["a", "b"])

    assert origin.forms == ["base64"]
    assert first == again == [vector("a"), vector("b")]
    assert (usage.prompt_tokens, free.prompt_tokens, free.total_tokens) == (8, 8, 8)
    assert (usage.cost, free.cost) == (0.00002, 0)
    assert "; hit;" in headers["cache-status"]
    assert headers["x-tiered-cache-saved-usd"] == "0.00002"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "forms", [("float", None), (None, "float"), ("base64", "float"), ("float", "base64")]
)
async def test_partial_hits_in_either_form_are_what_an_uncached_call_gives(way, forms):
    origin = Origin()
    fields = [{} if form is None else {"encoding_format": form} for form in forms]
    async with sdk(way, origin) as opened:
        await embed(opened, ["a", "c"], **fields[0])
        raw = await opened.embeddings.with_raw_response.create(
            model=MODEL, input=["a", "b", "c", "b"], **fields[1]
        )
        told = raw.parse()

    assert origin.asked == [["a", "c"], ["b"]]
    assert "fwd=partial" in raw.headers["cache-status"]
    assert raw.headers["cache-status"].endswith("stored; detail=L1/partial:2/4")
    assert raw.headers["x-tiered-cache-usage"] == "estimated"
    expected = json.loads(
        reply(json.dumps({"input": list("abcb"), "encoding_format": forms[1] or "float"}).encode())
    )
    assert [one.embedding for one in told.data] == [one["embedding"] for one in expected["data"]]
    assert told.model == expected["model"]


@pytest.mark.parametrize("way", WAYS)
async def test_tokens_dimensions_and_users(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        await embed(opened, [[1, 2], [3]], dimensions=6, user="u1")
        again, _, headers = await embed(opened, [[3], [1, 2]], dimensions=6, user="u2")
        other, _, _ = await embed(opened, [[3]], dimensions=7)

    assert again == [vector([3]), vector([1, 2])]
    assert "; hit;" in headers["cache-status"]
    assert origin.asked == [[[1, 2], [3]], [[3]]]
    assert other == [vector([3])]


@pytest.mark.parametrize("way", WAYS)
async def test_the_smaller_calls_error_is_the_sdks_exception(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        await embed(opened, ["a"])
        origin.down = True
        with pytest.raises(openai.RateLimitError, match="slow down"):
            await embed(opened, ["a", "b"])
        assert (await embed(opened, ["a"]))[0] == [vector("a")]
        origin.down = False
        assert (await embed(opened, ["a", "b"]))[0] == [vector("a"), vector("b")]


def test_a_synchronous_program_reads_the_same():
    origin = Origin()
    with (
        BlockingCache.open() as cache,
        httpx2.Client(transport=CacheTransport(cache, httpx2.MockTransport(origin.handle))) as http,
        openai.OpenAI(base_url=BASE, api_key="k", max_retries=0, http_client=http) as opened,
    ):
        for inputs in (["a"], ["a", "b"], ["b", "a"]):
            told = opened.embeddings.create(model=MODEL, input=inputs)
            assert [one.embedding for one in told.data] == [vector(text) for text in inputs]
    assert origin.asked == [["a"], ["b"]]


@pytest.mark.parametrize("way", WAYS)
async def test_a_raw_caller_that_says_nothing_gets_floats(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        await embed(opened, ["a"])
        raw = await opened.post("/embeddings", body={"model": MODEL, "input": "a"}, cast_to=httpx2.Response)
        assert raw.json()["data"][0]["embedding"] == vector("a")
    assert len(origin.asked) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_moderations_and_rerank_are_paid_once(way):
    origin = Origin()
    async with sdk(way, origin) as opened:
        for _ in range(2):
            told = await opened.moderations.create(model="openai/omni-moderation-latest", input=["x", "y"])
            assert [one.category_scores.hate for one in told.results] == [0.25, 0.25]
            ranking = await opened.post("/rerank", body=RANK, cast_to=httpx2.Response)
            assert ranking.json()["results"] == [{"index": 1, "relevance_score": 0.75}]
    assert (origin.moderated, origin.ranked) == (1, 1)
