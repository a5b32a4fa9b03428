"""Purges while a Sentinel promotes a replica: what a purge took stays away, on every node."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from tests.scenarios.world import KEY, Origin, Seen, answer, body
from tiered_cache import Cache, CacheConfig, RedisConfig, Selector
from tiered_cache.simulation.topologies import SERVICE, command

ALL = Selector(everything=True)


@asynccontextmanager
async def nodes(url, number=3):
    redis = RedisConfig(url=url, read_deadline_s=1.0, write_deadline_s=1.0, heartbeat_s=0.1)
    config = CacheConfig(secret="a secret for these tests", redis=redis)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Cache.open(config)) for _ in range(number)]


async def said(cache, text):
    """What a call is answered with, when the origin would say `text`."""
    request = cache.request("chat/completions", body(), headers=(KEY,))
    return (await Seen.of(await cache.serve(request, Origin(answer(text))))).text


def in_doubt(cache):
    return cache.memory.generation < 0


def log_of(cache):
    return cache._store.coherence._view.log


def agree(caches):
    return not any(map(in_doubt, caches)) and len({log_of(cache).epoch for cache in caches}) == 1


async def agreed(caches):
    """Wait until every node judges by the same log."""
    async with asyncio.timeout(30):
        while not agree(caches):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


async def failed_over(sentinel, caches, text):
    """End the primary and ask until the replica is used; every answer on the way must be `text`."""
    replica = sentinel.servers[1].port
    doubted = set()
    sentinel.servers[0].kill()
    async with asyncio.timeout(40):
        while True:
            for number, cache in enumerate(caches):
                assert await said(cache, text) == text
                if in_doubt(cache):
                    doubted.add(number)
            _, port = await asyncio.to_thread(
                command, sentinel.sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE
            )
            if int(port) == replica and len(doubted) == len(caches) and not any(map(in_doubt, caches)):
                return
            await asyncio.sleep(0.02)


async def test_a_purge_that_returned_holds_through_a_failover(sentinel):
    async with nodes(sentinel.url) as caches:
        await agreed(caches)
        for cache in caches:
            assert await said(cache, "old") == "old"
        assert (await caches[0].purge(ALL)).complete
        await agreed(caches)
        purged = log_of(caches[0]).epoch
        await copied(sentinel)
        await failed_over(sentinel, caches, "new")
        await agreed(caches)
        assert log_of(caches[0]).holds(purged), "nothing was lost, so all is kept"
        assert (await caches[1].purge(ALL)).complete
        await agreed(caches)
        assert [await said(cache, "newest") for cache in caches] == ["newest"] * 3


async def test_a_purge_that_the_replica_never_had_holds_through_a_failover(sentinel):
    """Replication is cut before the purge; the nodes know more than the server that they come to."""
    primary, replica = sentinel.servers
    async with nodes(sentinel.url) as caches:
        await agreed(caches)
        for cache in caches:
            assert await said(cache, "old") == "old"
        await copied(sentinel)
        command(replica, "CONFIG", "SET", "masteruser", "nobody", "masterauth", "nothing")
        command(primary, "CLIENT", "KILL", "TYPE", "replica")
        assert (await caches[0].purge(ALL)).complete
        await agreed(caches)
        purged = log_of(caches[0]).epoch
        await failed_over(sentinel, caches, "new")
        await agreed(caches)
        assert not log_of(caches[0]).holds(purged), "the purge was to be lost"
        assert "old" not in [await said(cache, "newer") for cache in caches]
        assert (await caches[1].purge(ALL)).complete
        await agreed(caches)
        assert [await said(cache, "newest") for cache in caches] == ["newest"] * 3


async def copied(sentinel):
    """Wait until the replica has all that the primary was told."""
    assert await asyncio.to_thread(command, sentinel.servers[0], "WAIT", 1, 5000) == 1
