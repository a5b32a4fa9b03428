"""Which events deliver something of an answer (SEMANTICS 5)."""

import json

import pytest

from tiered_cache.core.answers import DIALECTS, idle, live, opens
from tiered_cache.core.sse import read_events

CHAT, MESSAGES, RESPONSES = "chat/completions", "messages", "responses"


def event(said, name=""):
    data = said if isinstance(said, str) else json.dumps(said)
    text = f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"
    ((found,), rest) = read_events(text.encode())
    assert rest == b""
    return found


def comment():
    return read_events(b": keep waiting\n\n")[0][0]


def chunk(delta, **fields):
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None, **fields}]}


@pytest.mark.parametrize("endpoint", [CHAT, MESSAGES, RESPONSES])
def test_comments_deliver_nothing(endpoint):
    assert opens(endpoint, comment())


@pytest.mark.parametrize(
    "said",
    [
        chunk({"role": "assistant"}),
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": None, "refusal": None, "tool_calls": []}),
        chunk({}, logprobs=None),
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    ],
)
def test_a_role_only_chunk_delivers_nothing(said):
    assert opens(CHAT, event(said))


@pytest.mark.parametrize(
    "said",
    [
        chunk({"content": "a"}),
        chunk({"role": "assistant", "content": " "}),
        chunk({"reasoning_content": "hm"}),
        chunk({"tool_calls": [{"index": 0, "id": "t"}]}),
        chunk({"audio": {"id": "a"}}),
        chunk({"brand_new": 1}),
        chunk({}, finish_reason="stop"),
        chunk({}, text="legacy"),
        {"error": {"message": "broke off"}},
        {"error": {"message": "broke off"}, "choices": []},
        "[DONE]",
        "no json",
        {"choices": [1]},
        {"choices": [{"delta": 5}]},
        {},
    ],
)
def test_whatever_else_a_chunk_says_delivers(said):
    assert not opens(CHAT, event(said))


@pytest.mark.parametrize(
    "said",
    [
        {"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "ping"},
    ],
)
def test_a_message_that_has_only_begun_delivers_nothing(said):
    assert opens(MESSAGES, event(said, said["type"]))


@pytest.mark.parametrize(
    "said",
    [
        {"type": "message_start", "message": {"content": [{"type": "text", "text": "a"}]}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        },
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "error", "error": {"type": "overloaded_error"}},
        {"type": "message_stop"},
        {"type": "new_kind"},
    ],
)
def test_whatever_else_a_message_says_delivers(said):
    assert not opens(MESSAGES, event(said, said["type"]))


@pytest.mark.parametrize(
    "said",
    [
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.in_progress", "response": {"id": "r"}},
        {"type": "keepalive"},
        {
            "type": "response.output_item.added",
            "item": {
                "id": "i",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            },
        },
        {"type": "response.output_item.added", "item": {"id": "i", "type": "reasoning", "summary": []}},
        {
            "type": "response.content_part.added",
            "part": {"type": "output_text", "annotations": [], "logprobs": [], "text": ""},
        },
    ],
)
def test_a_response_that_has_only_begun_delivers_nothing(said):
    assert opens(RESPONSES, event(said, said["type"]))


@pytest.mark.parametrize(
    "said",
    [
        {"type": "response.output_item.added", "item": {"id": "i", "type": "function_call", "name": "f"}},
        {"type": "response.output_item.added", "item": {"type": "reasoning", "encrypted_content": "x"}},
        {"type": "response.output_item.added"},
        {"type": "response.output_text.delta", "delta": "a"},
        {"type": "response.failed", "response": {}},
        {"type": "error", "message": "broke off"},
    ],
)
def test_whatever_else_a_response_says_delivers(said):
    assert not opens(RESPONSES, event(said, said["type"]))


@pytest.mark.parametrize("endpoint", sorted(name for name in DIALECTS if not name.startswith("audio/")))
def test_what_fills_a_silence_delivers_nothing_and_ends_nothing(endpoint):
    ((filler,), rest) = read_events(idle(endpoint))

    assert rest == b""
    assert not DIALECTS[endpoint].ends_stream(filler)
    assert filler.data is None or opens(endpoint, filler)


def test_nothing_fills_a_silence_in_a_recording():
    assert idle("audio/speech") == idle("audio/transcriptions") == b""


def test_a_silence_of_messages_is_filled_with_the_apis_own_ping():
    """SEMANTICS 5: `event: ping` for messages, a comment for others."""
    assert idle(MESSAGES) == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert idle(CHAT).startswith(b":") and idle(RESPONSES).startswith(b":")


def test_a_follower_sees_no_cost_and_nobody_elses_names():
    """SEMANTICS 9: `usage.cost` is 0 for collapsed followers."""
    spent = event({"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "cost": 0.5}})
    message = event({"type": "message_start", "message": {"usage": {"input_tokens": 3, "cost": 0.5}}}, "x")
    whole = event(
        {"type": "response.completed", "response": {"user": "ann", "usage": {"cost": 0.5}}},
        "response.completed",
    )

    assert b'"cost":0}' in live(CHAT, spent, include_usage=True, free=True).replace(b" ", b"")
    assert live(CHAT, spent, include_usage=False, free=True) == b""
    assert b'"cost":0}' in live(MESSAGES, message, include_usage=False, free=True).replace(b" ", b"")
    freed = live(RESPONSES, whole, include_usage=False, free=True)
    assert b"ann" not in freed and b'"cost":0}' in freed.replace(b" ", b"")
    assert live(RESPONSES, whole, include_usage=False) == whole.raw
