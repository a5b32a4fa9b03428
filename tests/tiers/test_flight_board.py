"""The board of flights on a real Valkey: its promises, what it costs, and what it makes of nonsense."""

import asyncio
import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from redis.asyncio import Redis

from tests.tiers.flight_contract import (
    KEY,
    LONG_MS,
    MODE,
    FlightContract,
    claim_of,
    fenced,
    flight_board,
    listening,
)
from tests.tiers.redis_contract import redis_tier
from tiered_cache.core.claims import Busy, Followed, FollowedBy, Frame, Led, Log, Over, Standing, Stored
from tiered_cache.errors import TierUnavailableError
from tiered_cache.testing import TcpProxy
from tiered_cache.tiers.flight_replies import read_news


class TestFlights(FlightContract):
    most_frames = 9000  # more than Lua hands to a command at once

    @pytest.fixture
    def url(self, redis_url):
        return redis_url


@pytest.fixture
async def client(redis_url):
    async with Redis.from_url(redis_url, driver_info=None) as client:
        yield client


@contextlib.asynccontextmanager
async def opened(url, prefix, **options):
    board = flight_board(url, prefix, **options)
    try:
        yield board
    finally:
        await board.close()


@contextlib.asynccontextmanager
async def behind_a_proxy(url, prefix, **options):
    """A board, its proxy, and another board that reaches the server directly."""
    async with (
        TcpProxy(url.removeprefix("unix://")) as proxy,
        opened(f"redis://{proxy.host}:{proxy.port}", prefix, **options) as board,
        opened(url, prefix) as other,
    ):
        yield board, proxy, other


async def every_call(board, key=KEY, token=None):
    """One call of each kind; a server that knows them all is asked by digest from then on."""
    token = board.token() if token is None else token
    yield board.claim(claim_of(board, key=key, token=token))
    yield board.append(key, token, 0, b"zero", LONG_MS)
    yield board.renew(key, token, LONG_MS)
    yield board.leave(key, token)
    yield board.read(key, token, 0)
    yield board.end(key, token, served=True, failed=False, lease_ms=1)


async def known(board):
    """The server knows every script."""
    async for call in every_call(board):
        await call
    await asyncio.sleep(0.002)


# Replies that are lost


@contextlib.asynccontextmanager
async def lost(proxy):
    """The server does what it is told, and its replies are lost."""
    proxy.cut_after_bytes = 0
    with pytest.raises(TierUnavailableError):
        yield
    proxy.flow()


async def test_a_claim_whose_reply_is_lost_leads_and_is_told_so_when_it_asks_again(redis_url, prefix):
    async with behind_a_proxy(redis_url, prefix) as (board, proxy, other):
        await known(board)
        claim = claim_of(board)
        async with lost(proxy):
            await board.claim(claim)
        seen = await other.claim(claim_of(other))
        assert seen.token == claim.token
        led = await board.claim(claim)
        assert isinstance(led, Led)
        assert await board.claim(claim) == led
        assert await board.renew(KEY, claim.token, LONG_MS) == Standing(1, 0)


async def test_a_follower_whose_reply_is_lost_follows_once(redis_url, prefix):
    async with behind_a_proxy(redis_url, prefix) as (board, proxy, other):
        await known(board)
        first, mine = claim_of(other), claim_of(board)
        await other.claim(first)
        async with listening(other) as news:
            async with lost(proxy):
                await board.claim(mine)
            assert (await board.claim(mine)).token == first.token
            assert await other.renew(KEY, first.token, LONG_MS) == Standing(1, 0)
            await news.hears(FollowedBy(first.token))


async def test_a_frame_whose_reply_is_lost_is_there_once(redis_url, prefix):
    async with behind_a_proxy(redis_url, prefix) as (board, proxy, other):
        await known(board)
        first = claim_of(board)
        await board.claim(first)
        async with lost(proxy):
            await board.append(KEY, first.token, 0, b"zero", LONG_MS)
        assert await board.append(KEY, first.token, 0, b"zero", LONG_MS) == Standing(0, 1)
        assert await board.append(KEY, first.token, 1, b"one", LONG_MS) == Standing(0, 2)
        assert (await other.read(KEY, first.token, 0)).frames == (b"zero", b"one")


