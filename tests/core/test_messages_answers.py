"""Messages answers: what is stored, what a stream says as JSON and JSON as a stream, what it cost."""

import json
from typing import Any

import pytest

from tests.core.chat_kit import compact
from tests.core.messages_kit import (
    CALL,
    CITED,
    COST,
    FOUND,
    HEAD,
    HIDDEN,
    NO_INPUT,
    PING,
    SEARCH,
    STOP,
    TEXT,
    THOUGHT,
    TOOL,
    USAGE,
    answer,
    begin,
    block_events,
    ending,
    event,
    judged_json,
    judged_stream,
    stored,
    stream,
)
from tiered_cache.core.answers import (
    closing,
    ends_stream,
    error_event,
    is_chunk,
    live,
    read_stream,
    render,
    usage_of,
    write_chunk,
)
from tiered_cache.core.messages_rendering import without_event_cost
from tiered_cache.core.sse import read_events, write_event
from tiered_cache.core.vocabulary import Answer, Call, ContentClass, Refusal, Usage

SPENT = Usage(prompt_tokens=16, completion_tokens=4, cached_tokens=5, cost_picousd=120_000_000)
JSON_CALL = Call("messages", "m", json_output=True)


def rendered(found: Answer | Refusal, shape: str, *, free: bool = False) -> bytes | None:
    rendering = render(stored(found), shape, free=free)  # type: ignore[arg-type]  # every shape
    return None if rendering is None else rendering.body


def said(body: bytes | None) -> list[dict[str, Any]]:
    assert body is not None
    events, rest = read_events(body)
    assert rest == b""
    parsed = [json.loads(one.data or b"") for one in events]
    assert [one.name.decode() for one in events] == [one["type"] for one in parsed]
    return parsed


# --- what is stored


@pytest.mark.parametrize("stop", ["end_turn", "stop_sequence", "tool_use"])
def test_an_answer_that_ended_by_itself_is_stored(stop: str) -> None:
    for found in (judged_json(answer(TEXT, TOOL, stop=stop)), judged_stream(stream(TEXT, TOOL, stop=stop))):
        assert isinstance(found, Answer), found
        assert (found.locked, found.has_usage, found.usage) == (False, True, SPENT)
        assert (found.model, found.content_class) == (HEAD["model"], ContentClass.TOOL_CALL)


@pytest.mark.parametrize(
    "stop, word",
    [
        ("max_tokens", "finish-reason"),
        ("pause_turn", "finish-reason"),
        ("model_context_window_exceeded", "finish-reason"),
        ("stop", "finish-reason"),
        ("tool_calls", "finish-reason"),
        ("new_reason", "finish-reason"),
        (None, "finish-reason"),
        ("refusal", "refusal"),
    ],
)
def test_every_other_stop_reason_is_not_stored(stop: str | None, word: str) -> None:
    assert judged_json(answer(stop=stop)) == Refusal(word, SPENT)
    assert judged_stream(stream(stop=stop)) == Refusal(word, SPENT)


@pytest.mark.parametrize(
    "blocks, word",
    [
        ([THOUGHT], "empty"),
        ([THOUGHT, HIDDEN, {"type": "text", "text": ""}], "empty"),
        ([{**TOOL, "input": [1]}], "bad-arguments"),
        ([{**TOOL, "name": ""}], "bad-arguments"),
        ([{"type": "tool_use", "name": "f", "input": {}}], "bad-arguments"),
    ],
)
def test_what_says_nothing_or_calls_badly_is_not_stored(blocks: list[dict[str, Any]], word: str) -> None:
    assert judged_json(answer(*blocks)) == Refusal(word, SPENT)
    assert judged_stream(stream(*blocks)) == Refusal(word, SPENT)


def test_no_content_at_all_is_not_stored() -> None:
    assert judged_json({**answer(), "content": []}) == Refusal("empty", SPENT)
    assert judged_stream(begin() + ending() + STOP) == Refusal("empty", SPENT)


