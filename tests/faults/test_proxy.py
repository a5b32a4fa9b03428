"""The faults of the proxy are what they say, seen from a plain socket."""

import asyncio
import contextlib

import pytest

from tiered_cache.testing import TcpProxy, flip

ANSWER = b"0123456789" * 10


@contextlib.asynccontextmanager
async def answering():
    """A server that answers every byte with `ANSWER`, behind a proxy; gives the proxy and what the server got."""
    got = bytearray()

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            while byte := await reader.read(1):
                got.extend(byte)
                writer.write(ANSWER)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with TcpProxy(server.sockets[0].getsockname()[:2]) as proxy:
            yield proxy, got
    finally:
        server.close()


@contextlib.asynccontextmanager
async def connected(proxy):
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def asked(reader, writer, count=100):
    writer.write(b"?")
    return await asyncio.wait_for(reader.readexactly(count), 5.0)


async def test_a_spoilt_byte_and_no_other_and_whole_ones_afterwards():
    async with answering() as (proxy, _), connected(proxy) as (reader, writer):
        proxy.spoil = flip(3, bit=1)
        assert await asked(reader, writer) == b"0121456789" + ANSWER[10:]
        proxy.flow()
        assert await asked(reader, writer) == ANSWER


async def test_a_drip_gives_bytes_one_by_one_at_its_rate():
    async with answering() as (proxy, _), connected(proxy) as (reader, writer):
        proxy.drip_bytes_per_s = 100.0
        began_s = asyncio.get_running_loop().time()
        assert await asked(reader, writer, 1) == ANSWER[:1]
        assert await reader.readexactly(9) == ANSWER[1:10]
        assert asyncio.get_running_loop().time() - began_s >= 0.09
        proxy.flow()
        assert await asyncio.wait_for(reader.readexactly(90), 5.0) == ANSWER[10:]


async def test_a_reset_is_a_reset_and_no_end_of_file():
    async with answering() as (proxy, _), connected(proxy) as (reader, writer):
        await asked(reader, writer)
        await proxy.reset()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 5.0)


async def test_a_half_closed_connection_ends_answers_and_takes_questions():
    async with answering() as (proxy, got), connected(proxy) as (reader, writer):
        await asked(reader, writer)
        proxy.half_close()
        assert await asyncio.wait_for(reader.read(), 5.0) == b""
        writer.write(b"more")
        for _ in range(500):
            if got == b"?more":
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"it got {got}")


@pytest.mark.parametrize("length", [0, 1, 50, 99])
async def test_a_cut_answer_has_exactly_so_many_bytes(length):
    async with answering() as (proxy, _), connected(proxy) as (reader, writer):
        proxy.cut_after_bytes = length
        writer.write(b"?")
        assert await asyncio.wait_for(reader.read(-1), 5.0) == ANSWER[:length]


async def test_refused_and_accepted_again_on_the_same_port():
    async with answering() as (proxy, _):
        port = proxy.port
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(proxy.host, port)
        await proxy.start()
        async with connected(proxy) as (reader, writer):
            assert await asked(reader, writer) == ANSWER
        assert proxy.port == port


async def test_lost_bytes_never_arrive_and_their_connection_stays_silent_while_others_speak():
    async with answering() as (proxy, got), connected(proxy) as idle, connected(proxy) as (reader, writer):
        proxy.lose()
        writer.write(b"lost")
        await asyncio.sleep(0.05)
        proxy.flow()
        assert await asked(*idle) == ANSWER
        writer.write(b"?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        async with connected(proxy) as further:
            assert await asked(*further) == ANSWER
        assert got == b"??"
