"""L2 behind its guard while its server is killed, frozen, restarted, full or badly connected."""

import asyncio
import contextlib
import time

import pytest
from redis.asyncio import Redis

from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.testing import TcpProxy, sample_key, sample_sealed
from tiered_cache.tiers.guard import Breaker, BreakerConfig, GuardedTier
from tiered_cache.tiers.redis import RedisTier
from tiered_cache.tiers.redis_places import PlaceOptions

KEY = sample_key(1)
SEALED = sample_sealed(KEY)
# A patient deadline where the answer matters, a short one where there will be none.
PATIENT = {"read_deadline_s": 5.0, "write_deadline_s": 5.0}
BRISK = {"read_deadline_s": 0.025, "write_deadline_s": 0.1}
BREAKER = BreakerConfig(cool_down_s=0.05, max_cool_down_s=0.1)


@contextlib.asynccontextmanager
async def guarded(url, prefix="t", *, read_deadline_s, write_deadline_s):
    inner = RedisTier(
        url,
        prefix=prefix,
        options=PlaceOptions(read_timeout_s=read_deadline_s, write_timeout_s=write_deadline_s),
    )
    tier = GuardedTier(
        inner,
        read_deadline_s=read_deadline_s,
        write_deadline_s=write_deadline_s,
        breaker=Breaker(BREAKER),
        clock=SYSTEM_CLOCK,
    )
    try:
        yield tier
    finally:
        await tier.close()


def client(url):
    return Redis.from_url(url, driver_info=None)


async def until_answered(tier, key=KEY):
    """Ask as traffic does, until the tier answers without a fault; bounded."""
    async with asyncio.timeout(20.0):
        while True:
            found = await tier.get(key)
            if tier.last_fault is None:
                return found
            await asyncio.sleep(0.01)


async def until_stored(tier):
    async with asyncio.timeout(20.0):
        while True:
            await tier.put(KEY, SEALED)
            if tier.last_write_fault is None:
                return
            await asyncio.sleep(0.01)


async def test_a_killed_server_is_misses_and_a_restarted_one_is_used_again(own_valkey):
    async with guarded(own_valkey.url, **PATIENT) as tier:
        await tier.put(KEY, SEALED)
        assert await tier.get(KEY) is not None
        own_valkey.kill()
        for _ in range(20):
            assert await tier.get(KEY) is None
            await tier.put(KEY, SEALED)
        assert tier.health().state == "open"
        own_valkey.start()
        assert await until_answered(tier) is None
        await until_stored(tier)
        assert await until_answered(tier) is not None
        counts = tier.health().counts

    assert counts["unavailable"] >= 5
    assert counts["open"] > 0
    assert set(counts) <= {"unavailable", "open", "write-unavailable", "write-open"}


async def test_a_frozen_server_costs_deadlines_until_the_breaker_opens_and_nothing_afterwards(own_valkey):
    async with guarded(own_valkey.url, **BRISK) as tier:
        await until_stored(tier)
        own_valkey.freeze()
        try:
            for _ in range(60):
                assert await tier.get(KEY) is None
            counts = tier.health().counts
        finally:
            own_valkey.thaw()
        assert await until_answered(tier) is not None

    assert counts["timeout"] == 2
    assert counts["open"] == 58


async def test_no_lookup_outlasts_its_deadline_by_much_while_the_server_is_frozen(own_valkey):
    """500 callers at once on a frozen server: the promise is the deadline, with room for a loaded machine."""
    async with guarded(own_valkey.url, **BRISK) as tier:
        await until_stored(tier)
        own_valkey.freeze()
        try:
            started_s = time.monotonic()
            found = await asyncio.gather(*(tier.get(sample_key(number)) for number in range(500)))
            took_s = time.monotonic() - started_s
        finally:
            own_valkey.thaw()
        assert found == [None] * 500
        assert await until_answered(tier) is not None
    assert took_s < 5.0  # redis-py's own defaults take a minute


async def test_traffic_through_kills_and_restarts_never_fails_and_never_lies(own_valkey):
    """Each answer is the key's own entry or None, whatever happens to the server."""
    wrong, answered = [], 0

    async def traffic(tier, number):
        nonlocal answered
        key = sample_key(number)
        for _ in range(60):
            await tier.put(key, sample_sealed(key, key))
            found = await tier.get(key)
            if found is not None:
                answered += 1
                if found.sealed.entry.body != key:
                    wrong.append(number)
            await asyncio.sleep(0.005)

    async def trouble():
        for _ in range(3):
            await asyncio.sleep(0.06)
            own_valkey.kill()
            await asyncio.sleep(0.06)
            own_valkey.start()
            await asyncio.sleep(0.06)
            own_valkey.freeze()
            await asyncio.sleep(0.06)
            own_valkey.thaw()

    async with guarded(own_valkey.url, **BRISK) as tier:
        await asyncio.gather(trouble(), *(traffic(tier, number) for number in range(10)))
        await until_stored(tier)
        assert await until_answered(tier) is not None

    assert wrong == []
    assert answered > 0


