"""Replies of Redis out of bytes as they arrive: by hiredis where it is installed, else in Python."""

import importlib
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

_hiredis: Any = None
with suppress(ImportError):  # the extra [hiredis] may not be installed
    _hiredis = importlib.import_module("hiredis")

Reply: TypeAlias = Any
"""bytes, int, float, bool, None, a list or dict of such, or a `ReplyError`."""

UNFINISHED = object()
"""What a reader gives while no reply is whole; False is a reply."""

_MOST_NESTED = 8
_MOST_ELEMENTS = 2**20


class ReplyError(Exception):
    """What the server answered instead of a result; a value among replies, never raised."""

    @property
    def word(self) -> str:
        """Its first word (`MOVED`, `NOAUTH`) tells errors apart; the rest may quote a command."""
        word = str(self).partition(" ")[0]
        return word if word.isalpha() and word.isascii() else "error"


class UnreadableReplyError(Exception):
    """The bytes are no replies of Redis."""


class Push(list[Any]):
    """What a server says unasked (RESP3)."""


_PUSHES: tuple[type, ...] = (Push,) if _hiredis is None else (Push, _hiredis.PushNotification)


class ReplyReader(Protocol):
    """Turns bytes into replies."""

    def feed(self, data: bytes, /) -> None:
        """Take bytes as they arrived."""
        ...

    def gets(self) -> Reply:
        """The next whole reply, or UNFINISHED. Raises UnreadableReplyError, or TypeError of hiredis."""
        ...


class PythonReader:
    """Replies of RESP2 and RESP3, without any package."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def gets(self) -> Reply:
        """The next whole reply, or UNFINISHED. Raises UnreadableReplyError."""
        try:
            reply, self._at = self._read(self._at, 0)
        except _UnfinishedError:
            return UNFINISHED
        except ValueError:
            raise UnreadableReplyError from None
        return reply

    def _read(self, at: int, depth: int) -> tuple[Reply, int]:
        end = self._buffer.find(b"\r\n", at)
        if end < 0:
            raise _UnfinishedError
        kind, line = bytes(self._buffer[at : at + 1]), bytes(self._buffer[at + 1 : end])
        end += 2
        match kind:
            case b"$" | b"=" | b"!":
                return self._blob(kind, int(line), end)
            case b"*" | b"~" | b">" | b"%":
                return self._many(kind, int(line), end, depth)
            case _:
                return _scalar(kind, line), end

    def _blob(self, kind: bytes, size: int, start: int) -> tuple[Reply, int]:
        if size < 0:
            return None, start
        end = start + size
        if len(self._buffer) < end + 2:
            raise _UnfinishedError
        if not self._buffer.startswith(b"\r\n", end):
            raise UnreadableReplyError
        text = bytes(memoryview(self._buffer)[start:end])
        if kind == b"=":
            text = text[4:]  # after the name of its format
        return ReplyError(text.decode(errors="replace")) if kind == b"!" else text, end + 2

    def _many(self, kind: bytes, size: int, at: int, depth: int) -> tuple[Reply, int]:
        if size < 0:
            return None, at
        if depth == _MOST_NESTED or size > _MOST_ELEMENTS:
            raise UnreadableReplyError
        values: list[Reply] = []
        for _ in range(size * 2 if kind == b"%" else size):
            value, at = self._read(at, depth + 1)
            values.append(value)
        if kind == b"%":
            return list(zip(values[::2], values[1::2], strict=True)), at
        return Push(values) if kind == b">" else values, at


class _UnfinishedError(Exception):
    """More bytes are needed."""


def _scalar(kind: bytes, line: bytes) -> Reply:
    match kind:
        case b"+":
            return line
        case b"-":
            return ReplyError(line.decode(errors="replace"))
        case b":" | b"(":
            return int(line)
        case b"_":
            return None
        case b",":
            return float(line)
        case b"#" if line in {b"t", b"f"}:
            return line == b"t"
        case _:
            raise UnreadableReplyError


def new_reader() -> ReplyReader:
    """A reader with nothing in it."""
    if _hiredis is None:
        return PythonReader()
    reader: ReplyReader = _hiredis.Reader(
        protocolError=UnreadableReplyError, replyError=ReplyError, notEnoughData=UNFINISHED
    )
    return reader


def is_push(reply: Reply) -> bool:
    """Whether a server said this unasked."""
    return isinstance(reply, _PUSHES)
