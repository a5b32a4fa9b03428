"""Purges over several nodes on one real Valkey: pushed, read after gaps, and never lost with the server."""

import asyncio
import contextlib
import time

import pytest
from redis.asyncio import Redis

from tests.scenarios.world import KEY, Origin, Seen, answer, body
from tiered_cache import Cache, CacheConfig, PurgeOrder, RedisConfig, Selector
from tiered_cache.testing import TcpProxy

LOG = b"tc:{purges}:log"
ALL = Selector(everything=True)


def config(url, **more):
    redis = RedisConfig(url=url, read_deadline_s=5.0, write_deadline_s=0.5, heartbeat_s=0.1, **more)
    return CacheConfig(secret="a secret for these tests", redis=redis)


@contextlib.asynccontextmanager
async def nodes(*urls, **more):
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(Cache.open(config(url, **more))) for url in urls]
        yield opened


async def ask(cache, origin, text="hello"):
    request = cache.request("chat/completions", body(text), headers=(KEY,))
    return await Seen.of(await cache.serve(request, origin))


async def settled(*caches):
    """Wait until every node judges by the log."""
    async with asyncio.timeout(10):
        while any(cache.memory.generation < 0 for cache in caches):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


async def until(holds):
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


async def test_a_purge_reaches_every_nodes_memory_and_redis(own_valkey):
    origin = Origin(answer("old"))
    async with nodes(*[own_valkey.url] * 3) as caches:
        await settled(*caches)
        for cache in caches:
            await ask(cache, origin)
            await asyncio.sleep(0.05)  # the write to Redis is behind
        assert origin.calls == 1
        took_ms = []
        for number in range(20):
            began = time.monotonic()
            assert (await caches[number % 3].purge(ALL)).complete
            origin.replies = [answer(str(number))]
            epochs = {cache._store.coherence._view.log.epoch for cache in caches}
            while len(epochs) > 1:
                await asyncio.sleep(0.001)
                epochs = {cache._store.coherence._view.log.epoch for cache in caches}
            took_ms.append(1000 * (time.monotonic() - began))
            texts = [(await ask(cache, origin)).text for cache in caches]
            assert set(texts) == {str(number)}
    assert sorted(took_ms)[10] < 20


async def test_a_node_that_starts_later_knows_what_was_purged_before(own_valkey):
    origin = Origin(answer("old"))
    async with nodes(own_valkey.url) as (one,):
        await settled(one)
        await ask(one, origin)
        await asyncio.sleep(0.1)
        await one.purge(Selector(model="openai/gpt-4o-mini"))
    async with nodes(own_valkey.url) as (two,):
        seen = await ask(two, Origin(answer("new")))
    assert seen.text == "new"


async def test_entries_are_shared_as_long_as_nothing_is_purged(own_valkey):
    origin = Origin(answer())
    async with nodes(own_valkey.url) as (one,):
        await settled(one)
        await ask(one, origin)
        await asyncio.sleep(0.1)
    async with nodes(own_valkey.url) as (two,):
        assert "detail=L2" in (await ask(two, origin)).cache_status
    assert origin.calls == 1


async def loses(server, how):
    client = Redis.from_url(server.url, driver_info=None)
    match how:
        case "restart":
            server.kill()
            server.start()
        case "flush":
            await client.flushall()
        case "evicted":
            await client.delete(LOG)
        case "behind":
            await client.hincrby(LOG, "c", -1)
    await client.aclose()


@pytest.mark.parametrize("how", ["restart", "flush", "evicted", "behind"])
async def test_a_log_that_lost_lines_revives_nothing(own_valkey, how):
    """Whatever is in memory was filled before the loss, and might have been purged in what was lost."""
    async with nodes(own_valkey.url, own_valkey.url) as (one, two):
        await settled(one, two)
        await one.purge(Selector(tag="counted"))
        for cache in (one, two):
            await ask(cache, Origin(answer("old")))
        await loses(own_valkey, how)
        new = Origin(answer("new"))
        for cache in (one, two):
            await until(lambda cache=cache: _is(cache, new, "new"))
        await settled(one, two)
        assert (await one.purge(ALL)).complete
        for cache in (one, two):
            await until(lambda cache=cache: _is(cache, Origin(answer("newest")), "newest"))


async def _is(cache, origin, text):
    return (await ask(cache, origin)).text == text


async def test_news_that_were_lost_are_read_after_a_partition(own_valkey):
    async with (
        TcpProxy(own_valkey.url.removeprefix("unix://")) as proxy,
        nodes(own_valkey.url, f"redis://{proxy.host}:{proxy.port}") as (one, two),
    ):
        await settled(one, two)
        for cache in (one, two):
            await ask(cache, Origin(answer("old")))
        proxy.hang()
        await until(lambda: _doubts(two))
        await one.purge(ALL)
        assert (await ask(two, Origin(answer("new")))).text == "old"  # within the stated bound
        proxy.flow()
        await settled(two)
        assert (await ask(two, Origin(answer("new")))).text == "new"


async def _doubts(cache):
    return cache.memory.generation < -1


async def test_in_a_partition_memory_is_used_no_longer_than_the_bound(own_valkey):
    async with nodes(own_valkey.url, unconfirmed_s=0.3) as (cache,):
        await settled(cache)
        await ask(cache, Origin(answer("old")))
        own_valkey.kill()
        await until(lambda: _is(cache, Origin(answer("new")), "new"))
        assert (await ask(cache, Origin(answer("newer")))).text == "new"  # filled a moment ago


async def test_a_purge_without_redis_is_obeyed_here_at_once_and_everywhere_when_it_is_back(own_valkey):
    async with nodes(own_valkey.url, own_valkey.url) as (one, two):
        await settled(one, two)
        for cache in (one, two):
            await ask(cache, Origin(answer("old")))
        own_valkey.freeze()
        try:
            record = await one.purge(Selector(model="openai/gpt-4o-mini"), PurgeOrder(by="ada"))
            assert not record.complete
            assert (await ask(one, Origin(answer("new")))).text == "new"
        finally:
            own_valkey.thaw()
        await until(lambda: _is(two, Origin(answer("newest")), "newest"))
