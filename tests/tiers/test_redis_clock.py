"""Ages and expiry in Redis: by the server's clock alone, whatever clocks of nodes and replicas say."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from tests.scenarios.world import JSON, KEY, Origin, answer, body
from tests.tiers.redis_contract import redis_tier
from tiered_cache import Cache, CacheConfig, RedisConfig
from tiered_cache.testing import sample_key, sample_sealed

ONE = sample_key(1)
HOUR_US = 3_600_000_000


@pytest.fixture
async def tier(redis_url, prefix):
    tier = redis_tier(redis_url, prefix)
    yield tier
    await tier.close()


async def shift(url, name, by_us):
    """As if the server's clock had been set back or forward by so much since the entry was put."""
    async with Redis.from_url(url, driver_info=None) as client:
        raw = await client.get(name)
        born_us = int.from_bytes(raw[:8], "big") + by_us
        stamp = born_us.to_bytes(8, "big") + (2**53 - born_us).to_bytes(8, "big")
        await client.set(name, stamp + raw[16:], keepttl=True)


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
async def test_a_jump_of_a_nodes_clock_changes_no_age(tier, monkeypatch, jump_s):
    await tier.put(ONE, sample_sealed(ONE, fresh_s=1000.0), age_s=100.0)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
    assert 100.0 <= (await tier.get(ONE)).age_s < 200.0


async def test_a_server_whose_clock_is_ahead_after_a_failover_only_shortens(tier, redis_url):
    """The entry looks older by what the clocks differ: it is gone sooner, never later."""
    await tier.put(ONE, sample_sealed(ONE, fresh_s=7200.0))
    await shift(redis_url, tier.key_name(ONE), -HOUR_US)
    assert 3600.0 <= (await tier.get(ONE)).age_s < 3700.0
    await shift(redis_url, tier.key_name(ONE), -HOUR_US)
    assert await tier.get(ONE) is None


async def test_a_server_whose_clock_is_behind_after_a_failover_revives_nothing(tier, redis_url):
    """Until its clock has passed the entry's birth it is a miss; then its age begins at zero."""
    await tier.put(ONE, sample_sealed(ONE, fresh_s=7200.0))
    await shift(redis_url, tier.key_name(ONE), HOUR_US)
    assert await tier.get(ONE) is None


async def test_what_is_promoted_lives_for_what_is_left(redis_url, prefix):
    """An answer that aged in Redis has the same end in every node's memory."""
    redis = RedisConfig(url=redis_url, prefix=prefix, read_deadline_s=5.0, write_deadline_s=5.0)
    config = CacheConfig(secret="a secret for these tests", redis=redis)
    async with Cache.open(config) as first:
        request = first.request("chat/completions", body("age"), headers=(KEY, JSON))
        await first.serve(request, Origin(answer("once")))
    async with Cache.open(config) as second:
        await asyncio.sleep(1.2)
        below = dict((await second.serve(request, Origin(RuntimeError("asked twice")))).headers)
        above = dict((await second.serve(request, Origin(RuntimeError("asked twice")))).headers)
    assert b"detail=L2" in below[b"cache-status"]
    assert b"detail=L1" in above[b"cache-status"]
    assert int(above[b"age"]) >= int(below[b"age"]) >= 1
    assert int(above[b"age"]) + int(above[b"cache-control"].rpartition(b"=")[2]) in range(86_398, 86_402)
