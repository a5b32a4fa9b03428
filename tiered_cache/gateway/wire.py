"""ASGI messages as types, answers as messages: framing, Date, OpenAI-shaped errors (RFC 9110 §6.6, §8.6)."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any, TypeAlias

import msgspec

from tiered_cache.core.vocabulary import Headers, Response

HttpScope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_BODILESS = frozenset({204, 304})
_TYPES = {502: "api_error", 503: "api_error", 504: "api_error"}


class HttpDate:
    """The Date field of now, written once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._line = (b"date", b"")

    def line(self) -> tuple[bytes, bytes]:
        """The field line (RFC 9110 §6.6.1)."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = (b"date", formatdate(second, usegmt=True).encode())
        return self._line


def framed(response: Response, date: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Field lines as they go out: with a Date, and with Content-Length where the body is whole.

    A status without a body goes out without a length: 204 must (RFC 9110 §8.6), and 304 may.
    """
    bodiless = response.status in _BODILESS
    lines = [line for line in response.headers if not bodiless or line[0] != b"content-length"]
    names = {name for name, _ in lines}
    if b"date" not in names:
        lines.append(date)
    body = response.body
    if isinstance(body, bytes) and b"content-length" not in names and not bodiless:
        lines.append((b"content-length", b"%d" % len(body)))
    return lines


def refusal(
    status: int,
    message: str,
    code: str,
    headers: Headers = (),
    *,
    param: str | None = None,
) -> Response:
    """An answer of our own that OpenAI's SDKs read as an error; it has no Cache-Status (RFC 9211 §2).

    Args:
        status: HTTP status.
        message: what is wrong and what to do; never holds the caller's text.
        code: stable word.
        headers: further field lines.
        param: the request field at fault.
    """
    kind = _TYPES.get(status, "invalid_request_error")
    error = {"message": message, "type": kind, "param": param, "code": code}
    body = msgspec.json.encode({"error": error})
    return Response(status, ((b"content-type", b"application/json"), *headers), body)
