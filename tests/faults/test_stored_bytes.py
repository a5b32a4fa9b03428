"""Whatever stands in Redis in place of an entry: the caller gets the right answer, and the bytes are replaced."""

import asyncio
import contextlib
import json
import random
import struct

import pytest
from redis.asyncio import Redis

from tests.scenarios.world import JSON, KEY, Origin, Seen, answer, body
from tiered_cache import Cache, CacheConfig, RedisConfig, Response
from tiered_cache.engine.config import MemoryConfig

STAMP_BYTES = 16
TOO_LARGE_BYTES = 64 * 2**20 + 1


def echo(request):
    said = json.loads(request.body)["messages"][0]["content"]
    return Response(200, (JSON,), answer(f"echo {said}"))


class Stored:
    """One cache without memory, and the Redis below it."""

    def __init__(self, cache, redis, prefix):
        self.cache = cache
        self.redis = redis
        self.prefix = prefix
        self.origin = Origin(echo)

    async def ask(self, text):
        request = self.cache.request("chat/completions", body(text), headers=(KEY,))
        seen = await Seen.of(await self.cache.serve(request, self.origin))
        assert seen.text == f"echo {text}"
        return seen

    async def names(self):
        return {name async for name in self.redis.scan_iter(f"{self.prefix}:*", _type="string")}

    async def fill(self, text):
        """Ask, and give the name of what was stored."""
        before = await self.names()
        await self.ask(text)
        for _ in range(1000):
            new = await self.names() - before
            if new:
                return new.pop()
            await asyncio.sleep(0.005)
        raise AssertionError("nothing was stored")

    @property
    def faults(self):
        return self.cache.health()[0].counts

    async def until_hit(self, text):
        for _ in range(1000):
            if (await self.ask(text)).hit:
                return
            await asyncio.sleep(0.005)
        raise AssertionError("it was never stored again")


@pytest.fixture
async def stored(redis_url, prefix):
    config = CacheConfig(
        secret="a secret for these tests",
        memory=MemoryConfig(capacity_bytes=0),
        redis=RedisConfig(url=redis_url, prefix=prefix, read_deadline_s=5.0, write_deadline_s=5.0),
    )
    async with (
        Cache.open(config) as cache,
        contextlib.aclosing(Redis.from_url(redis_url, driver_info=None)) as own,
    ):
        yield Stored(cache, own, prefix)
        for name in [name async for name in own.scan_iter(f"{prefix}:*")]:
            await own.unlink(name)


async def held(stored, name, text):
    """What is there instead of the entry is a counted miss that says so, and gives way to the right entry."""
    before = stored.faults.get("corrupt", 0)
    seen = await stored.ask(text)
    assert seen.cache_status.startswith("tiered-cache; fwd=uri-miss"), seen.cache_status
    assert seen.cache_status.endswith("detail=L2/corrupt"), seen.cache_status
    assert stored.faults == {"corrupt": before + 1}
    await stored.until_hit(text)
    assert stored.faults == {"corrupt": before + 1}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda raw: raw[:STAMP_BYTES], id="stamp alone"),
        pytest.param(lambda raw: raw[: STAMP_BYTES // 2], id="half a stamp"),
        pytest.param(lambda raw: bytes(STAMP_BYTES) + raw[STAMP_BYTES:], id="stamp of zeroes"),
        pytest.param(lambda raw: b"\xff" * STAMP_BYTES + raw[STAMP_BYTES:], id="stamp of ones"),
        pytest.param(lambda raw: raw[1:], id="first byte lost"),
        pytest.param(lambda raw: raw[:-1], id="last byte lost"),
        pytest.param(lambda raw: raw[: len(raw) // 2], id="half"),
        pytest.param(lambda raw: raw + b"\0", id="a byte more"),
        pytest.param(lambda raw: raw + raw, id="twice"),
        pytest.param(lambda raw: raw[:STAMP_BYTES] + bytes(len(raw)), id="payload of zeroes"),
        pytest.param(lambda raw: b"\x80\x04}q\x00." * 50, id="a pickle"),
        pytest.param(lambda raw: b"x", id="one byte"),
        pytest.param(lambda raw: bytes(8 * 2**20), id="8 MiB of zeroes"),
    ],
)
async def test_other_bytes_are_a_counted_miss_and_replaced(stored, spoil):
    name = await stored.fill("one")
    await stored.redis.set(name, spoil(await stored.redis.get(name)))
    await held(stored, name, "one")


async def test_a_flipped_bit_anywhere_and_random_bytes_of_any_length(stored):
    dice = random.Random(4)
    name = await stored.fill("one")
    raw = await stored.redis.get(name)
    places = [*range(STAMP_BYTES + 8), *dice.sample(range(len(raw)), 30), len(raw) - 1]
    spoilt = [raw[:at] + bytes((raw[at] ^ 1 << dice.randrange(8),)) + raw[at + 1 :] for at in places]
    spoilt += [dice.randbytes(dice.randrange(1, 400)) for _ in range(30)]
    for value in spoilt:
        await stored.redis.set(name, value)
        await held(stored, name, "one")


async def test_another_calls_entry_is_not_given(stored):
    """The checksum is right, the stamp is right: it is still not the answer to this call."""
    one, other = await stored.fill("one"), await stored.fill("other")
    await stored.redis.copy(other, one, replace=True)
    await held(stored, one, "one")
    raw = await stored.redis.get(one)
    await stored.redis.set(one, raw[:STAMP_BYTES] + (await stored.redis.get(other))[STAMP_BYTES:])
    await held(stored, one, "one")


@pytest.mark.parametrize(
    "command", [("RPUSH", "x"), ("SADD", "x"), ("HSET", "f", "x"), ("ZADD", 1, "x"), ("XADD", "*", "f", "x")]
)
async def test_a_value_of_another_type_is_replaced(stored, command):
    name = await stored.fill("one")
    await stored.redis.unlink(name)
    await stored.redis.execute_command(command[0], name, *command[1:])
    await held(stored, name, "one")


async def test_a_value_too_large_to_read_is_replaced(stored):
    name = await stored.fill("one")
    await stored.redis.setrange(name, TOO_LARGE_BYTES, b"x")
    await held(stored, name, "one")


async def test_an_entry_of_the_future_is_a_miss(stored):
    name = await stored.fill("one")
    raw = await stored.redis.get(name)
    born_us = struct.unpack(">Q", raw[:8])[0] + 3600 * 10**6
    await stored.redis.set(name, struct.pack(">QQ", born_us, 2**53 - born_us) + raw[STAMP_BYTES:])
    assert not (await stored.ask("one")).hit
    await stored.until_hit("one")


async def test_an_empty_value_is_a_miss(stored):
    name = await stored.fill("one")
    await stored.redis.set(name, b"")
    assert not (await stored.ask("one")).hit
    await stored.until_hit("one")
