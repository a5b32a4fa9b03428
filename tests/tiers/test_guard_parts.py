"""A tier whose parts fail one by one: the guard leaves the sick one alone, and uses the others."""

import asyncio
import gc

import pytest

from tiered_cache.errors import TierUnavailableError
from tiered_cache.testing import FakeClock, sample_key, sample_sealed
from tiered_cache.tiers.guard import Breaker, BreakerConfig, GuardedTier
from tiered_cache.tiers.memory import MemoryTier

CONFIG = BreakerConfig(failures=3, window=20, cool_down_s=1.0, max_cool_down_s=1.0, jitter=0.0)
KEYS = [sample_key(number) for number in range(30)]


class Shard:
    """Where some of the keys are."""


class Shards:
    """A tier in three parts, which are known or not, and of which some fail."""

    name = "L2"

    def __init__(self, clock):
        self.memory = MemoryTier(None, clock)
        self.shards = [Shard(), Shard(), Shard()]
        self.known = True
        self.sick = set()
        self.asked = []

    def shard_of(self, key):
        return self.shards[KEYS.index(key) % 3]

    def part_of(self, key):
        return self.shard_of(key) if self.known else None

    def keys(self, number):
        return KEYS[number::3]

    async def _ask(self, key):
        self.asked.append(key)
        await asyncio.sleep(0)
        if self.shard_of(key) in self.sick:
            raise TierUnavailableError("down")
        self.known = True

    async def get(self, key):
        await self._ask(key)
        return await self.memory.get(key)

    async def put(self, key, sealed, age_s=0.0):
        await self._ask(key)
        await self.memory.put(key, sealed, age_s)

    async def remove(self, key):
        await self._ask(key)

    async def clear(self):
        """Nothing to do."""

    async def close(self):
        """Nothing to do."""


class World:
    def __init__(self, known=True):
        self.clock = FakeClock()
        self.shards = Shards(self.clock)
        self.shards.known = known
        self.guard = GuardedTier(
            self.shards, breaker=Breaker(CONFIG), part_of=self.shards.part_of, clock=self.clock
        )

    @property
    def states(self):
        health = self.guard.health()
        return health.state, health.write_state

    async def fill(self):
        for key in KEYS:
            await self.guard.put(key, sample_sealed(key, key))

    async def found(self, keys):
        """How many of these keys are found; each is its own entry."""
        found = [await self.guard.get(key) for key in keys]
        assert all(one is None or one.sealed.entry.body == key for one, key in zip(found, keys, strict=True))
        return sum(one is not None for one in found)

    async def sicken(self, number):
        self.shards.sick.add(self.shards.shards[number])
        for key in self.shards.keys(number):
            await self.guard.get(key)
            await self.guard.put(key, sample_sealed(key, key))

    async def cool_down(self):
        for _ in range(5):
            await asyncio.sleep(0)
        self.clock.advance(CONFIG.cool_down_s)
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def world():
    world = World()
    await world.fill()
    yield world
    await world.guard.close()


async def test_a_sick_part_is_left_alone_and_the_others_are_used(world):
    await world.sicken(0)
    world.shards.asked.clear()

    assert world.states == ("open", "open")
    assert await world.found(world.shards.keys(0)) == 0
    assert world.guard.last_fault == "open"
    assert world.shards.asked == []
    assert await world.found([*world.shards.keys(1), *world.shards.keys(2)]) == 20
    await world.guard.put(KEYS[1], sample_sealed(KEYS[1], b"new"))
    assert world.guard.last_write_fault is None
    await world.guard.put(KEYS[0], sample_sealed(KEYS[0], b"new"))
    assert world.guard.last_write_fault == "open"
    await world.guard.remove(KEYS[0])
    assert world.guard.last_write_fault == "open"
    assert [world.guard.sound(key) for key in KEYS[:3]] == [False, True, True]


async def test_failures_of_one_part_among_the_answers_of_others_still_open_it(world):
    """In a breaker for all of them, answers of well parts would hide what hangs."""
    world.shards.sick.add(world.shards.shards[0])
    for _ in range(CONFIG.failures):
        await world.found([KEYS[0], *world.shards.keys(1), *world.shards.keys(2)])
    assert world.states == ("open", "closed")


async def test_each_part_is_probed_and_comes_back_by_itself(world):
    await world.sicken(0)
    await world.sicken(1)
    world.shards.sick.discard(world.shards.shards[1])
    await world.cool_down()

    assert await world.found(world.shards.keys(1)) == 10
    assert await world.found(world.shards.keys(0)) == 0
    await world.guard.put(KEYS[1], sample_sealed(KEYS[1], b"new"))
    assert world.guard.last_write_fault is None
    world.shards.sick.clear()
    await world.cool_down()
    await world.cool_down()
    assert await world.found(world.shards.keys(0)) == 10
    await world.guard.put(KEYS[0], sample_sealed(KEYS[0], KEYS[0]))
    assert world.states == ("closed", "closed")


async def test_keys_that_another_part_takes_over_are_used_at_once(world):
    await world.sicken(0)
    world.shards.shards[0] = world.shards.shards[1]  # a failover

    assert await world.found(KEYS) == 30
    await world.guard.put(KEYS[0], sample_sealed(KEYS[0], b"new"))
    assert world.guard.last_write_fault is None


async def test_a_part_that_is_gone_is_forgotten(world):
    await world.sicken(0)
    world.shards.sick.clear()
    world.shards.shards[0] = Shard()
    gc.collect()
    assert world.states == ("closed", "closed")
    await world.cool_down()  # its probe finds the keys elsewhere, and ends
    assert world.guard._probes == set()


async def test_writes_to_where_keys_no_longer_are_do_not_stay_a_fault(world):
    await world.sicken(0)
    kept = world.shards.shards[0]
    world.shards.shards[0] = world.shards.shards[1]
    assert world.states == ("open", "open")
    await world.cool_down()
    assert world.states == ("closed", "closed")
    assert kept in world.shards.sick


async def test_before_the_parts_are_known_the_tier_fails_as_a_whole():
    world = World(known=False)
    world.shards.sick.update(world.shards.shards)
    await world.fill()
    await world.found(KEYS)
    assert world.states == ("open", "open")
    assert len(world.shards.asked) == 2 * CONFIG.failures
    world.shards.sick.clear()
    await world.cool_down()
    await world.fill()
    assert await world.found(KEYS) == 30
    assert world.states == ("closed", "closed")
    await world.guard.close()


async def test_closing_ends_the_probes_of_all_parts(world):
    for number in range(3):
        await world.sicken(number)
    assert len(world.guard._probes) == 3
    await world.guard.close()
    assert len(asyncio.all_tasks()) == 1


async def test_what_failed_before_the_parts_were_known_does_not_stay_a_fault():
    world = World(known=False)
    world.shards.sick.update(world.shards.shards)
    await world.fill()
    assert world.states == ("closed", "open")
    world.shards.sick.clear()
    assert await world.found(KEYS) == 0
    assert world.states == ("closed", "closed")
    await world.guard.close()
