"""What a node knows of a shared log while its own purge cannot be written: a board under the test's control."""

import asyncio

import pytest

from tiered_cache.core.epochs import Epoch, Purge, PurgeLog, Standing, stamp_of
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

    async def reach(self):
        await asyncio.sleep(0)

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


TOLD = Epoch(b"incarn-1", 3, b"third   ")


class TellingBoard:
    """Tells one line when `gate` is open; remembers what it was said to be known at each look."""

    def __init__(self, before):
        self.before = before
        self.epoch = TOLD
        self.gate = asyncio.Event()
        self.known = []

    async def look(self, known):
        self.known.append(known)
        return self.epoch

    async def read(self):
        return PurgeLog(self.epoch)

    async def news(self, _silence_s, subscribed):
        subscribed()
        await self.gate.wait()
        yield self.before, Purge(self.before.counter + 1, (SCOPE,), False, b"another ")
        await asyncio.Event().wait()

    async def close(self):
        pass


@pytest.mark.parametrize(
    ("before", "known"),
    [
        (TOLD, Epoch(b"incarn-1", 4, b"another ")),
        (Epoch(b"incarn-1", 3, b"not that"), TOLD),
        (Epoch(b"incarn-1", 7, b"seventh "), TOLD),
        (Epoch(b"incarn-1", 1, b"first   "), TOLD),
        (Epoch(b"incarn-2", 3, b"third   "), TOLD),
    ],
    ids=["next", "another-branch", "gap", "lost-number", "another-log"],
)
async def test_what_is_known_goes_on_only_by_the_line_that_follows_it(before, known):
    """The next look must say what was known before a line came that does not: else no loss would be seen."""
    clock = FakeClock()
    view, board = PurgeView(MemoryTier(None, clock), clock), TellingBoard(before)
    backplane = Backplane(view, board, heartbeat_s=0.02)
    backplane.start()
    try:
        async with asyncio.timeout(5):
            while TOLD not in board.known:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.001)
            board.known.clear()
            board.epoch = known
            board.gate.set()
            while len(board.known) < 3:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.001)
        assert known in board.known
        assert set(board.known) <= {known, TOLD}
    finally:
        await backplane.close()
