"""A reply to a claim that comes in the last moment is taken."""

import asyncio

import pytest

from tiered_cache.core.claims import Claim, Led
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.engine.background import Background
from tiered_cache.engine.claiming import Claiming, FleetOptions
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.simulation.virtual import run_virtual

CLAIM = Claim(key=CacheKey(b"k" * 49), modes=(b"j",), token=b"t" * 16)


class Board:
    """Replies after some time, and the turns of the event loop that it takes until a caller has the reply."""

    def __init__(self, reply_s):
        self._reply_s = reply_s

    def token(self):
        return b"t" * 16

    async def claim(self, claim):
        await asyncio.sleep(self._reply_s)
        return Led(1)


@pytest.mark.parametrize("reply_s, claimed", [(0.01, Led(1)), (0.02, Led(1)), (0.03, None)])
def test_a_reply_is_taken_until_the_time_is_over(reply_s, claimed):
    async def main():
        options = FleetOptions(claim_s=0.02)
        claiming = Claiming(Board(reply_s), SYSTEM_CLOCK, options, Background(10))
        return await claiming.claim(CLAIM)

    assert run_virtual(main()) == claimed
