"""Purges while a Sentinel promotes a replica: what a purge took stays away, on every node."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.scenarios.world import KEY, Origin, Seen, answer, body
from tiered_cache import Cache, CacheConfig, RedisConfig, Selector
from tiered_cache.simulation.topologies import SERVICE, command
from tiered_cache.tiers.redis_names import entry_name

ALL = Selector(everything=True)
LOG = "tc:{purges}:log"


@asynccontextmanager
async def nodes(url, number=3):
    redis = RedisConfig(url=url, read_deadline_s=1.0, write_deadline_s=1.0, heartbeat_s=0.1)
    config = CacheConfig(secret="a secret for these tests", redis=redis)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Cache.open(config)) for _ in range(number)]


def call(cache, asked="hello"):
    return cache.request("chat/completions", body(asked), headers=(KEY,))


async def said(cache, text, asked="hello"):
    """What a call is answered with, when the origin would say `text`."""
    seen = await Seen.of(await cache.serve(call(cache, asked), Origin(answer(text))))
    assert "engine-fault" not in seen.cache_status
    return seen.text


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


async def failed_over(sentinel, caches, text, asked="hello"):
    """End the primary and ask until the replica is used; every answer on the way must be `text`."""
    replica = sentinel.servers[1].port
    doubted = set()
    sentinel.servers[0].kill()
    async with asyncio.timeout(40):
        while True:
            for number, cache in enumerate(caches):
                assert await said(cache, text, asked) == text
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
    async with nodes(sentinel.url) as caches:
        await agreed(caches)
        for cache in caches:
            assert await said(cache, "old") == "old"
        await copied(sentinel)
        cut_off(sentinel)
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
    """Wait until the replica has the log as the primary has it.

    WAIT would not do: it is for what its own connection wrote, and a new one has written nothing.
    """
    primary, replica = sentinel.servers
    async with asyncio.timeout(10):
        while await lines(primary) != await lines(replica):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


async def lines(server):
    return await asyncio.to_thread(command, server, "HMGET", LOG, "i", "c")


@pytest.mark.parametrize("had", [True, False], ids=["replica-had-the-purge", "replica-lost-the-purge"])
async def test_a_node_that_starts_after_a_failover_finds_nothing_old_in_redis(sentinel, had):
    """Nobody asks for the purged answer meanwhile, so it lies on the promoted replica as it was stored."""
    async with nodes(sentinel.url) as caches:
        await agreed(caches)
        for asked in ("purged", "kept"):
            assert await said(caches[0], "old", asked) == "old"
        await stored(sentinel.servers[1], caches[0])
        if not had:
            cut_off(sentinel)
        assert (await caches[0].purge(call(caches[0], "purged"))).complete
        await agreed(caches)
        if had:
            await copied(sentinel)
        await failed_over(sentinel, caches, "met", asked="another")
        await agreed(caches)
        await stored(sentinel.servers[1], caches[0])
        async with nodes(sentinel.url, 1) as (started,):
            await agreed([*caches, started])
            assert await said(started, "new", "purged") == "new"
            assert await said(started, "new", "kept") == ("old" if had else "new")


async def test_purges_go_on_through_a_failover(sentinel):
    """Each purge returns, and no answer on its node is older; what Redis did not take is obeyed by all later."""
    async with nodes(sentinel.url) as caches:
        await agreed(caches)
        for cache in caches:
            assert await said(cache, "0", "asked once") == "0"
        sentinel.servers[0].kill()
        assert not (await caches[0].purge(call(caches[0], "asked once"))).complete
        assert await said(caches[0], "1", "asked once") == "1"
        purges, complete = 0, False
        async with asyncio.timeout(15):
            while not complete:
                cache = caches[purges % len(caches)]
                purges += 1
                complete = (await cache.purge(call(cache))).complete
                assert await said(cache, str(purges)) == str(purges)
                await asyncio.sleep(0.02)
            for cache in caches:
                await newer(cache, purges)
                await newer(cache, 1, "asked once")
        assert purges > len(caches), "there was to be no primary for a while"


async def newer(cache, number, *asked):
    """Wait until no answer from before that purge is given."""
    while int(await said(cache, str(number), *asked)) < number:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0.02)


async def stored(server, cache):
    """Wait until a server has both answers, whatever they are worth."""
    names = [entry_name(b"tc", cache.name(call(cache, asked)).key) for asked in ("purged", "kept")]
    async with asyncio.timeout(10):
        while await asyncio.to_thread(command, server, "EXISTS", *names) < len(names):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


def cut_off(sentinel):
    """Let the replica hear nothing more."""
    primary, replica = sentinel.servers
    command(replica, "CONFIG", "SET", "masteruser", "nobody", "masterauth", "nothing")
    command(primary, "CLIENT", "KILL", "TYPE", "replica")