@pytest.mark.parametrize(
    "content", [None, "hello", [1], [{}], [{"type": 1}], [{"type": "text"}], [{"type": "text", "text": 1}]]
)
def test_content_of_the_wrong_type_is_not_stored(content: Any) -> None:
    assert judged_json({**answer(), "content": content}) == Refusal("choices", SPENT)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":NaN}'])
def test_what_is_no_json_object_is_not_stored(body: bytes) -> None:
    assert judged_json(body) == Refusal("bad-json")


def test_an_error_is_not_stored() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert judged_json(error) == Refusal("error-body")
    assert judged_stream(begin() + event(error)) == Refusal("error-body", Usage(16, 1, 5))
    assert judged_stream(stream() + event(error, "")) == Refusal("error-body", SPENT)


@pytest.mark.parametrize("bad", ['{"a":', "[1]", "1", '{"a":NaN}'])
def test_a_streamed_tool_input_must_be_an_object_that_parses(bad: str) -> None:
    start, *_, stop = block_events(0, TOOL)
    delta = {"type": "input_json_delta", "partial_json": bad}
    inner = start + event({"type": "content_block_delta", "index": 0, "delta": delta}) + stop
    found = judged_stream(begin() + inner + ending("tool_use") + STOP)
    assert found == Refusal("bad-arguments", SPENT)


def test_json_that_was_asked_for_must_parse() -> None:
    good, bad = {"type": "text", "text": '{"a": 1}'}, {"type": "text", "text": '{"a": 1'}
    for blocks, word in (((good,), None), ((bad,), "bad-json"), ((TOOL,), None), ((THOUGHT, good), None)):
        found = judged_json(answer(*blocks), JSON_CALL)
        assert (found.detail if isinstance(found, Refusal) else None) == word
        assert word or isinstance(found, Answer)


# --- whole streams


WHOLE = [begin(), *block_events(0, TEXT), *block_events(1, TOOL), ending("tool_use"), STOP]


@pytest.mark.parametrize("missing", range(len(WHOLE)))
def test_a_stream_without_one_of_its_events_is_another_answer_or_none(missing: int) -> None:
    found = judged_stream(b"".join(WHOLE[:missing] + WHOLE[missing + 1 :]))
    if isinstance(found, Answer):  # a delta was left out: nobody can tell
        assert b"content_block_delta" in WHOLE[missing]
    else:
        assert found.detail in {"choices", "incomplete", "finish-reason", "bad-arguments"}


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_a_stream_that_breaks_off_is_not_stored(cut: int) -> None:
    found = judged_stream(b"".join(WHOLE[:cut]))
    assert isinstance(found, Refusal) and found.detail == "incomplete"


@pytest.mark.parametrize(
    "body",
    [
        begin() + stream(),
        begin(content=[TEXT]) + b"".join(block_events(0, TEXT)) + ending() + STOP,
        begin() + b"".join(block_events(1, TEXT)) + ending() + STOP,
        b"".join([begin(), *block_events(0, TEXT), block_events(0, TEXT)[1], ending(), STOP]),
        b"".join([begin(), *block_events(0, {"text": "x", "type": "text"})[:1], ending(), STOP]),
        event({"type": "message_start", "message": 1}) + ending() + STOP,
        begin() + event({"type": "content_block_start", "index": 0, "content_block": {}}) + ending() + STOP,
        begin() + event({"type": "message_delta", "delta": 1, "usage": {}}) + STOP,
        b"data: {\n\n" + stream(),
    ],
)
def test_events_that_do_not_fit_together_are_not_stored(body: bytes) -> None:
    found = judged_stream(body)
    assert isinstance(found, Refusal) and found.detail in {"choices", "incomplete", "bad-json"}


def test_what_follows_the_end_makes_it_none_but_for_the_word_that_routers_send() -> None:
    again = b"".join(block_events(1, TEXT))
    assert judged_stream(stream() + again) == Refusal("choices", SPENT) or judged_stream(
        stream() + again
    ) == Refusal("incomplete", SPENT)
    found = judged_stream(stream() + write_event(b"[DONE]"))
    assert isinstance(found, Answer)
    assert found.body == stream().replace(PING, b"")


