"""Variants over two nodes on one real Valkey, and through a gateway with the real SDK."""

import asyncio
import json
from collections import Counter
from itertools import count

import openai
import pytest

from tests.integration.gateway_process import GatewayProcess
from tests.scenarios.world import JSON, KEY, answer, body
from tiered_cache import Cache, CacheConfig, Gives, RedisConfig, Response, Rule
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.process import SimulatedRequesty

RULES = (Rule(gives=Gives(fresh_s=60, variants=3)),)
SAMPLED = body(temperature=0.9)

TOML = """
[[cache.rules]]
match = { determinism = "sampled" }
gives = { fresh_s = 60, variants = 3 }
"""

ASKED = {"model": "openai/gpt-4o-mini", "temperature": 1, "messages": [{"role": "user", "content": "Hi"}]}


class Origin:
    def __init__(self):
        self.numbers = count(1)
        self.calls = 0

    async def __call__(self, request):
        self.calls += 1
        return Response(200, (JSON,), answer(f"a{next(self.numbers)}"))


@pytest.fixture
def config(redis_url, prefix):
    redis = RedisConfig(url=redis_url, prefix=prefix, read_deadline_s=5.0)
    return CacheConfig(secret="a secret for these tests", rules=RULES, redis=redis)


async def ask(node, origin, number):
    found = []
    for _ in range(number):
        request = node.request("chat/completions", SAMPLED, headers=(KEY, JSON))
        response = await node.serve(request, origin)
        found.append(json.loads(response.body)["choices"][0]["message"]["content"])
    return found


async def test_a_node_fills_what_the_other_left_empty_and_both_give_the_same_three(config):
    origin = Origin()
    async with Cache.open(config) as one, Cache.open(config) as two:
        first = await ask(one, origin, 2)
        await one._background.drain(5)
        second = await ask(two, origin, 1)
        await two._background.drain(5)
        seen = [await ask(node, origin, 6) for node in (one, two)]

    assert (first, second) == (["a1", "a2"], ["a3"])
    assert origin.calls == 3
    assert [Counter(each) for each in seen] == [{"a1": 2, "a2": 2, "a3": 2}] * 2


async def test_a_node_that_starts_anew_finds_what_is_stored(config):
    origin = Origin()
    async with Cache.open(config) as node:
        await ask(node, origin, 3)
    async with Cache.open(config) as node:
        seen = await ask(node, origin, 3)

    assert sorted(seen) == ["a1", "a2", "a3"]
    assert origin.calls == 3


async def test_without_valkey_a_node_has_variants_of_its_own(config):
    gone = RedisConfig(url="unix:///nowhere/valkey.sock")
    origin = Origin()
    async with Cache.open(CacheConfig(secret=config.secret, rules=RULES, redis=gone)) as node:
        seen = await ask(node, origin, 6)

    assert seen == ["a1", "a2", "a3"] * 2


async def together(url: str, number: int) -> Counter:
    """Ids of the answers to so many equal calls at one moment."""
    async with openai.AsyncOpenAI(base_url=url, api_key="rqy_v", max_retries=0, timeout=20) as sdk:
        answers = await asyncio.gather(*[sdk.chat.completions.create(**ASKED) for _ in range(number)])
    return Counter(each.id for each in answers)


def test_the_real_sdk_gets_as_many_answers_as_the_rule_keeps(tmp_path):
    """Eight callers at one moment make three calls; then all are served in turn, streams too."""
    file = tmp_path / "gateway.toml"
    file.write_text(TOML)
    with (
        SimulatedRequesty(Settings(first_token_s=0.5)) as requesty,
        GatewayProcess("--upstream", requesty.url, "--config", str(file)) as node,
        openai.OpenAI(base_url=node.url, api_key="rqy_v", max_retries=0, timeout=20) as sdk,
    ):
        first = asyncio.run(together(node.url, 8))
        assert requesty.stats().chat_calls == 3
        later = asyncio.run(together(node.url, 9))
        streamed = [
            {chunk.id for chunk in sdk.chat.completions.create(**ASKED, stream=True)} for _ in range(3)
        ]
        calls = requesty.stats().chat_calls

    assert calls == 3
    assert len(first) == 3
    assert set(later) == set(first)
    assert set(later.values()) == {3}
    assert set.union(*streamed) == set(first)
