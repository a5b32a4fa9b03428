"""An origin that notes when calls come, and whose every word is the instant at which it says it."""

import asyncio
import re
import time

from msgspec import Struct

WORDS = 20
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_MADE = '"id":"c","created":1,"model":"gpt-4o-mini-2024-07-18"'
_USAGE = '"usage":{"prompt_tokens":5,"completion_tokens":20,"total_tokens":25,"cost":0.5}'


class Manner(Struct, frozen=True, kw_only=True):
    """How calls are answered.

    Attributes:
        words: of a stream.
        pace_s: before each of them, and before a JSON answer.
        held_at: the first call waits before this word for `ClockOrigin.go`; before 0 nothing at all is said.
    """

    words: int = WORDS
    pace_s: float = 0.0
    held_at: int | None = None


class ClockOrigin:
    """Answers chat calls on loopback, from the event loop that it was started on.

    Attributes:
        calls_s: when each call came, on the monotonic clock, since `begin`.
        ended_s: when the last byte of the latest answer was written.
    """

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begin(Manner())
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """API base."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def begin(self, manner: Manner) -> None:
        """Forget what was, and answer so from now on."""
        self._manner = manner
        self.go.set()
        self.go = asyncio.Event()
        self.calls_s: list[float] = []
        self.ended_s = 0.0

    async def called(self, times: int) -> float:
        """Return when the call of this number has come, with its instant."""
        while len(self.calls_s) < times:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.001)
        return self.calls_s[times - 1]

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)

    async def stop(self) -> None:
        """End."""
        if self._server is not None:
            self._server.close()
            self.go.set()
            for writer in self._writers:
                writer.transport.abort()
            while self._writers:  # noqa: ASYNC110  # they tell nobody
                await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(head)
                body = await reader.readexactly(int(found[1])) if found else b""
                self.calls_s.append(time.monotonic())
                first, stream = len(self.calls_s) == 1, b'"stream":true' in body
                await self._answer(reader, writer, self._manner, first=first, stream=stream)
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        manner: Manner,
        *,
        first: bool,
        stream: bool,
    ) -> None:
        held_at = manner.held_at if first else None
        if held_at == 0:
            await self._held(reader)
        if not stream:
            await asyncio.sleep(manner.pace_s)
            body = _whole(_now())
            writer.write(_HEAD % (b"application/json", b"content-length: %d" % len(body)) + body)
        else:
            writer.write(_HEAD % (b"text/event-stream", b"transfer-encoding: chunked"))
            for number in range(manner.words):
                await asyncio.sleep(manner.pace_s)
                if number == held_at:
                    await self._held(reader)
                writer.write(_chunk(_event(f'{{"content":" {_now()}"}}', "null")))
            last = _event("{}", '"stop"') + f'data: {{{_MADE},"choices":[],{_USAGE}}}\n\ndata: [DONE]\n\n'
            writer.write(_chunk(last) + b"0\r\n\r\n")
        self.ended_s = time.monotonic()
        await writer.drain()

    async def _held(self, reader: asyncio.StreamReader) -> None:
        await self.go.wait()
        if reader.at_eof() or reader.exception() is not None:
            raise ConnectionError("whoever asked has gone")


def _now() -> str:
    return f"{time.monotonic():.6f}"


def _event(delta: str, end: str) -> str:
    choice = f'{{"index":0,"delta":{delta},"finish_reason":{end}}}'
    return f'data: {{{_MADE},"object":"chat.completion.chunk","choices":[{choice}]}}\n\n'


def _chunk(text: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text.encode())


def _whole(word: str) -> bytes:
    message = f'{{"role":"assistant","content":" {word}"}}'
    choice = f'{{"index":0,"message":{message},"finish_reason":"stop"}}'
    return f'{{{_MADE},"object":"chat.completion","choices":[{choice}],{_USAGE}}}'.encode()