def test_pings_and_comments_are_not_stored_and_names_are() -> None:
    found = judged_stream(b": hi\n\n" + stream().replace(PING, PING * 3))
    assert isinstance(found, Answer)
    assert found.body == stream().replace(PING, b"")


# --- the other form


@pytest.mark.parametrize(
    "odd",
    [
        event({"type": "new_event", "index": 0}),
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "text": "x"}}),
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "x"}}),
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x", "new": 1}}),
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}, "new": 1}),
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}, ""),
        event({"type": "message_delta", "delta": {"new": 1}}),
    ],
)  # fmt: skip
def test_what_assembly_does_not_know_locks_the_shape(odd: bytes) -> None:
    start, *inner = block_events(0, TEXT)
    body = b"".join([begin(), start, odd, *inner, ending(), STOP])
    found = judged_stream(body)
    assert isinstance(found, Answer) and found.locked
    assert rendered(found, "json") is None
    assert rendered(found, "sse") == body


def test_every_block_is_assembled_and_values_keep_their_text() -> None:
    blocks = (THOUGHT, HIDDEN, CITED, TEXT, SEARCH, FOUND, TOOL, NO_INPUT)
    body = rendered(judged_stream(stream(*blocks, stop="tool_use")), "json")
    assert json.loads(body or b"") == answer(*blocks, stop="tool_use")
    assert b'"input":{"a": [1, 2.5], "b": "\xc3\xa9"}' in (body or b"")


def test_input_text_is_inserted_verbatim() -> None:
    start, *_, stop = block_events(0, TOOL)
    given = '{ "big": 12345678901234567890.0,\n"a":1e0,"a":2 }'
    inner = [start]
    for piece in (given[:7], given[7:]):
        delta = {"type": "input_json_delta", "partial_json": piece}
        inner.append(event({"type": "content_block_delta", "index": 0, "delta": delta}))
    found = judged_stream(b"".join([begin(), *inner, stop, ending("tool_use"), STOP]))
    body = rendered(found, "json")
    assert given.encode() in (body or b"")
    again = rendered(judged_json(body), "sse")
    assert rendered(judged_stream(again or b""), "json") is not None
    assert json.dumps(given) in (again or b"").decode()


def test_a_stream_of_a_json_answer_has_the_events_that_anthropic_sends() -> None:
    blocks = (THOUGHT, CITED, TOOL)
    told = said(rendered(judged_json(answer(*blocks, stop="tool_use")), "sse"))
    assert [one["type"] for one in told] == [
        *("message_start", "content_block_start", "content_block_delta", "content_block_delta"),
        *("content_block_stop", "content_block_start", *["content_block_delta"] * 3, "content_block_stop"),
        *(
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ),
    ]
    start = told[0]["message"]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert start["usage"] == {**USAGE, "output_tokens": 0}
    assert told[-2]["usage"] == USAGE | COST
    assert told[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}


def test_both_directions_lose_nothing() -> None:
    blocks = (THOUGHT, HIDDEN, CITED, TEXT, {**TEXT, "citations": None}, SEARCH, FOUND, TOOL, NO_INPUT)
    value = answer(*blocks, stop="tool_use", context_management={"applied_edits": []}, container=None)
    there = rendered(judged_json(value), "sse")
    back = rendered(judged_stream(there or b""), "json")
    assert json.loads(back or b"") == value


def test_a_pretty_printed_answer_becomes_whole_events() -> None:
    body = json.dumps(answer(TEXT, TOOL), indent=1).replace("\n", "\r\n").encode()
    back = rendered(judged_stream(rendered(judged_json(body), "sse") or b""), "json")
    assert json.loads(back or b"") == answer(TEXT, TOOL)


