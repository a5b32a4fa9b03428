"""A connection to Redis that opens when it is needed, and is given up when it falls silent."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol

from redis.exceptions import RedisError

from tiered_cache.tiers.redis_wire import Exchange, Settle, Wire, unavailable

MAX_OUTSTANDING = 10_000
"""Replies that may be awaited on one line; further commands are refused at once."""


class Connection(Protocol):
    """What is used of redis-py's connection, which resolves, encrypts and logs in; its types are partial."""

    async def connect(self) -> None:
        """Open it and log in."""
        ...

    async def disconnect(self, nowait: bool = False) -> None:  # redis-py's own signature
        """Close it."""
        ...


class Line:
    """Never tries anything twice: what cannot be sent or is not answered in time fails.

    A late reply is thrown away; the connection stays, until nothing was answered on it for `stall_s`.

    Args:
        connection: not open yet; this line is its only user.
        timeout_s: what an exchange may take, connecting included.
        stall_s: what connecting may take, and how long a silent connection is kept.
    """

    def __init__(self, connection: Connection, timeout_s: float, stall_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._stall_s = max(timeout_s, stall_s)
        self._wire: Wire | None = None
        self._unsent: list[Exchange] = []
        self._connecting: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def outstanding(self) -> int:
        """How many replies are awaited."""
        sent = 0 if self._wire is None else self._wire.outstanding
        return sent + sum([exchange.replies for exchange in self._unsent]) if self._unsent else sent

    @property
    def ready(self) -> bool:
        """Commands go out at once."""
        return self._wire is not None

    def open(self) -> None:
        """Begin to connect, so that the next commands need not wait for it. Idempotent."""
        if self._wire is None and not self._closed:
            self._begin_connecting(asyncio.get_running_loop())

    def send(self, commands: bytes, replies: int, settle: Settle) -> None:
        """Send commands that will have so many replies.

        `settle` is called once, before or after this returns.
        """
        loop = asyncio.get_running_loop()
        exchange = Exchange(commands, replies, settle, loop.time())
        if self._closed or self.outstanding + replies > MAX_OUTSTANDING:
            exchange.end(unavailable("closed" if self._closed else "too many waiting"))
            return
        if self._wire is not None:
            self._wire.send(exchange)
        else:
            self._unsent.append(exchange)
            self._begin_connecting(loop)
        if self._watch is None:
            self._watch = loop.call_later(self._timeout_s, self._give_up)

    def drop(self) -> None:
        """Drop the connection, open or not; what was sent fails, and the next commands open another one."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.drop("dropped")

    async def close(self) -> None:
        """Drop the connection for good; what is awaited fails."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._wire is not None:
            self._wire.drop("closed")
        self._fail_unsent("closed")
        with suppress(RedisError, OSError):
            await self._connection.disconnect()

    def _begin_connecting(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._connecting is None:
            self._connecting = loop.create_task(self._connect())
            self._connecting.add_done_callback(self._end_connecting)

    async def _connect(self) -> None:
        async with asyncio.timeout(self._stall_s):
            await self._connection.disconnect(nowait=True)  # what is left of the one before
            await self._connection.connect()
        opened: Any = self._connection
        self._wire = Wire(opened._writer.transport, self._lose)  # noqa: SLF001  # no public way to it

    def _end_connecting(self, connecting: "asyncio.Task[None]") -> None:
        self._connecting = None
        error = None if connecting.cancelled() else connecting.exception()
        if self._wire is None:
            self._fail_unsent("closed" if error is None else type(error).__name__, error)
            return
        unsent, self._unsent = self._unsent, []
        for exchange in unsent:
            if exchange.awaited:
                self._wire.send(exchange)

    def _fail_unsent(self, why: str, cause: BaseException | None = None) -> None:
        unsent, self._unsent = self._unsent, []
        for exchange in unsent:
            exchange.end(unavailable(why, cause))

    def _lose(self, wire: Wire) -> None:
        if self._wire is wire:
            self._wire = None

    def _give_up(self) -> None:
        """Fail what was not answered in time, and drop the connection if it has fallen silent."""
        self._watch = None
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for exchange in self._all():
            if exchange.begun_s + self._timeout_s <= now_s:
                exchange.end(unavailable("timeout", TimeoutError()))
        self._unsent = [exchange for exchange in self._unsent if exchange.awaited]
        wire = self._wire
        if wire is not None and wire.exchanges and wire.exchanges[0].begun_s + self._stall_s <= now_s:
            wire.drop("timeout", TimeoutError())
        due_s = [self._due_s(exchange) for exchange in self._all()]
        if due_s:
            self._watch = loop.call_at(min(due_s), self._give_up)

    def _due_s(self, exchange: Exchange) -> float:
        return exchange.begun_s + (self._timeout_s if exchange.awaited else self._stall_s)

    def _all(self) -> list[Exchange]:
        return [*(() if self._wire is None else self._wire.exchanges), *self._unsent]
