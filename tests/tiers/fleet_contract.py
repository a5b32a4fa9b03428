"""What two whole caches promise on any kind of Redis: one call for both."""

import asyncio
import contextlib

from tests.scenarios.world import EVENTS, JSON, KEY, Seen, answer, body, events
from tiered_cache import Cache, CacheConfig, RedisConfig, Response

SOUND_WITHIN_S = 20.0


@contextlib.asynccontextmanager
async def two_caches(url, prefix, lease_s=3.0, **options):
    """Two processes of a fleet, as soon as they hear each other."""
    redis = RedisConfig(
        url=url, prefix=prefix, lease_s=lease_s, read_deadline_s=1.0, write_deadline_s=1.0, **options
    )
    config = CacheConfig(secret="a secret for these tests", redis=redis)
    async with contextlib.AsyncExitStack() as stack:
        caches = [await stack.enter_async_context(Cache.open(config)) for _ in range(2)]
        async with asyncio.timeout(SOUND_WITHIN_S):
            while not all(_hears(cache) for cache in caches):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.005)
        yield caches


def _hears(cache):
    return cache.memory.generation >= 0 and cache._flying._fleet._hearing.subscribed


class Slow:
    """An origin whose streams wait after their first words, and whose other answers wait at once."""

    def __init__(self):
        self.asked = []
        self.goes_on = asyncio.Event()

    async def __call__(self, request):
        self.asked.append(request.body)
        text = f"said-{len(self.asked)} to all"
        if b'"stream": true' in request.body:
            return Response(200, (EVENTS,), self._words(text))
        await self.goes_on.wait()
        return Response(200, (JSON,), answer(text.replace(" ", "")))

    async def _words(self, text):
        pieces = events(text)
        for piece in pieces[:2]:
            yield piece
        await self.goes_on.wait()
        for piece in pieces[2:]:
            yield piece


def ask(cache, origin, text, **fields):
    """A call under way."""
    request = cache.request("chat/completions", body(text, **fields), headers=(KEY, JSON))

    async def whole():
        return await Seen.of(await cache.serve(request, origin))

    return asyncio.create_task(whole())


async def followed(cache, calls=1):
    """Wait until so many calls of this process follow one of the other's."""
    async with asyncio.timeout(SOUND_WITHIN_S):
        while cache.ledger.counts["fleet", "followed"] < calls:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.002)


class FleetContract:
    """Subclass it with a fixture `url`."""

    protocol = 2

    def options(self):
        return {}

    async def test_two_processes_ask_once_whatever_is_asked_for(self, url, prefix):
        origin = Slow()
        async with two_caches(url, prefix, protocol=self.protocol, **self.options()) as (one, two):
            asks = []
            for fields in ({}, {"stream": True}):
                asks.append(ask(one, origin, "hello", **fields, seed=1))
                await asyncio.sleep(0.05)
                asks += [ask(two, origin, "hello", **fields, seed=1) for _ in range(3)]
            await followed(two, 2)
            assert len(origin.asked) == 2  # a caller of a stream does not follow a call for JSON
            origin.goes_on.set()
            seen = await asyncio.wait_for(asyncio.gather(*asks), SOUND_WITHIN_S)

        assert [each.text for each in seen] == ["said-1toall"] * 4 + ["said-2toall"] * 4
        assert ["collapsed" in each.cache_status for each in seen] == [False, True, True, True] * 2
        assert len(origin.asked) == 2
