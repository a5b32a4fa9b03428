"""The faults: each holds for the length of a block, and what comes after it is the recovery."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from msgspec import Struct

from benchmarks.chaos.stack import PASSWORD, Stack
from tiered_cache.testing import TcpProxy

_EVERY_S = 0.1
"""How often what lasts no time is done again."""


class Scenario(Struct, frozen=True):
    """One fault.

    Attributes:
        what: for the table.
        fault: holds while its block runs.
        tls: Redis is reached by TLS.
        words: length of the answers.
        streams: share of calls that want a stream.
        hold_s: how long it lasts in a whole run, and longer until it has done what `bites` says.
        bites: reasons of faults of L2, one of which is counted before it ends; none where nothing fails.
    """

    what: str
    fault: Callable[[Stack], AbstractAsyncContextManager[None]]
    tls: bool = False
    words: int = 40
    streams: float = 0.5
    hold_s: float = 10.0
    bites: tuple[str, ...] = ("open",)


@asynccontextmanager
async def _again(act: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    async def repeat() -> None:
        while True:
            await act()
            await asyncio.sleep(_EVERY_S)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def killed(stack: Stack) -> AsyncGenerator[None]:
    stack.valkey.kill()
    yield
    await stack.restart()


@asynccontextmanager
async def frozen(stack: Stack) -> AsyncGenerator[None]:
    stack.valkey.freeze()
    yield
    stack.valkey.thaw()


@asynccontextmanager
async def restarted_empty(stack: Stack) -> AsyncGenerator[None]:
    stack.valkey.kill()
    await stack.restart()
    yield


@asynccontextmanager
async def flushed(stack: Stack) -> AsyncGenerator[None]:
    async with _again(lambda: stack.command("FLUSHALL")):
        yield


@asynccontextmanager
async def full(stack: Stack) -> AsyncGenerator[None]:
    await stack.command("CONFIG", "SET", "maxmemory", 1)
    yield
    await stack.command("CONFIG", "SET", "maxmemory", 0)


@asynccontextmanager
async def read_only(stack: Stack) -> AsyncGenerator[None]:
    await stack.command("REPLICAOF", "127.0.0.1", 1)
    yield
    await stack.command("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def reset(stack: Stack) -> AsyncGenerator[None]:
    try:
        async with _again(lambda: _reset_for_an_answer(stack.proxy)):
            yield
    finally:
        stack.proxy.flow()


async def _reset_for_an_answer(proxy: TcpProxy) -> None:
    """Reset connections when an answer is awaited: between two calls nobody would notice."""
    answered = asyncio.Event()

    def withheld(_: bytes) -> bytes:
        answered.set()
        return b""

    proxy.spoil = withheld
    await answered.wait()
    await proxy.reset()
    proxy.flow()


@asynccontextmanager
async def slow(stack: Stack) -> AsyncGenerator[None]:
    stack.proxy.delay_s = 0.2
    yield
    stack.proxy.flow()


@asynccontextmanager
async def dripping(stack: Stack) -> AsyncGenerator[None]:
    stack.proxy.drip_bytes_per_s = 200.0
    yield
    stack.proxy.flow()


@asynccontextmanager
async def wrong_password(stack: Stack) -> AsyncGenerator[None]:
    await stack.command("CONFIG", "SET", "requirepass", "another")
    await stack.proxy.cut()
    yield
    await stack.command("CONFIG", "SET", "requirepass", PASSWORD, password="another")


@asynccontextmanager
async def broken_tls(stack: Stack) -> AsyncGenerator[None]:
    await stack.proxy.refuse()
    await stack.proxy.start(stack.other_tls)
    yield
    await stack.proxy.refuse()
    await stack.proxy.start(stack.tls)


@asynccontextmanager
async def no_room_for_answers(stack: Stack) -> AsyncGenerator[None]:
    await stack.command("CONFIG", "SET", "client-output-buffer-limit", "normal 1 0 0")
    yield
    await stack.command("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0")


_WRITES = ("write-unavailable",)
SCENARIOS = {
    "killed": Scenario("Redis is killed (SIGKILL), and started again afterwards", killed),
    "frozen": Scenario("Redis is frozen (SIGSTOP)", frozen, hold_s=30.0),
    "restarted": Scenario("Redis is killed and started empty at once", restarted_empty, bites=()),
    "flushed": Scenario("FLUSHALL, ten times a second", flushed, bites=()),
    "full": Scenario("maxmemory is reached (noeviction)", full, bites=_WRITES),
    "read-only": Scenario("Redis becomes a replica of a primary that is not there", read_only, bites=_WRITES),
    "resets": Scenario(
        "connections are reset (RST) in place of an answer, up to ten times a second",
        reset,
        bites=("unavailable", *_WRITES),
    ),
    "slow": Scenario("every answer of Redis is 200 ms late", slow),
    "dripping": Scenario("Redis' answers come at 200 bytes a second", dripping),
    "password": Scenario("the password is no longer right", wrong_password),
    "tls": Scenario("Redis shows a certificate that is not trusted", broken_tls, tls=True),
    "output": Scenario(
        "the output buffer limit is below one answer",
        no_room_for_answers,
        words=3000,
        streams=0.0,
        bites=("unavailable",),
    ),
}