async def test_an_end_whose_reply_is_lost_is_the_end(redis_url, prefix):
    async with behind_a_proxy(redis_url, prefix) as (board, proxy, other):
        await known(board)
        first = claim_of(board)
        await board.claim(first)
        async with lost(proxy):
            await board.end(KEY, first.token, served=False, failed=True, lease_ms=LONG_MS)
        assert await board.end(KEY, first.token, served=False, failed=True, lease_ms=LONG_MS)
        assert isinstance(await other.claim(claim_of(other, generation=1, root=first.token)), Led)


async def test_a_claim_whose_reply_was_lost_and_whose_lease_another_took_follows_it(redis_url, prefix):
    async with behind_a_proxy(redis_url, prefix) as (board, proxy, other):
        await known(board)
        claim, second = claim_of(board, lease_ms=1), claim_of(other)
        async with lost(proxy):
            await board.claim(claim)
        await asyncio.sleep(0.005)
        assert isinstance(await other.claim(second), Led)
        assert (await board.claim(claim)).token == second.token
        assert await board.renew(KEY, claim.token, LONG_MS) is None


# News that stop


@pytest.mark.parametrize("how", ["cut", "reset", "hang"])
async def test_news_that_stop_are_unavailable_and_begin_again(redis_url, prefix, how):
    async with behind_a_proxy(redis_url, prefix) as (board, proxy, other):
        subscribed = asyncio.Event()
        news = board.news(0.05, subscribed.set)
        listening_for = asyncio.create_task(anext(news))
        await subscribed.wait()
        match how:
            case "cut":
                await proxy.cut()
            case "reset":
                await proxy.reset()
            case _:
                proxy.hang()
        with pytest.raises(TierUnavailableError):
            async with asyncio.timeout(5.0):
                await listening_for
        proxy.flow()
        first = claim_of(board)
        await board.claim(first)
        async with listening(board) as again:
            await other.claim(claim_of(other))
            await again.hears(FollowedBy(first.token))


async def test_news_of_a_server_that_is_full_of_other_channels_are_this_process_own(redis_url, prefix):
    async with opened(redis_url, prefix) as one, opened(redis_url, prefix) as two:
        first = claim_of(one)
        await one.claim(first)
        async with listening(one) as at_one, listening(two) as at_two:
            await two.claim(claim_of(two))
            await one.append(KEY, first.token, 0, b"zero", LONG_MS)
            await at_one.hears(FollowedBy(first.token))
            await at_two.hears(Frame(first.token, 0, b"zero"))


async def test_what_strangers_say_on_the_channel_is_not_heard(redis_url, prefix, client):
    async with opened(redis_url, prefix) as one, opened(redis_url, prefix) as two:
        first = claim_of(one)
        await one.claim(first)
        async with listening(one) as news:
            for text in (b"", b"f", b"x" * 100, b"f" + b"\0" * 19):
                assert await client.publish(f"{prefix}:flights:{one.process.hex()}", text) == 1
            await two.claim(claim_of(two))
            await news.hears(FollowedBy(first.token))


@given(st.binary(max_size=40))
def test_any_text_is_news_or_is_not(text):
    news = read_news(text)
    assert news is None or text[1:17] == news.token


# What it costs


async def test_each_step_is_one_command(own_valkey, prefix):
    """A follower spends one, an uncontended miss two."""
    async with (
        opened(own_valkey.url, prefix) as one,
        opened(own_valkey.url, prefix) as two,
        Redis.from_url(own_valkey.url, driver_info=None) as admin,
    ):
        await known(one)

        async def spent(call):
            await admin.config_resetstat()
            result = await call
            stats = await admin.info("commandstats")
            assert stats["cmdstat_evalsha"]["calls"] == 1
            assert "cmdstat_eval" not in stats
            return result

        first = claim_of(one)
        assert isinstance(await spent(one.claim(first)), Led)
        assert isinstance(await spent(two.claim(claim_of(two))), Followed)
        assert await spent(one.append(KEY, first.token, 0, b"zero", LONG_MS)) == Standing(1, 1)
        assert await spent(one.end(KEY, first.token, served=True, failed=False, lease_ms=LONG_MS))


