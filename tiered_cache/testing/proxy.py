"""A loopback proxy that breaks the network between a client and a server on demand."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 65_536
_LOOPBACK = "127.0.0.1"
_NO_LINGER = struct.pack("ii", 1, 0)


class TcpProxy:
    """Listens on a loopback port and passes bytes to a server, well or badly.

    Attributes and methods switch faults while connections are open; `flow` ends them all.

    Args:
        upstream: `(host, port)`, or the path of a Unix socket.

    Attributes:
        delay_s: waits so long before each chunk of the server's answer.
        drip_bytes_per_s: gives answers byte by byte at this rate; None as they come.
        cut_after_bytes: breaks a connection after so many bytes of answers; None never.
        spoil: what becomes of each chunk of an answer; None leaves it whole. See `flip`.
        connections: how many have been accepted.
    """

    def __init__(self, upstream: tuple[str, int] | str) -> None:
        self.delay_s = 0.0
        self.drip_bytes_per_s: float | None = None
        self.cut_after_bytes: int | None = None
        self.spoil: Callable[[bytes], bytes] | None = None
        self.connections = 0
        self._clients: set[asyncio.StreamWriter] = set()
        self._ended: set[asyncio.StreamWriter] = set()
        self._upstream = upstream
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._losing = False
        self._port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where to connect; the same for the proxy's whole life."""
        return self._port

    @property
    def host(self) -> str:
        """Where to connect."""
        return _LOOPBACK

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Begin, or after `refuse` begin again, to accept connections; with `tls` they speak TLS."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, _LOOPBACK, self._port, ssl=tls)
            self._port = int(self._server.sockets[0].getsockname()[1])

    async def refuse(self) -> None:
        """Break every connection and refuse new ones until `start`."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self.cut()

    def hang(self) -> None:
        """Accept connections and bytes, and pass nothing on until `flow`."""
        self._flowing.clear()

    def lose(self) -> None:
        """As `hang`, but nothing is kept: connections that it was sent on stay silent after `flow`."""
        self.hang()
        self._losing = True

    def flow(self) -> None:
        """Pass bytes on again, whole and at once, and first those that `hang` kept."""
        self.delay_s = 0.0
        self.drip_bytes_per_s = None
        self.cut_after_bytes = None
        self.spoil = None
        if self._losing:
            # Who waits for the old one waits until its connection is cut.
            self._flowing, self._losing = asyncio.Event(), False
        self._flowing.set()

    async def cut(self) -> None:
        """Break every connection now."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reset(self) -> None:
        """Break every connection now by a TCP reset, as a firewall or a crashed host does."""
        for client in self._clients:
            with suppress(OSError):  # it is closed already
                client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            client.transport.abort()
        await self.cut()

    def half_close(self) -> None:
        """End the answers of every connection, and still take what clients send."""
        for client in self._clients:
            if client.can_write_eof() and not client.is_closing():
                self._ended.add(client)
                client.write_eof()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.refuse()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._join(reader, writer))
        self._tasks.add(task)
        self._clients.add(writer)
        task.add_done_callback(self._tasks.discard)
        # Even a task that is cancelled before its first step leaves no connection open.
        task.add_done_callback(lambda _: self._drop(writer))

    def _drop(self, client: asyncio.StreamWriter) -> None:
        self._clients.discard(client)
        self._ended.discard(client)
        client.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions of one connection; when one ends, both do."""
        upstream_writer: asyncio.StreamWriter | None = None
        ways: list[asyncio.Task[None]] = []
        try:
            upstream_reader, upstream_writer = await self._connect()
            ways = [
                asyncio.create_task(self._pass_on(reader, upstream_writer, answers=False)),
                asyncio.create_task(self._pass_on(upstream_reader, writer, answers=True)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await _flush(writer)
        except OSError:
            # The server is gone: the client sees its connection break.
            return
        finally:
            for way in ways:
                way.cancel()
            if upstream_writer is not None:
                upstream_writer.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._upstream, str):
            return await asyncio.open_unix_connection(self._upstream)
        return await asyncio.open_connection(*self._upstream)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        passed_bytes = 0
        while chunk := await reader.read(_CHUNK_BYTES):
            if not answers:
                await self._flowing.wait()
                await _send(writer, chunk)
                continue
            if self.delay_s > 0.0:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            answer = chunk if self.spoil is None else self.spoil(chunk)
            kept = self._kept(answer, passed_bytes)
            await self._answer(writer, kept)
            passed_bytes += len(kept)
            if len(kept) < len(answer):
                return

    def _kept(self, answer: bytes, passed_bytes: int) -> bytes:
        """What is passed on before the connection is cut."""
        cut_at = self.cut_after_bytes
        return answer if cut_at is None else answer[: max(0, cut_at - passed_bytes)]

    async def _answer(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        left = memoryview(answer)
        while left and self.drip_bytes_per_s is not None:
            await asyncio.sleep(1.0 / self.drip_bytes_per_s)
            await self._unless_ended(writer, bytes(left[:1]))
            left = left[1:]
        if left:
            await self._unless_ended(writer, bytes(left))

    async def _unless_ended(self, writer: asyncio.StreamWriter, part: bytes) -> None:
        if writer not in self._ended:
            await _send(writer, part)


def flip(at: int, bit: int = 0) -> Callable[[bytes], bytes]:
    """For `TcpProxy.spoil`: turns one bit of the byte `at` of each chunk, counted modulo its length."""

    def flipped(chunk: bytes) -> bytes:
        place = at % len(chunk)
        return chunk[:place] + bytes((chunk[place] ^ 1 << bit,)) + chunk[place + 1 :]

    return flipped


async def _send(writer: asyncio.StreamWriter, part: bytes) -> None:
    writer.write(part)
    await writer.drain()


async def _flush(writer: asyncio.StreamWriter) -> None:
    """What was passed on reaches the client before its connection breaks."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
