"""Which of several answers is kept: order among flights, promotions and writes."""

import asyncio

import pytest

from tests.scenarios.world import Origin, Stream, answer, body, events, world
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier

pytestmark = pytest.mark.usefixtures("no_task_left")

RELOAD = (b"cache-control", b"no-cache")


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


class SlowTier(MemoryTier):
    """A tier in memory whose reads and writes wait for the test."""

    def __init__(self, clock):
        super().__init__(None, clock)
        self.reading = asyncio.Event()
        self.writing = asyncio.Event()
        self.reading.set()
        self.writing.set()
        self.puts = 0

    async def get(self, key):
        found = await super().get(key)
        await self.reading.wait()
        return found

    async def put(self, key, sealed, age_s=0.0):
        self.puts += 1
        await self.writing.wait()
        await super().put(key, sealed, age_s)


def slow(tiers):
    def make(clock):
        tiers.append(SlowTier(clock))
        return GuardedTier(tiers[-1], read_deadline_s=30, write_deadline_s=30, clock=clock)

    return make


@pytest.mark.parametrize("older", [{"stream": True}, {"service_tier": "flex"}])
async def test_an_older_flight_of_another_mode_never_overwrites_a_no_cache_answer(older):
    """SEMANTICS 3: no-cache: its answer replaces the entry, which is named by the key alone."""
    gate = asyncio.Event()
    stale = Stream(events("old"), gate=gate) if "stream" in older else answer("old")
    slow_origin, origin = Origin(stale), Origin(answer("new"))
    slow_origin.gate = gate
    async with world() as w:
        first = asyncio.ensure_future(w.ask(body(**older), slow_origin))
        await settle()
        assert (await w.ask(body(), origin, RELOAD)).text == "new"
        gate.set()
        assert (await first).text == "old"
        await settle()

        assert (await w.ask(body(), origin)).text == "new"
        assert w.counted("refused", "superseded") == 1
    assert origin.calls == 1


async def test_the_first_whole_answer_is_stored():
    """SEMANTICS 5: a stream caller leads its own flight beside a JSON one; the first whole answer is stored."""
    gate = asyncio.Event()
    slow_origin, origin = Origin(Stream(events("second"), gate=gate)), Origin(answer("first"))
    slow_origin.gate = gate
    async with world() as w:
        stream = asyncio.ensure_future(w.ask(body(stream=True), slow_origin))
        await settle()
        await w.ask(body(service_tier="flex"), origin)
        gate.set()
        await stream
        await settle()

        assert (await w.ask(body(), origin)).text == "first"


async def test_what_was_read_below_does_not_replace_a_newer_answer_in_memory():
    tiers = []
    origin = Origin(answer("old"), answer("new"))
    async with world(lower=[slow(tiers)]) as w:
        await w.ask(body(), origin)
        await settle()
        await w.cache.memory.clear()
        w.clock.advance(5)
        tiers[0].reading.clear()
        reader = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        await w.ask(body(), origin, RELOAD)
        tiers[0].reading.set()
        await reader

        assert (await w.ask(body(), origin)).text == "new"


async def test_writes_of_one_key_to_one_tier_end_with_the_newest():
    tiers = []
    origin = Origin(answer("1"), answer("2"), answer("3"))
    async with world(lower=[slow(tiers)]) as w:
        tiers[0].writing.clear()
        for _ in range(3):
            await w.ask(body(), origin, RELOAD)
            await settle()
        tiers[0].writing.set()
        await settle()
        await w.cache.memory.clear()

        assert (await w.ask(body(), origin)).text == "3"
        assert tiers[0].puts == 2  # the one under way and the last that waited
    assert origin.calls == 3


async def test_parallel_calls_after_a_refusal_fill_the_cache_again():
    """SEMANTICS 5: hit-for-miss sends calls on in parallel; none takes another's right to be stored."""
    origin = Origin(answer("cut", finish="length"), answer("good"))
    async with world() as w:
        await w.ask(body(), origin)
        origin.gate = asyncio.Event()
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(12)]
        await settle()
        origin.gate.set()
        await asyncio.gather(*calls)

        assert w.counted("stored") == 1
        assert (await w.ask(body(), origin)).hit


async def test_a_retry_joins_even_where_calls_are_alone():
    """SEMANTICS 5: x-stainless-retry-count >= 1 joins a running flight."""
    origin = Origin(answer("cut", finish="length"), answer("good"))
    async with world() as w:
        await w.ask(body(), origin)
        origin.gate = asyncio.Event()
        first = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        retry = asyncio.ensure_future(w.ask(body(), origin, (b"x-stainless-retry-count", b"1")))
        await settle()
        origin.gate.set()
        await asyncio.gather(first, retry)

    assert origin.calls == 2


async def test_a_lifetime_of_zero_asked_by_one_caller_keeps_the_others_together():
    origin = Origin(answer("a"), answer("b"))
    async with world() as w:
        await w.ask(body(), origin, (b"x-tiered-cache-ttl", b"0"))
        origin.gate = asyncio.Event()
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(5)]
        await settle()
        origin.gate.set()
        await asyncio.gather(*calls)

    assert origin.calls == 2
