"""A real HTTP server on loopback whose every byte a test decides; it runs on a thread of its own."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Seen:
    """One request as it came over the wire."""

    method: str
    target: str
    lines: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key == name]


@dataclass
class Exchange:
    """What a handler writes with; `gone` is set when the client closes the connection."""

    seen: Seen
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: threading.Event = field(default_factory=threading.Event)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self, status: int, body: bytes, *lines: str, content_type: str = "application/json"
    ) -> None:
        head = [
            f"HTTP/1.1 {status} X",
            f"content-type: {content_type}",
            f"content-length: {len(body)}",
            *lines,
        ]
        await self.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    async def begin_chunked(self, *lines: str, content_type: str = "text/event-stream") -> None:
        head = ["HTTP/1.1 200 OK", f"content-type: {content_type}", "transfer-encoding: chunked", *lines]
        await self.send("\r\n".join(head).encode() + b"\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_chunked(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def wait_gone(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.reader.read()
        self.gone.set()

    def reset(self) -> None:
        """End with RST rather than FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds; a failed test after five seconds."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("this did not happen within five seconds")


Handler = Callable[[Exchange], Awaitable[None]]


class RawServer:
    """`with RawServer(handler) as server`: `server.url` ends in `/v1`, `server.seen` holds every request.

    A handler that returns leaves the connection open for the next request; one that raises
    `ConnectionError` closes it.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.seen: list[Seen] = []
        self.exchanges: list[Exchange] = []
        self.loop = asyncio.new_event_loop()
        self.connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._thread.start()
        self._acceptor = asyncio.run_coroutine_threadsafe(self._accept(), self.loop)
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{self.base}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        # Cancelling an accept can lose a connection that was just made; one more connection ends it cleanly.
        self._stopping = True
        socket.create_connection(self._listener.getsockname(), 5).close()
        self._acceptor.result(5)
        self._listener.close()
        asyncio.run_coroutine_threadsafe(self._end_connections(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    async def _accept(self) -> None:
        while True:
            connection, _ = await self.loop.sock_accept(self._listener)
            if self._stopping:
                connection.close()
                return
            reader, writer = await asyncio.open_connection(sock=connection)
            self.connections[self.loop.create_task(self._serve(reader, writer))] = writer

    async def _end_connections(self) -> None:
        left = dict(self.connections)
        for task, writer in left.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for _ in range(5):
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    seen = await _read_request(reader)
                    exchange = Exchange(seen, reader, writer)
                    self.seen.append(seen)
                    self.exchanges.append(exchange)
                    await self.handler(exchange)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            task = asyncio.current_task()
            assert task is not None
            del self.connections[task]


async def _read_request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    lines = [(line.partition(":")[0].lower(), line.partition(":")[2].strip()) for line in head[1:] if line]
    fields = dict(lines)
    if "chunked" in fields.get("transfer-encoding", ""):
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(fields.get("content-length", "0")))
    return Seen(method, target, lines, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