@pytest.mark.parametrize(
    "block",
    [{**TEXT, "citations": 1}, {**THOUGHT, "thinking": 1}, {**SEARCH, "input": "x"}, {**THOUGHT, "signature": []}],
)  # fmt: skip
def test_json_that_deltas_cannot_say_stays_json(block: dict[str, Any]) -> None:
    found = judged_json(answer(TEXT, block))
    assert isinstance(found, Answer) and found.locked
    assert rendered(found, "sse") is None


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": 1}, 1])
def test_json_without_token_counts_is_given_as_json_only(usage: Any) -> None:
    found = judged_json(answer(usage=usage))
    assert rendered(found, "sse") is None
    assert rendered(found, "json") is not None


def test_both_stream_shapes_are_one() -> None:
    for found in (judged_json(answer()), judged_stream(stream())):
        assert rendered(found, "sse") == rendered(found, "sse+usage")


def test_damaged_bytes_are_given_in_no_other_form() -> None:
    from_json = stored(judged_json(answer()))
    for body in (b"{", compact({**answer(), "content": 1}), compact(answer(error={"type": "x"}))):
        broken = type(from_json)(
            **{name: getattr(from_json, name) for name in from_json.__struct_fields__} | {"body": body}
        )
        assert render(broken, "sse") is None  # fmt: skip


# --- money


def test_free_answers_cost_nothing_in_both_places_of_usage() -> None:
    twice = begin(usage={**USAGE, "cost": 0.1}) + b"".join(block_events(0, TEXT)) + ending() + STOP
    for found in (judged_stream(twice), judged_stream(stream()), judged_json(answer())):
        for shape in ("json", "sse"):
            body = rendered(found, shape, free=True) or b""
            assert b'"cost":0' in body
            assert b"0.00012" not in body and b"0.1" not in body
    assert rendered(judged_stream(twice), "sse") == twice


def test_text_that_only_looks_like_a_cost_stays() -> None:
    quoted = {"type": "text", "text": '"usage":{"cost":1.5}'}
    for found in (judged_stream(stream(quoted)), judged_json(answer(quoted))):
        assert json.loads(rendered(found, "json", free=True) or b"")["content"] == [quoted]


def test_the_counts_of_a_stream_are_those_of_its_first_and_last_events() -> None:
    first, last = begin().split(b"data: ")[1], ending().split(b"data: ")[1]
    assert usage_of("messages", first, last) == SPENT
    assert usage_of("messages", compact(answer())) == SPENT
    assert usage_of("messages") == usage_of("messages", b"[]") == usage_of("messages", b"{") == Usage()


# --- single events


def test_only_message_stop_ends_a_stream() -> None:
    quoting = event({"type": "content_block_delta", "index": 0, "delta": {"text": "message_stop"}})
    ends = [ends_stream("messages", one) for one in read_events(quoting + STOP + PING)[0]]
    assert ends == [False, True, False]


def test_everything_passes_live() -> None:
    for one in read_events(stream())[0]:
        assert live("messages", one, include_usage=False) == one.raw


def test_our_error_event_has_anthropics_form() -> None:
    (told,) = said(error_event("messages", 'it "broke"', "origin_cut"))
    assert told == {
        "type": "error",
        "error": {"type": "api_error", "message": 'it "broke"', "code": "origin_cut"},
    }
    assert judged_stream(stream()[: -len(STOP)] + error_event("messages", "x", "y")) == Refusal("error-body", SPENT)  # fmt: skip


def test_values_become_named_events_and_one_that_does_not_survive_spoils_the_stream() -> None:
    values = said(stream())
    texts = [write_chunk("messages", compact(one), survives=True) for one in values]
    found = judged_stream(b"".join(texts) + closing("messages"))
    assert isinstance(found, Answer) and not found.locked
    odd = write_chunk("messages", compact(values[3]), survives=False)
    spoilt = b"".join([*texts[:3], odd, *texts[4:]])
    assert judged_stream(spoilt) == Refusal("bad-json", SPENT)
    given = [one.data for one in read_events(spoilt)[0] if is_chunk("messages", one)]
    assert given == [compact(one) for one in values if one["type"] != "ping"]
    assert read_stream(CALL, read_events(write_chunk("messages", b"{}", survives=True))[0])


