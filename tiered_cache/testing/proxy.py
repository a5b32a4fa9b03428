"""A loopback proxy that breaks the network between a client and a server on demand."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 65_536
_LOOPBACK = "127.0.0.1"


class TcpProxy:
    """Listens on a loopback port and passes bytes to a server, well or badly.

    Args:
        upstream: `(host, port)`, or the path of a Unix socket.

    Attributes:
        delay_s: waits so long before each chunk of the server's answer.
        cut_after_bytes: breaks a connection after so many bytes of answers; None never.
        connections: how many have been accepted.
    """

    def __init__(self, upstream: tuple[str, int] | str) -> None:
        self.delay_s = 0.0
        self.cut_after_bytes: int | None = None
        self.connections = 0
        self._upstream = upstream
        self._flowing = asyncio.Event()
        self._flowing.set()
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

    async def start(self) -> None:
        """Begin, or after `refuse` begin again, to accept connections."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, _LOOPBACK, self._port)
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

    def flow(self) -> None:
        """Pass bytes on again, kept ones first, without delays or cuts."""
        self.delay_s = 0.0
        self.cut_after_bytes = None
        self._flowing.set()

    async def cut(self) -> None:
        """Break every connection now."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        task.add_done_callback(self._tasks.discard)
        # Even a task that is cancelled before its first step leaves no connection open.
        task.add_done_callback(lambda _: writer.transport.abort())

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
            if answers and self.delay_s > 0.0:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            cut_at = self.cut_after_bytes if answers else None
            if cut_at is not None and passed_bytes + len(chunk) > cut_at:
                writer.write(chunk[: cut_at - passed_bytes])
                await writer.drain()
                return
            writer.write(chunk)
            await writer.drain()
            passed_bytes += len(chunk)


async def _flush(writer: asyncio.StreamWriter) -> None:
    """What was passed on reaches the client before its connection breaks."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
