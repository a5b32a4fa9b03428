"""A chat stream and a JSON answer are written in each other's form; no value changes a byte (SEMANTICS §2)."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.core.chat_kit import (
    CALL,
    DONE,
    HEAD,
    USAGE,
    answer,
    chunk,
    compact,
    delta,
    event,
    events,
    judged_stream,
    message,
    stored_json,
    stored_stream,
    stream,
    text_stream,
    tool_call,
)
from tiered_cache.core.answers import render
from tiered_cache.core.vocabulary import Answer, Shape

TWO = replace(CALL, choices=2)


def assembled(body: bytes, call: Any = CALL) -> Any:
    rendering = render(stored_stream(body, call), "json", free=False)
    assert rendering is not None, "locked"
    return json.loads(rendering.body)


def said(body: bytes) -> Any:
    return assembled(body)["choices"][0]["message"]


def is_locked(body: bytes) -> bool:
    found = judged_stream(body)
    assert isinstance(found, Answer), found
    return found.locked


def chunks(value: Any, shape: Shape = "sse", call: Any = CALL) -> list[Any]:
    rendering = render(stored_json(value, call), shape, free=False)
    assert rendering is not None, "locked"
    assert rendering.body.endswith(DONE)
    return [json.loads(one.data) for one in events(rendering.body)[:-1] if one.data is not None]


def finished(*deltas: dict[str, Any], **fields: Any) -> bytes:
    parts = [chunk(delta(**one)) for one in deltas]
    return stream(*parts, chunk({**delta(finish="stop"), **fields}), chunk(usage=USAGE))


# --- assembly


def test_a_text_stream_becomes_one_answer() -> None:
    assert assembled(text_stream("hel", "lo", " 🦊")) == {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello 🦊", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            },
        ],
        "usage": USAGE,
    }


def test_values_keep_their_raw_text() -> None:
    body = text_stream("\\@", usage={"prompt_tokens": 1, "rate": "@"})
    body = body.replace(b'"\\\\@"', rb'"\u00e9\/\n\ud83d\ude00 \"q\""').replace(b'"@"', b"1.10e+02")
    rendering = render(stored_stream(body), "json")
    assert rendering is not None
    assert rb'"content":"\u00e9\/\n\ud83d\ude00 \"q\""' in rendering.body
    assert b'"rate":1.10e+02' in rendering.body


def test_strings_are_concatenated() -> None:
    parts = [
        {name: text} for text in ("a", "", "b") for name in ("content", "reasoning", "reasoning_content")
    ]
    message_ = said(finished({"role": "assistant"}, *parts, {"content": None}))
    assert message_ == {"role": "assistant", "reasoning_content": "ab", "reasoning": "ab", "content": "ab"}


def test_choices_are_told_apart_by_index_in_any_order() -> None:
    parts = [chunk(delta(1, content="b1")), chunk(delta(0, content="a1"), delta(1, content="b2"))]
    parts += [chunk(delta(1, "stop"), delta(0, content="a2")), chunk(delta(0, "stop")), chunk(usage=USAGE)]
    found = assembled(stream(*parts), TWO)["choices"]
    assert [(one["index"], one["message"]["content"]) for one in found] == [(0, "a1a2"), (1, "b1b2")]


def test_tool_calls_are_assembled_by_index() -> None:
    def call(index: int, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
        return {
            "index": index,
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }

    parts = [
        {"role": "assistant", "content": None},
        {"tool_calls": [call(0, "a", "f", "")]},
        {"tool_calls": [call(1, "b", "g", '{"x"'), call(0, None, None, '{"y":')]},
        {"tool_calls": [call(1, "", "", ": 1}")]},
        {"tool_calls": [call(0, "a", "f", "[2]}")]},
    ]
    assert said(finished(*parts)) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [tool_call("f", '{"y":[2]}', "a"), tool_call("g", '{"x": 1}', "b")],
    }


def test_a_function_call_and_a_custom_tool_call_are_assembled() -> None:
    parts = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}]
    assert said(finished(*parts))["function_call"] == {"name": "f", "arguments": "{}"}
    parts = [
        {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x "}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "y"}}]},
    ]
    found = said(finished(*parts))["tool_calls"]
    assert found == [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "x y"}}]


def test_logprobs_follow_one_another() -> None:
    def token(text: str) -> dict[str, Any]:
        return {"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": []}

    parts = [
        {**delta(content=text), "logprobs": {"content": [token(text)], "refusal": None}} for text in "ab"
    ]
    parts.append({**delta(content="!"), "logprobs": {"content": [], "refusal": None}})
    body = stream(*map(chunk, parts), chunk(delta(finish="stop")), chunk(usage=USAGE))
    assert assembled(body)["choices"][0]["logprobs"] == {"content": [token("a"), token("b")], "refusal": None}


def test_what_is_said_once_may_be_repeated() -> None:
    cited = [{"type": "url_citation", "url_citation": {"url": "https://e.com"}}]
    once = {"role": "assistant", "annotations": cited, "reasoning_signature": "c2ln"}
    assert said(finished({"content": "x"}, once, once, {"annotations": []})) == {**once, "content": "x"}


@pytest.mark.parametrize(
    "first, second",
    [
        ({"role": "assistant"}, {"role": "tool"}),
        ({"annotations": [1]}, {"annotations": [2]}),
        ({"tool_calls": [{"index": 0, "id": "a"}]}, {"tool_calls": [{"index": 0, "id": "b"}]}),
    ],
)
def test_a_contradiction_locks(first: dict[str, Any], second: dict[str, Any]) -> None:
    call = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}
    assert not is_locked(finished({"content": "x"}, call, first, first))
    assert is_locked(finished({"content": "x"}, call, first, second))


def test_what_the_first_chunk_leaves_empty_is_taken_from_a_later_one() -> None:
    first = {
        "id": "",
        "object": "",
        "created": 0,
        "model": "",
        "choices": [],
        "prompt_filter_results": [{"a": 1}],
    }
    body = event(first) + text_stream("x")
    found = assembled(body)
    assert {name: found[name] for name in HEAD} == HEAD
    assert (found["object"], found["prompt_filter_results"]) == ("chat.completion", [{"a": 1}])


def test_an_id_that_changes_is_the_first_one() -> None:
    parts = [chunk(delta(content="x"), id="a", created=1), chunk(delta(finish="stop"), id="b", created=2)]
    found = assembled(stream(*parts, chunk(usage=USAGE, id="c")))
    assert (found["id"], found["created"]) == ("a", 1)


def test_the_last_tier_and_fingerprint_are_kept() -> None:
    tiers: list[dict[str, Any]] = [
        {"service_tier": one, "system_fingerprint": one} for one in ("auto", "flex", None)
    ]
    parts = [chunk(delta(content="x"), **one) for one in tiers]
    found = assembled(stream(*parts, chunk(delta(finish="stop")), chunk(usage=USAGE)))
    assert (found["service_tier"], found["system_fingerprint"]) == ("flex", "flex")


@pytest.mark.parametrize(
    "unknown",
    [
        chunk(delta(reasoning_details=[])),
        chunk(delta(images=[{"image_url": {"url": "data:,"}}])),
        chunk(delta(weight=None)),
        chunk({**delta(), "token_ids": [1]}),
        chunk({**delta(), "logprobs": {"content": None, "tokens": []}}),
        chunk(delta(), citations=["https://e.com"]),
        chunk(delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{}", "strict": True}}])),
        chunk(delta(audio={"id": "a", "data": "AA=="})),
        chunk(delta(content=[{"type": "text", "text": "x"}])),
        b'event: note\ndata: {"choices":[]}\n\n',
    ],
)
def test_what_is_not_in_the_table_locks_and_is_not_lost(unknown: Any) -> None:
    part = unknown if isinstance(unknown, bytes) else event(unknown)
    body = part + text_stream("x")
    entry = stored_stream(body)
    assert entry.locked
    assert render(entry, "json") is None
    rendering = render(entry, "sse+usage", free=False)
    assert rendering is not None and rendering.body == body


@pytest.mark.parametrize("known", [chunk(delta(audio=None)), b"event: message\ndata: {}\n\n", b": x\n\n"])
def test_what_says_nothing_does_not_lock(known: Any) -> None:
    assert not is_locked((known if isinstance(known, bytes) else event(known)) + text_stream("x"))


def test_a_spoken_answer_is_locked() -> None:
    parts = [chunk(delta(audio={"id": "a", "data": "AA=="})), chunk(delta(finish="stop"))]
    assert is_locked(stream(*parts, chunk(usage=USAGE)))
    spoken = message(None, audio={"id": "a", "data": "AA==", "transcript": "x", "expires_at": 1})
    assert stored_json(answer(spoken)).locked


# --- what is kept of a stream


def test_the_origins_events_are_kept_byte_for_byte() -> None:
    body = text_stream("x").replace(b'"choices"', b' "choices" ').replace(b"\n\n", b"\r\n\r\n")
    assert stored_stream(body).body == body
    body = b"id: 1\nretry: 5\n" + text_stream("x")
    assert stored_stream(body).body == body


def test_comments_pings_and_marks_are_not_kept() -> None:
    plain = text_stream("x")
    noise = b"\xef\xbb\xbf: PROCESSING\n\n" + plain.replace(b"data: [DONE]", b": a\ndata: [DONE]")
    noise += b"event: ping\ndata: {}\n\n: bye\n\nretry: 1\n\n\n"
    assert stored_stream(noise).body == plain


@pytest.mark.parametrize(
    "spelling", [',"obfuscation":"aB3"}', ', "obfuscation" : "a}b\\"" }', ',"obfuscation":null}']
)
def test_obfuscation_is_not_kept(spelling: str) -> None:
    plain = text_stream("x")
    assert (
        stored_stream(plain.replace(b"}\n\n", spelling.encode() + b"\n\n")).body.replace(b" }", b"}") == plain
    )


def test_obfuscation_that_comes_first_or_stands_in_the_text_is_told_apart() -> None:
    plain = text_stream('","obfuscation":"x"}', "obfuscation")
    assert stored_stream(plain).body == plain
    assert (
        stored_stream(plain.replace(b'{"id"', b'{"obfuscation":"z", "id"')).body.replace(b"{ ", b"{") == plain
    )


def test_a_byte_order_mark_that_would_change_its_meaning_is_not_stored() -> None:
    """A mark in the middle hides its line; at the start of what is kept it would not."""
    body = b": x\n\n\xef\xbb\xbfdata: y\ndata: {}\n\n" + text_stream("x")
    assert not isinstance(judged_stream(body), Answer)


# --- synthesis


def test_a_json_answer_becomes_role_content_finish_and_done() -> None:
    head = {**HEAD, "object": "chat.completion.chunk"}
    assert chunks(answer(message("héllo"))) == [
        {
            **head,
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": "", "refusal": None},
                    "finish_reason": None,
                },
            ],
        },
        {
            **head,
            "choices": [{"index": 0, "delta": {"content": "héllo"}, "logprobs": None, "finish_reason": None}],
        },
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]


def test_the_usage_chunk_comes_last_and_only_when_asked_for() -> None:
    usage = {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
    assert chunks(answer(), "sse+usage")[-1] == usage
    assert chunks(answer(), "sse+usage")[:-1] == chunks(answer())
    assert not any("usage" in one for one in chunks(answer()))


def test_tool_calls_come_one_by_one_with_their_index() -> None:
    calls = [tool_call("f", '{"a":1}', "a"), tool_call("g", "{ }", "b")]
    deltas = [one["choices"][0]["delta"] for one in chunks(answer(message(None, tool_calls=calls)))]
    assert deltas == [
        {"role": "assistant", "content": None, "refusal": None},
        {"tool_calls": [{"index": 0, **calls[0]}]},
        {"tool_calls": [{"index": 1, **calls[1]}]},
        {},
    ]


def test_an_index_that_a_json_answer_gives_its_tool_calls_is_replaced_by_their_place() -> None:
    calls = [{**tool_call("f", call_id="a"), "index": 3}, {"index": None, **tool_call("g", call_id="b")}]
    deltas = [one["choices"][0]["delta"] for one in chunks(answer(message(None, tool_calls=calls)))]
    assert [one["tool_calls"][0]["index"] for one in deltas[1:3]] == [0, 1]


def test_each_choice_has_its_own_chunks() -> None:
    found = chunks(answer(message("a"), message("b")), call=TWO)
    assert [one["choices"][0]["index"] for one in found] == [0, 0, 0, 1, 1, 1]


def test_what_belongs_to_the_whole_answer_is_in_its_place() -> None:
    fields = {
        "service_tier": "flex",
        "system_fingerprint": "fp",
        "provider": "P",
        "moderation": {"input": {}},
    }
    found = chunks(answer(**fields))
    assert found[0]["moderation"] == {"input": {}}
    assert not any("moderation" in one for one in found[1:])
    for name in ("service_tier", "system_fingerprint", "provider"):
        assert [one[name] for one in found] == [fields[name]] * 3


def test_logprobs_go_with_the_content_or_with_the_end() -> None:
    value = answer()
    value["choices"][0]["logprobs"] = {"content": [], "refusal": None}
    assert [one["choices"][0].get("logprobs", "-") for one in chunks(value)] == [
        "-",
        value["choices"][0]["logprobs"],
        "-",
    ]
    value["choices"][0]["message"] = message(None, tool_calls=[tool_call()])
    assert chunks(value)[-1]["choices"][0]["logprobs"] == value["choices"][0]["logprobs"]


def test_a_pretty_printed_answer_becomes_one_line_for_each_event() -> None:
    value = answer(message(None, tool_calls=[tool_call()]))
    pretty = json.dumps(value, indent=2).replace("\n", "\r\n").encode()
    rendering = render(stored_json(pretty), "sse+usage", free=False)
    assert rendering is not None
    assert all(line.startswith(b"data: ") for line in rendering.body.splitlines() if line)
    assert chunks(pretty, "sse+usage") == chunks(value, "sse+usage")


@pytest.mark.parametrize(
    "value",
    [
        answer(citations=[]),
        answer(message(images=[])),
        answer(message([{"type": "text", "text": "x"}])),  # type: ignore[arg-type]
        answer(message(None, tool_calls=[{**tool_call(), "extra": 1}])),
        answer(message(reasoning=1)),
    ],
)
def test_a_json_answer_with_more_than_chunks_can_say_is_locked(value: Any) -> None:
    entry = stored_json(value)
    assert entry.locked
    assert render(entry, "sse") is None
    rendering = render(entry, "json", free=False)
    assert rendering is not None and rendering.body == compact(value)
