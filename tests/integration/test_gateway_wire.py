"""The gateway on real sockets: what a caller's bytes become, and what reaches its socket."""

import asyncio
import concurrent.futures
import contextlib
import json
import signal
import socket
import threading
import time

import pytest

from tests.integration.gateway_kit import answer, chat
from tests.integration.gateway_process import GatewayProcess, until
from tests.integration.raw_server import Exchange, RawServer

H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAEAAEAAAAIAAAABAAMAAABk")
CHAT = "/v1/chat/completions"


def request(path: str, *lines: str, body: bytes = b"", method: str = "POST", framed: bool = True) -> bytes:
    head = [
        f"{method} {path} HTTP/1.1",
        "host: x",
        "authorization: Bearer k",
        "content-type: application/json",
    ]
    head += [f"content-length: {len(body)}"] * framed
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


class Connection:
    """A caller's connection; reads one answer at a time."""

    def __init__(self, gateway: GatewayProcess):
        host, port = gateway.base.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), 10)
        self.socket.settimeout(10)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def read(self, method: str = "POST") -> tuple[int, dict[str, str], bytes]:
        status = int(self.file.readline().split()[1])
        fields: dict[str, str] = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(": ")
            assert name not in fields, name
            fields[name] = value
        if method == "HEAD" or status in {204, 304}:
            return status, fields, b""
        if "content-length" in fields:
            return status, fields, self.file.read(int(fields["content-length"]))
        body = b""
        while size := int(self.file.readline(), 16):
            body += self.file.read(size)
            self.file.readline()
        self.file.readline()
        return status, fields, body

    def ask(self, data: bytes, method: str = "POST"):
        self.socket.sendall(data)
        return self.read(method)


