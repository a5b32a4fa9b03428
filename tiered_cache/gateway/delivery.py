"""Writes answers to the caller: whole at once, streams piece by piece, refusals to callers still sending."""

import logging
from contextlib import aclosing
from typing import Any, cast

from tiered_cache.core.vocabulary import Headers, Response
from tiered_cache.errors import (
    CacheClosedError,
    OriginCutError,
    OriginError,
    OriginTimeoutError,
    OriginUnreachableError,
    RequestError,
    TieredCacheError,
)
from tiered_cache.gateway.departure import WhileConnected
from tiered_cache.gateway.intake import Inlet, declared_bytes
from tiered_cache.gateway.wire import HttpDate, Send, framed, refusal

_log = logging.getLogger(__name__)

_START = "http.response.start"
_BODY = "http.response.body"
_SHORT_BYTES = 64 * 2**10


class Delivery:
    """Writes responses as ASGI messages.

    Args:
        date: for the Date field.
    """

    def __init__(self, date: HttpDate) -> None:
        self._date = date

    async def whole(self, response: Response, send: Send) -> None:
        """Send a response whose body is bytes."""
        lines = framed(response, self._date.line())
        await send({"type": _START, "status": response.status, "headers": lines})
        await send({"type": _BODY, "body": response.body})

    async def either(self, response: Response, send: Send, caller: WhileConnected) -> bool:
        """Send a response of either kind; the body iterator is closed whatever happens.

        Returns False when the body broke off: the connection must then end without an end of body, so that
        the caller cannot take what it has for the whole (RFC 9112 §8).
        """
        if isinstance(response.body, bytes):
            caller.finish()
            await self.whole(response, send)
            return True
        # Iterators of bodies all have `aclose`; the vocabulary's type does not say so.
        async with aclosing(cast(Any, response.body)) as pieces:
            lines = framed(response, self._date.line())
            await send({"type": _START, "status": response.status, "headers": lines})
            try:
                async for piece in pieces:
                    await send({"type": _BODY, "body": piece, "more_body": True})
            except OriginError as error:
                _log.warning("an answer of the origin broke off (%s)", error.code)
                return False
            caller.finish()
        await send({"type": _BODY, "body": b""})
        return True

    async def own(self, response: Response, headers: Headers, inlet: Inlet, send: Send) -> None:
        """Send an answer of our own to a caller that may still be sending its body.

        A long body is read on and thrown away for a while after the answer has been sent: ending the
        connection at once would reset it under the caller's writes, and the answer would be lost.
        """
        if not inlet.begun and not _waits(headers) and declared_bytes(headers) <= _SHORT_BYTES:
            await inlet.piece()
        if inlet.ended.is_set():
            await self.whole(response, send)
            return
        lines = [*framed(response, self._date.line()), (b"connection", b"close")]
        await send({"type": _START, "status": response.status, "headers": lines})
        await send({"type": _BODY, "body": response.body, "more_body": True})
        await inlet.discard()
        await send({"type": _BODY, "body": b""})


def _waits(headers: Headers) -> bool:
    """Whether the caller sends its body only when told to (RFC 9110 §10.1.1), or its length is unknown."""
    return any(name in {b"expect", b"transfer-encoding"} for name, _ in headers)


_FAILURES: tuple[tuple[type[TieredCacheError], int, str, str], ...] = (
    (OriginTimeoutError, 504, OriginTimeoutError.code, "The upstream API did not answer in time."),
    (OriginCutError, 502, OriginCutError.code, "The upstream API broke off its answer."),
    (OriginError, 502, OriginUnreachableError.code, "The upstream API could not be reached."),
    (CacheClosedError, 503, "shutting_down", "This gateway is shutting down. Please try again."),
)


def failure(error: TieredCacheError, request_id: bytes) -> Response:
    """The answer to a call that got none from the origin, or that cannot be sent there.

    Errors that are neither the caller's nor the origin's are raised again: they are defects.
    """
    ours: Headers = ((b"x-request-id", request_id),)
    if isinstance(error, RequestError):
        allow = ((b"allow", b"POST, OPTIONS"),) if error.status == 405 else ()
        return refusal(error.status, error.message, error.code, (*ours, *allow))
    for kind, status, code, message in _FAILURES:
        if isinstance(error, kind):
            return refusal(status, message, code, ours)
    raise error
