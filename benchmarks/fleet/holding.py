"""A way to Valkey on which entries are not written while `holding`: all else passes."""

import asyncio
from contextlib import suppress

from tiered_cache.tiers.flight_scripts import FENCED_PUT

_CHUNK_BYTES = 65_536


class WriteHolder:
    """Passes commands on; a connection that writes an entry stands still from there on.

    Attributes:
        holding: whether it does that now.
        held: set when a write has been held.
    """

    def __init__(self, valkey_port: int) -> None:
        self._valkey_port = valkey_port
        self.holding = False
        self.held = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen. Returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, way = await asyncio.open_connection("127.0.0.1", self._valkey_port)
        ways = [
            asyncio.create_task(self._pass_on(reader, way, commands=True)),
            asyncio.create_task(self._pass_on(there, writer, commands=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ways:
                each.cancel()
            writer.transport.abort()
            way.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, commands: bool
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if commands and self.holding and FENCED_PUT.digest in chunk:
                    self.held.set()
                    await asyncio.Event().wait()
                writer.write(chunk)
