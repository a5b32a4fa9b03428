"""Messages answers and streams as Anthropic writes them, for the tests of whoever reads or renders them."""

import json
from typing import Any

from tests.core.chat_kit import compact
from tiered_cache.core.answers import read_json, read_stream
from tiered_cache.core.sse import read_events
from tiered_cache.core.vocabulary import Answer, Call, Entry, Lifetime, Refusal

CALL = Call("messages", "anthropic/claude-sonnet-4-5", stream=True)
USAGE = {
    "input_tokens": 9,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 5,
    "output_tokens": 4,
}
COST = {"cost": 0.00012}
HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929"}

TEXT = {"type": "text", "text": 'hello 🦊\\"\n'}
CITED = {
    "type": "text",
    "text": "cited",
    "citations": [
        {"type": "char_location", "cited_text": "c", "document_index": 0, "start_char_index": 0, "end_char_index": 1},
        {"type": "char_location", "cited_text": "d", "document_index": 0, "start_char_index": 1, "end_char_index": 2},
    ],
}  # fmt: skip
THOUGHT = {"type": "thinking", "thinking": "let me see", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, 2.50], "b": "é"}}
NO_INPUT = {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}


def answer(*blocks: dict[str, Any], stop: str | None = "end_turn", **fields: Any) -> dict[str, Any]:
    said = {"content": list(blocks or (TEXT,)), "stop_reason": stop, "stop_sequence": None}
    return {**HEAD, **said, "usage": USAGE | COST, **fields}


def event(said: dict[str, Any], name: str | None = None) -> bytes:
    named = said["type"] if name is None else name
    return b"event: %b\ndata: %b\n\n" % (named.encode(), compact(said))


def begin(**fields: Any) -> bytes:
    usage = {**USAGE, "output_tokens": 1}
    said = {**HEAD, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage, **fields}
    return event({"type": "message_start", "message": said})


def pieces(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    """What Anthropic says of a block between its start and its stop, in small pieces."""
    match block["type"]:
        case "text":
            cites = [{"type": "citations_delta", "citation": cite} for cite in block.get("citations") or []]
            return [*cites, *({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))]
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            return [*thoughts, {"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use" | "server_tool_use":
            text = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
            return [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(text)]]
    return []


EMPTY: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
}


def block_events(index: int, block: dict[str, Any]) -> list[bytes]:
    start = block | EMPTY.get(block["type"], {}) | ({"citations": []} if block.get("citations") else {})
    said = [{"type": "content_block_start", "index": index, "content_block": start}]
    said += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas(block)]
    return [event(each) for each in [*said, {"type": "content_block_stop", "index": index}]]


def ending(stop: str | None = "end_turn", **fields: Any) -> bytes:
    usage = {"output_tokens": 4, **COST}
    said = {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage, **fields}
    return event({"type": "message_delta", **said})


PING = event({"type": "ping"})
STOP = event({"type": "message_stop"})


def stream(*blocks: dict[str, Any], stop: str | None = "end_turn") -> bytes:
    inner = [piece for index, block in enumerate(blocks or (TEXT,)) for piece in block_events(index, block)]
    return b"".join([begin(), PING, *inner, ending(stop), STOP])


def judged_stream(body: bytes, call: Call = CALL) -> Answer | Refusal:
    return read_stream(call, read_events(body)[0])


def judged_json(value: Any, call: Call = CALL) -> Answer | Refusal:
    return read_json(call, value if isinstance(value, bytes) else compact(value))


def stored(found: Answer | Refusal) -> Entry:
    """The entry that the engine makes of a storable answer."""
    assert isinstance(found, Answer), found
    return Entry(
        endpoint="messages",
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
