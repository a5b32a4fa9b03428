"""The faults: each holds for the length of a block, and what comes after it is the recovery."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from msgspec import Struct

from benchmarks.chaos.stack import PASSWORD, Stack

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
        hold_s: how long it lasts in a whole run.
        silent: nothing fails, so no fault is counted.
    """

    what: str
    fault: Callable[[Stack], AbstractAsyncContextManager[None]]
    tls: bool = False
    words: int = 40
    streams: float = 0.5
    hold_s: float = 10.0
    silent: bool = False


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
    async with _again(stack.proxy.reset):
        yield


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


SCENARIOS = {
    "killed": Scenario("Redis is killed (SIGKILL), and started again afterwards", killed),
    "frozen": Scenario("Redis is frozen (SIGSTOP)", frozen, hold_s=30.0),
    "restarted": Scenario("Redis is killed and started empty at once", restarted_empty, silent=True),
    "flushed": Scenario("FLUSHALL, ten times a second", flushed, silent=True),
    "full": Scenario("maxmemory is reached (noeviction)", full),
    "read-only": Scenario("Redis becomes a replica of a primary that is not there", read_only),
    "resets": Scenario("every connection is reset (RST), ten times a second", reset),
    "slow": Scenario("every answer of Redis is 200 ms late", slow),
    "dripping": Scenario("Redis' answers come at 200 bytes a second", dripping),
    "password": Scenario("the password is no longer right", wrong_password),
    "tls": Scenario("Redis shows a certificate that is not trusted", broken_tls, tls=True),
    "output": Scenario(
        "the output buffer limit is below one answer", no_room_for_answers, words=3000, streams=0.0
    ),
}
