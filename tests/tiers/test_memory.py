"""What L1 promises beside the contract."""

import tracemalloc

from tiered_cache.core.codec import seal, unseal
from tiered_cache.core.vocabulary import Rendering
from tiered_cache.testing import FakeClock, sample_entry, sample_key, sample_sealed
from tiered_cache.tiers.memory import MemoryTier

KEY = sample_key(1)


def rendering(body=b"rendered"):
    return Rendering(body, b"application/json", b'"tag"')


def test_instants_are_of_the_monotonic_clock_and_count_the_age_given():
    clock = FakeClock(monotonic_s=5000.0)
    entry = sample_entry(fresh_s=100.0, stale_while_revalidate_s=20.0, stale_if_error_s=300.0)

    resident = MemoryTier(None, clock).keep(KEY, seal(KEY, entry), age_s=40.0)

    assert (resident.born_s, resident.fresh_until_s, resident.retained_until_s) == (4960.0, 5060.0, 5360.0)


def test_a_wall_clock_set_back_or_forth_changes_nothing():
    clock = FakeClock()
    tier = MemoryTier(None, clock)
    resident = tier.keep(KEY, sample_sealed(KEY, fresh_s=10.0))
    for jump in (-1e6, 2e6):
        clock.jump_wall(jump)
        assert tier.find(KEY) is resident


def test_found_until_the_instant_retention_ends():
    clock = FakeClock()
    tier = MemoryTier(None, clock)
    tier.keep(KEY, sample_sealed(KEY, fresh_s=10.0))
    clock.advance(9.75)
    assert tier.find(KEY) is not None
    clock.advance(0.25)
    assert tier.find(KEY) is None
    assert (tier.entries, tier.weight_bytes) == (0, 0)


def test_keeping_what_is_past_retention_says_so_and_takes_no_space():
    tier = MemoryTier(None, FakeClock())
    for age_s in (10.0, 11.0):
        assert tier.keep(KEY, sample_sealed(KEY, fresh_s=10.0), age_s) is None
    assert tier.keep(KEY, sample_sealed(KEY, fresh_s=0.0)) is None
    assert tier.entries == 0


def test_the_budget_holds_and_the_least_recently_found_leaves():
    tier = MemoryTier(20_000, FakeClock())
    for number in range(5):
        tier.keep(sample_key(number), sample_sealed(sample_key(number), b"x" * 2000))
    tier.find(sample_key(0))
    for number in range(5, 9):
        tier.keep(sample_key(number), sample_sealed(sample_key(number), b"x" * 2000))

    assert tier.weight_bytes <= 20_000
    assert tier.find(sample_key(0)) is not None
    assert tier.find(sample_key(1)) is None
    assert tier.evictions == 9 - tier.entries


def test_an_entry_over_its_share_is_not_kept_and_the_old_one_does_not_answer_for_it():
    tier = MemoryTier(40_000, FakeClock())
    assert tier.keep(KEY, sample_sealed(KEY)) is not None
    assert tier.keep(KEY, sample_sealed(KEY, b"x" * 10_000)) is None
    assert tier.find(KEY) is None


def test_no_capacity_keeps_nothing():
    tier = MemoryTier(0, FakeClock())
    assert tier.keep(KEY, sample_sealed(KEY)) is None
    assert tier.entries == 0


def test_renderings_weigh_and_replacing_one_weighs_once():
    tier = MemoryTier(None, FakeClock())
    resident = tier.keep(KEY, sample_sealed(KEY))
    alone = tier.weight_bytes
    tier.add_rendering(KEY, resident, "json", rendering(b"x" * 500))
    with_small = tier.weight_bytes
    tier.add_rendering(KEY, resident, "json", rendering(b"x" * 900))

    assert with_small >= alone + 500
    assert tier.weight_bytes == with_small + 400 == resident.weight_bytes
    assert resident.renderings["json"].body == b"x" * 900


def test_a_rendering_that_is_the_stored_body_itself_does_not_weigh_twice():
    tier = MemoryTier(None, FakeClock())
    resident = tier.keep(KEY, sample_sealed(KEY, b"x" * 50_000))
    before = tier.weight_bytes
    tier.add_rendering(KEY, resident, "json", rendering(resident.entry.body))

    assert tier.weight_bytes - before < 5_000


def test_a_rendering_that_would_outgrow_the_share_is_not_kept():
    tier = MemoryTier(40_000, FakeClock())
    resident = tier.keep(KEY, sample_sealed(KEY, b"x" * 5_000))
    before = tier.weight_bytes
    tier.add_rendering(KEY, resident, "json", rendering(b"y" * 5_000))

    assert resident.renderings == {}
    assert tier.weight_bytes == before
    assert tier.find(KEY) is resident


def test_a_rendering_of_an_entry_that_has_left_is_not_booked():
    tier = MemoryTier(None, FakeClock())
    old = tier.keep(KEY, sample_sealed(KEY, b"old"))
    tier.keep(KEY, sample_sealed(KEY, b"new"))
    before = tier.weight_bytes
    tier.add_rendering(KEY, old, "json", rendering())

    assert tier.weight_bytes == before
    assert tier.find(KEY).renderings == {}


def test_the_weight_is_near_the_memory_used():
    """Within a fifth, for entries as they come from another tier."""
    tier = MemoryTier(None, FakeClock())
    payloads = [sample_sealed(sample_key(n), b"%04d" % n * 250).payload for n in range(500)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number, payload in enumerate(payloads):
            key = sample_key(number)
            tier.keep(key, unseal(key, payload))
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert 0.8 < tier.weight_bytes / used < 1.25


async def test_the_tier_methods_and_the_quick_ones_are_one_store():
    clock = FakeClock()
    tier = MemoryTier(None, clock)
    await tier.put(KEY, sample_sealed(KEY), 7.0)
    clock.advance(1.0)

    assert tier.find(KEY).entry == sample_entry()
    assert (await tier.get(KEY)).age_s == 8.0
