"""A line keeps replies and commands together, whatever the server at its other end does."""

import asyncio
import contextlib
import functools

import pytest
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.redis_line import MAX_OUTSTANDING, Line
from tiered_cache.tiers.redis_lookups import Lookups

PING = b"*1\r\n$4\r\nPING\r\n"


@contextlib.asynccontextmanager
async def speaking(speak, timeout_s=5.0, stall_s=5.0):
    """A line to a server that handles each connection by `speak(reader, writer)`."""
    talks = set()

    async def talk(reader, writer):
        talks.add(asyncio.current_task())
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await speak(reader, writer)
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(
        host="127.0.0.1", port=port, protocol=2, driver_info=None, retry=Retry(NoBackoff(), 0)
    )
    line = Line(connection, timeout_s, stall_s)
    try:
        yield line
    finally:
        await line.close()
        for each in talks:
            each.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        server.close()
        await server.wait_closed()


async def ask(line, commands=PING, replies=1):
    answer = asyncio.get_running_loop().create_future()

    def settle(result):
        if isinstance(result, TierUnavailableError):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    line.send(commands, replies, settle)
    return await answer


async def numbered(delay_s, reader, writer):
    """Answers each PING with its number on this connection, every second one late."""
    number = 0
    while True:
        await reader.readexactly(len(PING))
        number += 1
        if number % 2 == 0:
            await asyncio.sleep(delay_s)
        writer.write(b":%d\r\n" % number)


async def test_replies_are_given_out_in_order():
    async with speaking(functools.partial(numbered, 0.0)) as line:
        assert await asyncio.gather(*(ask(line) for _ in range(50))) == [[n] for n in range(1, 51)]


async def test_a_late_reply_is_thrown_away_and_the_next_exchange_gets_its_own():
    async with speaking(functools.partial(numbered, 0.9), timeout_s=0.3) as line:
        assert await ask(line) == [1]
        with pytest.raises(TierUnavailableError) as caught:
            await ask(line)
        assert isinstance(caught.value.__cause__, TimeoutError)
        await asyncio.sleep(1.0)
        assert await ask(line) == [3]  # the same connection: it counts on
        assert line.outstanding == 0


async def test_a_connection_that_has_fallen_silent_is_given_up_for_another_one():
    connections = 0

    async def silent_at_first(reader, writer):
        nonlocal connections
        connections += 1
        while await reader.readexactly(len(PING)):
            if connections > 1:
                writer.write(b"+PONG\r\n")

    async with speaking(silent_at_first, timeout_s=0.05, stall_s=0.2) as line:
        with pytest.raises(TierUnavailableError):
            await ask(line)
        with pytest.raises(TierUnavailableError):
            await ask(line)
        answer = None
        async with asyncio.timeout(10.0):
            while answer is None:
                with contextlib.suppress(TierUnavailableError):
                    answer = await ask(line)
    assert answer == [b"PONG"]
    assert connections == 2


@pytest.mark.parametrize(
    "reply",
    [b"+PONG\r\n+PONG\r\n", b"#f\r\n+PONG\r\n", b"?what\r\n", b"$9999999999999999999999\r\n"],
    ids=["twice", "false", "odd", "long"],
)
async def test_what_was_not_asked_for_or_cannot_be_read_costs_the_connection_alone(reply):
    """No later exchange may take it for its own."""
    connections = 0

    async def confused(reader, writer):
        nonlocal connections
        connections += 1
        while await reader.readexactly(len(PING)):
            writer.write(reply if connections == 1 else b"+later\r\n")

    async with speaking(confused, timeout_s=2.0) as line:
        with contextlib.suppress(TierUnavailableError):
            assert await ask(line) in ([b"PONG"], [False])
        await asyncio.sleep(0.05)
        assert await ask(line) == [b"later"]
    assert connections == 2