async def test_a_full_server_drops_writes_and_still_answers(prefix):
    with EmbeddedValkey(maxmemory_bytes=4 * 2**20) as small:
        async with guarded(small.url, prefix, **PATIENT) as tier:
            await tier.put(KEY, SEALED)
            for number in range(100, 140):
                key = sample_key(number)
                await tier.put(key, sample_sealed(key, b"x" * 200_000))
            health = tier.health()
            assert await tier.get(KEY) is not None
    assert health.counts["write-unavailable"] >= 5
    assert health.state == "closed"


async def test_a_read_only_server_drops_writes_and_still_answers(own_valkey, prefix):
    async with guarded(own_valkey.url, prefix, **PATIENT) as tier, client(own_valkey.url) as own:
        await tier.put(KEY, SEALED)
        await own.replicaof("127.0.0.1", 1)
        await own.config_set("replica-serve-stale-data", "yes")
        await tier.put(sample_key(2), sample_sealed(sample_key(2)))
        assert tier.last_write_fault == "unavailable"
        assert await tier.get(KEY) is not None


@pytest.fixture
async def proxied(own_valkey):
    path = own_valkey.url.removeprefix("unix://")
    async with TcpProxy(path) as proxy:
        yield proxy


def address(proxy):
    return f"redis://{proxy.host}:{proxy.port}/0"


async def test_a_refused_connection(proxied):
    async with guarded(address(proxied), **PATIENT) as tier:
        await tier.put(KEY, SEALED)
        await proxied.refuse()
        assert await tier.get(KEY) is None
        assert tier.last_fault == "unavailable"
        await proxied.start()
        assert await until_answered(tier) is not None


async def test_a_network_that_swallows_everything(proxied):
    async with guarded(address(proxied), **BRISK) as tier:
        await until_stored(tier)
        proxied.hang()
        assert await tier.get(KEY) is None
        assert tier.last_fault == "timeout"
        await tier.put(KEY, SEALED)
        assert tier.last_write_fault == "timeout"
        proxied.flow()
        assert await until_answered(tier) is not None


async def test_an_answer_later_than_the_deadline_is_a_miss_and_never_the_next_callers_answer(proxied):
    """A late reply must not be read as the reply to the next command on that connection."""
    async with guarded(address(proxied), **BRISK) as tier:
        await until_stored(tier)
        other = sample_key(2)
        for _ in range(4):
            proxied.delay_s = 0.2
            assert await tier.get(KEY) is None
            proxied.flow()
            assert await until_answered(tier, other) is None
            assert await until_answered(tier) is not None


@pytest.mark.parametrize("length", [0, 1, 5, 40, 130])
async def test_an_answer_cut_off_is_a_miss(proxied, length):
    async with guarded(address(proxied), **PATIENT) as tier:
        await tier.put(KEY, SEALED)
        await proxied.cut()
        proxied.cut_after_bytes = length
        assert await tier.get(KEY) is None
        assert tier.last_fault == "unavailable"
        proxied.flow()
        found = await until_answered(tier)
        assert found.sealed == SEALED


async def test_idle_connections_that_the_server_closed_cost_no_fault(own_valkey):
    async with guarded(own_valkey.url, **PATIENT) as tier, client(own_valkey.url) as own:
        await tier.put(KEY, SEALED)
        assert await tier.get(KEY) is not None
        await own.client_kill_filter(_type="normal", skipme=True)
        assert await tier.get(KEY) is not None
        assert tier.health().counts == {}


async def test_a_server_that_speaks_another_protocol():
    """Port mixed up: some HTTP server answers. Misses, no hang, no other exception."""

    async def speak(reader, writer):
        with contextlib.suppress(ConnectionError):
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with guarded(f"redis://127.0.0.1:{port}/0", **PATIENT) as tier:
            assert await tier.get(KEY) is None
            await tier.put(KEY, SEALED)
            assert set(tier.health().counts) <= {"unavailable", "write-unavailable", "timeout"}
    finally:
        server.close()
        await server.wait_closed()


async def test_corrupt_bytes_at_each_position_are_a_counted_miss_and_removed(redis_url, prefix):
    sealed = sample_sealed(KEY, b"short")
    name = RedisTier(redis_url, prefix=prefix).key_name(KEY)
    async with (
        guarded(redis_url, prefix, **PATIENT) as tier,
        client(redis_url) as own,
    ):
        await tier.put(KEY, sealed)
        raw = await own.get(name)
        for at in range(len(raw)):
            for flip in (0x01, 0x80, 0xFF):
                await own.set(name, raw[:at] + bytes((raw[at] ^ flip,)) + raw[at + 1 :])
                assert await tier.get(KEY) is None, (at, flip)
                assert tier.last_fault == "corrupt"
                assert not await own.exists(name)
        for length in range(1, len(raw)):
            await own.set(name, raw[:length])
            assert await tier.get(KEY) is None
            assert tier.last_fault == "corrupt"
        assert tier.health().counts == {"corrupt": 4 * len(raw) - 1}
        assert tier.health().state == "closed"
