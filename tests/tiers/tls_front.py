"""TLS before a server that has none, with a certificate authority of its own."""

import asyncio
import contextlib
import ssl

import trustme


@contextlib.asynccontextmanager
async def tls_front(url, directory, name="localhost"):
    """The port that speaks TLS for the Unix socket in `url`, and the file of its authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    tasks = set()

    async def accept(reader, writer):
        tasks.add(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_unix_connection(url.removeprefix("unix://"))
        with contextlib.suppress(asyncio.CancelledError, ConnectionError, ssl.SSLError):
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        for each in (inner_writer, writer):
            each.transport.abort()
        await asyncio.sleep(0)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], str(ca_file)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _pump(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
