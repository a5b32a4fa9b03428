"""An open connection to Redis: commands go out as they come, replies are told apart by their order."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.redis_replies import UNFINISHED, Reply, UnreadableReplyError, is_push, new_reader

Settle: TypeAlias = Callable[[list[Reply] | TierUnavailableError], None]
"""Gets the replies to what was sent, or why there are none."""


class Exchange:
    """Commands that are sent together and what is awaited for them.

    Attributes:
        commands: their bytes.
        replies: how many there will be.
        begun_s: when somebody began to wait, on the event loop's clock.
    """

    __slots__ = ("_settle", "begun_s", "commands", "replies")

    def __init__(self, commands: bytes, replies: int, settle: Settle, begun_s: float) -> None:
        self.commands = commands
        self.replies = replies
        self.begun_s = begun_s
        self._settle: Settle | None = settle

    @property
    def awaited(self) -> bool:
        """Somebody still waits."""
        return self._settle is not None

    def end(self, result: list[Reply] | TierUnavailableError) -> None:
        """Tell who waits, once."""
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(result)


class Wire(asyncio.Protocol):
    """Takes the transport over from the stream through which redis-py has logged in.

    Args:
        transport: open, with nothing unread.
        gone: called once, when nothing can be sent any more.

    Attributes:
        exchanges: sent and not answered yet, oldest first.
        outstanding: how many replies are awaited.
    """

    def __init__(self, transport: asyncio.Transport, gone: Callable[["Wire"], None]) -> None:
        self.exchanges: deque[Exchange] = deque()
        self.outstanding = 0
        self._transport = transport
        self._gone = gone
        self._open = True
        self._reader = new_reader()
        self._replies: list[Reply] = []
        self._due = 0
        """Replies of the oldest exchange."""
        self._stream = transport.get_protocol()
        transport.set_protocol(self)

    def send(self, exchange: Exchange) -> None:
        """Send an exchange's commands."""
        if not self.exchanges:
            self._due = exchange.replies
        self.exchanges.append(exchange)
        self.outstanding += exchange.replies
        self._transport.write(exchange.commands)

    def drop(self, why: str, cause: BaseException | None = None) -> None:
        """Close at once; what is awaited fails."""
        if not self._open:
            return
        self._open = False
        self._transport.abort()
        self._gone(self)
        failed, self.exchanges = self.exchanges, deque()
        self.outstanding = 0
        for exchange in failed:
            exchange.end(unavailable(why, cause))

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are whole now."""
        self._reader.feed(data)
        gets = self._reader.gets
        while self._open:
            try:
                reply = gets()
            except (UnreadableReplyError, TypeError) as error:  # hiredis: a map whose key is a list
                self.drop("unreadable reply", error)
                return
            if reply is UNFINISHED:
                return
            if type(reply) is not bytes and is_push(reply):
                continue
            self._replies.append(reply)
            if len(self._replies) >= self._due:
                self._end_oldest()

    def connection_lost(self, exc: Exception | None) -> None:
        """What is awaited fails; redis-py's stream, which may be waited for, learns of it too."""
        self._stream.connection_lost(None)
        self.drop("connection lost", exc)

    def _end_oldest(self) -> None:
        if not self.exchanges:
            self.drop("reply to nothing")
            return
        exchange = self.exchanges.popleft()
        self._due = self.exchanges[0].replies if self.exchanges else 0
        self.outstanding -= exchange.replies
        replies, self._replies = self._replies, []
        exchange.end(replies)


def unavailable(why: str, cause: BaseException | None = None) -> TierUnavailableError:
    """An error that has not been raised yet, with its cause."""
    error = TierUnavailableError(why)
    error.__cause__ = cause
    return error
