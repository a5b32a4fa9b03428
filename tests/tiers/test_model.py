"""Any sequence of calls on a tier gives what a plain dictionary with instants would give."""

import asyncio
import shutil
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tiered_cache.core.codec import seal
from tiered_cache.testing import FakeClock, sample_entry, sample_key
from tiered_cache.tiers.disk import DiskTier
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier

KEYS = st.sampled_from([sample_key(1), sample_key(2), sample_key(3, fast_hash=1)])
SECONDS = st.sampled_from([0.0, 1.0, 10.0, 60.0])


class TierModel(RuleBasedStateMachine):
    """The dictionary holds (sealed, instant of birth); what is past retention is absent."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock()
        self.runner = asyncio.Runner()
        self.tier = self.make()
        self.model = {}

    def make(self):
        return MemoryTier(None, self.clock)

    def teardown(self):
        self.runner.run(self.tier.close())
        self.runner.close()

    @rule(key=KEYS, body=st.binary(max_size=20), fresh_s=SECONDS, stale_s=SECONDS, age_s=SECONDS)
    def put(self, key, body, fresh_s, stale_s, age_s):
        sealed = seal(key, sample_entry(body, fresh_s=fresh_s, stale_if_error_s=stale_s))
        self.runner.run(self.tier.put(key, sealed, age_s))
        if age_s < fresh_s + stale_s:
            self.model[key] = (sealed, self.clock.monotonic() - age_s)

    @rule(key=KEYS)
    def remove(self, key):
        self.runner.run(self.tier.remove(key))
        self.model.pop(key, None)

    @rule()
    def clear(self):
        self.runner.run(self.tier.clear())
        self.model.clear()

    @rule(seconds=SECONDS)
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def every_key_agrees(self):
        for key in (sample_key(1), sample_key(2), sample_key(3, fast_hash=1)):
            found = self.runner.run(self.tier.get(key))
            expected = self.expected(key)
            assert (found is None) == (expected is None)
            if found is not None:
                assert found.sealed == expected[0]
                assert found.age_s == expected[1]

    def expected(self, key):
        if key not in self.model:
            return None
        sealed, born_s = self.model[key]
        age_s = self.clock.monotonic() - born_s
        return (sealed, age_s) if age_s < sealed.entry.lifetime.retention_s else None


class DiskModel(TierModel):
    def make(self):
        self.directory = tempfile.mkdtemp(prefix="tc-model-")
        return GuardedTier(
            DiskTier(self.directory, 2**26, self.clock),
            read_deadline_s=10.0,
            write_deadline_s=10.0,
            clock=self.clock,
        )

    @rule()
    def restart(self):
        """The process ends and another one opens the same directory."""
        self.runner.run(self.tier.close())
        self.tier = GuardedTier(
            DiskTier(self.directory, 2**26, self.clock),
            read_deadline_s=10.0,
            write_deadline_s=10.0,
            clock=self.clock,
        )

    @invariant()
    def nothing_failed(self):
        assert self.tier.health().counts == {}

    def teardown(self):
        super().teardown()
        shutil.rmtree(self.directory, ignore_errors=True)


TestMemoryModel = TierModel.TestCase
TestMemoryModel.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestDiskModel = DiskModel.TestCase
TestDiskModel.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
