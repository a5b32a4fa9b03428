"""Only answers that are known to be whole and good are stored (SEMANTICS §2, the allow-list)."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.core.chat_kit import (
    CALL,
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
    stream,
    text_stream,
    tool_call,
)
from tiered_cache.core.answers import (
    DIALECTS,
    ends_stream,
    error_event,
    read_json,
    refuse_head,
    usage_of,
)
from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS
from tiered_cache.core.vocabulary import Answer, Call, ContentClass, Headers, Refusal, Usage

CHAT = "chat/completions"
JSON_CALL = replace(CALL, stream=False)
JSON_OUTPUT = replace(CALL, json_output=True)
SPENT = Usage(9, 4, 0, 120_000_000)


def word(found: Answer | Refusal) -> str | None:
    return found.detail if isinstance(found, Refusal) else None


def both(value: dict[str, Any], call: Call = CALL) -> str | None:
    """What is said of a JSON answer and of the stream that says the same; the two must agree."""
    from_json = word(read_json(call, compact(value)))
    parts = []
    for choice in value["choices"]:
        said = dict(choice["message"])
        calls = [{"index": at, **one} for at, one in enumerate(said.pop("tool_calls", None) or [])]
        said = {**said, "tool_calls": calls} if calls else said
        parts.append(chunk(delta(choice["index"], choice["finish_reason"], **said)))
    assert word(judged_stream(stream(*parts, chunk(usage=USAGE)), call)) == from_json
    return from_json


# --- heads


def typed(value: bytes) -> Headers:
    return ((b"content-type", value),)


@pytest.mark.parametrize(
    "value", [b"application/json", b"Application/JSON; charset=utf-8", b"application/json ;x=1"]
)
def test_json_may_answer_every_call(value: bytes) -> None:
    assert refuse_head(CALL, 200, typed(value)) is None
    assert refuse_head(JSON_CALL, 200, typed(value)) is None


def test_a_stream_may_answer_only_who_asked_for_one() -> None:
    assert refuse_head(CALL, 200, typed(b"text/event-stream; charset=utf-8")) is None
    assert refuse_head(JSON_CALL, 200, typed(b"text/event-stream")) == Refusal("media-type")


@pytest.mark.parametrize(
    "status", [0, 199, 201, 202, 204, 206, 304, 400, 401, 402, 403, 412, 429, 500, 503, 529]
)
def test_no_other_status_than_200_is_stored(status: int) -> None:
    assert refuse_head(CALL, status, typed(b"application/json")) == Refusal("status")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        typed(b""),
        typed(b"text/html"),
        typed(b"application/problem+json"),
        typed(b"application/jsonl"),
        typed(b"application/json") + typed(b"text/event-stream"),
    ],
)
def test_another_media_type_is_not_stored(headers: Headers) -> None:
    assert refuse_head(CALL, 200, headers) == Refusal("media-type")


# --- framing


def test_a_whole_stream_and_a_whole_json_answer_are_stored() -> None:
    found = judged_stream(text_stream("hel", "lo"))
    assert isinstance(found, Answer)
    assert (found.form, found.locked, found.has_usage, found.usage) == ("sse", False, True, SPENT)
    assert (found.content_class, found.model, found.short_lived) == (
        ContentClass.CHAT,
        "gpt-4o-2024-08-06",
        False,
    )
    body = json.dumps(answer(), indent=2).encode()
    found = read_json(JSON_CALL, body)
    assert isinstance(found, Answer)
    assert found.body == body
    assert (found.form, found.locked, found.has_usage, found.usage) == ("json", False, True, SPENT)


def test_a_stream_cut_anywhere_is_never_taken_for_whole() -> None:
    body = text_stream("hel", "lö", " wörld")
    for length in range(len(body)):
        found = judged_stream(body[:length])
        assert isinstance(found, Refusal), length
        assert found.detail == "incomplete"


def test_a_json_answer_cut_anywhere_is_never_taken_for_whole() -> None:
    body = compact(answer(message("hellö")))
    for length in range(len(body)):
        assert read_json(CALL, body[:length]) == Refusal("bad-json")


def test_done_must_be_the_last_word() -> None:
    late = event(chunk(delta(content=" more")))
    assert word(judged_stream(text_stream("x") + late)) == "incomplete"
    assert word(judged_stream(text_stream("x") + b": bye\n\n")) is None


@pytest.mark.parametrize("missing", [b"[DONE", b"[done]", b'"[DONE]"', b"[DONE]x"])
def test_nothing_but_done_ends_a_stream(missing: bytes) -> None:
    body = text_stream("x").replace(b"[DONE]", missing)
    assert word(judged_stream(body)) == "incomplete"
    assert not any(ends_stream("chat/completions", one) for one in events(body))


def test_the_event_that_ends_a_stream_is_known() -> None:
    ends = [ends_stream("chat/completions", one) for one in events(text_stream("x") + b": [DONE]\n\n")]
    assert ends == [False] * 4 + [True, False]


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"",
        b"null",
        b"[]",
        b'"x"',
        b'{"choices":NaN}',
        b'{"id":"\xff","choices":[]}',
        b'{"id":"\\ud83d","choices":[]}',
    ],
)
def test_an_event_or_body_that_is_no_json_object_refuses_the_answer(bad: bytes) -> None:
    head, tail = event(chunk(delta(content="x"))), event(chunk(delta(finish="stop")))
    assert word(judged_stream(stream(head, b"data: " + bad + b"\n\n", tail))) == "bad-json"
    assert word(read_json(CALL, bad)) == "bad-json"


@pytest.mark.parametrize("bad", [b"\xff", b"\\ud83d", b"\\ude00", b"\\uDE00 and more text", b"\\x", b"\n"])
def test_one_bad_text_in_a_row_of_good_ones_refuses_the_answer(bad: bytes) -> None:
    body = text_stream("a", "b", "@", "c")
    assert word(judged_stream(body)) is None
    assert word(judged_stream(body.replace(b'"@"', b'"' + bad + b'"'))) == "bad-json"


def test_half_a_surrogate_pair_in_each_chunk_is_not_joined() -> None:
    halves = [event(chunk(delta(content="@"))).replace(b"@", half) for half in (b"\\ud83d", b"\\ude00")]
    assert word(judged_stream(stream(*halves, chunk(delta(finish="stop"))))) == "bad-json"


def test_deep_nesting_is_refused_without_a_crash() -> None:
    deep = b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert word(read_json(CALL, deep)) == "bad-json"
    assert word(judged_stream(b"data: " + deep + b"\n\ndata: [DONE]\n\n")) == "bad-json"


# --- errors


@pytest.mark.parametrize("error", [{"message": "x"}, "x", 1, {}])
def test_an_error_in_a_200_is_not_stored(error: Any) -> None:
    assert word(read_json(CALL, compact({**answer(), "error": error}))) == "error-body"
    assert word(judged_stream(event({"error": error}))) == "error-body"
    assert word(judged_stream(event({"error": error}) + text_stream("x"))) == "error-body"
    assert word(judged_stream(stream(chunk(delta(content="x"), error=error)))) == "error-body"


def test_an_error_says_more_than_what_else_is_wrong() -> None:
    assert word(judged_stream(b"data: {\n\n" + event({"error": "x"}))) == "error-body"
    assert word(judged_stream(event({"error": "x"}) + b"data: {\n\n")) == "error-body"
    assert word(judged_stream(b"data: {\n\n" + stream({**chunk(), "choices": 1}))) == "bad-json"


def test_an_event_named_error_refuses_the_answer() -> None:
    assert word(judged_stream(b'event: error\ndata: {"message":"x"}\n\n' + text_stream("x"))) == "error-body"


def test_an_error_in_a_choice_refuses_the_answer() -> None:
    failed = {**delta(finish="stop", content="x"), "error": {"code": 502}}
    assert word(judged_stream(stream(chunk(failed)))) == "error-body"


def test_an_error_that_is_null_is_none() -> None:
    assert word(read_json(CALL, compact(answer(error=None)))) is None
    assert word(judged_stream(stream(chunk(delta(finish="stop", content="x"), error=None)))) is None


def test_our_own_error_event_is_one_and_ends_nothing() -> None:
    body = error_event(CHAT, 'it "broke"', "origin-cut")
    assert body.startswith(b'data: {"error":') and body.endswith(b"}\n\n") and b"[DONE]" not in body
    assert json.loads(body[6:])["error"] == {
        "message": 'it "broke"',
        "type": "server_error",
        "code": "origin-cut",
        "param": None,
    }
    assert word(judged_stream(body)) == "error-body"


# --- choices and finish reasons


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call"])
def test_an_answer_that_ended_by_itself_is_stored(finish: str) -> None:
    assert both(answer(finish=finish)) is None


@pytest.mark.parametrize(
    "finish",
    [
        "length",
        "content_filter",
        "insufficient_system_resource",
        "error",
        "STOP",
        "stop ",
        "end_turn",
        "",
        None,
    ],
)
def test_every_other_finish_reason_is_not_stored(finish: Any) -> None:
    assert both(answer(finish=finish)) == "finish-reason"


def test_a_missing_finish_reason_is_not_stored() -> None:
    value = answer()
    del value["choices"][0]["finish_reason"]
    assert word(read_json(CALL, compact(value))) == "finish-reason"


@pytest.mark.parametrize("first, second", [("length", "stop"), ("stop", "length"), ("stop", "tool_calls")])
def test_contradicting_finish_reasons_are_not_stored(first: str, second: str) -> None:
    parts = (delta(finish=first, content="x"), delta(finish=second))
    assert word(judged_stream(stream(*map(chunk, parts)))) == "finish-reason"


def test_every_index_that_was_asked_for_must_be_there() -> None:
    two = replace(CALL, choices=2)
    pair = answer(message("a"), message("b"))
    assert both(pair, two) is None
    assert both(pair) == "choices"
    assert both(answer(), two) == "choices"
    assert both(answer(message("a"), message("b"), message("c")), two) == "choices"
    pair["choices"][1]["finish_reason"] = "length"
    assert both(pair, two) == "finish-reason"


@pytest.mark.parametrize("index", [1, -1, None, "0", 0.5, True])
def test_an_index_that_was_not_asked_for_refuses_the_answer(index: Any) -> None:
    value = answer()
    value["choices"][0]["index"] = index
    assert both(value) == "choices"


def test_one_index_twice_is_not_two_answers() -> None:
    value = answer(message("a"), message("b"))
    value["choices"][1]["index"] = 0
    assert word(read_json(replace(CALL, choices=2), compact(value))) == "choices"
    assert word(read_json(CALL, compact(value))) == "choices"


@pytest.mark.parametrize("choices", [None, [], {}, "x", [None], [[]], [{}], [{"index": 0, "message": "x"}]])
def test_choices_of_another_type_refuse_the_answer(choices: Any) -> None:
    assert word(read_json(CALL, compact({**answer(), "choices": choices}))) == "choices"
    assert word(judged_stream(stream({**chunk(), "choices": choices}))) == "choices"


@pytest.mark.parametrize("broken", ["x", 1, []])
def test_one_delta_of_another_type_in_a_row_of_good_ones_refuses_the_answer(broken: Any) -> None:
    bad = event(chunk({"index": 0, "delta": broken, "finish_reason": None}))
    assert word(judged_stream(event(chunk(delta(content="a"))) + bad + text_stream("x"))) == "choices"


@pytest.mark.parametrize("calls", ["x", [1], [{"id": "a"}], [{"index": -1}], [{"index": "0"}], {"index": 0}])
def test_tool_calls_that_nobody_can_place_refuse_the_answer(calls: Any) -> None:
    assert (
        word(judged_stream(stream(chunk(delta(finish="stop", content="x", tool_calls=calls))))) == "choices"
    )


# --- content


@pytest.mark.parametrize("content", ["", None])
def test_an_empty_answer_is_not_stored(content: Any) -> None:
    assert both(answer(message(content))) == "empty"
    assert both(answer(message(content, reasoning_content="long thoughts"))) == "empty"
    assert both(answer(message(content, tool_calls=[]))) == "empty"


def test_one_empty_answer_of_two_is_not_stored() -> None:
    assert both(answer(message("a"), message("")), replace(CALL, choices=2)) == "empty"


def test_a_refusal_is_not_stored() -> None:
    assert both(answer(message(None, refusal="I will not."))) == "refusal"
    assert both(answer(message("But:", refusal="I will not."))) == "refusal"


@pytest.mark.parametrize("text", ['{"a": 1}', " [1] ", "7", '"x"', "null", '{"a":"\\ud83d\\ude00"}'])
def test_json_that_was_asked_for_and_parses_is_stored(text: str) -> None:
    assert both(answer(message(text)), JSON_OUTPUT) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "not json",
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": 1} and more',
        '```json\n{"a": 1}\n```',
        " ",
        "[" * 5000,
    ],
)
def test_json_that_was_asked_for_and_does_not_parse_is_not_stored(text: str) -> None:
    assert both(answer(message(text)), JSON_OUTPUT) == "bad-json"
    assert both(answer(message(text))) is None


def test_a_tool_call_may_take_the_place_of_json() -> None:
    assert both(answer(message(None, tool_calls=[tool_call()])), JSON_OUTPUT) is None
    assert both(answer(message("no", tool_calls=[tool_call()])), JSON_OUTPUT) == "bad-json"


@pytest.mark.parametrize("arguments", ["{}", '{"a": [1, 2]}', " null "])
def test_tool_calls_whose_arguments_parse_are_stored(arguments: str) -> None:
    assert (
        both(answer(message(None, tool_calls=[tool_call(arguments=arguments)]), finish="tool_calls")) is None
    )


@pytest.mark.parametrize("arguments", ["", '{"a": ', "{}{}", "x", '{"a": Infinity}'])
def test_one_tool_call_whose_arguments_do_not_parse_refuses_the_answer(arguments: str) -> None:
    calls = [tool_call(), tool_call(arguments=arguments)]
    assert both(answer(message("text", tool_calls=calls), finish="tool_calls")) == "bad-arguments"
    single = {"name": "f", "arguments": arguments}
    assert both(answer(message(None, function_call=single), finish="function_call")) == "bad-arguments"


@pytest.mark.parametrize(
    "function",
    [
        None,
        {},
        {"name": "f"},
        {"name": "", "arguments": "{}"},
        {"arguments": "{}"},
        {"name": "f", "arguments": None},
    ],
)
def test_a_tool_call_that_nobody_can_make_refuses_the_answer(function: Any) -> None:
    calls = [{"id": "a", "type": "function", "function": function}]
    assert both(answer(message(None, tool_calls=calls))) == "bad-arguments"


def test_arguments_that_are_no_text_refuse_the_answer() -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]
    assert word(read_json(CALL, compact(answer(message(None, tool_calls=calls))))) == "bad-arguments"


def test_a_custom_tool_takes_any_text() -> None:
    calls = [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "no json {"}}]
    assert both(answer(message(None, tool_calls=calls), finish="tool_calls")) is None


@pytest.mark.parametrize(
    "said, call, expected",
    [
        (message(), CALL, ContentClass.CHAT),
        (message("{}"), JSON_OUTPUT, ContentClass.STRUCTURED),
        (message("text", tool_calls=[tool_call()]), CALL, ContentClass.TOOL_CALL),
        (message(None, tool_calls=[tool_call()]), JSON_OUTPUT, ContentClass.TOOL_CALL),
        (message(None, function_call={"name": "f", "arguments": "{}"}), CALL, ContentClass.TOOL_CALL),
    ],
)
def test_the_content_class(said: dict[str, Any], call: Call, expected: ContentClass) -> None:
    assert stored_json(answer(said), call).content_class == expected.value


# --- usage


@pytest.mark.parametrize(
    "usage, expected",
    [
        (USAGE, SPENT),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 7}}, replace(SPENT, cached_tokens=7)),
        ({**USAGE, "cost": 0}, replace(SPENT, cost_picousd=0)),
        ({**USAGE, "cost": None}, replace(SPENT, cost_picousd=None)),
        ({**USAGE, "cost": "0.1"}, replace(SPENT, cost_picousd=None)),
        ({**USAGE, "cost": -1}, replace(SPENT, cost_picousd=None)),
        ({"prompt_tokens": -1, "completion_tokens": 2**70, "prompt_tokens_details": 1}, Usage()),
        ({"prompt_tokens": "9", "completion_tokens": True, "prompt_tokens_details": None}, Usage()),
        ({}, Usage()),
    ],
)
def test_usage_is_read_exactly_or_not_at_all(usage: Any, expected: Usage) -> None:
    assert stored_json(answer(usage=usage)).usage == expected
    assert judged_stream(text_stream("x", usage=usage)).usage == expected


def test_cost_is_read_from_its_text_not_from_a_float() -> None:
    body = compact(answer()).replace(b"0.00012", b"0.000000000001")
    assert read_json(CALL, body).usage.cost_picousd == 1


def test_of_many_usages_in_a_stream_the_last_counts_never_the_sum() -> None:
    growing = [chunk(delta(content="x"), usage={**USAGE, "completion_tokens": at}) for at in range(1, 5)]
    found = judged_stream(stream(*growing, chunk(delta(finish="stop"), usage=None)))
    assert isinstance(found, Answer)
    assert (found.has_usage, found.usage) == (True, SPENT)


@pytest.mark.parametrize("usage", [None, "x", [], 0])
def test_an_answer_without_token_counts_says_so(usage: Any) -> None:
    found = read_json(CALL, compact(answer(usage=usage)))
    assert isinstance(found, Answer)
    assert (found.has_usage, found.usage) == (False, Usage())
    found = judged_stream(text_stream("x", usage=None))
    assert isinstance(found, Answer)
    assert (found.has_usage, found.usage) == (False, Usage())


def test_what_a_refused_answer_cost_is_known() -> None:
    assert judged_stream(text_stream("x", finish="length")) == Refusal("finish-reason", SPENT)
    assert judged_stream(text_stream("x")[: -len("data: [DONE]\n\n")]) == Refusal("incomplete", SPENT)
    assert judged_stream(event({"error": {}}) + text_stream("x")) == Refusal("error-body", SPENT)
    assert judged_stream(b"data: {\n\n" + text_stream("x")) == Refusal("bad-json", SPENT)
    assert judged_stream(stream(chunk(1), chunk(usage=USAGE))) == Refusal("choices", SPENT)  # type: ignore[arg-type]
    assert read_json(CALL, compact({**answer(), "error": {}})) == Refusal("error-body", SPENT)
    assert read_json(CALL, compact({**answer(), "choices": {}})) == Refusal("choices", SPENT)


@pytest.mark.parametrize("body", [compact(answer()), compact(chunk(usage=USAGE))])
def test_the_usage_of_one_body_or_chunk_is_read_alone(body: bytes) -> None:
    assert usage_of(CHAT, body) == SPENT
    assert usage_of(CHAT, body[:-1]) == usage_of(CHAT, b"[]") == usage_of(CHAT, b'{"usage":null}') == Usage()


# --- short lives


@pytest.mark.parametrize(
    "model, models, short",
    [
        ("gpt-4o", (), False),
        ("", (), False),
        ("openai/gpt-4o", ("openai/gpt-4o", "anthropic/claude"), False),
        ("gpt-4o", ("openai/gpt-4o", "anthropic/claude"), False),
        ("gpt-4o-2024-08-06", ("openai/gpt-4o", "anthropic/claude"), False),
        ("openai/gpt-4o-2024-08-06", ("openai/gpt-4o", "anthropic/claude"), False),
        ("gpt-4o", ("openai/gpt-4o", "openai/gpt-4o"), False),
        ("claude", ("openai/gpt-4o", "anthropic/claude"), True),
        ("anthropic/claude-20250101", ("openai/gpt-4o", "anthropic/claude"), True),
        ("", ("openai/gpt-4o",), True),
        ("gpt-4o-mini", ("openai/gpt-4o", "openai/gpt-4o-mini"), True),
        ("gpt-4o", ("openai/gpt-4o", "azure/gpt-4o"), True),
        ("gpt-4o-2024-08-06", ("openai/gpt-4o", "azure/gpt-4o-2024-08-06"), True),
        ("gpt-4-1106", ("openai/gpt-4-0613", "openai/gpt-4-1106"), True),
        ("openai/gpt-4o-2024-08-06", ("openai/gpt-4o", "openai/gpt-4o-2024-08-06"), True),
        ("gpt-4-1106", ("openai/gpt-4-0613", "openai/gpt-5"), True),
        ("claude", ("bedrock/claude@eu", "bedrock/claude@us"), True),
        ("azure/gpt-4o", ("openai/gpt-4o", "anthropic/claude"), True),
        ("gpt-4-0613", ("openai/gpt-4", "anthropic/claude"), False),
        ("mistral-large-2411", ("mistral/mistral-large", "openai/gpt-4o"), False),
        ("claude@20250929", ("vertex/claude", "openai/gpt-4o"), False),
        ("bedrock/claude-20250929@eu", ("bedrock/claude@eu", "openai/gpt-4o"), False),
        ("bedrock/claude-20250929@us", ("bedrock/claude", "bedrock/claude@us"), True),
        ("gpt-4o-8192", ("openai/gpt-4o", "anthropic/claude"), True),
        ("gpt-4o-99999999", ("openai/gpt-4o", "anthropic/claude"), True),
        ("gpt-4o-2024-13-40", ("openai/gpt-4o", "anthropic/claude"), True),
    ],
)
def test_an_answer_of_a_fallback_model_is_short_lived(
    model: str, models: tuple[str, ...], short: bool
) -> None:
    call = replace(CALL, fallback_models=models)
    found = read_json(call, compact(answer(model=model)))
    assert isinstance(found, Answer)
    assert (found.short_lived, found.model) == (short, model)
    in_stream = judged_stream(stream(chunk(delta(finish="stop", content="x"), model=model)), call)
    assert isinstance(in_stream, Answer)
    assert in_stream.short_lived == short


def test_a_stream_that_changes_its_model_is_locked_and_short_lived() -> None:
    call = replace(CALL, fallback_models=("openai/gpt-4o", "x/y"))
    parts = [chunk(delta(content="x"), model="gpt-4o"), chunk(delta(finish="stop"), model="y")]
    found = judged_stream(stream(*parts), call)
    assert isinstance(found, Answer)
    assert (found.locked, found.short_lived) == (True, True)


CITED = [{"type": "url_citation", "url_citation": {"url": "https://e.com", "start_index": 0}}]


@pytest.mark.parametrize("call", [CALL, replace(CALL, web_search=True)])
def test_cited_sources_make_an_answer_a_search_whatever_the_call_looked_like(call: Call) -> None:
    def searched(*messages: dict[str, Any], **fields: Any) -> bool:
        found = read_json(call, compact(answer(*messages, **fields)))
        assert isinstance(found, Answer) and not found.short_lived and not found.result_urls
        return found.searched

    assert searched(message(annotations=CITED))
    assert searched(message(citations=["https://e.com"]))
    assert searched(message(annotations=[]), citations=["https://e.com"])
    assert searched(search_results=[{"url": "https://e.com"}])
    assert not searched(message(annotations=[]), citations=[])


@pytest.mark.parametrize(
    "part",
    [
        chunk(delta(annotations=CITED)),
        chunk(delta(), citations=["https://e.com"]),
        chunk(delta(citations=["https://e.com"])),
        chunk(delta(content=None), search_results=[{"url": "https://e.com"}]),
    ],
)
def test_sources_are_found_in_a_stream_though_assembly_does_not_know_their_field(part: Any) -> None:
    found = judged_stream(event(part) + text_stream("x"))
    assert isinstance(found, Answer)
    assert (found.searched, found.short_lived, found.result_urls) == (True, False, False)


END = 1763903600
SIGNED = f"https://e.com/a.png?Expires={END}&Signature=x"
FOREVER = {"image_url": {"url": "https://e.com/a.png"}}
AUDIO = {"id": "a", "data": "AAAA", "transcript": "hi"}


@pytest.mark.parametrize(
    "said, ends",
    [
        (message("hi"), (None, False)),
        (message("see https://e.com/a.png and https://e.com/?page=2"), (None, False)),
        (message("https://e.com/a.png"), (None, False)),
        (message('{"expires_at": 1}'), (None, False)),
        (message(annotations=CITED), (None, False)),
        (message(reasoning="https://e.com"), (None, False)),
        (message(None, tool_calls=[tool_call(arguments='{"url": "https://e.com/a"}')]), (None, False)),
        (message(f"see {SIGNED}."), (END, False)),
        (message(None, tool_calls=[tool_call(arguments=json.dumps({"url": SIGNED}))]), (END, False)),
        (message(images=[FOREVER]), (None, True)),
        (message(None, images=[FOREVER]), (None, True)),
        (message(images=[{"image_url": {"url": SIGNED}}]), (END, False)),
        (message(images=[{"image_url": {"url": SIGNED}}, FOREVER]), (END, True)),
        (message(images=[{"image_url": {"url": "data:image/png;base64,AAAA"}}]), (None, False)),
        (message(None, audio={**AUDIO, "expires_at": END}), (END, False)),
        (message(None, audio=AUDIO), (None, True)),
        (message(SIGNED, audio=AUDIO), (END, True)),
        (message(files=[{"expires_at": 1}, {"expires_at": None}]), (1, False)),
        (
            message([{"type": "text", "text": "https://e.com"}, {"type": "image_url", **FOREVER}]),
            (None, True),
        ),
    ],
)
def test_what_ends_is_found_where_it_stands(said: dict[str, Any], ends: tuple[float | None, bool]) -> None:
    """Lifetime = min(policy, every expiry inside the answer: expires_at, signed-URL parameters; a result URL \
    of unknown expiry 10 min)."""
    finish = "tool_calls" if "tool_calls" in said else "stop"
    found = read_json(CALL, compact(answer(said, finish=finish)))
    assert isinstance(found, Answer)
    assert (found.expires_at_s, found.result_urls, found.short_lived) == (*ends, False)


def test_what_ends_at_the_top_of_an_answer_counts() -> None:
    found = read_json(CALL, compact(answer(data=[{"url": SIGNED}], expires_at=END - 1)))
    assert isinstance(found, Answer) and found.expires_at_s == END - 1


@pytest.mark.parametrize(
    "parts, ends",
    [
        ([delta(images=[FOREVER])], (None, True)),
        ([delta(images=[{"image_url": {"url": SIGNED}}])], (END, False)),
        ([delta(content=SIGNED[:20]), delta(content=SIGNED[20:40]), delta(content=SIGNED[40:])], (END, False)),
        ([delta(audio={"id": "a", "expires_at": END}), delta(audio={"data": "AA=="})], (END, False)),
        ([delta(audio={"id": "a"}), delta(audio={"data": "AA=="})], (None, True)),
        ([delta(content=[{"type": "image_url", **FOREVER}]), delta(content="x")], (None, True)),
        ([delta(annotations=[{"expires_at": END + 1}]), delta(annotations=[{"expires_at": END}])], (END, False)),
        ([delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{}", "at": SIGNED}}])], (END, False)),
    ],
)  # fmt: skip
def test_what_ends_is_found_in_a_stream_though_assembly_loses_it(
    parts: list[dict[str, Any]], ends: tuple[float | None, bool]
) -> None:
    found = judged_stream(stream(*map(chunk, parts), text_stream("x")))
    assert isinstance(found, Answer)
    assert (found.expires_at_s, found.result_urls) == ends


def test_requests_and_answers_know_the_same_dialects() -> None:
    assert set(DIALECTS) == CACHEABLE_ENDPOINTS


def test_what_an_unknown_route_cost_is_not_guessed() -> None:
    assert usage_of("images/edits", compact(answer())) == Usage()
