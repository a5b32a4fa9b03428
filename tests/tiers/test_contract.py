"""Every tier of ours keeps the promises, bare and guarded."""

import asyncio
from collections.abc import Callable

import pytest

from tests.tiers.redis_contract import RedisContract, unguarded
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.testing import ChaosTier, FakeClock, sample_key, sample_sealed
from tiered_cache.testing.tier_contract import TierContract
from tiered_cache.tiers import redis_wire
from tiered_cache.tiers.base import Tier
from tiered_cache.tiers.disk import DiskTier
from tiered_cache.tiers.disk_store import Write
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier
from tiered_cache.tiers.redis_replies import PythonReader


class FakeTimeContract(TierContract):
    unit_s = 100.0
    exact_time = True

    @pytest.fixture(autouse=True)
    def _fake_clock(self):
        self.clock = FakeClock()

    async def pass_time(self, seconds):
        self.clock.advance(seconds)


class TestMemory(FakeTimeContract):
    @pytest.fixture
    async def tier(self):
        tier = MemoryTier(64 * 2**20, self.clock)
        yield tier
        await tier.close()


class TestUnlimitedMemory(FakeTimeContract):
    @pytest.fixture
    async def tier(self):
        tier = MemoryTier(None, self.clock)
        yield tier
        await tier.close()


class TestDisk(FakeTimeContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path):
        self.directory = tmp_path
        (tmp_path / "a-file").write_bytes(b"in the way")

    @pytest.fixture
    async def tier(self):
        tier = self.guard(DiskTier(str(self.directory / "cache"), 64 * 2**20, self.clock))
        yield tier
        await tier.close()

    def guard(self, tier: Tier) -> Tier:
        return tier

    async def edit_stored(self, tier: Tier, key: CacheKey, edit: Callable[[bytes], bytes]) -> bool:
        disk = unguarded(tier)
        raw = await in_writer(disk, disk._store.read, key)
        await in_writer(disk, disk._store.apply, [Write(key, b"", edit(raw), 3600.0)])
        return True

    async def unreachable(self) -> Tier:
        return self.guard(DiskTier(str(self.directory / "a-file" / "cache"), 2**20, self.clock))


class TestGuardedDisk(TestDisk):
    raises = False

    def guard(self, tier: Tier) -> Tier:
        return GuardedTier(tier, read_deadline_s=10.0, write_deadline_s=10.0, clock=SYSTEM_CLOCK)


class TestRedis(RedisContract):
    @pytest.fixture
    def url(self, redis_url):
        return redis_url


class TestGuardedRedis(TestRedis):
    raises = False

    def guard(self, tier: Tier) -> Tier:
        return GuardedTier(tier, read_deadline_s=10.0, write_deadline_s=10.0, clock=SYSTEM_CLOCK)


class TestRedisWithoutHiredis(TestRedis):
    @pytest.fixture(autouse=True)
    def _python_reader(self, monkeypatch):
        monkeypatch.setattr(redis_wire, "new_reader", PythonReader)


class TestCompressedRedis(TestRedis):
    compress_above_bytes = 0


class TestRedisInRespThree(TestRedis):
    protocol = 3


class TestChaosWithoutFaults(FakeTimeContract):
    @pytest.fixture
    async def tier(self):
        tier = ChaosTier(MemoryTier(None, self.clock))
        yield tier
        await tier.close()


async def in_writer(disk, function, *arguments):
    return await asyncio.get_running_loop().run_in_executor(disk._writer, function, *arguments)


async def test_the_contract_notices_a_tier_that_forgets_the_key(redis_url):
    """The suite itself can fail: a tier that answers any key with the last put does not pass."""

    class Careless(MemoryTier):
        def find(self, key):
            return super().find(sample_key(1))

    careless = Careless(None, FakeClock())
    with pytest.raises(AssertionError):
        await TierContract().test_never_another_keys_entry(careless)
    await careless.put(sample_key(1), sample_sealed(sample_key(1)))
