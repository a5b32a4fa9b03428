"""Callers on bare sockets, so that the load costs little beside what is measured."""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from typing import Any, cast

_STAMP = re.compile(rb'"content":" ([0-9]+\.[0-9]+)"')
_COST = re.compile(rb'"cost":[0-9.e-]+')
_COMMENT = re.compile(rb"^:[^\n]*\n\n", re.MULTILINE)


def request(question: str, *, stream: bool, script: str = "") -> bytes:
    """A chat call on the wire; `script` is for the simulated Requesty."""
    asked: dict[str, Any] = {"model": "openai/gpt-4o-mini", "temperature": 0}
    asked |= {"messages": [{"role": "user", "content": question}]}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(asked, separators=(",", ":")).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: x",
        "connection: close",
        "content-type: application/json",
        "authorization: Bearer rqy_fleet",
        f"content-length: {len(body)}",
        *([f"x-simulate: {script}"] if script else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Caller(asyncio.Protocol):
    """One call over one connection.

    Attributes:
        arrivals: what came, and when.
        ended: done when the connection has ended.
    """

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, bytes]] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self.arrivals.append((time.monotonic(), data))

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        _ = exc  # what came tells whether it was whole
        if not self.ended.done():
            self.ended.set_result(None)

    def send(self, sent: bytes) -> None:
        """Ask."""
        self._transport.write(sent)

    def leave(self) -> None:
        """Hang up."""
        self._transport.abort()

    @property
    def raw(self) -> bytes:
        """All that came."""
        return b"".join([data for _, data in self.arrivals])

    @property
    def body(self) -> bytes:
        """The answer, if it came whole with status 200; else nothing."""
        head, _, rest = self.raw.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            return b""
        if b"transfer-encoding: chunked" in head:
            return _unchunked(rest) if b"data: [DONE]" in rest else b""
        return rest

    @property
    def whole(self) -> bool:
        """It is an answer from its beginning to its end."""
        return self.body.rstrip().endswith((b"[DONE]", b"}"))

    @property
    def stamps_s(self) -> list[tuple[float, float]]:
        """Of each word the instants when it was said and when it came."""
        found: list[tuple[float, float]] = []
        carry = b""
        for came_s, data in self.arrivals:
            text = carry + data
            end = 0
            for match in _STAMP.finditer(text):
                found.append((float(match[1]), came_s))
                end = match.end()
            carry = text[end:]
        return found


def _unchunked(rest: bytes) -> bytes:
    pieces: list[bytes] = []
    while True:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line, 16) if line else 0
        if size == 0:
            return b"".join(pieces)
        pieces.append(rest[:size])
        rest = rest[size + 2 :]


async def connect(port: int, count: int = 1) -> list[Caller]:
    """So many callers, connected."""
    loop = asyncio.get_running_loop()
    made: list[Caller] = []
    for _ in range(count):
        _, caller = await loop.create_connection(Caller, "127.0.0.1", port)
        made.append(caller)
    return made


async def ask(port: int, sent: bytes, count: int = 1) -> list[Caller]:
    """So many callers, who have asked."""
    callers = await connect(port, count)
    for caller in callers:
        caller.send(sent)
    return callers


async def answered(callers: Sequence[Caller], within_s: float = 60.0) -> None:
    """Return when all connections have ended; those that last too long are given up."""
    await asyncio.wait([caller.ended for caller in callers], timeout=within_s)
    for caller in callers:
        caller.leave()


def answers(callers: Sequence[Caller]) -> set[bytes]:
    """The different answers; what followers are told it cost, and comments in silence, are no difference."""
    return {_COMMENT.sub(b"", _COST.sub(b'"cost":0', caller.body)) for caller in callers}


async def warm(ports: Sequence[int]) -> None:
    """Have each process at work: its connections to Redis are opened by the first call that needs them."""
    for port in ports:
        await answered(await ask(port, request(f"first call of {port}", stream=False)))
