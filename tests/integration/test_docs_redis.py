"""The page about Redis: its files are read, its places hold answers, its user may do what is needed."""

import asyncio
import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.integration.test_docs_reference import blocks
from tests.scenarios.world import JSON, KEY, Origin, answer, body
from tests.tiers.tls_front import tls_front
from tiered_cache import Cache, CacheConfig, RedisConfig
from tiered_cache.engine.build import build
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.gateway.config import read_config
from tiered_cache.tiers.redis_node import CONNECTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "redis.md").read_text(encoding="utf-8")
TOML = blocks(PAGE, "toml")
SECRET = "a secret for this page"


@pytest.mark.parametrize("toml", TOML)
def test_each_file_is_taken_but_for_the_certificates_that_are_not_here(toml, tmp_path):
    text = toml.replace('ca_file = "/etc/ssl/cache-ca.pem"', "")
    assert (text == toml) == ("rediss" not in toml)
    config = read_config(f'[cache]\nsecret = "{SECRET}"\n{text}'.encode(), "page").cache
    assert build(config, SYSTEM_CLOCK).lower[0].name == "L2"


async def shared(**redis):
    """What a second cache on the same place says to a call that the first one paid for."""
    config = CacheConfig(secret=SECRET, redis=RedisConfig(read_deadline_s=5.0, write_deadline_s=5.0, **redis))
    async with Cache.open(config) as first, Cache.open(config) as second:
        request = first.request("chat/completions", body("shared"), headers=(KEY, JSON))
        await first.serve(request, Origin(answer("paid once")))
        async with asyncio.timeout(10.0):
            while not await is_there(second, request):  # noqa: ASYNC110  # the write is behind
                await asyncio.sleep(0.02)
        response = await second.serve(request, Origin(RuntimeError("asked twice")))
    return dict(response.headers)[b"cache-status"].decode(), response.body


async def is_there(cache, request):
    keyed = cache._keyer.key(request)
    (tier,) = cache._store._lower
    return await tier.get(keyed.key) is not None


async def test_a_cluster_is_shared(cluster):
    status, content = await shared(url=cluster.url)
    assert "hit" in status and "L2" in status
    assert b"paid once" in content


async def test_what_sentinels_name_is_shared(sentinel):
    status, _ = await shared(url=sentinel.url)
    assert "hit" in status and "L2" in status


async def test_what_stands_behind_tls_is_shared(own_valkey, tmp_path):
    async with tls_front(own_valkey.url, tmp_path) as (port, ca_file):
        status, _ = await shared(url=f"rediss://localhost:{port}/0", ca_file=ca_file)
    assert "hit" in status and "L2" in status


async def test_the_user_of_the_page_may_do_what_is_needed(own_valkey):
    (rule, _) = blocks(PAGE, "text")
    async with Redis.from_url(own_valkey.url, driver_info=None) as admin:
        await admin.execute_command(*rule.split())
        path = own_valkey.url.removeprefix("unix://")
        status, _ = await shared(url=f"unix://cache:a-long-password@{path}")
        names = await admin.keys("*")
    assert "hit" in status and "L2" in status
    assert len(names) == 3  # the entry, its flights and the log of purges
    assert all(name.startswith(b"tc:") for name in names)


async def test_the_settings_of_the_page_are_the_servers(own_valkey):
    (_, settings) = blocks(PAGE, "text")
    async with Redis.from_url(own_valkey.url, driver_info=None) as admin:
        for line in settings.splitlines():
            assert await admin.execute_command("CONFIG", "SET", *line.split())


def test_the_number_of_connections_is_the_codes():
    assert (
        re.search(r"at most (\w+) connections to each server", PAGE)[1]
        == ["one", "two", "three"][CONNECTIONS - 1]
    )