async def test_a_connection_that_is_cut_fails_what_is_under_way_and_the_next_command_opens_another():
    async def hang_up_at_the_third(reader, writer):
        for _ in range(2):
            await reader.readexactly(len(PING))
            writer.write(b"+PONG\r\n")
        await reader.readexactly(len(PING))

    async with speaking(hang_up_at_the_third) as line:
        for _ in range(3):
            results = await asyncio.gather(*(ask(line) for _ in range(3)), return_exceptions=True)
            assert results[:2] == [[b"PONG"], [b"PONG"]]
            assert isinstance(results[2], TierUnavailableError)


async def test_nothing_is_tried_twice_and_a_refusal_is_immediate():
    async with speaking(functools.partial(numbered, 0.0)) as line:
        pass
    refused = Connection(host="127.0.0.1", port=1, protocol=2, driver_info=None, retry=Retry(NoBackoff(), 0))
    line = Line(refused, 5.0, 5.0)
    with pytest.raises(TierUnavailableError, match="ConnectionError"):
        async with asyncio.timeout(1.0):
            await ask(line)
    await line.close()
    with pytest.raises(TierUnavailableError, match="closed"):
        await ask(line)


async def test_commands_that_nobody_waits_for_any_more_are_not_sent_once_the_connection_opens():
    sent = []

    async def count(reader, writer):
        while command := await reader.readexactly(len(PING)):
            sent.append(command)
            writer.write(b"+PONG\r\n")

    async with speaking(count, timeout_s=0.5, stall_s=10.0) as line:
        slow, connect = asyncio.Event(), line._connection.connect

        async def connect_later():
            await slow.wait()
            await connect()

        line._connection.connect = connect_later
        with pytest.raises(TierUnavailableError):
            await ask(line)
        slow.set()
        assert await ask(line) == [b"PONG"]
    assert len(sent) == 1


async def test_what_may_be_under_way_is_bounded():
    async with speaking(functools.partial(numbered, 5.0), timeout_s=0.05) as line:
        first = asyncio.create_task(ask(line, PING, MAX_OUTSTANDING))
        await asyncio.sleep(0)
        with pytest.raises(TierUnavailableError, match="too many"):
            await ask(line)
        with pytest.raises(TierUnavailableError):
            await first


@pytest.mark.parametrize("clock", [b"*2\r\n,inf\r\n:0\r\n", b"*2\r\n,nan\r\n:0\r\n", b"%1\r\n*0\r\n:1\r\n"])
async def test_replies_that_no_redis_gives_fail_the_lookup_at_once_and_are_no_fault_of_the_loop(clock):
    faults = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    async def odd(reader, writer):
        while await reader.read(4096):
            writer.write(b"$3\r\nabc\r\n" + clock)

    async with speaking(odd) as line:
        with pytest.raises(TierUnavailableError, match=r"no time|unreadable"):
            async with asyncio.timeout(2.0):
                await Lookups([line], lambda _word: None).read(b"name")
    assert faults == []


async def test_a_line_can_be_opened_before_it_is_needed():
    greeted = asyncio.Event()

    async def greet(reader, writer):
        greeted.set()
        await reader.read()

    async with speaking(greet) as line:
        assert not line.ready
        line.open()
        line.open()
        await asyncio.wait_for(greeted.wait(), 5)
        async with asyncio.timeout(5):
            while not line.ready:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.001)
    line.open()
    assert not line.ready


async def test_lookups_wait_for_no_connection_while_another_one_is_open():
    """Connecting takes several turns of the event loop, each of them long where many call at once."""
    connecting = asyncio.Event()

    async def never_logged_in(reader, writer):
        connecting.set()
        await reader.read()

    async def answer(reader, writer):
        while await reader.readuntil(b"TIME\r\n"):
            writer.write(b"$0\r\n\r\n*2\r\n$1\r\n1\r\n$1\r\n0\r\n")

    async with speaking(answer) as open_line, speaking(never_logged_in) as other:
        open_line.open()
        async with asyncio.timeout(5):
            while not open_line.ready:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.001)
        other._connection.password = "asked for at login"
        lookups = Lookups([other, open_line], lambda word: None)
        for _ in range(3):
            assert await asyncio.wait_for(lookups.read(b"key"), 1) is None
        await asyncio.wait_for(connecting.wait(), 5)
