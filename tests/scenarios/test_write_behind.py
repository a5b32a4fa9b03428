"""Writes to lower tiers wait behind the answers, within bounds; what does not fit is dropped and counted."""

import asyncio

from tests.scenarios.world import Origin, answer, body, world
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier


class Slow(MemoryTier):
    """A tier that takes its time over puts."""

    name = "L2"

    def __init__(self, clock):
        super().__init__(None, clock)
        self.gate = asyncio.Event()

    async def put(self, key, sealed, age_s=0.0):
        await self.gate.wait()
        await super().put(key, sealed, age_s)


def slow(made):
    def make(clock):
        made.append(Slow(clock))
        return GuardedTier(made[0], read_deadline_s=10.0, write_deadline_s=30.0, clock=SYSTEM_CLOCK)

    return make


async def ask(w, number, text="x" * 1000):
    seen = await w.ask(body(f"question {number}"), Origin(answer(text)))
    assert seen.status == 200


async def settled(w):
    async with asyncio.timeout(10.0):
        while w.cache._background.pending:  # noqa: ASYNC110  # jobs, not a state with an event
            await asyncio.sleep(0)


async def test_callers_do_not_wait_and_everything_is_written_in_the_end():
    made = []
    async with world(lower=[slow(made)]) as w:
        for number in range(20):
            await ask(w, number)
        assert made[0].entries == 0
        made[0].gate.set()
        await settled(w)
        assert made[0].entries == 20
        assert w.counted("dropped-write", "L2") == 0


async def test_more_writes_than_may_wait_are_dropped_and_counted():
    made = []
    async with world(lower=[slow(made)], pending_writes=5) as w:
        for number in range(20):
            await ask(w, number)
        assert w.counted("dropped-write", "L2") == 15
        made[0].gate.set()
        await settled(w)
        assert made[0].entries == 5


async def test_more_bytes_than_may_wait_are_dropped_and_counted_and_later_ones_are_written():
    """Few large answers must not take what a thousand small ones may."""
    made = []
    async with world(lower=[slow(made)], pending_write_bytes=10_000) as w:
        for number in range(20):
            await ask(w, number)
        waiting = 20 - w.counted("dropped-write", "L2")
        assert 3 <= waiting <= 9
        await ask(w, 100, "x" * 20_000)  # larger than all that may wait
        assert w.counted("dropped-write", "L2") == 21 - waiting
        made[0].gate.set()
        await settled(w)
        assert made[0].entries == waiting
        for number in range(200, 203):
            await ask(w, number)
            await settled(w)
        assert made[0].entries == waiting + 3
        assert w.cache._store._pending_bytes == 0


async def test_a_newer_write_of_the_same_key_takes_the_place_of_the_one_that_waits():
    made = []
    async with world(lower=[slow(made)], pending_write_bytes=10_000) as w:
        for number in range(30):
            origin = Origin(answer(f"{number:03} " + "x" * 1000))
            await w.ask(body("one question"), origin, (b"cache-control", b"no-cache"))
        assert w.counted("dropped-write", "L2") == 0
        made[0].gate.set()
        await settled(w)
        await w.cache.memory.clear()
        seen = await w.ask(body("one question"), Origin(RuntimeError("asked again")))
        assert seen.text.startswith("029 ")
        assert w.cache._store._pending_bytes == 0


async def test_zero_bytes_are_none():
    made = []
    async with world(lower=[slow(made)], pending_write_bytes=0) as w:
        made[0].gate.set()
        await ask(w, 1)
        await settled(w)
        assert made[0].entries == 0
        assert w.counted("dropped-write", "L2") == 1
