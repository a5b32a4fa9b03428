"""Answers from L1 what has arrived whole: no task, no await, one write."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from tiered_cache.core.vocabulary import Bypass, Headers, Keyed, Request, Response
from tiered_cache.engine.cache import Cache
from tiered_cache.errors import RequestError
from tiered_cache.gateway.admission import Admitted, Gate, body_coding
from tiered_cache.gateway.wire import HttpDate
from tiered_cache.integrations.metrics import Latency

ASKED = "tiered_cache.asked"
"""Where an ASGI scope carries the `Asked` of a call that arrived whole and that L1 does not answer."""

_STATUS_LINES = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}


class Asked(NamedTuple):
    """A call whose fields and body have been read, so that nobody reads them again."""

    request: Request
    named: Keyed | Bypass


class Instant:
    """L1 hits of a gateway.

    Args:
        cache: answers.
        gate: decides who may call.
        endpoints: path on the wire to endpoint, of the routes that are cached.
        date: for the Date field.
        hits: told how long each took.
        usual_bytes: longer bodies go the usual way.

    Attributes:
        endpoints, usual_bytes: as given.
    """

    def __init__(
        self,
        cache: Cache,
        gate: Gate,
        *,
        endpoints: Mapping[bytes, str],
        date: HttpDate,
        hits: Latency,
        usual_bytes: int,
    ) -> None:
        self.endpoints = endpoints
        self.usual_bytes = usual_bytes
        self._cache = cache
        self._gate = gate
        self._date = date
        self._hits = hits

    def ask(self, endpoint: str, admitted: Admitted, body: bytes) -> Asked:
        """The call of a caller who was let in. Raises RequestError."""
        request = self._cache.request(
            endpoint, body, headers=admitted.headers, query=admitted.query, scope=admitted.scope
        )
        return Asked(request, self._cache.name(request))

    def answer(self, asked: Asked) -> Response | None:
        """What L1 holds for it, without Date and Content-Length."""
        return self._cache.peek(asked.request, asked.named)

    def lines(self, hit: Response) -> list[tuple[bytes, bytes]]:
        """The field lines of such an answer; 304 goes out without a length (RFC 9110 §8.6)."""
        lines = [*hit.headers, self._date.line()]
        if hit.status != 304:
            lines.append((b"content-length", b"%d" % len(hit.body)))  # type: ignore[arg-type]  # L1 has bytes
        return lines

    def on_the_wire(self, path: bytes, headers: Headers, body: bytes) -> bytes | Asked | None:
        """The bytes of the whole response.

        Returns:
            the response; the call, if L1 does not answer it; or None for what the usual way has to look at.
        """
        began_s = time.perf_counter()
        try:
            admitted = self._gate(headers, b"")
            endpoint = self.endpoints[path]
            if body_coding(admitted.headers, endpoint) is not None:
                return None
            asked = self.ask(endpoint, admitted, body)
        except RequestError:
            return None  # the usual way says why
        hit = self.answer(asked)
        if hit is None:
            return asked
        written = _written(hit.status, self.lines(hit), hit.body)
        if written is not None:
            self._hits.observe(time.perf_counter() - began_s)
        return written


def _written(status: int, lines: list[tuple[bytes, bytes]], body: object) -> bytes | None:
    """A response as HTTP/1.1 has it; None where a line holds a line break, which nobody may send."""
    head = b"".join([b"%b: %b\r\n" % line for line in lines])
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or not isinstance(body, bytes):
        return None
    return b"%b%b\r\n%b" % (_STATUS_LINES[status], head, body)