class Origin(RawServer):
    """Answers as the test says; `hold` stops answers to chats that name it."""

    def __init__(self):
        super().__init__(self._answer)
        self.reply: bytes | None = None
        self.release = threading.Event()

    async def _answer(self, exchange: Exchange) -> None:
        if self.reply is not None:
            await exchange.send(self.reply)
            return
        if b"hold" in exchange.seen.body:
            await exchange.wait_gone()
            raise ConnectionError
        if b"lasting" in exchange.seen.body:
            await exchange.begin_chunked()
            for _ in range(300):
                await exchange.chunk(b": more\n\n")
                await asyncio.sleep(0.02)
            return
        if b"half" in exchange.seen.body:
            await exchange.begin_chunked()
            await exchange.chunk(b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",')
            await exchange.chunk(b'"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n')
            await exchange.wait_gone()
            raise ConnectionError
        await exchange.answer(200, answer())


@pytest.fixture(scope="module")
def running():
    with Origin() as origin, GatewayProcess("--upstream", origin.url) as gateway:
        yield origin, gateway


@pytest.fixture
def origin(running):
    running[0].reply = None
    running[0].seen.clear()
    yield running[0]
    running[0].reply = None


@pytest.fixture
def gateway(running):
    yield running[1]
    assert "Traceback" not in running[1].log


def chunked(body: bytes) -> bytes:
    return b"".join([b"5\r\n%b\r\n" % body[:5], b"%x\r\n%b\r\n" % (len(body) - 5, body[5:]), b"0\r\n\r\n"])


class TestUpgrade:
    """RFC 9110 §7.8: a server may ignore Upgrade; the request stands for itself, body and all."""

    @pytest.mark.parametrize("path", [CHAT, "/v1/other"])
    @pytest.mark.parametrize("pieces", [1, 7, 4000])
    @pytest.mark.parametrize("form", ["length", "chunked"])
    def test_the_body_is_read_and_the_connection_goes_on(self, origin, gateway, path, pieces, form):
        body = chat(f"upgrade {path} {pieces} {form}")
        plain = request(path, body=body)
        if form == "length":
            data = request(path, *H2C, body=body)
        else:
            data = request(path, *H2C, "transfer-encoding: chunked", framed=False) + chunked(body)
        with Connection(gateway) as connection:
            step = max(1, len(data) // pieces)
            for start in range(0, len(data), step):
                connection.socket.sendall(data[start : start + step])
            first = connection.read()
            second = connection.ask(data + plain)
            third = connection.read()
        assert [status for status, _, _ in (first, second, third)] == [200, 200, 200]
        assert {"upgrade", "connection"}.isdisjoint(first[1])
        choices = json.loads(answer())["choices"]
        assert [json.loads(body)["choices"] for _, _, body in (first, second, third)] == [choices] * 3
        assert all(seen.body == body for seen in origin.seen)
        assert len(origin.seen) == (1 if path == CHAT else 3)

    def test_a_request_without_a_body_is_answered_at_once(self, origin, gateway):
        with Connection(gateway) as connection:
            asked = request("/healthz", *H2C, method="GET", framed=False)
            assert [connection.ask(asked)[0] for _ in range(2)] == [200, 200]
            status, fields, _ = connection.ask(
                request("/healthz", "connection: upgrade, close", "upgrade: h2c", method="GET", framed=False)
            )
            assert (status, fields["connection"]) == (200, "close")
            assert connection.file.read() == b""

    def test_what_follows_the_body_is_another_request_and_rubbish_is_400(self, origin, gateway):
        with Connection(gateway) as connection:
            body = chat("rubbish behind")
            assert connection.ask(request(CHAT, *H2C, body=body))[0] == 200
            assert connection.ask(b"rubbish\r\n\r\n")[0] == 400

    def test_a_chunked_body_that_breaks_the_form_is_400(self, origin, gateway):
        with Connection(gateway) as connection:
            head = request("/v1/other", *H2C, "transfer-encoding: chunked", framed=False)
            connection.socket.sendall(head + b"5\r\nabcdefgh\r\n")
            assert connection.file.readline().split()[1] == b"400"


class TestLengths:
    """RFC 9110 §8.6."""

    @pytest.mark.parametrize("status", [204, 304])
    def test_a_status_without_a_body_keeps_the_connection(self, origin, gateway, status):
        origin.reply = b'HTTP/1.1 %d X\r\netag: "a"\r\ncontent-length: 27\r\n\r\n' % status
        with Connection(gateway) as connection:
            for _ in range(2):
                got, fields, _ = connection.ask(request("/v1/models", method="GET", framed=False))
                assert (got, fields["etag"]) == (status, '"a"')
                assert {"content-length", "transfer-encoding"}.isdisjoint(fields)

    @pytest.mark.parametrize(("line", "told"), [(b"x-a: 1", None), (b"content-length: 27", "27")])
    def test_the_length_in_an_answer_to_head_is_the_origins_or_none(self, origin, gateway, line, told):
        origin.reply = b"HTTP/1.1 200 X\r\n%b\r\n\r\n" % line
        with Connection(gateway) as connection:
            for _ in range(2):
                got, fields, _ = connection.ask(
                    request("/v1/models", method="HEAD", framed=False), method="HEAD"
                )
                assert (got, fields.get("content-length")) == (200, told)
                assert "transfer-encoding" not in fields

    @pytest.mark.parametrize("status", [101, 600, 999])
    @pytest.mark.parametrize("path", [CHAT, "/v1/other"])
    def test_a_status_that_http_does_not_know_is_502(self, origin, gateway, status, path):
        origin.reply = b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\n{}" % status
        with Connection(gateway) as connection:
            got, _, body = connection.ask(request(path, body=chat("status")))
        assert (got, json.loads(body)["error"]["code"].replace("-", "_")) == (502, "origin_unreachable")


class TestPaths:
    """Routes are exact; what is none of them goes upstream as it was written."""

    @pytest.mark.parametrize(
        "path", ["/v1//chat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completion%73"]
    )
    def test_another_spelling_of_a_cacheable_path_is_not_that_path(self, origin, gateway, path):
        with Connection(gateway) as connection:
            for _ in range(2):
                status, fields, _ = connection.ask(request(path, body=chat("spelling")))
                assert (status, fields["cache-status"].partition("; ")[2]) == (
                    200,
                    "fwd=method; fwd-status=200; detail=route",
                )
        assert [seen.target for seen in origin.seen] == [path] * 2


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("path", [CHAT, "/v1/other"])
@pytest.mark.parametrize("sent", ["head", "half"])
def test_a_caller_that_leaves_before_its_body_is_no_fault(origin, gateway, reset, path, sent):
    data = request(path, body=chat("left"))
    with Connection(gateway) as connection:
        connection.socket.sendall(data[: data.index(b"\r\n\r\n") + (4 if sent == "head" else 10)])
        time.sleep(0.05)
        if reset:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with Connection(gateway) as connection:
        assert connection.ask(request("/healthz", method="GET", framed=False))[0] == 200
    assert "Exception" not in gateway.log


def callers(gateway: GatewayProcess) -> str:
    (line,) = [x for x in gateway.get("/metrics").splitlines() if x.startswith("tiered_cache_flight_callers")]
    return line.rpartition(" ")[2]


def test_a_caller_that_leaves_with_calls_queued_behind_a_stream_leaves_the_stream(origin, gateway):
    until(lambda: callers(gateway) == "0.0")
    with Connection(gateway) as connection:
        connection.socket.sendall(request(CHAT, body=chat("lasting", stream=True)))
        assert connection.file.readline().split()[1] == b"200"
        connection.socket.sendall(request("/healthz", method="GET", framed=False) * 2)
        time.sleep(0.1)
        assert callers(gateway) == "1.0"
    until(lambda: callers(gateway) == "0.0", 3.0)


def test_an_answer_of_unknown_length_ends_with_the_connection_for_http_1_0(origin, gateway):
    """RFC 9112 §6.1: no transfer coding for who does not speak HTTP/1.1."""
    told = b"data: one\n\ndata: two\n\n"
    origin.reply = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    origin.reply += b"%x\r\n%b\r\n0\r\n\r\n" % (len(told), told)
    for path, body in ((CHAT, chat("old", stream=True)), ("/v1/other", b"{}")):
        with Connection(gateway) as connection:
            connection.socket.sendall(request(path, body=body).replace(b" HTTP/1.1", b" HTTP/1.0", 1))
            head, _, got = connection.file.read().partition(b"\r\n\r\n")
        assert got == told
        assert b"connection: close" in head
        assert b"transfer-encoding" not in head


# First those of which the origin hears nothing: once it has seen the others, these have been read as well.
WAITING = {
    "body under way": request(CHAT, body=chat("hold"))[:-10],
    "upload under way": request("/v1/files", body=chat("hold"))[:-10],
    "json": request(CHAT, body=chat("hold")),
    "sampled": request(CHAT, body=chat("hold", temperature=1)),
    "stream": request(CHAT, body=chat("hold", stream=True)),
    "route": request("/v1/embeddings", body=b'{"input":"hold"}'),
}


class TestDrain:
    """Calls that the drain does not wait for end with 503 in OpenAI's shape, streams without an end."""

    @pytest.mark.parametrize(("drain", "signals"), [("1", 1), ("30", 2), ("0", 1)])
    def test_who_has_no_answer_yet_gets_one(self, drain, signals):
        with (
            Origin() as origin,
            GatewayProcess("--upstream", origin.url, "--drain", drain) as gateway,
            concurrent.futures.ThreadPoolExecutor(len(WAITING)) as pool,
            contextlib.ExitStack() as opened,
        ):
            connections = {name: opened.enter_context(Connection(gateway)) for name in WAITING}
            for name, data in WAITING.items():
                connections[name].socket.sendall(data)
            answers = {name: pool.submit(connection.read) for name, connection in connections.items()}
            with Connection(gateway) as half:
                half.socket.sendall(request(CHAT, body=chat("half", stream=True)))
                assert half.file.readline().split()[1] == b"200"
                until(lambda: len(origin.seen) >= 5)
                for _ in range(signals):
                    gateway.signal(signal.SIGTERM)
                    time.sleep(0.3)
                got = {name: future.result(15) for name, future in answers.items()}
                assert not half.file.read().endswith(b"0\r\n\r\n")
            assert gateway.ended() == 0
            log = gateway.log
        for name, (status, fields, body) in got.items():
            assert (status, fields["content-type"]) == (503, "application/json"), name
            assert json.loads(body)["error"]["code"] == "shutting_down", name
        assert "Traceback" not in log
