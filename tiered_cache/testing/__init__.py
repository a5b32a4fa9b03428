"""For tests of this library and of tiers that others write: a clock, faults on demand, the tier contract.

The contract suite is `tiered_cache.testing.tier_contract.TierContract`.
"""

from tiered_cache.testing.chaos import ChaosTier, Fault, NullTier
from tiered_cache.testing.clock import FakeClock
from tiered_cache.testing.proxy import TcpProxy, flip
from tiered_cache.testing.samples import sample_entry, sample_key, sample_sealed

__all__ = [
    "ChaosTier",
    "FakeClock",
    "Fault",
    "NullTier",
    "TcpProxy",
    "flip",
    "sample_entry",
    "sample_key",
    "sample_sealed",
]
