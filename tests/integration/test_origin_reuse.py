"""What an origin sends after its response never becomes the answer to the next call."""

import asyncio
import ssl
import subprocess
import threading

import httpx2
import pytest

from tests.integration.raw_server import Exchange, RawServer, until
from tiered_cache.core.vocabulary import Request
from tiered_cache.integrations.origin import HttpOrigin
from tiered_cache.integrations.reuse import used_once_unless_clean

OWN = b'{"own":"answer"}'
EVIL = b'{"somebody":"else"}'


def response_of(body: bytes, status: int = 200, framing: bytes | None = None) -> bytes:
    length = b"content-length: %d" % len(body)
    head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%b\r\n\r\n" % (status, framing or length)
    return head + body


def call() -> Request:
    return Request("chat/completions", b"{}", None, (), b"")


CHUNKED = b"transfer-encoding: chunked"
LEFT_OVER = {
    "a second response": [response_of(OWN) + response_of(EVIL)],
    "a second response in the next packet": [response_of(OWN), response_of(EVIL)],
    "a body longer than said": [response_of(OWN + EVIL, framing=b"content-length: %d" % len(OWN))],
    "after the last chunk": [response_of(b"%x\r\n%b\r\n0\r\n\r\n" % (len(OWN), OWN), framing=CHUNKED) + EVIL],
    "204 with a body": [response_of(OWN, 204)],
    "304 with a body": [response_of(OWN, 304)],
    "one stray byte": [response_of(OWN) + b"\n"],
}


@pytest.mark.parametrize("pieces", LEFT_OVER.values(), ids=LEFT_OVER.keys())
@pytest.mark.parametrize("forwarded", [False, True])
async def test_what_follows_a_response_answers_nobody(pieces, forwarded):
    async def handler(exchange: Exchange) -> None:
        if len(server.seen) > 1:
            await exchange.answer(200, OWN)
            return
        for piece in pieces:
            await exchange.send(piece)
        all_sent.set()

    # What is sent only when the next call is under way is an answer to it, as far as anyone can tell.
    all_sent = threading.Event()
    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        if forwarded:
            first = await origin.forward("GET", "models", b"", (), b"")
            if not isinstance(first.body, bytes):
                await first.body.whole()
        else:
            await origin(call())
        await until(all_sent.is_set)
        answers = [await origin(call()) for _ in range(2)]
        connections = len({id(exchange.writer) for exchange in server.exchanges})
        await origin.aclose()
    assert [(answer.status, answer.body) for answer in answers] == [(200, OWN)] * 2
    assert connections == 2


async def test_bytes_read_ahead_of_the_parser_count_as_left_over():
    """The second response is off the socket already, but the parser has not been given it."""

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(200, OWN)

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        response = await origin.forward("GET", "models", b"", (), b"")
        network = response.body._response.extensions["network_stream"]
        network._stream._protocol.data_received(response_of(EVIL))
        await response.body.whole()
        assert (await origin(call())).body == OWN
        connections = len({id(exchange.writer) for exchange in server.exchanges})
        await origin.aclose()
    assert connections == 2


async def test_a_callers_own_transport_is_looked_after_as_well():
    async def handler(exchange: Exchange) -> None:
        await exchange.send(LEFT_OVER["a second response"][0] if len(server.seen) == 1 else response_of(OWN))

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url, transport=httpx2.AsyncHTTPTransport())
        answers = [await origin(call()) for _ in range(2)]
        await origin.aclose()
    assert [answer.body for answer in answers] == [OWN, OWN]


async def test_a_connection_whose_inside_is_unknown_is_closed():
    class Network:
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    network = Network()
    response = httpx2.Response(200, stream=Pieces(), extensions={"network_stream": network})
    assert await used_once_unless_clean(used_once_unless_clean(response)).aread() == OWN
    assert network.closed


class Pieces(httpx2.AsyncByteStream):
    async def __aiter__(self):
        yield OWN


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> str:
    """Path of a key for localhost; the certificate is beside it, with `.crt`."""
    path = str(tmp_path_factory.mktemp("tls") / "key.pem")
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    named = ["-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", f"{path}.crt"]
    subprocess.run([*made, *named], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("left_over", [False, True])
async def test_over_tls_a_clean_connection_is_used_again_and_no_other(certificate, version, left_over):
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(f"{certificate}.crt", certificate)
    served.minimum_version = served.maximum_version = ssl.TLSVersion[version]
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                writer.write(response_of(OWN))
                if left_over and len(connections) == 1:
                    writer.write(response_of(EVIL))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=served)
    port = server.sockets[0].getsockname()[1]
    trusted = ssl.create_default_context(cafile=f"{certificate}.crt")
    origin = HttpOrigin(f"https://localhost:{port}/v1", transport=httpx2.AsyncHTTPTransport(verify=trusted))
    answers = [await origin(call()) for _ in range(3)]
    await origin.aclose()
    server.close()
    await server.wait_closed()
    assert [answer.body for answer in answers] == [OWN] * 3
    assert len(connections) == (2 if left_over else 1)
