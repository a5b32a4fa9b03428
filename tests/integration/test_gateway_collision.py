"""With the fast hash replaced by a constant every caller of the gateway gets the answer of its own call."""

import asyncio
import random

import pytest

from tests.integration.gateway_kit import JSON, KEY, OTHER_KEY, Upstream, ask, gateway
from tests.scenarios.collision_calls import ROUTES, WORD, dumps, echo
from tiered_cache.core import keys


@pytest.fixture(autouse=True)
def one_hash_for_all(monkeypatch):
    monkeypatch.setattr(keys, "xxh3_128_digest", lambda *_: bytes(16))
    monkeypatch.setattr(keys, "xxh3_64_intdigest", lambda *_: 0)


async def test_every_caller_of_every_route_gets_its_own_answer():
    draw, upstream = random.Random(5), Upstream(echo)
    async with gateway(upstream) as app:

        async def call():
            key, endpoint = draw.choice([KEY, OTHER_KEY]), draw.choice(sorted(ROUTES))
            question = f"q{draw.randrange(8)}z"
            asked = ROUTES[endpoint].body(question)
            if ROUTES[endpoint].events("") and draw.random() < 0.4:
                asked["stream"] = True
            seen = await ask(app, dumps(asked), path=f"/v1/{endpoint}", headers=(key, JSON))
            assert set(WORD.findall(seen.body)) == {f"{question}-{key[1].decode()[-3:]}".encode()}
            return "; hit" in seen.cache_status

        hits = [hit for _ in range(6) for hit in await asyncio.gather(*[call() for _ in range(60)])]

    assert sum(hits) > 120
    assert len(upstream.requests) < 360 - sum(hits) + 1
