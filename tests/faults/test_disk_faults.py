"""The disk tier after crashes, damage and lack of space."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.errors import CorruptEntryError, TierUnavailableError
from tiered_cache.testing import FakeClock, sample_key, sample_sealed
from tiered_cache.tiers.disk import DiskTier
from tiered_cache.tiers.guard import GuardedTier

KEY = sample_key(1)
MIB = 2**20

WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from tiered_cache.engine.clock import SYSTEM_CLOCK
    from tiered_cache.testing import sample_key, sample_sealed
    from tiered_cache.tiers.disk import DiskTier

    async def main():
        tier = DiskTier(sys.argv[1], 64 * 2**20, SYSTEM_CLOCK)
        print("ready", flush=True)
        generation = 0
        while True:
            generation += 1
            keys = [sample_key(number) for number in range(20)]
            body = b"%d " % generation
            await asyncio.gather(*(tier.put(key, sample_sealed(key, key + body * 2000)) for key in keys))
            print(generation, flush=True)

    asyncio.run(main())
    """
)


@contextlib.asynccontextmanager
async def opened(directory, clock=SYSTEM_CLOCK, capacity=64 * MIB):
    tier = DiskTier(str(directory), capacity, clock)
    try:
        yield tier
    finally:
        await tier.close()


def kill_a_writer(directory, after_s):
    """Start a process that writes without pause, kill it, and return how many generations it had finished."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        first = process.stdout.readline()
        time.sleep(after_s)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
        process.stdout.close()
        process.wait(10)
    lines = (first + rest).splitlines()
    return int(lines[-1]) if lines[-1:] else 0


@pytest.mark.slow
def test_kill_9_at_any_instant_leaves_whole_entries(tmp_path):
    """Nothing partial is served, what was finished is there, and the next process goes on without an operator."""
    dice = random.Random(7)
    for round_number in range(6):
        finished = kill_a_writer(tmp_path, dice.uniform(0.0, 0.25))
        generations = asyncio.run(read_back(tmp_path))
        assert min(generations) >= finished, round_number
        assert max(generations) <= finished + 1, round_number


async def read_back(directory):
    async with opened(directory) as tier:
        generations = []
        for number in range(20):
            key = sample_key(number)
            body = (await tier.get(key)).sealed.entry.body
            assert body.startswith(key)
            words = body[len(key) :].split()
            assert len(words) == 2000
            assert len(set(words)) == 1
            generations.append(int(words[0]))
        await tier.put(KEY, sample_sealed(KEY, KEY))
        assert (await tier.get(KEY)).sealed.entry.body == KEY
        await tier.clear()
        return generations


async def test_corrupt_bytes_at_each_position_of_a_row_are_a_counted_miss_and_removed(tmp_path):
    sealed = sample_sealed(KEY, b"short")
    async with opened(tmp_path) as inner:
        tier = GuardedTier(inner, read_deadline_s=10.0, write_deadline_s=10.0, clock=SYSTEM_CLOCK)
        await tier.put(KEY, sealed)
        raw = await asyncio.to_thread(value_of, tmp_path)
        for at in range(len(raw)):
            await asyncio.to_thread(
                set_value, tmp_path, KEY, raw[:at] + bytes((raw[at] ^ 0x41,)) + raw[at + 1 :]
            )
            assert await tier.get(KEY) is None, at
            assert tier.last_fault == "corrupt"
            assert await asyncio.to_thread(value_of, tmp_path) is None
        for length in range(len(raw)):
            await asyncio.to_thread(set_value, tmp_path, KEY, raw[:length])
            assert await tier.get(KEY) is None
            assert tier.last_fault == "corrupt"
        assert tier.health().counts == {"corrupt": 2 * len(raw)}


@pytest.mark.slow
async def test_a_damaged_database_file_is_misses_and_rebuilds_itself(tmp_path):
    """Bytes flipped, zeroed and cut anywhere in the file: own entries or misses, then a working tier again."""
    dice = random.Random(11)
    for round_number in range(24):
        directory = tmp_path / str(round_number)
        async with opened(directory) as tier:
            for number in range(30):
                await tier.put(sample_key(number), sample_sealed(sample_key(number), b"%d" % number * 300))
        await asyncio.to_thread(damage, directory / "entries" / "cache.db", dice)
        async with opened(directory) as inner:
            tier = GuardedTier(inner, read_deadline_s=10.0, write_deadline_s=10.0, clock=SYSTEM_CLOCK)
            for _ in range(2):
                for number in range(30):
                    found = await tier.get(sample_key(number))
                    assert found is None or found.sealed.entry.body == b"%d" % number * 300
            assert set(tier.health().counts) <= {"corrupt"}, round_number
            for _ in range(3):
                await tier.put(KEY, sample_sealed(KEY, b"again"))
            assert (await tier.get(KEY)).sealed.entry.body == b"again", round_number


def damage(path, dice):
    raw = bytearray(path.read_bytes())
    kind = dice.choice(["flips", "zeroes", "cut", "garbage", "header", "empty"])
    if kind == "flips":
        for _ in range(dice.randrange(1, 200)):
            raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    elif kind == "zeroes":
        at = dice.randrange(len(raw))
        raw[at : at + 4096] = bytes(len(raw[at : at + 4096]))
    elif kind == "cut":
        del raw[dice.randrange(len(raw)) :]
    elif kind == "garbage":
        raw[:] = dice.randbytes(len(raw))
    elif kind == "header":
        raw[dice.randrange(100)] ^= 0xFF
    else:
        raw.clear()
    path.write_bytes(raw)


async def test_a_database_damaged_under_a_running_tier(tmp_path):
    async with opened(tmp_path) as inner:
        tier = GuardedTier(inner, read_deadline_s=10.0, write_deadline_s=10.0, clock=SYSTEM_CLOCK)
        for number in range(50):
            await tier.put(sample_key(number), sample_sealed(sample_key(number), b"x" * 5000))

        def overwrite():
            for path in (tmp_path / "entries").iterdir():
                path.write_bytes(b"\xa5" * path.stat().st_size)

        await asyncio.to_thread(overwrite)
        for number in range(50):
            found = await tier.get(sample_key(number))
            assert found is None or found.sealed.entry.body == b"x" * 5000
        for _ in range(3):
            await tier.put(KEY, sample_sealed(KEY))
        assert await tier.get(KEY) is not None


CUT_UNDER_A_RUNNING_TIER = textwrap.dedent(
    """
    import asyncio, os, pathlib, sys
    from tiered_cache.engine.clock import SYSTEM_CLOCK
    from tiered_cache.testing import sample_key, sample_sealed
    from tiered_cache.tiers.disk import DiskTier
    from tiered_cache.tiers.guard import GuardedTier

    async def main():
        inner = DiskTier(sys.argv[1], 64 * 2**20, SYSTEM_CLOCK)
        tier = GuardedTier(inner, read_deadline_s=10.0, write_deadline_s=10.0, clock=SYSTEM_CLOCK)
        keys = [sample_key(number) for number in range(40)]
        entries = pathlib.Path(sys.argv[1], "entries")
        for round in range(6):
            await asyncio.gather(*(tier.put(key, sample_sealed(key, key * 500)) for key in keys))
            for path in entries.iterdir():
                os.truncate(path, 0 if round % 2 else path.stat().st_size // 3)
            for key in keys:
                found = await tier.get(key)
                assert found is None or found.sealed.entry.body == key * 500
            for key in keys:
                await tier.put(key, sample_sealed(key, key * 500))
            found = await tier.get(keys[-1])
            assert found is not None, "it did not recover"
        maps = pathlib.Path("/proc/self/maps").read_text()
        assert str(entries) not in maps, "a file that others can cut is mapped"
        await inner.close()

    asyncio.run(main())
    """
)


def test_files_cut_under_a_running_tier_end_no_process(tmp_path):
    """A fault below a mapping of a file that became shorter is a SIGBUS, which nobody can catch."""
    command = [sys.executable, "-c", CUT_UNDER_A_RUNNING_TIER, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_database_replaced_by_another_process_is_the_one_that_is_written(tmp_path):
    """Journals are found by name: writing on into the old file would spoil the new one."""
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.put(KEY, sample_sealed(KEY))
        await other.put(sample_key(2), sample_sealed(sample_key(2)))

        def damage_it():
            path = tmp_path / "entries" / "cache.db"
            path.write_bytes(b"\xa5" * path.stat().st_size)

        await asyncio.to_thread(damage_it)
        with pytest.raises(CorruptEntryError):
            await one.get(KEY)
        await one.put(KEY, sample_sealed(KEY))
        await other.put(sample_key(2), sample_sealed(sample_key(2)))
        assert await one.get(sample_key(2)) is not None
        assert await other.get(KEY) is not None


async def test_a_full_disk_drops_writes_and_keeps_answering(tmp_path):
    async with opened(tmp_path) as inner:
        tier = GuardedTier(inner, read_deadline_s=10.0, write_deadline_s=10.0, clock=SYSTEM_CLOCK)
        await tier.put(KEY, sample_sealed(KEY))
        pages = await limit_pages(inner, 40)
        for number in range(100, 120):
            await tier.put(sample_key(number), sample_sealed(sample_key(number), b"x" * 100_000))
        assert tier.health().counts.get("write-unavailable", 0) >= 5
        assert await tier.get(KEY) is not None, "the database was thrown away for lack of space"
        await limit_pages(inner, pages)
    async with opened(tmp_path) as tier:
        await tier.put(sample_key(2), sample_sealed(sample_key(2)))
        assert await tier.get(sample_key(2)) is not None
        assert await tier.get(KEY) is not None


async def test_a_full_disk_whose_rollback_fails_too_is_no_damage(tmp_path, monkeypatch):
    """SQLite may roll back by itself when the disk is full; the rollback that follows then fails as well."""

    def fill_up(cache, write):
        cache._sql("ROLLBACK")
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    async with opened(tmp_path) as tier:
        await tier.put(KEY, sample_sealed(KEY))
        with monkeypatch.context() as patch:
            patch.setattr("tiered_cache.tiers.disk_store._apply", fill_up)
            with pytest.raises(TierUnavailableError):
                await tier.put(sample_key(2), sample_sealed(sample_key(2)))
        assert await tier.get(KEY) is not None


async def limit_pages(tier, count):
    """SQLite reports a full disk beyond this many pages."""

    def set_limit():
        with tier._store._opened() as cache:
            return cache._sql("PRAGMA max_page_count").fetchone()[0], cache._sql(
                f"PRAGMA max_page_count = {count}"
            ).fetchone()

    loop = asyncio.get_running_loop()
    return (await loop.run_in_executor(tier._writer, set_limit))[0]


async def test_another_process_that_holds_the_write_lock_is_unavailable_and_reads_go_on(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tiered_cache.tiers.disk_store.BUSY_TIMEOUT_S", 0)
    async with opened(tmp_path) as tier:
        await tier.put(KEY, sample_sealed(KEY))

        def hold():
            connection = sqlite3.connect(
                tmp_path / "entries" / "cache.db", isolation_level=None, check_same_thread=False
            )
            connection.execute("BEGIN IMMEDIATE")
            return connection

        connection = await asyncio.to_thread(hold)
        try:
            with pytest.raises(TierUnavailableError):
                await tier.put(sample_key(2), sample_sealed(sample_key(2)))
            assert await tier.get(KEY) is not None
        finally:
            await asyncio.to_thread(connection.close)
        await tier.put(sample_key(2), sample_sealed(sample_key(2)))
        assert await tier.get(sample_key(2)) is not None


async def test_a_folder_removed_and_made_again_under_a_stopped_tier(tmp_path):

    async with opened(tmp_path / "cache") as tier:
        await tier.put(KEY, sample_sealed(KEY))
    await asyncio.to_thread(shutil.rmtree, tmp_path / "cache")
    async with opened(tmp_path / "cache") as tier:
        assert await tier.get(KEY) is None
        await tier.put(KEY, sample_sealed(KEY))
        assert await tier.get(KEY) is not None


async def test_writes_waiting_at_close_end_with_an_error_and_none_hangs(tmp_path):
    tier = DiskTier(str(tmp_path), 64 * MIB, FakeClock())
    puts = [asyncio.create_task(tier.put(sample_key(n), sample_sealed(sample_key(n)))) for n in range(300)]
    await asyncio.sleep(0)
    await tier.close()
    async with asyncio.timeout(10.0):
        results = await asyncio.gather(*puts, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), TierUnavailableError}


def value_of(directory):
    connection = sqlite3.connect(directory / "entries" / "cache.db")
    row = connection.execute("SELECT value FROM Cache").fetchone()
    connection.close()
    return None if row is None else row[0]


def set_value(directory, key, value):
    connection = sqlite3.connect(directory / "entries" / "cache.db")
    with connection:
        connection.execute("DELETE FROM Cache")
        connection.execute(
            "INSERT INTO Cache (key, raw, store_time, access_time, mode, value) VALUES (?, 1, 0, 0, 1, ?)",
            (key, value),
        )
    connection.close()
