"""L1's answers from the parser's callbacks: the same answers as on the usual way, in order, without a task."""

import asyncio
import itertools
import json

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.integration.gateway_kit import CHAT, JSON, answer, ask, chat, gateway
from tests.integration.gateway_process import GatewayProcess
from tests.integration.test_gateway_wire import Connection, Origin, chunked, request
from tiered_cache.gateway.protocol import HttpProtocol

LINES = ((b"authorization", b"Bearer k"), JSON)


@pytest.fixture(scope="module")
def running():
    with Origin() as origin, GatewayProcess("--upstream", origin.url) as process:
        yield origin, process
        assert "Traceback" not in process.log


def unlike(fields: dict[str, str]) -> dict[str, str]:
    """What two hits of one entry have in common."""
    return {
        name: value
        for name, value in fields.items()
        if name not in {"date", "age", "x-request-id", "cache-control", "cache-status"}
    }


@pytest.mark.parametrize("pieces", [1, 2, 9])
def test_a_hit_is_the_same_answer_as_on_the_usual_way(running, pieces):
    body = chat(f"same {pieces}")
    head = request(CHAT, "transfer-encoding: chunked", framed=False)
    data = request(CHAT, body=body)
    cuts = [len(data) * cut // pieces for cut in range(pieces + 1)]
    with Connection(running[1]) as connection:
        assert "stored" in connection.ask(data)[1]["cache-status"]
        usual = connection.ask(head + chunked(body))
        for start, end in itertools.pairwise(cuts):
            connection.socket.sendall(data[start:end])
        instant = connection.read()
    assert [each[0] for each in (usual, instant)] == [200, 200]
    assert unlike(usual[1]) == unlike(instant[1])
    assert usual[1].keys() == instant[1].keys()
    assert usual[2] == instant[2]
    assert "hit" in instant[1]["cache-status"]


def test_answers_leave_in_the_order_of_their_questions(running):
    """Hits behind a miss wait for it; those before it do not."""
    known, new = chat("known"), chat("new")
    with Connection(running[1]) as connection:
        connection.ask(request(CHAT, body=known))
        asked = [known, known, new, known, chat("newer"), known]
        connection.socket.sendall(b"".join([request(CHAT, body=body) for body in asked]))
        told = [connection.read()[1]["cache-status"] for _ in asked]
    assert ["hit" in each for each in told] == [True, True, False, True, False, True]


def test_a_validator_that_matches_is_304_without_a_body(running):
    body = chat("validated")
    with Connection(running[1]) as connection:
        connection.ask(request(CHAT, body=body))
        tag = connection.ask(request(CHAT, body=body))[1]["etag"]
        for _ in range(2):
            status, fields, _ = connection.ask(request(CHAT, f"if-none-match: {tag}", body=body))
            assert (status, "content-length" in fields) == (304, False)
        assert connection.ask(request(CHAT, body=body))[0] == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[1", b"\xff"])
def test_a_body_that_is_no_json_is_refused_on_the_usual_way(running, body):
    with Connection(running[1]) as connection:
        status, fields, text = connection.ask(request(CHAT, body=body))
    assert (status, fields["content-type"]) == (400, "application/json")
    assert json.loads(text)["error"]["type"] == "invalid_request_error"


def test_a_caller_that_wants_the_end_gets_it(running):
    body = chat("the end")
    with Connection(running[1]) as connection:
        connection.ask(request(CHAT, body=body))
        assert connection.ask(request(CHAT, "connection: close", body=body))[1]["connection"] == "close"
        assert connection.file.read() == b""


class Wire:
    """A transport that keeps what is written."""

    def __init__(self):
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_extra_info(self, _name, default=None):
        return default

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        raise AssertionError("nobody asked for that")

    pause_reading = resume_reading = lambda self: None


async def test_a_hit_is_one_write_and_no_task():
    body = chat("one")
    async with gateway() as app:
        await ask(app, body)
        state, wire = ServerState(), Wire()
        protocol = HttpProtocol(app.instant, uvicorn.Config(app, lifespan="off", log_config=None), state, {})
        protocol.connection_made(wire)
        await ask(app, body, headers=LINES)  # the caller that the wire's requests are from
        for number in range(1, 4):
            protocol.data_received(request(CHAT, body=body))
            assert (len(wire.written), len(state.tasks), state.total_requests) == (number, 0, number)
            head, _, text = wire.written[-1].partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert json.loads(text)["choices"] == json.loads(answer())["choices"]
        protocol.data_received(request(CHAT, body=chat("two")))
        assert (len(wire.written), len(state.tasks)) == (3, 1)
        await asyncio.wait_for(asyncio.gather(*state.tasks), 10)
        assert wire.written[3].startswith(b"HTTP/1.1 200 OK\r\n")
        protocol.timeout_keep_alive_task.cancel()
