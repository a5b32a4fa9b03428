"""HTTP/1.1 from the socket: uvicorn's protocol, with L1's answers from the parser's own callbacks."""

import asyncio
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tiered_cache.gateway.instant import ASKED, Instant
from tiered_cache.gateway.wire import HttpScope, Message, Receive, Send

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_HELD_BYTES = 2**20
"""Longer bodies are not held for an instant answer: reading them is what they cost."""


class HttpProtocol(HttpToolsProtocol):
    """A connection.

    A call of a cached route is held until its body is whole, and leaves with L1's answer if there is one; it
    becomes a task only where there is none.

    `Upgrade` is ignored, as a server may (RFC 9110 §7.8): the request is read on as if it were not there.
    The parser stops behind the head of such a request and reports it whole. Java's own client sends one with
    every first request (`Upgrade: h2c`), and its body would be lost.

    Args:
        instant: asked first.
        config, server_state, app_state, _loop: as uvicorn gives them, and as it names them.
    """

    def __init__(
        self,
        instant: Instant,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._instant = instant
        self._most_bytes = min(instant.usual_bytes, _HELD_BYTES)
        self._held: list[bytes] | None = None
        self._under_way: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._unset_keepalive_if_required()
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._read_body_on()
            except httptools.HttpParserError:
                message = "Invalid HTTP request received."
                self.logger.warning(message)
                self.send_400_response(message)
                return
            else:
                return

    def _read_body_on(self) -> None:
        """Go on with a parser that has seen the same head without the upgrade."""
        closes = not self.parser.should_keep_alive()
        framing = [b"%b: %b" % line for line in self.headers if line[0] in _FRAMING]
        head = [b"POST / HTTP/1.1", *framing, b"connection: close" if closes else b"host: again"]
        behind = _BehindTheHead(self)
        self.parser = httptools.HttpRequestParser(behind)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join([*head, b"", b""]))
        behind.begun = True

    def on_headers_complete(self) -> None:
        """Start the call, or hold it until its body is there."""
        self._unset_keepalive_if_required()  # an instant answer before it in one segment has set it
        if self._may_be_instant():
            self._held = []
        else:
            super().on_headers_complete()

    def _may_be_instant(self) -> bool:
        """Whether this is the only call under way, usual in all that the head says."""
        if self.url not in self._instant.endpoints or self.expect_100_continue or self.flow.write_paused:
            return False
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            return False
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and self._is_short()
        )

    def _is_short(self) -> bool:
        """Whether the body's length is announced, and is one to be held."""
        framing = [line for line in self.headers if line[0] in _FRAMING]
        if len(framing) != 1:
            return False
        name, value = framing[0]
        return name == b"content-length" and value.isdigit() and int(value) <= self._most_bytes

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """Note the end of the body, which is not where an upgrade would begin."""
        if self._held is not None:
            self._answer(self._held, b"".join(self._held))
        elif not self.parser.should_upgrade():
            super().on_message_complete()

    def _answer(self, held: list[bytes], body: bytes) -> None:
        answer = self._instant.on_the_wire(self.url, tuple(self.headers), body)
        self._held = None
        if isinstance(answer, bytes):
            self.transport.write(answer)
            self.on_response_complete()
            return
        if answer is not None:
            cast("dict[str, Any]", self.scope)[ASKED] = answer
        self._start(held)
        super().on_message_complete()

    def _start(self, held: list[bytes]) -> None:
        """Make what was held a call like any other."""
        super().on_headers_complete()
        super().on_body(b"".join(held))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._under_way = cycle
        if cycle.scope["http_version"] == "1.0":
            app = cast("Any", _UntilClosed(cycle, app))  # uvicorn's own types of messages are narrower
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the call under way: uvicorn tells the one read last, which may be queued behind it.

        While others are queued nothing is read, so that a departure shows only when something is written.
        """
        super().connection_lost(exc)
        cycle = self._under_way
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def shutdown(self) -> None:
        """End the connection with the answer to what is being read on it."""
        held, self._held = self._held, None
        if held is not None:
            self._start(held)
        super().shutdown()


class _UntilClosed:
    """An app whose answers of unknown length end with the connection, for a caller that speaks HTTP/1.0.

    It need not know any transfer coding (RFC 9112 §6.1), and uvicorn would send one.

    Args:
        cycle: the call, on a connection that closes after it.
        app: answers it.
    """

    def __init__(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._cycle = cycle
        self._app = app
        self._length_told = True

    async def __call__(self, http: HttpScope, receive: Receive, send: Send) -> None:
        async def uncoded(message: Message) -> None:
            self._prepare(message)
            await send(message)

        await self._app(http, receive, uncoded)

    def _prepare(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._length_told = any(name == b"content-length" for name, _ in message["headers"])
            if not self._length_told:
                self._cycle.chunked_encoding = False
        elif not self._length_told:
            self._cycle.expected_content_length = len(message.get("body", b""))


class _BehindTheHead:
    """Hands on what a parser reports, but for the head that it is given again.

    The usual connection has no such thing between, as each field line would cost a call.
    """

    def __init__(self, protocol: HttpProtocol) -> None:
        self.begun = False
        self._protocol = protocol
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self.begun:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self.begun:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.begun:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.begun:
            self._protocol.on_headers_complete()
