"""A small language for scenarios: a cache, an origin that answers by script, callers with credentials."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec.structs import replace

from tiered_cache import Cache, CacheConfig, Request, Response
from tiered_cache.engine.build import build
from tiered_cache.testing import FakeClock

KEY = (b"authorization", b"Bearer rqy_one")
OTHER_KEY = (b"authorization", b"Bearer rqy_two")
JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")


def body(text="hello", **fields) -> bytes:
    """A chat call at temperature 0 unless a field says otherwise; a field set to ... is left out."""
    call = {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        **fields,
    }
    return json.dumps({name: value for name, value in call.items() if value is not ...}).encode()


def answer(text="hi", *, finish="stop", cost="0.00125", **fields) -> bytes:
    """A chat answer as Requesty gives it."""
    return (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini-2024-07-18",'
        f'"choices":[{{"index":0,"message":{{"role":"assistant","content":{json.dumps(text)}}},'
        f'"logprobs":null,"finish_reason":{json.dumps(finish)}}}],'
        f'"usage":{{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"cost":{cost}}}'
        + "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in fields.items())
        + "}"
    ).encode()


def events(text="hi there", *, finish="stop", cost="0.00125", usage=True, done=True) -> list[bytes]:
    """The same as a stream, one event a piece."""

    def chunk(choices, extra=""):
        return (
            'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,'
            f'"model":"gpt-4o-mini-2024-07-18","choices":{json.dumps(choices)}{extra}}}\n\n'
        ).encode()

    def delta(value, reason=None):
        return [{"index": 0, "delta": value, "finish_reason": reason}]

    pieces = [chunk(delta({"role": "assistant", "content": ""}))]
    pieces += [chunk(delta({"content": word})) for word in text.split(" ")]
    pieces.append(chunk(delta({}, finish)))
    if usage:
        tokens = f',"usage":{{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"cost":{cost}}}'
        pieces.append(chunk([], tokens))
    if done:
        pieces.append(b"data: [DONE]\n\n")
    return pieces


class Stream:
    """A stream under the test's control: pieces are given one by one, and it knows whether it was closed."""

    def __init__(self, pieces=(), error: BaseException | None = None, gate: asyncio.Event | None = None):
        self.pieces = list(pieces)
        self.error = error
        self.gate = gate
        self.closed = False

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.pieces:
            return self.pieces.pop(0)
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self):
        self.closed = True


class Origin:
    """Answers by script: each call takes the next reply; the last one repeats."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.gate: asyncio.Event | None = None

    @property
    def calls(self) -> int:
        return len(self.requests)

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if callable(reply) and not isinstance(reply, Stream):
            reply = reply(request)
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, Response):
            return Response(reply.status, reply.headers, reply.body)
        if isinstance(reply, Stream):
            return Response(200, (EVENTS, (b"x-request-id", b"origin-7")), reply)
        return Response(200, (JSON, (b"x-request-id", b"origin-7")), reply)


class World:
    """One cache and what callers see of it."""

    def __init__(self, cache: Cache, clock: FakeClock):
        self.cache = cache
        self.clock = clock

    def request(
        self, sent: bytes, *headers, key=KEY, endpoint="chat/completions", query=b"", plain_body=None
    ):
        lines = (*(() if key is None else (key,)), JSON, *headers)
        return self.cache.request(endpoint, sent, headers=lines, query=query, plain_body=plain_body)

    async def ask(self, sent: bytes, origin, *headers, **where) -> "Seen":
        response = await self.cache.serve(self.request(sent, *headers, **where), origin)
        return await Seen.of(response)

    def counted(self, name: str, word: str = "") -> int:
        return self.cache.ledger.counts[name, word]


class Seen:
    """What a caller has in hand: status, header fields, the whole body."""

    def __init__(self, response: Response, whole: bytes):
        self.response = response
        self.status = response.status
        self.headers = dict(response.headers)
        self.body = whole
        self.cache_status = self.headers.get(b"cache-status", b"").decode()

    @classmethod
    async def of(cls, response: Response) -> "Seen":
        if isinstance(response.body, bytes):
            return cls(response, response.body)
        return cls(response, b"".join([piece async for piece in response.body]))

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The words of the answer, whatever its shape."""
        if self.headers[b"content-type"].startswith(b"text/event-stream"):
            lines = [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: {")]
            deltas = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
            return "".join(delta.get("content") or "" for delta in deltas)
        return self.json["choices"][0]["message"]["content"]

    @property
    def hit(self) -> bool:
        return "; hit" in self.cache_status


@asynccontextmanager
async def world(alter: Callable[[Cache], None] | None = None, lower=(), **config) -> AsyncIterator[World]:
    """A cache on a fake clock; `lower` puts tiers of the test's own below memory."""
    clock = FakeClock()
    parts = build(CacheConfig(secret="a secret for these tests", **config), clock)
    if lower:
        parts = replace(parts, lower=tuple(make(clock) for make in lower))
    cache = Cache(parts)
    try:
        yield World(cache, clock)
    finally:
        await cache.close()
