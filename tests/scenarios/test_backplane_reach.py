"""How a node comes back to a log that it lost sight of: a board whose connections the test answers for."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tiered_cache.core.epochs import Epoch, PurgeLog
from tiered_cache.engine.backplane import Backplane
from tiered_cache.engine.purge_view import PurgeView
from tiered_cache.errors import TierUnavailableError
from tiered_cache.testing import FakeClock
from tiered_cache.tiers.memory import MemoryTier

EPOCH = Epoch(b"incarn-1", 3)


class LostBoard:
    """Can be read, or refuses, or leaves who asks without a word."""

    def __init__(self, state):
        self.state = state
        self.trials = self.left = self.looks = 0

    async def look(self, _known):
        self.looks += 1
        if self.state != "read":
            raise TierUnavailableError("refused")
        return EPOCH

    async def reach(self):
        self.trials += 1
        if self.state == "refuses":
            raise TierUnavailableError("refused")
        if self.state == "silent":
            try:
                await asyncio.Event().wait()
            finally:
                self.left += 1

    async def read(self):
        return PurgeLog(EPOCH)

    async def news(self, _silence_s, subscribed):
        subscribed()
        await asyncio.Event().wait()
        yield

    async def close(self):
        pass


@asynccontextmanager
async def followed(board, heartbeat_s=0.01):
    """The memory of a node that follows it."""
    clock = FakeClock()
    memory = MemoryTier(None, clock)
    backplane = Backplane(PurgeView(memory, clock), board, heartbeat_s)
    backplane.start()
    try:
        async with asyncio.timeout(5):
            yield memory
    finally:
        await backplane.close()


async def until(holds):
    while not holds():  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0.001)


async def test_a_silent_log_is_tried_anew_and_nobody_waits_for_trials_of_before(no_task_left):
    board = LostBoard("read")
    async with followed(board) as memory:
        await until(lambda: memory.generation > 0)
        board.state = "silent"
        await until(lambda: board.trials >= 4)
        assert board.left == 0
        assert memory.generation < 0, "the node is in doubt"
        looks, board.state = board.looks, "read"
        await until(lambda: memory.generation > 0)
        assert board.looks == looks + 1, "what cannot be reached is not looked at"
        assert board.left == board.trials - 1


@pytest.mark.parametrize("state", ["refuses", "silent"])
async def test_a_node_that_ends_while_the_log_is_lost_leaves_no_trial(no_task_left, state):
    board = LostBoard(state)
    async with followed(board):
        await until(lambda: board.trials >= 4)
    assert board.left == (board.trials if state == "silent" else 0)


async def test_a_log_that_can_be_reached_and_not_read_is_not_stormed(no_task_left):
    board = LostBoard("reached")
    async with followed(board, heartbeat_s=0.1) as memory:
        await asyncio.sleep(0.3)
        assert memory.generation < 0
    assert 2 <= board.looks <= 7
