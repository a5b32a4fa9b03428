"""A guarded tier never fails and never takes longer than its deadline."""

import asyncio
import logging

import pytest

from tiered_cache.errors import CorruptEntryError, TierUnavailableError
from tiered_cache.simulation.virtual import run_virtual
from tiered_cache.testing import ChaosTier, FakeClock, NullTier, sample_key, sample_sealed
from tiered_cache.testing.chaos import CORRUPT, HANG, Fault
from tiered_cache.tiers.guard import Breaker, BreakerConfig, GuardedTier
from tiered_cache.tiers.memory import MemoryTier

KEY = sample_key(1)
CONFIG = BreakerConfig(failures=3, window=5, cool_down_s=1.0, max_cool_down_s=8.0, jitter=0.0)
DOWN = Fault(error=TierUnavailableError("down"))


def timed_out_inside():
    error = TierUnavailableError("TimeoutError")
    error.__cause__ = TimeoutError()
    return error


class Guarded:
    def __init__(self, **options):
        self.clock = FakeClock()
        self.memory = MemoryTier(None, self.clock)
        self.chaos = ChaosTier(self.memory)
        self.tier = GuardedTier(self.chaos, breaker=Breaker(CONFIG), clock=self.clock, **options)

    async def open(self):
        self.chaos.steady(DOWN)
        for _ in range(CONFIG.failures):
            await self.tier.get(KEY)
        assert self.tier.health().state == "open"


@pytest.fixture
async def guarded():
    guarded = Guarded()
    await guarded.memory.put(KEY, sample_sealed(KEY))
    return guarded


@pytest.mark.parametrize(
    "fault, reason",
    [
        (DOWN, "unavailable"),
        (Fault(error=TimeoutError()), "timeout"),
        (Fault(error=timed_out_inside()), "timeout"),
        (Fault(error=ZeroDivisionError()), "error"),
        (Fault(error=OSError(28, "No space left")), "error"),
        (CORRUPT, "corrupt"),
    ],
)
async def test_every_failure_of_a_lookup_is_a_counted_miss(guarded, fault, reason):
    guarded.chaos.script([fault])

    assert await guarded.tier.get(KEY) is None
    assert guarded.tier.last_fault == reason
    assert guarded.tier.health().counts == {reason: 1}


async def test_a_hit_and_a_clean_miss_have_no_fault(guarded):
    guarded.chaos.script([DOWN])
    await guarded.tier.get(KEY)
    assert await guarded.tier.get(KEY) is not None
    assert guarded.tier.last_fault is None
    assert await guarded.tier.get(sample_key(2)) is None
    assert guarded.tier.last_fault is None


async def test_a_hanging_lookup_ends_at_the_deadline():
    guarded = Guarded(read_deadline_s=0.01)
    guarded.chaos.script([HANG])

    async with asyncio.timeout(10.0):
        assert await guarded.tier.get(KEY) is None
    assert guarded.tier.last_fault == "timeout"


@pytest.mark.parametrize(
    "fault, reason",
    [
        (DOWN, "unavailable"),
        (HANG, "timeout"),
        (Fault(error=ZeroDivisionError()), "error"),
    ],
)
@pytest.mark.parametrize("operation", ["put", "remove", "clear"])
async def test_every_failure_of_a_write_is_counted_and_swallowed(fault, reason, operation):
    guarded = Guarded(write_deadline_s=0.01)
    guarded.chaos.script([fault])
    arguments = {"put": (KEY, sample_sealed(KEY)), "remove": (KEY,), "clear": ()}[operation]

    assert await getattr(guarded.tier, operation)(*arguments) is None
    assert guarded.tier.last_write_fault == reason
    assert guarded.tier.health().counts == {f"write-{reason}": 1}
    assert await getattr(guarded.tier, operation)(*arguments) is None
    assert guarded.tier.last_write_fault is None


