"""What the disk tier promises beside the contract."""

import asyncio
import contextlib
import pickle
import sqlite3
import stat
import threading

import pytest

from tiered_cache.errors import CorruptEntryError, TierUnavailableError
from tiered_cache.testing import FakeClock, sample_key, sample_sealed
from tiered_cache.tiers.disk import DiskTier
from tiered_cache.tiers.disk_store import DiskStore, Write

KEY = sample_key(1)
MIB = 2**20


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "cache"


@contextlib.asynccontextmanager
async def opened(directory, clock=None, capacity=64 * MIB):
    tier = DiskTier(str(directory), capacity, FakeClock() if clock is None else clock)
    try:
        yield tier
    finally:
        await tier.close()


async def test_entries_outlive_the_process_and_go_on_ageing(directory):
    async with opened(directory, FakeClock(monotonic_s=9e6, wall_s=1000.0)) as tier:
        await tier.put(KEY, sample_sealed(KEY), age_s=5.0)
    # The machine has started anew: its monotonic clock is lower, the wall clock has gone on.
    async with opened(directory, FakeClock(monotonic_s=1.0, wall_s=1100.0)) as tier:
        assert (await tier.get(KEY)).age_s == 105.0


async def test_a_stamp_in_the_future_is_a_miss(directory):
    async with opened(directory, FakeClock(wall_s=1000.0)) as tier:
        await tier.put(KEY, sample_sealed(KEY))
    async with opened(directory, FakeClock(wall_s=999.0)) as tier:
        assert await tier.get(KEY) is None


async def test_a_wall_clock_set_back_while_running_makes_nothing_younger(directory):
    clock = FakeClock()
    async with opened(directory, clock) as tier:
        await tier.put(KEY, sample_sealed(KEY, fresh_s=100.0))
        clock.advance(60.0)
        assert (await tier.get(KEY)).age_s == 60.0
        clock.jump_wall(-50.0)
        assert (await tier.get(KEY)).age_s == 60.0
        clock.advance(40.0)
        assert await tier.get(KEY) is None


async def test_a_wall_clock_set_forth_only_expires(directory):
    clock = FakeClock()
    async with opened(directory, clock) as tier:
        await tier.put(KEY, sample_sealed(KEY, fresh_s=100.0))
        clock.jump_wall(1e7)
        assert await tier.get(KEY) is None
        await tier.put(KEY, sample_sealed(KEY, fresh_s=100.0))
        clock.jump_wall(-1e7)
        clock.advance(1.0)
        assert (await tier.get(KEY)).age_s == pytest.approx(1.0)


async def test_the_folder_is_the_owners_alone(directory):
    async with opened(directory) as tier:
        await tier.put(KEY, sample_sealed(KEY))
        folders = [directory, directory / "entries"]
        modes = await asyncio.to_thread(lambda: [stat.S_IMODE(one.stat().st_mode) for one in folders])
    assert modes == [0o700, 0o700]


async def test_making_the_tier_touches_nothing(directory):
    async with opened(directory):
        assert not await asyncio.to_thread(directory.exists)


async def test_the_capacity_holds_and_the_oldest_leave(directory):
    async with opened(directory, capacity=MIB) as tier:
        for number in range(400):
            key = sample_key(number)
            await tier.put(key, sample_sealed(key, b"x" * 10_000))
            assert await volume(tier) <= MIB
        assert await tier.get(sample_key(0)) is None
        assert await tier.get(sample_key(399)) is not None


