"""A gateway whose Redis is absent at its start: degraded, never down, and joined when it appears."""

import json
import urllib.request

from tests.integration.gateway_process import SECRET, GatewayProcess, until
from tests.scenarios.world import KEY, Origin, Seen
from tiered_cache import Cache, CacheConfig, RedisConfig
from tiered_cache.simulation.process import SimulatedRequesty
from tiered_cache.simulation.valkey import EmbeddedValkey


def ask(node, text):
    body = {
        "model": "openai/gpt-4o-mini",
        "temperature": 0,
        "messages": [{"role": "user", "content": text}],
    }
    request = urllib.request.Request(
        f"{node.url}/chat/completions",
        json.dumps(body).encode(),
        {"authorization": "Bearer rqy_one", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200
        return response.headers["cache-status"]


def health(node):
    return json.loads(node.get("/healthz"))


def test_a_gateway_starts_without_its_redis_and_joins_it_when_it_appears():
    with EmbeddedValkey(port=0) as valkey, SimulatedRequesty() as origin:
        valkey.kill()
        with GatewayProcess(
            "--upstream", origin.url, "--redis", valkey.url, "--memory", "0", TIERED_CACHE_SECRET=SECRET
        ) as node:
            assert health(node)["status"] == "ok", "nothing is known before the first call"
            said = [ask(node, f"question {number}") for number in range(8)]
            assert said[0].endswith("detail=L2/unavailable")
            assert said[-1].endswith("detail=L2/open")
            assert health(node)["status"] == "degraded"
            page = node.get("/metrics")
            assert 'tiered_cache_tier_up{tier="L2",use="read"} 0.0' in page
            assert 'tiered_cache_tier_faults_total{reason="unavailable",tier="L2"} 5.0' in page
            assert 'tiered_cache_tier_faults_total{reason="open",tier="L2"} 3.0' in page

            valkey.start()
            # Nobody asks, and it is found all the same.
            until(lambda: health(node)["tiers"]["L2"]["reads"] == "ok")
            until(lambda: "; hit" in ask(node, "another question"))
            assert health(node)["status"] == "ok"
            assert 'tiered_cache_tier_up{tier="L2",use="write"} 1.0' in node.get("/metrics")


async def test_a_batch_says_which_tier_could_not_be_asked():
    vectors = {
        "object": "list",
        "model": "openai/text-embedding-3-small",
        "data": [{"object": "embedding", "index": at, "embedding": [0.5, 0.25]} for at in range(2)],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    config = CacheConfig(secret=SECRET, redis=RedisConfig(url="redis://127.0.0.1:1/0"))
    async with Cache.open(config) as cache:
        body = json.dumps({"model": "openai/text-embedding-3-small", "input": ["a", "b"]}).encode()
        request = cache.request("embeddings", body, headers=(KEY,))
        seen = await Seen.of(await cache.serve(request, Origin(json.dumps(vectors).encode())))
    assert seen.status == 200
    assert seen.cache_status.endswith("detail=L2/unavailable")
