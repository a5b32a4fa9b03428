"""Reads from Redis, shared: who asks while a round trip is under way travels with the next one."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from redis.exceptions import RedisError, ResponseError

from tiered_cache.errors import CorruptEntryError, TierError, TierUnavailableError

LANES = 2
"""Connections for reads. A second one keeps small entries from waiting behind a large one."""
BATCH_READS = 100
MAX_VALUE_BYTES = 64 * 2**20
"""Larger values are not read into memory: none of ours is."""

Reading: TypeAlias = tuple[bytes, int]
"""A value and the server's clock at the end of the round trip, in microseconds."""
_Waiting: TypeAlias = tuple[str, "asyncio.Future[Reading | None]"]


class Connection(Protocol):
    """What is used of redis-py's connection, whose own types are partial."""

    def pack_commands(self, commands: Sequence[tuple[str | int, ...]]) -> list[bytes]:
        """Write commands as bytes."""
        ...

    async def send_packed_command(self, command: list[bytes]) -> None:
        """Send them."""
        ...

    async def read_response(self) -> Any:
        """Read one reply; a server's error is raised."""
        ...


class Pool(Protocol):
    """What is used of redis-py's connection pool."""

    async def get_connection(self) -> Connection:
        """A connection that is open and has nothing unread."""
        ...

    async def release(self, connection: Connection) -> None:
        """Give it back."""
        ...


class Lookups:
    """At most `LANES` round trips at a time, each for all keys that wait.

    A caller that is cancelled leaves its round trip to the others.

    Args:
        pool: gives each lane its connection and checks it before reuse.
        timeout_s: what a round trip may take, connecting included.
    """

    def __init__(self, pool: Pool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._waiting: deque[_Waiting] = deque()
        self._lanes: set[asyncio.Task[None]] = set()

    async def read(self, name: str) -> Reading | None:
        """The value of a key, or None. Raises CorruptEntryError, TierUnavailableError."""
        answer: asyncio.Future[Reading | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, answer))
        if len(self._lanes) < LANES:
            self._start_lane()
        return await answer

    async def close(self) -> None:
        """End the lanes; who still waits gets TierUnavailableError."""
        _fail(list(self._waiting), "closed")
        self._waiting.clear()
        lanes = list(self._lanes)
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    def _start_lane(self) -> None:
        lane = asyncio.get_running_loop().create_task(self._run_lane())
        self._lanes.add(lane)
        lane.add_done_callback(self._end_lane)

    def _end_lane(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        if lane.cancelled():
            return
        lane.exception()  # its callers have it as the cause of their own
        if self._waiting:
            self._start_lane()

    async def _run_lane(self) -> None:
        batch = self._take()
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._pool.get_connection()
            try:
                while batch:
                    async with asyncio.timeout(self._timeout_s):
                        await _round_trip(connection, batch)
                    batch = self._take()
            finally:
                await self._pool.release(connection)
        except (RedisError, OSError) as error:
            _fail(batch, type(error).__name__, error)
        except BaseException as error:
            # Whatever ended this lane, nobody may be left waiting for it.
            _fail(batch, "lookup ended", error)
            raise

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < BATCH_READS:
            waiting = self._waiting.popleft()
            if not waiting[1].done():
                batch.append(waiting)
        return batch


async def _round_trip(connection: Connection, batch: list[_Waiting]) -> None:
    # The clock is read last: no value of this batch can have been written after it.
    commands: list[tuple[str | int, ...]] = [("GETRANGE", name, 0, MAX_VALUE_BYTES) for name, _ in batch]
    commands.append(("TIME",))
    await connection.send_packed_command(connection.pack_commands(commands))
    values = [await _reply(connection) for _ in batch]
    seconds, microseconds = await connection.read_response()
    now_us = int(seconds) * 1_000_000 + int(microseconds)
    for (_, answer), value in zip(batch, values, strict=True):
        if answer.done():
            continue
        if isinstance(value, TierError):
            answer.set_exception(value)
        else:
            # GETRANGE answers an empty string for an absent key; no value of ours is empty.
            answer.set_result((value, now_us) if value else None)


async def _reply(connection: Connection) -> bytes | TierError:
    try:
        value = await connection.read_response()
    except ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            return CorruptEntryError("type")
        return TierUnavailableError(type(error).__name__)
    if not isinstance(value, bytes) or len(value) > MAX_VALUE_BYTES:
        return CorruptEntryError("size")
    return value


def _fail(batch: list[_Waiting], why: str, cause: BaseException | None = None) -> None:
    for _, answer in batch:
        if not answer.done():
            failure = TierUnavailableError(why)
            failure.__cause__ = cause
            answer.set_exception(failure)