async def test_close_swallows_and_ends_at_the_deadline():
    guarded = Guarded(write_deadline_s=0.01)
    guarded.chaos.only("close")
    guarded.chaos.steady(HANG)
    async with asyncio.timeout(10.0):
        await guarded.tier.close()
    guarded.chaos.steady(DOWN)
    await guarded.tier.close()


async def test_a_corrupt_entry_is_removed_and_does_not_count_against_the_tier(guarded):
    guarded.chaos.script([CORRUPT])
    guarded.chaos.only("get")
    await guarded.tier.get(KEY)

    assert guarded.memory.find(KEY) is None
    guarded.chaos.steady(CORRUPT)
    for _ in range(20):
        await guarded.tier.get(KEY)
    assert guarded.tier.health().state == "closed"
    assert guarded.tier.health().counts == {"corrupt": 21}


async def test_a_corrupt_entry_that_cannot_be_removed_is_still_a_counted_miss(guarded):
    guarded.chaos.script([CORRUPT, DOWN])

    assert await guarded.tier.get(KEY) is None
    assert guarded.tier.last_fault == "corrupt"


async def test_an_open_breaker_leaves_the_tier_alone(guarded):
    await guarded.open()
    asked = guarded.chaos.calls["get"]

    assert await guarded.tier.get(KEY) is None
    assert guarded.tier.last_fault == "open"
    assert guarded.chaos.calls["get"] == asked
    assert guarded.tier.health().counts == {"unavailable": 3, "open": 1}


async def let_probe(guarded, seconds=CONFIG.cool_down_s):
    """Let the cool-down pass, and the guard's own task do what it then does."""
    for _ in range(3):
        await asyncio.sleep(0)
    guarded.clock.advance(seconds)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_probe_that_no_caller_waits_for_finds_out_whether_the_tier_is_back(guarded):
    await guarded.open()
    guarded.chaos.heal()
    asked = guarded.chaos.calls["get"]
    assert await asyncio.gather(*(guarded.tier.get(KEY) for _ in range(20))) == [None] * 20
    assert guarded.chaos.calls["get"] == asked

    await let_probe(guarded)

    assert guarded.chaos.calls["get"] == asked + 1
    assert guarded.tier.health().state == "closed"
    assert await guarded.tier.get(KEY) is not None
    assert guarded.clock.sleeping == 0


async def test_no_caller_waits_while_a_probe_hangs():
    guarded = Guarded(read_deadline_s=5.0)
    await guarded.open()
    guarded.chaos.steady(HANG)
    await let_probe(guarded)
    assert guarded.tier.health().state == "half-open"

    async with asyncio.timeout(1.0):
        assert await guarded.tier.get(KEY) is None
    assert guarded.tier.last_fault == "open"
    await guarded.tier.close()


async def test_failed_probes_are_counted_and_made_more_rarely(guarded):
    await guarded.open()
    for seconds in (1.0, 2.0, 4.0):
        await let_probe(guarded, seconds)
    assert guarded.tier.health().counts == {"unavailable": 3, "probe-unavailable": 3}
    guarded.chaos.heal()
    await let_probe(guarded, 7.9)
    assert guarded.tier.health().state == "open"
    await let_probe(guarded, 0.2)
    assert guarded.tier.health().state == "closed"


def test_a_tier_that_hangs_costs_one_deadline_and_a_half_in_all():
    async def main():
        guarded = Guarded(read_deadline_s=0.04)
        guarded.chaos.steady(HANG)
        began_s = asyncio.get_running_loop().time()
        for _ in range(100):
            assert await guarded.tier.get(KEY) is None
        took_s = asyncio.get_running_loop().time() - began_s

        assert guarded.tier.health().counts == {"timeout": 2, "open": 98}
        assert took_s == pytest.approx(0.06, abs=0.003)
        await guarded.tier.close()

    run_virtual(main())


