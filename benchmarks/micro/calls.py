"""Chat calls and answers of stated sizes, as SDKs send them, for the benchmarks."""

import json
from collections.abc import Iterator
from itertools import count, repeat
from typing import Any

import msgspec

from tiered_cache.core.codec import seal
from tiered_cache.core.keys import Keyer
from tiered_cache.core.sealed import Sealed
from tiered_cache.core.vocabulary import CacheKey, Entry, Keyed, Lifetime, Request, Response, Scope, Usage

ENDPOINT = "chat/completions"
SECRET = "a secret for benchmarks"
HEADERS = (
    (b"host", b"127.0.0.1:8080"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-package-version", b"3.54.0"),
    (b"x-stainless-os", b"Linux"),
    (b"x-stainless-retry-count", b"0"),
    (b"x-stainless-read-timeout", b"600"),
    (b"authorization", b"Bearer rqy_benchmark"),
)
_NUMBERS = count()
_WORDS = "a cached answer is an answer that nobody has to pay for again, if it is the answer to this call. "


def text(size_bytes: int) -> str:
    """Prose of this many bytes."""
    return (_WORDS * (size_bytes // len(_WORDS) + 1))[:size_bytes]


def chat(size_bytes: int, *, tools: int = 0, **extra: Any) -> dict[str, Any]:
    """A chat call whose messages weigh about `size_bytes`."""
    system, user = text(size_bytes // 4), text(size_bytes - size_bytes // 4 - 250)
    call: dict[str, Any] = {
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        "model": "openai/gpt-4o-2024-11-20",
        "temperature": 0.0,
    }
    if tools:
        call["tools"] = [_tool(number) for number in range(tools)]
    return call | extra


def _tool(number: int) -> dict[str, Any]:
    properties = {
        name: {"type": "string", "description": text(60)} for name in ("city", "country", "unit", "language")
    }
    parameters = {
        "type": "object",
        "properties": properties,
        "required": ["city"],
        "additionalProperties": False,
    }
    function = {
        "name": f"look_up_{number}",
        "description": text(120),
        "parameters": parameters,
        "strict": True,
    }
    return {"type": "function", "function": function}


def compact(call: dict[str, Any]) -> bytes:
    """As the Python SDKs write it."""
    return msgspec.json.encode(call)


def spelled(call: dict[str, Any]) -> bytes:
    """As another client writes it: other order, blanks."""
    return json.dumps(dict(reversed(call.items()))).encode()


def unseen(body: bytes) -> Iterator[bytes]:
    """The same call over and over in bytes that nobody remembers (the dropped `user` differs).

    Each is made when it is asked for, as bytes that a socket has just given are in the processor's cache.
    """
    rest = body[1:]
    return (b'{"user":"%012d",%b' % (number, rest) for number in _NUMBERS)


def again(body: bytes) -> Iterator[bytes]:
    """The same bytes over and over, each time in an object of their own, as from a socket."""
    buffer = bytearray(body)
    return (bytes(buffer) for _ in repeat(None))


def answer(size_bytes: int) -> bytes:
    """A whole chat answer of about this size."""
    content = text(max(0, size_bytes - 330))
    usage = {"prompt_tokens": 500, "completion_tokens": 120, "total_tokens": 620, "cost": 0.00245}
    return msgspec.json.encode(
        {
            "id": "chatcmpl-benchmark",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "gpt-4o-2024-11-20",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                },
            ],
            "usage": usage,
        },
    )


async def origin(_request: Request) -> Response:
    """Answers every call with 4 KB of JSON."""
    return Response(200, ((b"content-type", b"application/json"),), answer(4096))


def stored(body: bytes, answer_bytes: int) -> tuple[CacheKey, Sealed]:
    """The key of a call and an entry that answers it."""
    scope = Scope(tenant="benchmark", origin_id="benchmark")
    keyed = Keyer(SECRET.encode()).key(Request(ENDPOINT, body, scope))
    if not isinstance(keyed, Keyed):
        raise TypeError(f"the benchmark's call is not cacheable: {keyed}")
    entry = Entry(
        endpoint=ENDPOINT,
        form="json",
        status=200,
        headers=((b"content-type", b"application/json"),),
        body=answer(answer_bytes),
        locked=False,
        has_usage=True,
        content_class="chat",
        model="gpt-4o-2024-11-20",
        usage=Usage(500, 120, 0, 2_450_000_000),
        lifetime=Lifetime(fresh_s=86_400.0),
        origin_s=1.5,
    )
    return keyed.key, seal(keyed.key, entry)
