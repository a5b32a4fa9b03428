"""The real SDKs read a paced answer as the same answer, over real sockets, and see it come as slowly as asked."""

import json
import time
from itertools import pairwise

import anthropic
import openai
import pytest

from tests.integration.gateway_process import GatewayProcess, until
from tests.integration.messages_server import MessagesServer
from tiered_cache import BlockingCache, Cache
from tiered_cache.integrations.transport import async_client, client
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.process import SimulatedRequesty

QUESTION = {
    "model": "openai/gpt-4o-mini",
    "temperature": 0,
    "messages": [{"role": "user", "content": "Name five rivers of Europe and say where each of them ends."}],
}
INSTANT = {"x-tiered-cache-replay": "instant"}
AS_RECORDED = {"x-tiered-cache-replay": "as-recorded"}
QUICK_S = 0.15
"""What an instant replay takes at most on a busy machine, and a paced one at least."""


@pytest.fixture(scope="module")
def requesty():
    with SimulatedRequesty(Settings(per_token_s=0.005, chunk_tokens=4)) as server:
        yield server


@pytest.fixture(scope="module")
def node(requesty):
    with GatewayProcess("--upstream", requesty.url) as running:
        yield running


def read(sdk: openai.OpenAI, replay: dict[str, str]) -> tuple[list, list[float]]:
    """The chunks, without what is of one answer, and when each came."""
    chunks, instants = [], []
    with sdk.chat.completions.create(**QUESTION, stream=True, extra_headers=replay) as stream:
        for chunk in stream:
            instants.append(time.monotonic())
            chunks.append(chunk.model_dump())
    return chunks, instants


def took(instants: list[float]) -> float:
    return instants[-1] - instants[0]


def openai_sdk(url: str, key: str, **fields) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=20, **fields)


def test_through_the_gateway_a_paced_answer_is_the_instant_one_in_its_own_time(requesty, node):
    with openai_sdk(node.url, "rqy_pace") as sdk:
        _, live = read(sdk, {})
        instant, at_once = read(sdk, INSTANT)
        recorded, as_live = read(sdk, AS_RECORDED)
        steady, at_rate = read(sdk, {"x-tiered-cache-replay": "tokens_per_s=100"})

    assert instant == recorded == steady
    assert len(instant) > 5
    assert took(at_once) < QUICK_S < took(live)
    assert took(as_live) == pytest.approx(took(live), rel=0.3)
    assert took(at_rate) > took(as_live), "a token takes 10 ms instead of 5"
    assert max(b - a for a, b in pairwise(at_rate)) < took(at_rate) / 2


def test_a_caller_that_leaves_a_paced_answer_costs_nobody_anything(requesty, node):
    with openai_sdk(node.url, "rqy_leaving") as sdk:
        read(sdk, {})
        before = requesty.stats().chat_calls
        slowly = {"x-tiered-cache-replay": "tokens_per_s=1"}
        with sdk.chat.completions.create(**QUESTION, stream=True, extra_headers=slowly) as stream:
            next(iter(stream))
        until(lambda: 'outcome="gone"' in node.get("/metrics"))
        chunks, instants = read(sdk, INSTANT)

    assert took(instants) < QUICK_S
    assert chunks
    assert requesty.stats().chat_calls == before


def test_a_synchronous_program_reads_a_paced_answer_too(requesty):
    with BlockingCache.open() as cache, openai_sdk(requesty.url, "k", http_client=client(cache)) as sdk:
        _, live = read(sdk, {})
        instant, at_once = read(sdk, INSTANT)
        recorded, as_live = read(sdk, AS_RECORDED)

    assert instant == recorded
    assert took(at_once) < QUICK_S < took(as_live)
    assert took(as_live) == pytest.approx(took(live), rel=0.3)


async def test_the_asynchronous_sdk_reads_a_paced_answer_too(requesty):
    async with (
        Cache.open() as cache,
        openai.AsyncOpenAI(
            base_url=requesty.url, api_key="k", max_retries=0, timeout=20, http_client=async_client(cache)
        ) as sdk,
    ):
        seen = {}
        for name, replay in (("live", {}), ("instant", INSTANT), ("recorded", AS_RECORDED)):
            begun = time.monotonic()
            stream = await sdk.chat.completions.create(**QUESTION, stream=True, extra_headers=replay)
            seen[name] = [chunk.model_dump() async for chunk in stream], time.monotonic() - begun

    assert seen["instant"][0] == seen["recorded"][0]
    assert seen["instant"][1] < QUICK_S < seen["recorded"][1]


@pytest.mark.parametrize("name", ["text", "thoughts", "tools", "citations"])
def test_the_anthropic_sdk_reads_the_same_message_at_every_pace(name):
    said = []
    with (
        MessagesServer() as origin,
        GatewayProcess("--upstream", origin.url) as node,
        anthropic.Anthropic(api_key="rqy_a", base_url=node.base, max_retries=0, timeout=20) as sdk,
    ):
        for replay in ({}, INSTANT, AS_RECORDED, {"x-tiered-cache-replay": "tokens_per_s=20"}):
            with sdk.messages.stream(
                model=name,
                max_tokens=100,
                messages=[{"role": "user", "content": "?"}],
                extra_body={"temperature": 0},
                extra_headers=replay,
            ) as events:
                message = json.loads(events.get_final_message().model_dump_json())
            message["usage"].pop("cost", None)
            said.append(message)
        assert len(origin.seen) == 1

    assert said[0] == said[1] == said[2] == said[3]


def test_a_rule_paces_through_the_gateway_and_a_caller_may_still_have_it_at_once(requesty, tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[[cache.rules]]\nmatch = { models = ["openai/*"] }\ngives = { replay = "as-recorded" }\n'
    )
    with (
        GatewayProcess("--upstream", requesty.url, "--config", str(file)) as node,
        openai_sdk(node.url, "rqy_rule") as sdk,
    ):
        _, live = read(sdk, {})
        paced, as_live = read(sdk, {})
        instant, at_once = read(sdk, INSTANT)
        began = time.monotonic()
        whole = sdk.chat.completions.with_raw_response.create(**QUESTION)
        whole_s = time.monotonic() - began

    assert paced == instant
    assert took(at_once) < QUICK_S < took(as_live)
    assert took(as_live) == pytest.approx(took(live), rel=0.3)
    assert "; hit" in whole.headers["cache-status"]
    assert whole_s < QUICK_S
