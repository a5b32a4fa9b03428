"""Ends calls that the drain cuts short: with an answer where none has begun, and without a traceback."""

import asyncio
import secrets
from contextlib import suppress

from tiered_cache.errors import CacheClosedError
from tiered_cache.gateway.app import Gateway
from tiered_cache.gateway.delivery import failure
from tiered_cache.gateway.wire import HttpDate, HttpScope, Receive, Send, framed


class Ending:
    """The gateway as the server runs it: a call cancelled while draining is answered with 503.

    A cancellation at any other time passes through.

    Args:
        gateway: the app.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._date = HttpDate()

    async def __call__(self, http: HttpScope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI 3)."""
        try:
            await self._gateway(http, receive, send)
        except asyncio.CancelledError:
            if not self._gateway.draining:
                raise
            # uvicorn refuses a second head: what has begun ends without an end of body (RFC 9112 §8).
            with suppress(RuntimeError):
                await self._say_so(send)

    async def _say_so(self, send: Send) -> None:
        response = failure(CacheClosedError("draining"), b"tcg-" + secrets.token_hex(8).encode())
        lines = [*framed(response, self._date.line()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": response.status, "headers": lines})
        await send({"type": "http.response.body", "body": response.body})
