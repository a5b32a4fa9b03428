"""What a node knows of a shared log while its own purge cannot be written: a board under the test's control."""

import asyncio

from tiered_cache.core.epochs import Epoch, PurgeLog, Standing, stamp_of
from tiered_cache.engine.backplane import Backplane
from tiered_cache.engine.purge_view import PurgeView
from tiered_cache.errors import TierUnavailableError
from tiered_cache.testing import FakeClock
from tiered_cache.tiers.memory import MemoryTier

SCOPE = b"s" * 16
EPOCH = Epoch(b"incarn-1", 3)


class SlowBoard:
    """Takes no line, and says what the log holds when `gate` is open."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    async def look(self, _known):
        return EPOCH

    async def read(self):
        self.asked.set()
        await self.gate.wait()
        return PurgeLog(EPOCH)

    async def purge(self, scopes, *, soft, known):
        raise TierUnavailableError("full")

    async def news(self, _silence_s, subscribed):
        subscribed()
        await asyncio.Event().wait()
        yield

    async def close(self):
        pass


async def test_a_log_that_was_read_without_the_purge_that_waits_is_not_judged_by():
    clock = FakeClock()
    view, board = PurgeView(MemoryTier(None, clock), clock), SlowBoard()
    backplane = Backplane(view, board, heartbeat_s=0.01)
    backplane.start()
    try:
        async with asyncio.timeout(5):
            await board.asked.wait()
            assert not await backplane.purge((SCOPE,), soft=False)
            board.gate.set()
            await asyncio.sleep(0.05)
        assert view.standing(stamp_of(EPOCH, (SCOPE,)), 0.0) is Standing.PURGED
    finally:
        await backplane.close()