async def test_an_entry_over_its_share_is_not_kept_and_the_old_one_does_not_answer_for_it(directory):
    async with opened(directory, capacity=MIB) as tier:
        await tier.put(KEY, sample_sealed(KEY))
        await tier.put(KEY, sample_sealed(KEY, b"x" * (MIB // 4)))
        assert await tier.get(KEY) is None


async def test_a_pickle_in_the_database_is_never_loaded(directory):
    """CVE-2025-69872: whoever can write the file must not get to run code."""
    async with opened(directory) as tier:
        await tier.put(KEY, sample_sealed(KEY))
        bomb = pickle.dumps(Bomb())
        await sql(directory, "UPDATE Cache SET mode = 4, value = ?", bomb)
        with pytest.raises(CorruptEntryError):
            await tier.get(KEY)
    assert Bomb.exploded == 0


async def test_a_row_that_names_a_file_opens_and_deletes_no_file(directory, tmp_path):
    victim = tmp_path / "victim"
    await asyncio.to_thread(victim.write_bytes, b"precious")
    async with opened(directory) as tier:
        await tier.put(KEY, sample_sealed(KEY))
        await sql(directory, "UPDATE Cache SET mode = 2, filename = ?", str(victim))
        with pytest.raises(CorruptEntryError):
            await tier.get(KEY)
        await tier.remove(KEY)
        await tier.clear()
    assert await asyncio.to_thread(victim.read_bytes) == b"precious"


async def test_many_puts_share_transactions(directory):
    async with opened(directory) as tier:
        applied = []
        inner = tier._store.apply
        tier._store.apply = lambda writes: (applied.append(len(writes)), inner(writes))[1]
        keys = [sample_key(number) for number in range(250)]
        await asyncio.gather(*(tier.put(key, sample_sealed(key)) for key in keys))

        assert [found is not None for found in [await tier.get(key) for key in keys]] == [True] * 250
    assert sum(applied) == 250
    assert len(applied) <= 4


async def test_large_entries_do_not_make_one_huge_transaction(directory):
    async with opened(directory, capacity=512 * MIB) as tier:
        applied = []
        tier._store.apply = lambda writes: applied.append(sum(len(write.payload) for write in writes))
        keys = [sample_key(number) for number in range(12)]
        await asyncio.gather(*(tier.put(key, sample_sealed(key, b"x" * 5 * MIB)) for key in keys))
    assert sum(applied) > 60 * MIB
    assert max(applied) <= 17 * MIB


async def test_writes_land_in_order(directory):
    async with opened(directory) as tier:
        await asyncio.gather(
            tier.put(KEY, sample_sealed(KEY, b"first")),
            tier.remove(KEY),
            tier.put(KEY, sample_sealed(KEY, b"last")),
        )
        assert (await tier.get(KEY)).sealed.entry.body == b"last"


async def test_two_tiers_on_one_directory_see_each_others_entries(directory):
    async with opened(directory) as one, opened(directory) as other:
        await one.put(KEY, sample_sealed(KEY))
        assert await other.get(KEY) is not None
        await other.remove(KEY)
        assert await one.get(KEY) is None


async def test_expired_rows_give_their_space_back(directory):
    async with opened(directory, capacity=MIB) as tier:
        store = tier._store
        rows = [Write(b"k%d" % n, b"", b"x" * 10_000, 0.001) for n in range(50)]
        await in_thread(store.apply, rows)
        await asyncio.sleep(0.01)
        for number in range(60):
            await tier.put(sample_key(number), sample_sealed(sample_key(number), b"x" * 10_000))
        assert await tier.get(sample_key(0)) is not None


async def test_threads_end_with_the_tier(directory):
    async with opened(directory) as tier:
        await tier.put(KEY, sample_sealed(KEY))
        await tier.get(KEY)
    for thread in [t for t in threading.enumerate() if t.name.startswith("tiered-cache-disk")]:
        await asyncio.to_thread(thread.join, 5.0)
        assert not thread.is_alive()


async def test_after_close_every_call_says_unavailable(directory):
    async with opened(directory) as tier:
        pass
    for call in (tier.get(KEY), tier.put(KEY, sample_sealed(KEY)), tier.remove(KEY), tier.clear()):
        with pytest.raises(TierUnavailableError):
            await call


class Bomb:
    exploded = 0

    def __reduce__(self):
        return (exec, ("import tests.tiers.test_disk as t; t.Bomb.exploded += 1",))


async def in_thread(function, *arguments):
    return await asyncio.to_thread(function, *arguments)


async def volume(tier):
    def read(store: DiskStore) -> int:
        try:
            return store.volume_bytes()
        finally:
            store.close_thread()

    return await in_thread(read, tier._store)


async def sql(directory, statement, *arguments):
    def run():
        connection = sqlite3.connect(directory / "entries" / "cache.db")
        with connection:
            connection.execute(statement, arguments)
        connection.close()

    await in_thread(run)