async def test_writes_probe_as_soon_as_lookups_are_answered_again(guarded):
    await guarded.open()
    for _ in range(CONFIG.failures):
        await guarded.tier.put(KEY, sample_sealed(KEY))
    guarded.clock.advance(0.5)
    assert guarded.tier.health().write_state == "open"
    guarded.chaos.heal()
    await let_probe(guarded, 0.5)

    await guarded.tier.put(KEY, sample_sealed(KEY))
    assert guarded.tier.last_write_fault is None
    assert guarded.tier.health().write_state == "closed"


async def test_a_closed_guard_leaves_no_task(guarded):
    await guarded.open()
    await guarded.tier.close()
    await guarded.tier.get(KEY)
    assert len(asyncio.all_tasks()) == 1


async def test_a_used_up_budget_is_no_fault_of_the_tier(guarded):
    assert await guarded.tier.get(KEY, 0.0) is None
    assert guarded.tier.last_fault == "budget"
    guarded.chaos.steady(HANG)
    for _ in range(5):
        assert await guarded.tier.get(KEY, 0.001) is None
        assert guarded.tier.last_fault == "budget"
    assert guarded.tier.health().state == "closed"


async def test_a_budget_that_left_most_of_the_deadline_counts_against_the_tier():
    guarded = Guarded(read_deadline_s=0.01)
    guarded.chaos.steady(HANG)
    for _ in range(2):
        assert await guarded.tier.get(KEY, 0.0099) is None
    assert guarded.tier.health().counts == {"timeout": 2}
    assert guarded.tier.health().state == "open"
    await guarded.tier.close()


async def test_cancellation_passes():
    guarded = Guarded()
    guarded.chaos.steady(HANG)
    lookup = asyncio.create_task(guarded.tier.get(KEY))
    await asyncio.sleep(0)
    lookup.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lookup


async def test_cancelling_a_write_passes():
    guarded = Guarded()
    guarded.chaos.steady(HANG)
    put = asyncio.create_task(guarded.tier.put(KEY, sample_sealed(KEY)))
    await asyncio.sleep(0)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put


async def test_a_place_that_takes_no_writes_can_still_be_read(guarded):
    """A full or read-only Redis: writes are dropped and counted, hits go on."""
    guarded.chaos.only("put")
    guarded.chaos.steady(DOWN)
    for _ in range(10):
        await guarded.tier.put(KEY, sample_sealed(KEY, b"new"))

    health = guarded.tier.health()
    assert (health.state, health.write_state) == ("closed", "open")
    assert health.counts == {"write-unavailable": 3, "write-open": 7}
    assert guarded.chaos.calls["put"] == 3
    assert await guarded.tier.get(KEY) is not None


async def test_breaker_changes_are_logged_once_without_keys(guarded, caplog):
    caplog.set_level(logging.WARNING, "tiered_cache.tiers")
    await guarded.open()
    await let_probe(guarded, 1.0)
    guarded.chaos.heal()
    await let_probe(guarded, 2.0)

    assert [record.getMessage() for record in caplog.records] == [
        "tier L1 fails and is left alone for a while: TierUnavailableError",
        "tier L1 answers again",
    ]


async def test_the_guard_has_the_tiers_name_and_passes_age_on(guarded):
    await guarded.tier.put(KEY, sample_sealed(KEY), 12.0)
    assert guarded.tier.name == guarded.tier.health().name == "L1"
    assert (await guarded.tier.get(KEY)).age_s == 12.0


async def test_removing_through_the_guard_removes(guarded):
    await guarded.tier.remove(KEY)
    assert guarded.memory.find(KEY) is None
    await guarded.tier.put(KEY, sample_sealed(KEY))
    await guarded.tier.clear()
    assert guarded.memory.entries == 0


async def test_a_null_tier_behind_a_guard_is_a_plain_miss():
    tier = GuardedTier(NullTier(), clock=FakeClock())
    await tier.put(KEY, sample_sealed(KEY))
    assert await tier.get(KEY) is None
    assert tier.last_fault is None
    await tier.close()


def test_errors_name_no_key():
    for error in (CorruptEntryError("stamp"), TierUnavailableError("closed")):
        assert KEY.hex() not in str(error)