async def test_a_process_has_one_connection_for_commands_and_one_for_news(own_valkey, prefix):
    async with (
        opened(own_valkey.url, prefix) as board,
        Redis.from_url(own_valkey.url, driver_info=None) as admin,
        listening(board),
    ):
        await asyncio.gather(*(board.claim(claim_of(board, modes=(b"%d" % n,))) for n in range(100)))
        assert (await admin.info("clients"))["connected_clients"] == 2 + 1


async def test_making_a_board_connects_to_nothing(prefix):
    board = flight_board("redis://192.0.2.1:6379", prefix)
    assert len(board.process) == 8
    await board.close()


# Nonsense

REPLIES = [
    b"+OK\r\n",
    b":5\r\n",
    b"$3\r\nled\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*1\r\n$3\r\nled\r\n",
    b"*2\r\n$3\r\nled\r\n:0\r\n",
    b"*2\r\n$3\r\nled\r\n$1\r\n7\r\n",
    b"*2\r\n$8\r\nfollowed\r\n:0\r\n",
    b"*9\r\n$8\r\nfollowed\r\n$1\r\nt\r\n$1\r\nm\r\n:1\r\n:1\r\n:0\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n",
    b"*2\r\n:1\r\n$1\r\n7\r\n",
    b"*3\r\n:1\r\n:0\r\n$-1\r\n",
    b"*3\r\n:1\r\n:0\r\n:1\r\n",
    b"*1\r\n*1\r\n*0\r\n",
    b"-ERR something\r\n",
    b"-MOVED 1 h:1\r\n",
    b"?\r\n",
]


@pytest.mark.parametrize("reply", REPLIES)
async def test_replies_that_make_no_sense_are_unavailable(prefix, reply):
    async def speak(reader, writer):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                writer.write(reply)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with opened(f"redis://127.0.0.1:{port}", prefix) as board:
            with pytest.raises(TierUnavailableError):
                await board.claim(claim_of(board))
            results = [await settled(call) async for call in every_call(board)]
            assert all(possible(result) for result in results)
    finally:
        server.close()
        await server.wait_closed()


async def settled(call):
    """Its result, or the one error that is allowed."""
    try:
        async with asyncio.timeout(10.0):
            return await call
    except TierUnavailableError as error:
        return error


def possible(result):
    """One of the results that are declared, each field of its type."""
    match result:
        case Followed() | Led() | Standing() | Log():
            return msgspec.convert(structs.asdict(result), type(result)) == result
        case _:
            return isinstance(result, Stored | Busy | Over | bool | None | TierUnavailableError)


FIELDS = st.sampled_from([b"f", b"w", b"t", b"q", b"h", b"p", b"F", b"v"])
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.sampled_from([-1, 0.5, 2**17, 2**53, 1e300])
OVERWRITTEN = st.tuples(FIELDS, st.binary(max_size=40) | NUMBERS.map(lambda number: repr(number).encode()))
ABOUT = st.sampled_from(
    ["fence", "claimed", "heard", "lease", "frames", "generation", "state", "mode", "root", "followers"]
)
ODD = st.none() | st.booleans() | NUMBERS | st.text(max_size=20) | st.just([{}])
EDIT = """
local f = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))
f[ARGV[2]] = cmsgpack.unpack(ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(f))
"""


@given(st.lists(OVERWRITTEN, max_size=3), st.lists(st.tuples(ABOUT, ODD), max_size=3))
@settings(max_examples=80)
def test_a_hash_full_of_garbage_raises_nothing_but_the_one_error(redis_url, prefix, overwritten, edited):
    asyncio.run(meet_garbage(redis_url, prefix, overwritten, edited))