# --- what ends, what was looked up


def test_what_was_looked_up_makes_an_answer_a_search() -> None:
    located = {**TEXT, "citations": [{"type": "web_search_result_location", "url": "https://e.com"}]}
    for blocks, searched in (
        ((SEARCH, FOUND, TEXT), True),
        ((located,), True),
        ((CITED,), False),
        ((TEXT,), False),
    ):
        found = judged_json(answer(*blocks))
        assert isinstance(found, Answer) and found.searched is searched
        found = judged_stream(stream(*blocks))
        assert isinstance(found, Answer) and found.searched is searched  # fmt: skip


def test_a_container_ends_when_it_says() -> None:
    box = {"id": "container_1", "expires_at": "2030-01-01T00:00:00Z"}
    streamed = begin() + b"".join(block_events(0, TEXT)) + STOP
    last = event(
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "container": box}, "usage": USAGE}
    )
    for found in (judged_json(answer(container=box)), judged_stream(streamed.replace(STOP, last + STOP))):
        assert isinstance(found, Answer) and found.expires_at_s == 1893456000.0


# --- odd streams


def test_a_ping_without_its_name_says_nothing_either() -> None:
    found = judged_stream(stream().replace(PING, event({"type": "ping"}, "")))
    assert isinstance(found, Answer) and not found.locked


def test_context_management_is_part_of_the_answer() -> None:
    edits = {"applied_edits": [{"type": "x"}]}
    body = b"".join([begin(), *block_events(0, TEXT), ending(context_management=edits), STOP])
    assert json.loads(rendered(judged_stream(body), "json") or b"")["context_management"] == edits


def test_a_stream_without_any_counts_is_given_as_a_stream_only() -> None:
    body = b"".join([begin(usage=None), *block_events(0, TEXT), ending(usage={}), STOP])
    found = judged_stream(body)
    assert isinstance(found, Answer) and (found.has_usage, found.usage) == (False, Usage())
    assert rendered(found, "json") is None
    assert rendered(found, "sse") == body


@pytest.mark.parametrize(
    "delta",
    [{"type": "text_delta", "text": 1}, {"type": "text_delta", "text": None}, 1, None],
)  # fmt: skip
def test_a_delta_of_the_wrong_type_is_not_stored(delta: Any) -> None:
    start, *inner = block_events(0, TEXT)
    odd = event({"type": "content_block_delta", "index": 0, "delta": delta})
    found = judged_stream(b"".join([begin(), start, odd, *inner, ending(), STOP]))
    assert found == Refusal("choices", SPENT)


def test_a_block_that_begins_with_the_wrong_type_is_not_stored() -> None:
    start = event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": 1}})
    stop = event({"type": "content_block_stop", "index": 0})
    assert judged_stream(begin() + start + stop + ending() + STOP) == Refusal("choices", SPENT)


def test_a_block_that_begins_with_text_keeps_it() -> None:
    start = event(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "say "}}
    )
    found = judged_stream(b"".join([begin(), start, *block_events(0, TEXT)[1:], ending(), STOP]))
    assert json.loads(rendered(found, "json") or b"")["content"] == [{**TEXT, "text": f"say {TEXT['text']}"}]


def test_a_stream_that_would_read_otherwise_without_its_comments_is_not_stored() -> None:
    """A byte order mark hides a name only where it does not stand first."""
    assert judged_stream(b": hi\n\n\xef\xbb\xbf" + stream()) == Refusal("incomplete", SPENT)


def test_free_events_that_are_no_objects_stay() -> None:
    assert without_event_cost(b"[1]") == b"[1]"
    assert without_event_cost(b"{") == b"{"
    assert without_event_cost(b'{"message":1}') == b'{"message":1}'
