"""A load of HTTP calls over kept-alive loopback connections, as little Python as will do."""

import asyncio
from collections.abc import Callable
from time import perf_counter_ns
from typing import cast

_BLANK = b"\r\n\r\n"
_LENGTH = b"content-length: "


class BadAnswerError(Exception):
    """A server answered something else than 200 with a length."""


class _Caller(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, sends again until it is told to stop."""

    def __init__(self, next_request: Callable[[], bytes], done: Callable[[int], bool]) -> None:
        self._next_request = next_request
        self._done = done
        self._got = b""
        self._sent_ns = 0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        self._send()

    def _send(self) -> None:
        self._sent_ns = perf_counter_ns()
        self._transport.write(self._next_request())

    def data_received(self, data: bytes) -> None:
        got = self._got = self._got + data if self._got else data
        head = got.find(_BLANK)
        if head < 0:
            return
        place = got.find(_LENGTH, 0, head)
        if place < 0 or got[9:12] != b"200":
            self._fail(BadAnswerError(got[: head + 300]))
            return
        length = int(got[place + len(_LENGTH) : got.find(b"\r", place)])
        if len(got) < head + len(_BLANK) + length:
            return
        self._got = b""
        if self._done(perf_counter_ns() - self._sent_ns):
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(exc) if exc else self.finished.set_result(None)

    def _fail(self, error: Exception) -> None:
        self.finished.set_exception(error)
        self._transport.close()


async def load(port: int, next_request: Callable[[], bytes], connections: int, calls: int) -> list[int]:
    """Make `calls` calls over that many connections. Returns nanoseconds per call.

    Raises:
        BadAnswerError: a server answered something else than 200 with a length.
    """
    latencies: list[int] = []

    def done(latency_ns: int) -> bool:
        latencies.append(latency_ns)
        return len(latencies) > calls - connections

    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Caller(next_request, done), "127.0.0.1", port)
        for _ in range(min(connections, calls))
    ]
    await asyncio.gather(*(caller.finished for _, caller in made))
    return latencies


def http_request(body: bytes, port: int) -> bytes:
    """A chat call on the wire, with the header fields of an SDK."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: application/json\r\n"
        f"accept-encoding: identity\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "user-agent: OpenAI/Python 3.54.0\r\nx-stainless-lang: python\r\nx-stainless-retry-count: 0\r\n"
        "x-stainless-read-timeout: 600\r\nauthorization: Bearer rqy_benchmark\r\n\r\n"
    )
    return head.encode() + body
