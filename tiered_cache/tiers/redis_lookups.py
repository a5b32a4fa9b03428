"""Reads from one Redis server: who asks in the same moment travels together."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from tiered_cache.errors import CorruptEntryError, TierError, TierUnavailableError
from tiered_cache.tiers.redis_line import Line
from tiered_cache.tiers.redis_replies import Reply, ReplyError
from tiered_cache.tiers.redis_wire import unavailable

BATCH_READS = 32
"""Of more, the first are answered, and their callers go on, while the server reads the next."""
MAX_VALUE_BYTES = 64 * 2**20
"""Larger values are not read into memory: none of ours is."""

Reading: TypeAlias = tuple[bytes, int]
"""A value and the server's clock at the end of the round trip, in microseconds."""
_Waiting: TypeAlias = tuple[bytes, "asyncio.Future[Reading | None]"]

_READ = b"*4\r\n$8\r\nGETRANGE\r\n$%d\r\n%b\r\n$1\r\n0\r\n" + b"$%d\r\n%d\r\n" % (
    len(str(MAX_VALUE_BYTES)),
    MAX_VALUE_BYTES,
)
# The clock is read last: no value of its batch can have been written after it.
_TIME = b"*1\r\n$4\r\nTIME\r\n"


class Lookups:
    """Sends what was asked for since the event loop's last turn at once, on the open line that is least busy.

    In that turn the loop learns which idle connections the server has closed, and nothing is sent on them. A
    caller that is cancelled before that is not asked for; one that is cancelled later disturbs nobody.

    Args:
        lines: connections for reads. A second one keeps small entries from waiting behind a large one.
        troubled: called with a reason word whenever a key could not be read.
    """

    def __init__(self, lines: Sequence[Line], troubled: Callable[[str], None]) -> None:
        self._lines = lines
        self._troubled = troubled
        self._waiting: list[_Waiting] = []

    def read(self, name: bytes) -> "asyncio.Future[Reading | None]":
        """The value of a key, or None. Raises CorruptEntryError, TierUnavailableError."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reading | None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._send)
        self._waiting.append((name, answer))
        return answer

    def _send(self) -> None:
        for line in self._lines:
            line.open()
        waiting = [each for each in self._waiting if not each[1].done()]
        self._waiting = []
        for start in range(0, len(waiting), BATCH_READS):
            batch = waiting[start : start + BATCH_READS]
            commands = [_READ % (len(name), name) for name, _ in batch]
            commands.append(_TIME)
            line = min(self._lines, key=_rank)
            line.send(b"".join(commands), len(commands), partial(self._deliver, batch))

    def _deliver(self, batch: list[_Waiting], replies: list[Reply] | TierUnavailableError) -> None:
        if isinstance(replies, TierUnavailableError):
            self._fail(batch, replies)
            return
        try:
            seconds, microseconds = replies.pop()
            now_us = int(seconds) * 1_000_000 + int(microseconds)
        except (TypeError, ValueError, OverflowError) as error:
            self._fail(batch, unavailable("no time", error))
            return
        for (_, answer), value in zip(batch, replies, strict=True):
            if answer.done():
                continue
            if type(value) is bytes and len(value) <= MAX_VALUE_BYTES:
                # GETRANGE answers an empty string for an absent key; no value of ours is empty.
                answer.set_result((value, now_us) if value else None)
            else:
                answer.set_exception(self._complaint(value))

    def _complaint(self, reply: Reply) -> TierError:
        if not isinstance(reply, ReplyError):
            return CorruptEntryError("size")
        if reply.word == "WRONGTYPE":
            return CorruptEntryError("type")
        self._troubled(reply.word)
        return TierUnavailableError(reply.word)

    def _fail(self, batch: list[_Waiting], why: TierUnavailableError) -> None:
        self._troubled(str(why))
        for _, answer in batch:
            if not answer.done():
                # One error for many callers would gather all their tracebacks.
                answer.set_exception(unavailable(str(why), why.__cause__))


def _rank(line: Line) -> tuple[bool, int]:
    return (not line.ready, line.outstanding)
