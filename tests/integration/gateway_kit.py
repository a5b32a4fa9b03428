"""Plays the ASGI server for one call, and an upstream that answers by script."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tiered_cache.core.vocabulary import Headers, Request, Response
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig
from tiered_cache.gateway.app import Gateway
from tiered_cache.gateway.config import GatewayConfig

KEY = (b"authorization", b"Bearer rqy_one")
OTHER_KEY = (b"authorization", b"Bearer rqy_two")
JSON = (b"content-type", b"application/json")
SECRET = "a secret for these tests"
CHAT = "/v1/chat/completions"


def chat(text="hello", **fields) -> bytes:
    call = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": text}], "temperature": 0}
    return json.dumps(call | fields).encode()


def answer(text="hi") -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cost": 0.00125}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "gpt-4o-mini"}
    return json.dumps(head | {"choices": [choice], "usage": usage}).encode()


@dataclass
class Answered:
    """What came back: `whole` once the end of the body was sent."""

    status: int = 0
    lines: list = field(default_factory=list)
    pieces: list = field(default_factory=list)
    whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self) -> dict:
        assert set(self.json) == {"error"}
        assert set(self.json["error"]) == {"message", "type", "param", "code"}
        return self.json["error"]

    def value(self, name: str) -> str | None:
        values = [value.decode() for key, value in self.lines if key == name.encode()]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def cache_status(self) -> str:
        return self.value("cache-status") or ""


class Wire:
    """The server's side of one call: gives the body's pieces, then a disconnect once the answer is whole."""

    def __init__(self, *pieces: bytes, gate: asyncio.Event | None = None):
        self.left = asyncio.Event()
        self.unread = list(pieces) or [b""]
        self.gate = gate
        self.answered = Answered()
        self.begun = asyncio.Event()

    async def receive(self):
        if self.unread and not self.left.is_set():
            piece = self.unread.pop(0)
            if self.gate is not None and not self.unread:
                await self.gate.wait()
            return {"type": "http.request", "body": piece, "more_body": bool(self.unread)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        answered = self.answered
        if message["type"] == "http.response.start":
            assert answered.status == 0, "two answers to one call"
            answered.status, answered.lines = message["status"], list(message["headers"])
            self.begun.set()
            return
        assert answered.status, "a body before its head"
        assert not answered.whole, "a piece after the end"
        if message.get("body"):
            answered.pieces.append(message["body"])
        if not message.get("more_body"):
            answered.whole = True
            self.left.set()

    def leave(self):
        self.left.set()


async def ask(
    app, *pieces: bytes, method="POST", path=CHAT, query=b"", headers=(KEY, JSON), wire=None
) -> Answered:
    """Make one call of `app` and give what it answered."""
    wire = Wire(*pieces) if wire is None else wire
    raw, _, _ = path.partition("?")
    http = {
        "type": "http",
        "method": method,
        "path": raw.replace("%2F", "/").replace("%2E", "."),
        "raw_path": raw.encode(),
        "query_string": query,
        "headers": list(headers),
    }
    await asyncio.wait_for(app(http, wire.receive, wire.send), 10)
    return wire.answered


class Upstream:
    """Answers cacheable calls with `reply`, and other calls with `forwarded`, and keeps what it was sent."""

    origin_id = "https://upstream.example/v1"

    def __init__(self, reply=None, forwarded: Response | BaseException | None = None):
        self.reply = answer() if reply is None else reply
        self.forwarded = Response(200, (JSON,), b'{"data":[]}') if forwarded is None else forwarded
        self.requests: list[Request] = []
        self.calls: list[tuple[str, str, bytes, Headers]] = []
        self.bodies: list[list[bytes]] = []
        self.arrived = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.hold: asyncio.Event | None = None

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        await self._held()
        reply = self.reply(request) if callable(self.reply) else self.reply
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, Response) else Response(200, (JSON,), reply)

    async def _held(self):
        self.arrived.set()
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

    async def forward(self, method, path, query, headers, body) -> Response:
        self.calls.append((method, path, query, headers))
        pieces: list[bytes] = []
        self.bodies.append(pieces)
        if isinstance(body, bytes):
            pieces.append(body)
        else:
            async for piece in body:
                pieces.append(piece)
                self.arrived.set()
        await self._held()
        if isinstance(self.forwarded, BaseException):
            raise self.forwarded
        return self.forwarded


class Pieces:
    """A body that gives its pieces, then waits, ends or fails; it knows whether it was closed."""

    def __init__(self, *pieces: bytes, error: BaseException | None = None, hang=False):
        self.left = list(pieces)
        self.error = error
        self.hang = hang
        self.closed = False

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        if self.left:
            return self.left.pop(0)
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self):
        self.closed = True


@asynccontextmanager
async def gateway(upstream=None, *, cache: dict | None = None, **config) -> AsyncIterator[Gateway]:
    """The app over a real cache."""
    settings = GatewayConfig(cache=CacheConfig(secret=SECRET, **(cache or {})), **config)
    async with Cache.open(settings.cache) as opened:
        yield Gateway(opened, Upstream() if upstream is None else upstream, settings)
