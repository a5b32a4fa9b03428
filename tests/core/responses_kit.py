"""Responses answers and streams as origins write them, for the tests of whoever reads or renders them."""

import json
from typing import Any

from tests.core.chat_kit import compact
from tiered_cache.core.answers import read_json, read_stream
from tiered_cache.core.sse import read_events, write_event
from tiered_cache.core.vocabulary import Answer, Call, Entry, Lifetime, Refusal

ENDPOINT = "responses"
CALL = Call(ENDPOINT, "openai/gpt-4o", stream=True)
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 13,
    "cost": 0.00012,
}


def text_part(text: str = 'hello 🦊\\"\n', **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": [], **fields}


def message(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    content = list(parts or (text_part(),))
    return {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": content,
        **fields,
    }


def function_call(name: str = "look", arguments: str = '{"at": [1, 2]}', **fields: Any) -> dict[str, Any]:
    return {
        "id": "fc_1",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": name,
        "arguments": arguments,
        **fields,
    }


def reasoning(*texts: str, **fields: Any) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text} for text in texts]
    return {"id": "rs_1", "type": "reasoning", "summary": summary, **fields}


def answer(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1763900000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": "gpt-4o-2024-08-06",
        "output": list(output or (message(),)),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 0.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": USAGE,
        "user": None,
        "metadata": {},
        **fields,
    }


def events(value: dict[str, Any], last: str = "response.completed", pieces: int = 3) -> list[dict[str, Any]]:
    """The answer as OpenAI streams it, written here a second time and in pieces; all but messages and calls whole."""
    begun = {**value, "status": "in_progress", "output": [], "usage": None}
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for place, item in enumerate(value["output"]):
        at = {"output_index": place, "item_id": item["id"]}
        if item["type"] == "message":
            told.append(_added(place, {**item, "status": "in_progress", "content": []}))
            for index, part in enumerate(item["content"]):
                here = {**at, "content_index": index}
                told.append({"type": "response.content_part.added", **here, "part": {**part, "text": ""}})
                for piece in cut(part["text"], pieces):
                    delta = {**here, "delta": piece, "logprobs": [], "obfuscation": "x" * len(piece)}
                    told.append({"type": "response.output_text.delta", **delta})
                told.append(
                    {"type": "response.output_text.done", **here, "text": part["text"], "logprobs": []}
                )
                told.append({"type": "response.content_part.done", **here, "part": part})
        elif item["type"] != "function_call":
            told.append(_added(place, item))
        else:
            told.append(_added(place, {**item, "status": "in_progress", "arguments": ""}))
            kind = "response.function_call_arguments"
            told += [{"type": f"{kind}.delta", **at, "delta": one} for one in cut(item["arguments"], pieces)]
            told.append({"type": f"{kind}.done", **at, "arguments": item["arguments"]})
        told.append({"type": "response.output_item.done", "output_index": place, "item": item})
    told.append({"type": last, "response": value})
    return [{**one, "sequence_number": number} for number, one in enumerate(told)]


def _added(place: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": place, "item": item}


def cut(text: str, pieces: int) -> list[str]:
    size = max(1, -(-len(text) // pieces))
    return [text[at : at + size] for at in range(0, len(text), size)]


def written(told: list[dict[str, Any]]) -> bytes:
    return b"".join(write_event(compact(one), one["type"].encode()) for one in told)


def stream(*output: dict[str, Any], last: str = "response.completed", **fields: Any) -> bytes:
    return written(events(answer(*output, **fields), last))


def judged_stream(body: bytes, call: Call = CALL) -> Answer | Refusal:
    return read_stream(call, read_events(body)[0])


def judged_json(value: Any, call: Call = CALL) -> Answer | Refusal:
    return read_json(call, value if isinstance(value, bytes) else compact(value))


def stored(found: Answer | Refusal) -> Entry:
    """The entry that the engine makes of a storable answer."""
    assert isinstance(found, Answer), found
    return Entry(
        endpoint=ENDPOINT,
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


def told(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream, decoded; each is named as its type says."""
    found, rest = read_events(body)
    assert rest == b""
    values = [json.loads(one.data or b"") for one in found]
    assert [one.name.decode() for one in found] == [value["type"] for value in values]
    return values
