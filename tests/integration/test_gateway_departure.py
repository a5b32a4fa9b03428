"""A caller that leaves cancels its own work, and nothing else does so unnoticed."""

import asyncio

import pytest

from tiered_cache.gateway.departure import WhileConnected


class Channel:
    """An ASGI `receive` that gives a disconnect once the caller leaves."""

    def __init__(self):
        self.left = asyncio.Event()
        self.uploaded = asyncio.Event()
        self.uploaded.set()
        self.reading = 0

    async def receive(self):
        self.reading += 1
        await self.left.wait()
        return {"type": "http.disconnect"}

    def watch(self) -> WhileConnected:
        return WhileConnected(self.receive, self.uploaded)


async def test_the_work_of_a_caller_that_leaves_is_cancelled_and_that_is_no_error():
    channel = Channel()
    async with channel.watch() as caller:
        channel.left.set()
        await asyncio.sleep(5)
        pytest.fail("the work went on")
    assert caller.gone
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_work_that_ends_first_leaves_no_watcher_behind():
    channel = Channel()
    before = asyncio.all_tasks()
    async with channel.watch() as caller:
        await asyncio.sleep(0)
        caller.finish()
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
    assert not caller.gone


async def test_a_disconnect_after_the_last_piece_is_none():
    channel = Channel()
    async with channel.watch() as caller:
        await asyncio.sleep(0)
        caller.finish()
        channel.left.set()
        await asyncio.sleep(0.01)
    assert not caller.gone


async def test_errors_of_the_work_pass_through():
    with pytest.raises(KeyError):
        async with Channel().watch():
            raise KeyError


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_cancellation_from_elsewhere_passes_through_even_while_the_caller_leaves(leaves):
    channel = Channel()

    async def work():
        async with channel.watch():
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    if leaves:
        channel.left.set()
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nobody_reads_the_channel_while_the_body_is_read_by_another():
    channel = Channel()
    channel.uploaded.clear()
    async with channel.watch():
        await asyncio.sleep(0.01)
        assert channel.reading == 0
        channel.uploaded.set()
        await asyncio.sleep(0.01)
        assert channel.reading == 1
