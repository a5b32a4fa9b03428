"""Chat answers and streams as origins write them, for the tests of whoever reads or renders them."""

import json
from typing import Any

from tiered_cache.core.answers import read_json, read_stream
from tiered_cache.core.sse import Event, read_events
from tiered_cache.core.vocabulary import Answer, Call, Entry, Lifetime, Refusal

HEAD = {"id": "chatcmpl-1", "created": 1763900000, "model": "gpt-4o-2024-08-06"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "cost": 0.00012}
CALL = Call("chat/completions", "openai/gpt-4o", stream=True)
DONE = b"data: [DONE]\n\n"


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def chunk(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**HEAD, "object": "chat.completion.chunk", "choices": list(choices), **fields}


def delta(index: int = 0, finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {"index": index, "delta": said, "logprobs": None, "finish_reason": finish}


def event(value: Any) -> bytes:
    return b"data: " + compact(value) + b"\n\n"


def stream(*chunks: dict[str, Any] | bytes, done: bool = True) -> bytes:
    body = b"".join(part if isinstance(part, bytes) else event(part) for part in chunks)
    return body + DONE if done else body


def text_stream(*texts: str, finish: str = "stop", usage: dict[str, Any] | None = USAGE) -> bytes:
    chunks = [chunk(delta(role="assistant", content="", refusal=None))]
    chunks += [chunk(delta(content=text)) for text in texts]
    chunks.append(chunk(delta(finish=finish)))
    if usage is not None:
        chunks.append(chunk(usage=usage))
    return stream(*chunks)


def message(content: str | None = "hello", **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "refusal": None, **fields}


def answer(*messages: dict[str, Any], finish: str = "stop", **fields: Any) -> dict[str, Any]:
    choices = [
        {"index": index, "message": said, "logprobs": None, "finish_reason": finish}
        for index, said in enumerate(messages or (message(),))
    ]
    return {**HEAD, "object": "chat.completion", "choices": choices, "usage": USAGE, **fields}


def tool_call(name: str = "look", arguments: str = '{"at": 1}', call_id: str = "call_1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def events(body: bytes) -> list[Event]:
    return read_events(body)[0]


def judged_stream(body: bytes, call: Call = CALL) -> Answer | Refusal:
    return read_stream(call, events(body))


def stored(found: Answer | Refusal) -> Entry:
    """The entry that the engine makes of a storable answer."""
    assert isinstance(found, Answer), found
    return Entry(
        endpoint="chat/completions",
        form=found.form,
        status=200,
        headers=(),
        body=found.body,
        locked=found.locked,
        has_usage=found.has_usage,
        content_class=found.content_class.value,
        model=found.model,
        usage=found.usage,
        lifetime=Lifetime(60.0),
        origin_s=0.5,
    )


def stored_stream(body: bytes, call: Call = CALL) -> Entry:
    return stored(judged_stream(body, call))


def stored_json(value: Any, call: Call = CALL) -> Entry:
    return stored(read_json(call, value if isinstance(value, bytes) else compact(value)))