async def meet_garbage(url, prefix, overwritten, edited):
    async with (
        opened(url, prefix) as one,
        opened(url, prefix) as two,
        Redis.from_url(url, driver_info=None) as client,
    ):
        (name,) = await stage(client, one, two, prefix)
        fields = await client.hgetall(name)
        token = fields[b"p" + MODE]
        for about, odd in edited:
            for flight in [field for field in fields if field[:1] == b"h"]:
                await client.eval(EDIT, 1, name, flight, about, msgspec.msgpack.encode(odd))
        for kind, value in overwritten:
            await client.hset(name, mapping={field: value for field in fields if field[:1] == kind})
        results = [await settled(call) async for call in every_call(two, token=token)]
        for claim in (
            claim_of(two, looked_us=0),
            claim_of(two, generation=1, root=b"r" * 16, began_within_us=0),
            claim_of(two, began_within_us=0),
        ):
            results.append(await settled(two.claim(claim)))
        assert all(possible(result) for result in results)
        assert 0 < await client.pttl(name) <= 4 * LONG_MS
        await client.unlink(*await client.keys(f"{prefix}:*"))


async def stage(client, one, two, prefix):
    """A key with all there can be: a write, a flight that failed, one that took over, frames, a follower."""
    tier = redis_tier(client_url(client), prefix)
    await tier.put(KEY, fenced(1))
    await tier.close()
    first = claim_of(one)
    await one.claim(first)
    await one.end(KEY, first.token, served=True, failed=True, lease_ms=LONG_MS)
    second = claim_of(one, generation=1, root=first.token)
    await one.claim(second)
    await one.append(KEY, second.token, 0, b"zero", LONG_MS)
    await two.claim(claim_of(two))
    return await client.keys(f"{prefix}:*:flights")


def client_url(client):
    return "unix://" + client.connection_pool.connection_kwargs["path"]


@pytest.mark.parametrize("value", [b"text", b""])
async def test_a_key_that_is_no_hash_is_unavailable(redis_url, prefix, client, value):
    async with opened(redis_url, prefix) as board:
        await known(board)
        (name,) = await client.keys(f"{prefix}:*:flights")
        await client.set(name, value)
        async for call in every_call(board):
            with pytest.raises(TierUnavailableError, match="WRONGTYPE"):
                await call
        tier = redis_tier(redis_url, prefix)
        with pytest.raises(TierUnavailableError, match="WRONGTYPE"):
            await tier.put(KEY, fenced(1))
        await tier.close()


async def test_an_index_that_is_none_begins_anew(redis_url, prefix, client):
    async with opened(redis_url, prefix) as board:
        await board.claim(claim_of(board))
        (name,) = await client.keys(f"{prefix}:*:flights")
        await client.hset(name, "q", b"short")
        for _ in range(3):
            claim = claim_of(board, began_within_us=0)
            assert isinstance(await board.claim(claim), Led)
            await asyncio.sleep(0.001)
        assert await client.hstrlen(name, "q") == 3 * 16


async def test_an_entry_of_another_type_is_written_over(redis_url, prefix, client):
    tier = redis_tier(redis_url, prefix)
    try:
        await client.hset(tier.key_name(KEY), "a", "b")
        await tier.put(KEY, fenced(1, b"text"))
        assert (await tier.get(KEY)).sealed.entry.body == b"text"
    finally:
        await tier.close()


async def test_a_full_server_refuses_leases_and_keeps_those_it_gave(own_valkey, prefix):
    async with (
        opened(own_valkey.url, prefix) as board,
        Redis.from_url(own_valkey.url, driver_info=None) as admin,
    ):
        await known(board)
        first = claim_of(board)
        led = await board.claim(first)
        await admin.config_set("maxmemory", 1)
        with pytest.raises(TierUnavailableError, match="OOM"):
            await board.claim(claim_of(board, modes=(b"other",)))
        await admin.config_set("maxmemory", 0)
        assert await board.claim(structs.replace(first)) == led
