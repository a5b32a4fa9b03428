"""What the Redis tier promises beside the contract, on a real Valkey."""

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from tests.tiers.redis_contract import redis_tier
from tiered_cache.core import zstd
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.errors import ConfigError, CorruptEntryError, TierUnavailableError
from tiered_cache.testing import sample_key, sample_sealed
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.redis import RedisTier
from tiered_cache.tiers.redis_lookups import MAX_VALUE_BYTES
from tiered_cache.tiers.redis_node import CONNECTIONS
from tiered_cache.tiers.redis_places import PlaceOptions

KEY = sample_key(1)


@pytest.fixture
async def client(redis_url):
    async with Redis.from_url(redis_url, driver_info=None) as client:
        yield client


@contextlib.asynccontextmanager
async def opened(url, prefix):
    tier = RedisTier(url, prefix=prefix, options=PlaceOptions(read_timeout_s=10.0, write_timeout_s=10.0))
    try:
        yield tier
    finally:
        await tier.close()


async def test_the_key_is_prefix_version_tagged_hash_and_digest(redis_url, prefix, client):
    async with opened(redis_url, prefix) as tier:
        await tier.put(KEY, sample_sealed(KEY))

    fast, digest = KEY[1:17].hex(), KEY[17:].hex()
    assert await client.keys(f"{prefix}:*") == [f"{prefix}:01:{{{fast}}}:{digest}".encode()]


async def test_the_server_expires_entries_by_what_is_left(redis_url, prefix, client):
    async with opened(redis_url, prefix) as tier:
        await tier.put(KEY, sample_sealed(KEY, fresh_s=100.0), age_s=40.5)
        left_ms = await client.pttl(tier.key_name(KEY))
    assert 0 < left_ms <= 59_500


async def test_an_age_that_runs_backwards_is_a_miss(redis_url, prefix, client):
    """A replica whose clock is behind took over."""
    async with opened(redis_url, prefix) as tier:
        await tier.put(KEY, sample_sealed(KEY))
        raw = await client.get(tier.key_name(KEY))
        born_us = int.from_bytes(raw[:8], "big") + 3_600_000_000
        stamp = born_us.to_bytes(8, "big") + (2**53 - born_us).to_bytes(8, "big")
        await client.set(tier.key_name(KEY), stamp + raw[16:])
        assert await tier.get(KEY) is None


async def test_a_script_cache_that_was_flushed_is_filled_again(own_valkey, prefix):
    async with (
        opened(own_valkey.url, prefix) as tier,
        Redis.from_url(own_valkey.url, driver_info=None) as own,
    ):
        await tier.put(KEY, sample_sealed(KEY, b"one"))
        await own.script_flush()
        await tier.put(KEY, sample_sealed(KEY, b"two"))
        assert (await tier.get(KEY)).sealed.entry.body == b"two"


async def test_hundreds_of_callers_share_a_handful_of_connections(own_valkey, prefix):
    async with (
        opened(own_valkey.url, prefix) as tier,
        Redis.from_url(own_valkey.url, driver_info=None) as own,
    ):
        keys = [sample_key(number) for number in range(300)]
        await asyncio.gather(*(tier.put(key, sample_sealed(key, key)) for key in keys))
        found = await asyncio.gather(*(tier.get(key) for key in keys))
        info = await own.info("clients")

    assert [one.sealed.entry.body for one in found] == keys
    assert info["connected_clients"] <= CONNECTIONS + 1


async def test_lookups_at_the_same_time_share_round_trips(own_valkey, prefix):
    async with (
        opened(own_valkey.url, prefix) as tier,
        Redis.from_url(own_valkey.url, driver_info=None) as own,
    ):
        await asyncio.gather(*(tier.get(sample_key(number)) for number in range(200)))
        stats = await own.info("commandstats")

    assert stats["cmdstat_getrange"]["calls"] == 200
    assert stats["cmdstat_time"]["calls"] <= 10


async def test_lookups_that_nobody_waits_for_any_more_are_not_sent(own_valkey, prefix):
    async with (
        opened(own_valkey.url, prefix) as tier,
        Redis.from_url(own_valkey.url, driver_info=None) as own,
    ):
        doomed = [asyncio.create_task(tier.get(sample_key(number))) for number in range(200)]
        await asyncio.sleep(0)
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        assert await tier.get(KEY) is None
        stats = await own.info("commandstats")

    assert stats["cmdstat_getrange"]["calls"] < 10


