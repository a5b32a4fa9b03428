"""With the fast hash replaced by a constant nobody ever gets another call's answer (SEMANTICS 1)."""

import asyncio
import random

import pytest

from tests.scenarios.collision_calls import ROUTES, WORD, are_vectors_of, dumps, echo
from tests.scenarios.world import KEY, OTHER_KEY, Origin, body, world
from tiered_cache.core import keys
from tiered_cache.core.canonical import JSON_ENDPOINTS
from tiered_cache.core.vocabulary import Keyed, Request, Scope
from tiered_cache.engine.config import DiskConfig, RedisConfig
from tiered_cache.tiers.redis import RedisTier

pytestmark = pytest.mark.usefixtures("no_task_left")


@pytest.fixture(autouse=True)
def one_hash_for_all(monkeypatch):
    monkeypatch.setattr(keys, "xxh3_128_digest", lambda *_: bytes(16))
    monkeypatch.setattr(keys, "xxh3_64_intdigest", lambda *_: 0)


class Caller:
    """Asks questions of every route, and sees that each gets its own answer."""

    def __init__(self, draw: random.Random, origin: Origin, questions: int) -> None:
        self.draw, self.origin, self.questions = draw, origin, questions

    def question(self) -> str:
        return f"q{self.draw.randrange(self.questions)}z"

    async def ask(self, w):
        """One call of any route, by one of two callers."""
        key, endpoint = self.draw.choice([KEY, OTHER_KEY]), self.draw.choice(sorted(JSON_ENDPOINTS))
        who = key[1].decode()[-3:]
        if endpoint == "embeddings":
            return await self.embed(w, key, who)
        question, route = self.question(), ROUTES[endpoint]
        call = route.body(question)
        if route.events("") and self.draw.random() < 0.4:
            call["stream"] = True
        seen = await w.ask(dumps(call), self.origin, endpoint=endpoint, key=key)
        assert set(WORD.findall(seen.body)) == {f"{question}-{who}".encode()}, (endpoint, seen.body)
        return seen

    async def embed(self, w, key, who):
        inputs = [self.question() for _ in range(self.draw.randrange(1, 4))]
        call = {"model": "openai/text-embedding-3-small", "input": inputs}
        seen = await w.ask(dumps(call), self.origin, endpoint="embeddings", key=key)
        assert are_vectors_of(seen.body, inputs, who), inputs
        return seen


def test_every_route_is_asked():
    assert {*ROUTES, "embeddings"} == JSON_ENDPOINTS, "give the new route a row in collision_calls"


async def test_mixed_calls_of_every_route_get_their_own_answers(redis_url, prefix, tmp_path):
    """Two nodes with memory and disk of their own, one Redis; memory is emptied on the way."""
    draw, origin = random.Random(7), Origin(echo)
    caller = Caller(draw, origin, 12)
    redis = RedisConfig(url=redis_url, prefix=prefix, read_deadline_s=10.0, write_deadline_s=10.0)

    def disk(name):
        return DiskConfig(directory=str(tmp_path / name), read_deadline_s=10.0)

    async with world(disk=disk("a"), redis=redis) as one, world(disk=disk("b"), redis=redis) as other:
        nodes = (one, other)
        for _ in range(8):
            seen = await asyncio.gather(*[caller.ask(draw.choice(nodes)) for _ in range(60)])
            await asyncio.sleep(0.05)  # what is written behind arrives
            await draw.choice(nodes).cache.memory.clear()
        told = [word for each in seen for word in ("L1", "disk", "L2") if word in each.cache_status]

    assert len(told) > 50  # hits
    assert set(told) >= {"L1", "disk"}


async def test_a_second_node_finds_its_answers_in_redis(redis_url, prefix):
    """Every entry of the first node has a name of its own there."""
    origin = Origin(echo)
    redis = RedisConfig(url=redis_url, prefix=prefix, read_deadline_s=10.0, write_deadline_s=10.0)
    async with world(redis=redis) as first:
        caller = Caller(random.Random(3), origin, 4)
        await asyncio.gather(*[caller.ask(first) for _ in range(60)])
    asked = origin.calls

    async with world(redis=redis) as second:
        caller = Caller(random.Random(3), origin, 4)
        seen = await asyncio.gather(*[caller.ask(second) for _ in range(60)])

    assert origin.calls - asked < asked / 2  # a stream may lead beside JSON of one key
    assert any("L2" in each.cache_status for each in seen)


async def test_flights_of_other_calls_are_not_joined():
    """All are under way at once, of every route, each under the one fast hash."""
    origin = Origin(echo)
    origin.gate = asyncio.Event()
    async with world() as w:
        asked = [(route, f"q{number}z") for number in range(4) for route in ROUTES]
        calls = [
            asyncio.ensure_future(w.ask(dumps(ROUTES[route].body(word)), origin, endpoint=route))
            for route, word in asked
        ]
        for _ in range(20):
            await asyncio.sleep(0)
        origin.gate.set()
        seen = await asyncio.gather(*calls)

    assert [WORD.findall(each.body)[0] for each in seen] == [f"{word}-one".encode() for _, word in asked]
    assert origin.calls == len(asked)


async def test_what_is_refused_storage_lets_only_its_own_calls_go_alone():
    """Hit-for-miss is set for one call; others of the same fast hash still collapse."""
    cut = ROUTES["chat/completions"].answer("q1z-one").replace(b'"stop"', b'"length"')
    origin = Origin(cut)
    async with world() as w:
        await w.ask(body("refused"), origin)
        origin.replies, origin.gate = [echo], asyncio.Event()
        calls = [asyncio.ensure_future(w.ask(body("q2z"), origin)) for _ in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        origin.gate.set()
        await asyncio.gather(*calls)

    assert origin.calls == 2


async def test_whatever_a_key_names_is_named_by_the_second_digest_too(redis_url):
    """Maps in the engine, in memory and on disk hold whole CacheKeys; a name in Redis has every byte of one."""
    keyer = keys.Keyer(b"a secret for these tests")
    calls = [Request("chat/completions", body(f"q{number}z"), Scope("t", "o")) for number in range(50)]
    named = [keyed.key for keyed in map(keyer.key, calls) if isinstance(keyed, Keyed)]
    tier = RedisTier(redis_url)
    names = [tier.key_name(key) for key in named]
    await tier.close()

    assert {key[:17] for key in named} == {bytes([keys.KEY_VERSION, *bytes(16)])}
    assert len(set(named)) == len(set(names)) == 50
    assert all(key[17:].hex().encode() in name for key, name in zip(named, names, strict=True))
