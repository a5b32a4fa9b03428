"""One HTTP request and its response in ASGI, with an eye on whether the client is still there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from tiered_cache.core.vocabulary import Headers

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

JSON = (b"content-type", b"application/json")


class Exchange:
    """One request, numbered, and the ways to answer it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, number: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.number = number

    def field(self, name: bytes) -> bytes:
        """Value of the first header field `name`; empty when absent."""
        return next((bytes(value) for key, value in self._scope["headers"] if key == name), b"")

    async def body(self) -> bytes:
        """The request's whole body. Raises ValueError when the client leaves while sending it."""
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ValueError("the client left")
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def pause(self, seconds: float) -> bool:
        """Wait; False as soon as the client has left."""
        if seconds <= 0:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
                return False
        return True

    async def reply(self, status: int, body: bytes, fields: Headers = ()) -> None:
        """Send a whole JSON response."""
        await self.start(status, (JSON, (b"content-length", b"%d" % len(body)), *fields))
        await self._send({"type": "http.response.body", "body": body})

    async def start(self, status: int, fields: Headers) -> None:
        """Send the head of a response."""
        headers = [*fields, (b"x-request-id", b"req-sim-%d" % self.number)]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send_chunk(self, chunk: bytes) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        """The body is whole."""
        await self._send({"type": "http.response.body", "body": b""})
