"""HTTP/1.1 from the socket: uvicorn's protocol, which takes an Upgrade that nobody grants for the end."""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class HttpProtocol(HttpToolsProtocol):
    """Ignores `Upgrade`, as a server may (RFC 9110 §7.8): the request is read on as if it were not there.

    The parser stops behind the head of such a request and reports it whole. Java's own client sends one with
    every first request (`Upgrade: h2c`), and its body would be lost.
    """

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

    def on_message_complete(self) -> None:
        """Note the end of the body, which is not where an upgrade would begin."""
        if not self.parser.should_upgrade():
            super().on_message_complete()


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