async def test_a_server_that_answers_nonsense_leaves_nobody_waiting(prefix):
    """Valid replies of the wrong shape: an error for each caller, and the next lookup is tried anew."""
    asked = 0

    async def speak(reader, writer):
        nonlocal asked
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                asked += 1
                writer.write(b"$1\r\nx\r\n:5\r\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with opened(f"redis://127.0.0.1:{port}/0", prefix) as tier:
            for _ in range(3):
                with pytest.raises(TierUnavailableError):
                    async with asyncio.timeout(5.0):
                        await tier.get(KEY)
    finally:
        server.close()
        await server.wait_closed()
    assert asked == 3


async def test_clear_leaves_what_others_keep_in_the_same_place(redis_url, prefix, client):
    """Another prefix, a prefix that begins alike, and a prefix full of wildcards."""
    others = [f"{prefix}:lock:x", f"{prefix}x:01:{{a}}:b", f"{prefix}:ab:01:{{a}}:b", f"x{prefix}:01:{{a}}:b"]
    for name in others:
        await client.set(name, "mine")
    async with opened(redis_url, prefix) as tier, opened(redis_url, f"{prefix[0]}*") as wild:
        await tier.put(KEY, sample_sealed(KEY))
        await wild.put(KEY, sample_sealed(KEY))
        await wild.clear()
        assert await tier.get(KEY) is not None
        assert await wild.get(KEY) is None
        await tier.clear()
        assert await tier.get(KEY) is None
    assert await client.exists(*others) == len(others)


async def test_clear_forgets_thousands(redis_url, prefix):
    async with opened(redis_url, prefix) as tier:
        keys = [sample_key(number) for number in range(2000)]
        await asyncio.gather(*(tier.put(key, sample_sealed(key)) for key in keys))
        await tier.clear()
        assert set(await asyncio.gather(*(tier.get(key) for key in keys))) == {None}


async def test_a_value_of_another_type_is_corrupt_and_disturbs_nobody(redis_url, prefix, client):
    async with opened(redis_url, prefix) as tier:
        await client.rpush(tier.key_name(KEY), "a", "list")
        other = sample_key(2)
        await tier.put(other, sample_sealed(other))
        wrong, right = await asyncio.gather(tier.get(KEY), tier.get(other), return_exceptions=True)
        assert isinstance(wrong, CorruptEntryError)
        assert right is not None
        await tier.remove(KEY)
        await tier.put(KEY, sample_sealed(KEY))
        assert await tier.get(KEY) is not None


async def test_a_value_beyond_the_limit_is_not_read_whole(own_valkey, prefix):
    async with (
        opened(own_valkey.url, prefix) as tier,
        Redis.from_url(own_valkey.url, driver_info=None) as own,
    ):
        await own.setrange(tier.key_name(KEY), MAX_VALUE_BYTES + 10, b"x")
        with pytest.raises(CorruptEntryError):
            await tier.get(KEY)


async def test_a_server_error_is_unavailable(own_valkey, prefix):
    async with (
        opened(own_valkey.url, prefix) as tier,
        Redis.from_url(own_valkey.url, driver_info=None) as own,
    ):
        await own.config_set("requirepass", "s3cret")
        with pytest.raises(TierUnavailableError) as caught:
            await tier.get(KEY)
        with pytest.raises(TierUnavailableError):
            await tier.put(KEY, sample_sealed(KEY))
        with pytest.raises(TierUnavailableError):
            await tier.ping()
    assert "s3cret" not in str(caught.value)


async def test_ping(redis_url, prefix):
    async with opened(redis_url, prefix) as tier:
        await tier.ping()


async def test_after_close_every_call_says_unavailable(redis_url, prefix):
    async with opened(redis_url, prefix) as tier:
        waiting = asyncio.create_task(tier.get(KEY))
        await asyncio.sleep(0)
    with contextlib.suppress(TierUnavailableError):
        assert await waiting is None
    for call in (
        tier.get(KEY),
        tier.put(KEY, sample_sealed(KEY)),
        tier.remove(KEY),
        tier.clear(),
        tier.ping(),
    ):
        with pytest.raises(TierUnavailableError):
            await call


async def test_making_the_tier_connects_to_nothing():
    await RedisTier("redis://192.0.2.1:6379/0").close()


@pytest.mark.parametrize("url", ["", "http://user:pa55@h", "redis://:pa55@h:port/0", "localhost:6379"])
def test_a_url_that_cannot_be_read_is_a_config_error_without_the_password(url):
    with pytest.raises(ConfigError) as caught:
        RedisTier(url)
    assert "pa55" not in str(caught.value)


async def test_large_entries_are_compressed_and_come_back_as_they_were(redis_url, prefix, client):
    tier = redis_tier(redis_url, prefix, compress_above_bytes=10_000)
    try:
        sizes = {}
        for number, size in enumerate([100, 50_000, 2_000_000]):
            key = sample_key(number)
            sealed = sample_sealed(key, b"an answer " * (size // 10))
            await tier.put(key, sealed)
            assert (await tier.get(key)).sealed == sealed
            sizes[size] = await client.strlen(tier.key_name(key))
    finally:
        await tier.close()
    assert sizes[100] > 100
    assert sizes[50_000] < 5_000
    assert sizes[2_000_000] < 20_000


async def test_who_has_no_zstd_misses_what_is_compressed_counts_it_and_leaves_it(
    redis_url, prefix, client, monkeypatch
):
    writer = redis_tier(redis_url, prefix, compress_above_bytes=0)
    reader = redis_tier(redis_url, prefix)
    guarded = GuardedTier(reader, read_deadline_s=10.0, write_deadline_s=10.0, clock=SYSTEM_CLOCK)
    try:
        sealed = sample_sealed(KEY, b"an answer " * 1000)
        await writer.put(KEY, sealed)
        with monkeypatch.context() as without:
            without.setattr(zstd, "ZSTD", None)
            for _ in range(30):
                assert await guarded.get(KEY) is None
            assert guarded.health().counts == {"foreign": 30}
            assert guarded.health().state == "closed"
        assert (await guarded.get(KEY)).sealed == sealed
        with monkeypatch.context() as without:
            without.setattr(zstd, "ZSTD", None)
            await guarded.put(KEY, sealed)  # as after a miss: what it asked the origin for is for all
            assert (await guarded.get(KEY)).sealed == sealed
    finally:
        await writer.close()
        await guarded.close()


async def test_entries_over_the_limit_are_not_written_and_take_the_place_of_none(redis_url, prefix):
    tier = redis_tier(redis_url, prefix, max_value_bytes=5_000)
    try:
        await tier.put(KEY, sample_sealed(KEY, b"small"))
        await tier.put(KEY, sample_sealed(KEY, bytes(6_000)))
        assert await tier.get(KEY) is None
        await tier.put(KEY, sample_sealed(KEY, bytes(4_000)))
        assert await tier.get(KEY) is not None
    finally:
        await tier.close()
