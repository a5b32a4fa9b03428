"""One Redis server as the tier uses it: lines for lookups, and one for everything else."""

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.deadlines import MOST
from tiered_cache.tiers.redis_line import Connection, Line
from tiered_cache.tiers.redis_lookups import Lookups
from tiered_cache.tiers.redis_replies import Reply, ReplyError
from tiered_cache.tiers.redis_wire import unavailable

READ_LINES = 2
CONNECTIONS = READ_LINES + 1
"""Connections to one server."""

Troubled: TypeAlias = Callable[[str], None]
"""Called with a reason word whenever a command was not carried out."""


class Script:
    """Lua for EVALSHA, and for EVAL where the server does not know it yet.

    Args:
        text: its source.
        keys: how many keys it works on, all of one slot.
    """

    def __init__(self, text: str, keys: int = 1) -> None:
        self.text = text.encode()
        self.keys = keys
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


class NodePart:
    """Names what fails as one."""


class Node:
    """Connects when it is used. Close it.

    Args:
        connect: a new connection of redis-py, not open yet.
        read_timeout_s: what a round trip of lookups may take.
        write_timeout_s: what any other command may take, and how long a silent connection is kept.
        troubled: hears of every failure.

    Attributes:
        part: by this its failures are remembered; another one once it holds no keys any more.
        read: looks a key up, see `Lookups.read`.
        dial: a further connection, for who listens.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        read_timeout_s: float,
        write_timeout_s: float,
        troubled: Troubled = lambda _word: None,
    ) -> None:
        # Whoever waits has a deadline of its own, which is later in a busy process.
        readers = [Line(connect(), MOST * read_timeout_s, write_timeout_s) for _ in range(READ_LINES)]
        self._writer = Line(connect(), write_timeout_s, write_timeout_s)
        self._lines = (*readers, self._writer)
        self.part = NodePart()
        self.dial = connect
        self.read = Lookups(readers, troubled).read
        self._troubled = troubled

    async def run(self, script: Script, name: bytes, *arguments: bytes | int) -> Reply:
        """Run a script on a key, and on those that `arguments` begin with. Raises TierUnavailableError."""
        (reply,) = await self.ask([(b"EVALSHA", script.digest, script.keys, name, *arguments)])
        if isinstance(reply, ReplyError) and reply.word == "NOSCRIPT":
            (reply,) = await self.ask([(b"EVAL", script.text, script.keys, name, *arguments)])
        return self._accepted(reply)

    async def command(self, *words: bytes | int) -> Reply:
        """One command's reply. Raises TierUnavailableError."""
        (reply,) = await self.ask([words])
        return self._accepted(reply)

    async def ask(self, commands: list[tuple[bytes | int, ...]]) -> list[Reply]:
        """The replies to commands that are sent together, errors among them. Raises TierUnavailableError."""
        answer: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        packed = b"".join([_packed(words) for words in commands])
        self._writer.send(packed, len(commands), partial(self._settle, answer))
        return await answer

    def reconnect(self) -> None:
        """Drop the connections; what is under way fails, the next command opens new ones."""
        for line in self._lines:
            line.drop()

    async def close(self) -> None:
        """Close the connections; what is under way fails."""
        await asyncio.gather(*(line.close() for line in self._lines))

    def _settle(
        self, answer: "asyncio.Future[list[Reply]]", replies: list[Reply] | TierUnavailableError
    ) -> None:
        if isinstance(replies, TierUnavailableError):
            self._troubled(str(replies))
            if not answer.done():
                answer.set_exception(unavailable(str(replies), replies.__cause__))
        elif not answer.done():
            answer.set_result(replies)

    def _accepted(self, reply: Reply) -> Reply:
        if isinstance(reply, ReplyError):
            self._troubled(reply.word)
            raise TierUnavailableError(reply.word)
        return reply


def _packed(words: tuple[bytes | int, ...]) -> bytes:
    """A command as it is sent."""
    texts = [b"%d" % word if isinstance(word, int) else word for word in words]
    return b"".join([b"*%d\r\n" % len(texts), *[b"$%d\r\n%b\r\n" % (len(text), text) for text in texts]])
