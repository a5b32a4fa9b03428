"""The shared log on a real Valkey: what it remembers, what it forgets, and which logs it does not go on with."""

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from tiered_cache.core.epochs import NOWHERE, Epoch, Standing, stamp_of
from tiered_cache.errors import TierUnavailableError
from tiered_cache.testing import TcpProxy
from tiered_cache.tiers import purge_board
from tiered_cache.tiers.purge_board import PurgeBoard
from tiered_cache.tiers.redis_places import PlaceOptions

LOG = "tc:{purges}:log"


def scope(number):
    return number.to_bytes(16, "big")


@contextlib.asynccontextmanager
async def board(server):
    opened = PurgeBoard(server.url, prefix="tc", options=PlaceOptions())
    async with Redis.from_url(server.url, driver_info=None) as client, contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(opened.close)
        yield opened, client


@contextlib.asynccontextmanager
async def closing(log):
    try:
        yield
    finally:
        await log.close()


async def test_a_log_is_read_as_it_was_written(own_valkey):
    async with board(own_valkey) as (log, _):
        known = NOWHERE
        for number in range(600):
            before, purge = await log.purge((scope(number % 7),), soft=number % 2 == 0, known=known)
            assert number == 0 or before == known
            known = before.then(purge)
        told = await log.read()
        assert told.epoch == known == await log.look(known)
        assert len(told.tokens()) == 8 * 601
        assert told.holds(known)
        assert told.standing(stamp_of(before, (scope(599 % 7),))) is Standing.PURGED
        assert told.standing(stamp_of(before, (scope(3),))) is Standing.VALID


@pytest.mark.parametrize(("name", "most"), [("MOST_FIELDS", 40), ("KEPT_LINES", 256)])
async def test_what_is_forgotten_counts_as_purged(own_valkey, monkeypatch, name, most):
    monkeypatch.setattr(purge_board, name, most)
    async with board(own_valkey) as (log, client):
        known, epochs = NOWHERE, []
        for number in range(1100):
            before, purge = await log.purge((scope(number),), soft=False, known=known)
            known = before.then(purge)
            epochs.append(known)
        told = await log.read()
        assert told.epoch == known
        assert 1100 - max(2 * most, most + 256) <= told.floor <= 1100 - most // 4
        blocks = {field for field in await client.hkeys(LOG) if len(field) < 4 and field.startswith(b"t")}
        forgets_lines = name == "KEPT_LINES"
        assert blocks == ({b"t3", b"t4"} if forgets_lines else {b"t0", b"t1", b"t2", b"t3", b"t4"})
        for epoch in epochs:
            standing = told.standing(stamp_of(epoch, (scope(5000),)))
            assert standing is (Standing.VALID if epoch.counter >= told.floor else Standing.PURGED)
        assert await log.look(known) == known
        # Who has been away for longer than lines are remembered might know of one that was lost.
        assert (await log.look(epochs[0]) == known) is not forgets_lines


async def test_a_log_that_did_not_come_by_what_is_known_is_left_for_good(own_valkey):
    async with board(own_valkey) as (log, client):
        before, first = await log.purge((scope(1),), soft=False, known=NOWHERE)
        known = before.then(first)
        copy = await client.dump(LOG)
        lost, second = await log.purge((scope(2),), soft=False, known=known)
        await client.restore(LOG, 0, copy, replace=True)
        await log.purge((scope(3),), soft=False, known=known)  # takes the number of the one that was lost
        seen = await log.look(lost.then(second))
        assert seen.incarnation != known.incarnation
        assert await log.look(known) == seen == await log.look(NOWHERE)
        await client.restore(LOG, 0, copy, replace=True)
        again = await log.look(seen)
        assert again.incarnation not in (known.incarnation, seen.incarnation)
        assert await log.look(seen) == await log.look(known) == again


async def test_a_log_of_an_older_version_or_with_its_lines_is_another_one(own_valkey):
    async with board(own_valkey) as (log, client):
        await client.hset(LOG, mapping={"i": b"an older", "c": 3, "f": 0, b"h" + scope(1): 3})
        seen = await log.look(Epoch(b"an older", 3))
        assert seen.incarnation != b"an older"
        assert seen.counter == 0
        before, purge = await log.purge((scope(1),), soft=False, known=seen)
        assert before == seen
        await client.hincrby(LOG, "c", 1)  # a line without a token
        assert (await log.look(before.then(purge))).incarnation != seen.incarnation


@pytest.mark.parametrize("connected", [True, False])
async def test_a_server_that_is_reached_again_is_asked_on_a_new_connection(own_valkey, connected):
    """What was sent into a partition is not waited for, be it a command or, with RESP3, a greeting."""
    async with TcpProxy(own_valkey.url.removeprefix("unix://")) as proxy:
        options = PlaceOptions(write_timeout_s=60.0, protocol=3)
        log = PurgeBoard(f"redis://{proxy.host}:{proxy.port}", prefix="tc", options=options)
        async with closing(log), asyncio.timeout(10):
            known = await log.look(NOWHERE) if connected else NOWHERE
            proxy.lose()
            looks = asyncio.create_task(log.look(known))
            trials = asyncio.create_task(log.reach())
            await asyncio.sleep(0.05)
            proxy.flow()
            await log.reach()
            with pytest.raises(TierUnavailableError):
                await looks
            assert (await log.look(known)).counter == 0
            trials.cancel()
            await asyncio.gather(trials, return_exceptions=True)


async def test_a_server_that_is_not_there_is_not_reached(own_valkey):
    async with board(own_valkey) as (log, _):
        await log.reach()
        own_valkey.kill()
        with pytest.raises(TierUnavailableError):
            await log.reach()
