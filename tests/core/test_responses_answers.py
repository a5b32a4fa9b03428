"""Answers of the Responses API: what is stored, and what each shape of it says."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.core.chat_kit import compact
from tests.core.responses_kit import (
    CALL,
    ENDPOINT,
    USAGE,
    answer,
    events,
    function_call,
    judged_json,
    judged_stream,
    message,
    reasoning,
    stored,
    stream,
    text_part,
    told,
    written,
)
from tiered_cache.core.answers import DIALECTS, ends_stream, error_event, live, render, usage_of
from tiered_cache.core.responses_answers import RESPONSES_ANSWERS
from tiered_cache.core.responses_fields import EVENTS
from tiered_cache.core.sse import read_events
from tiered_cache.core.vocabulary import Answer, ContentClass, Refusal, Usage

SPENT = Usage(9, 4, 4, 120_000_000)
JSON_CALL = replace(CALL, json_output=True)
UNKNOWN_ITEM = {"id": "x_1", "type": "x_item", "said": "something"}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}
CITED = {
    "type": "url_citation",
    "url": "https://e.com",
    "title": "E",
    "start_index": 0,
    "end_index": 1,
}


def given(entry, shape, *, free=True) -> bytes:
    rendering = render(entry, shape, free=free)
    assert rendering is not None
    return rendering.body


def both(*output: dict[str, Any], call=CALL, **fields: Any) -> set[str]:
    """The verdict on an answer in both forms: a reason word, or `stored`."""
    found = [judged_json(answer(*output, **fields), call)]
    if all(item["type"] in {"message", "function_call"} for item in output):
        found.append(judged_stream(stream(*output, **fields), call))
    return {one.detail if isinstance(one, Refusal) else "stored" for one in found}


class TestStored:
    """SEMANTICS §2: completed, no incomplete_details, something said, JSON where it was asked for."""

    @pytest.mark.parametrize("form", ["json", "sse"])
    def test_a_whole_answer(self, form):
        found = judged_json(answer()) if form == "json" else judged_stream(stream())
        assert isinstance(found, Answer)
        assert (found.form, found.locked, found.has_usage, found.usage) == (form, False, True, SPENT)
        assert (found.model, found.content_class) == ("gpt-4o-2024-08-06", ContentClass.CHAT)
        assert not found.searched

    def test_what_kind_it_is(self):
        call = judged_json(answer(function_call()))
        assert isinstance(call, Answer)
        assert call.content_class is ContentClass.TOOL_CALL
        structured = judged_json(answer(message(text_part("{}"))), JSON_CALL)
        assert isinstance(structured, Answer)
        assert structured.content_class is ContentClass.STRUCTURED

    @pytest.mark.parametrize(
        ("word", "output", "fields"),
        [
            ("stored", [function_call()], {}),
            ("stored", [reasoning("thinking"), message()], {}),
            ("stored", [{"id": "c_1", "type": "custom_tool_call", "input": "x", "name": "f"}], {}),
            ("finish-reason", [message()], {"status": "incomplete"}),
            ("finish-reason", [message()], {"incomplete_details": {"reason": "max_output_tokens"}}),
            ("finish-reason", [message()], {"status": "in_progress"}),
            ("finish-reason", [message()], {"status": None}),
            ("finish-reason", [message(status="incomplete")], {}),
            ("finish-reason", [function_call(status="in_progress")], {}),
            ("error-body", [message()], {"error": {"code": "server_error", "message": "no"}}),
            ("empty", [message(text_part(""))], {}),
            ("empty", [reasoning("thinking")], {}),
            ("empty", [SEARCH], {}),
            ("bad-arguments", [function_call(arguments='{"at": ')], {}),
            ("bad-arguments", [function_call(arguments="")], {}),
            ("bad-arguments", [function_call(name="")], {}),
        ],
    )
    def test_by_what_it_says(self, word, output, fields):
        assert both(*output, **fields) == {word}

    def test_nothing_at_all_is_empty(self):
        assert judged_json({**answer(), "output": []}) == Refusal("empty", SPENT)

    def test_a_refusal(self):
        refused = message({"type": "refusal", "refusal": "I cannot"})
        assert judged_json(answer(refused)) == Refusal("refusal", SPENT)

    @pytest.mark.parametrize("output", [..., None, {}, "x", [1]])
    def test_no_list_of_output(self, output):
        value = {**answer(), "output": output}
        if output is ...:
            del value["output"]
        assert judged_json(value) == Refusal("choices", SPENT)
        last = {"type": "response.completed", "response": value}
        assert judged_stream(written([last])) == Refusal("choices", SPENT)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":NaN}', b'"x"'])
    def test_what_is_no_json_object(self, body):
        assert judged_json(body) == Refusal("bad-json")

    @pytest.mark.parametrize(
        "item",
        [
            {"id": "m", "type": "mcp_call", "name": "f", "arguments": "{}"},
            {"id": "c", "type": "code_interpreter_call", "status": "completed"},
            {"id": "s", "type": "file_search_call", "status": "completed"},
        ],
    )
    def test_a_tool_that_the_origin_executed_though_no_body_named_it(self, item):
        assert judged_json(answer(item, message())) == Refusal("origin-tool", SPENT)

    def test_looking_something_up_makes_it_a_search(self):
        for output in ([SEARCH, message()], [message(text_part("x", annotations=[CITED]))]):
            found = judged_json(answer(*output))
            assert isinstance(found, Answer)
            assert found.searched

    def test_what_ends_is_looked_for_in_the_output_alone(self):
        tools = [{"type": "x", "url": "https://e.com/a?X-Amz-Signature=1"}]
        found = judged_json(answer(tools=tools))
        assert isinstance(found, Answer)
        assert (found.expires_at_s, found.result_urls) == (None, False)
        item = {**UNKNOWN_ITEM, "expires_at": 1763900100}
        found = judged_json(answer(item, message()))
        assert isinstance(found, Answer)
        assert found.expires_at_s == 1763900100.0


class TestJson:
    """Where JSON was asked for, every text of the answer proper parses."""

    @pytest.mark.parametrize(
        ("output", "word"),
        [
            ([message(text_part('{"a": 1}'))], "stored"),
            ([message(text_part('{"a": '))], "bad-json"),
            ([message(text_part("1,2"))], "bad-json"),
            ([message(text_part("{}"), text_part("[]"))], "stored"),
            ([message(text_part("{}"), text_part("so"))], "bad-json"),
            ([message(text_part("so"), phase="commentary"), message(text_part("{}"), id="msg_2")], "stored"),
            ([message(text_part("so"), phase="commentary")], "bad-json"),
            ([function_call()], "stored"),
            ([message(text_part("so")), function_call()], "bad-json"),
        ],
    )
    def test_it_parses(self, output, word):
        assert both(*output, call=JSON_CALL) == {word}


class TestStreams:
    """A stream is whole with the event that holds the response object."""

    def test_without_that_event_it_is_incomplete(self):
        whole = events(answer())
        for cut in range(len(whole)):
            assert judged_stream(written(whole[:cut])) == Refusal("incomplete", Usage())

    @pytest.mark.parametrize(
        ("last", "fields", "word"),
        [
            ("response.incomplete", {"status": "incomplete"}, "finish-reason"),
            ("response.failed", {"status": "failed", "error": {"code": "x"}}, "error-body"),
            ("response.failed", {"status": "failed"}, "error-body"),
        ],
    )
    def test_other_ends(self, last, fields, word):
        assert judged_stream(stream(last=last, **fields)) == Refusal(word, SPENT)

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "error", "code": "x", "message": "no", "param": None, "sequence_number": 3},
            {"error": {"message": "no"}},
        ],
    )
    def test_an_error_in_the_middle(self, event):
        raw = written(events(answer())[:5]) + b"data: " + compact(event) + b"\n\n"
        assert judged_stream(raw) == Refusal("error-body")
        assert judged_stream(raw + written(events(answer())[5:])) == Refusal("error-body", SPENT)

    def test_an_event_that_is_no_json(self):
        assert judged_stream(b"data: {\n\n" + stream()) == Refusal("bad-json", SPENT)
        assert judged_stream(b"data: {\n\n") == Refusal("incomplete")

    def test_it_is_kept_without_what_is_of_one_connection(self):
        noise = b': comment\n\nevent: ping\ndata: {"type":"ping"}\n\n'
        noise += b'event: keepalive\ndata: {"type":"keepalive","sequence_number":3}\n\n'
        found = stored(judged_stream(noise + stream() + b"data: [DONE]\n\n"))
        assert b"obfuscation" in stream()
        kept = told(found.body)
        assert kept == [
            {name: value for name, value in one.items() if name != "obfuscation"} for one in events(answer())
        ]

    def test_events_without_names_are_as_good(self):
        raw = b"".join(b"data: " + compact(one) + b"\n\n" for one in events(answer()))
        found = stored(judged_stream(raw))
        assert not found.locked
        assert json.loads(given(found, "json", free=False)) == answer()

    @pytest.mark.parametrize(
        "extra",
        [
            {"type": "response.x.delta", "delta": "x"},
            {"type": "response.output_item.done", "output_index": 7, "item": UNKNOWN_ITEM},
        ],
    )
    def test_what_the_last_event_may_not_say_locks_the_shape(self, extra):
        whole = events(answer())
        found = stored(judged_stream(written([*whole[:-1], extra, whole[-1]])))
        assert found.locked
        assert render(found, "json") is None
        assert render(found, "sse") is not None

    def test_a_name_that_is_not_the_type_locks_it_too(self):
        found = judged_stream(b'event: x\ndata: {"type":"response.queued"}\n\n' + stream())
        assert isinstance(found, Answer)
        assert found.locked

    def test_where_it_ends(self):
        for last in ("response.completed", "response.incomplete", "response.failed"):
            ends = [ends_stream(ENDPOINT, one) for one in read_events(stream(last=last))[0]]
            assert ends == [False] * (len(ends) - 1) + [True]
        tricky = stream(message(text_part('"response.completed" {"type":"error"}')))
        ends = [ends_stream(ENDPOINT, one) for one in read_events(tricky)[0]]
        assert ends.index(True) == len(ends) - 1


class TestRendering:
    """One entry, every shape."""

    def test_the_json_answer_is_the_raw_text_of_the_last_event(self):
        value = answer(function_call(arguments='{"x": 1.0}'))
        spelled = compact(value).replace(b'"temperature":0.0', b'"temperature": 0e0')
        whole = events(value)
        last = b'event: response.completed\ndata: {"type":"response.completed","response":%b}\n\n' % spelled
        entry = stored(judged_stream(written(whole[:-1]) + last))
        assert given(entry, "json", free=False) == spelled

    def test_its_own_form_is_what_the_origin_sent(self):
        spelled = json.dumps(answer(), indent=2).encode()
        entry = stored(judged_json(spelled))
        assert given(entry, "json", free=False) == spelled
        streamed = stored(judged_stream(stream()))
        assert given(streamed, "sse", free=False) == streamed.body

    def test_a_stream_made_of_json_is_the_one_that_the_origin_would_send(self):
        value = answer(message(text_part("hello")), function_call())
        made = told(given(stored(judged_json(value)), "sse", free=False))
        real = [
            {name: member for name, member in one.items() if name != "obfuscation"}
            for one in events(value, pieces=1)
        ]
        assert made == real

    def test_every_item_that_can_be_told_is(self):
        output = [
            reasoning(
                "first", "second", content=[{"type": "reasoning_text", "text": "raw"}], status="completed"
            ),
            SEARCH,
            message(text_part("x", annotations=[CITED]), {"type": "refusal", "refusal": "no"}),
            function_call(),
            {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c", "input": "free", "name": "f"},
            {"id": "cu_1", "type": "computer_call", "call_id": "d", "status": "completed", "action": {}},
            {"id": "ls_1", "type": "local_shell_call", "call_id": "e", "status": "completed", "action": {}},
        ]
        entry = replace(stored(judged_json(answer())), body=compact(answer(*output)))
        made = told(given(entry, "sse", free=False))
        assert [one["sequence_number"] for one in made] == list(range(len(made)))
        assert [one["item"] for one in made if one["type"] == "response.output_item.done"] == output
        assert made[-1]["response"] == answer(*output)
        assert {one["type"] for one in made} <= EVENTS
        kinds = [one["type"].removeprefix("response.") for one in made]
        assert [kind for kind in kinds if "delta" in kind or "annotation" in kind] == [
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_text.delta",
            "output_text.delta",
            "output_text.annotation.added",
            "refusal.delta",
            "function_call_arguments.delta",
            "custom_tool_call_input.delta",
        ]

    @pytest.mark.parametrize(
        "output",
        [
            [UNKNOWN_ITEM, message()],
            [message({"type": "x_part"}, text_part())],
            [function_call(id=None)],
        ],
    )
    def test_what_events_cannot_tell_locks_the_shape(self, output):
        entry = stored(judged_json(answer(*output)))
        assert entry.locked
        assert render(entry, "sse") is None
        assert json.loads(given(entry, "json", free=False)) == answer(*output)

    def test_an_incomplete_answer_reaches_those_who_waited_in_both_shapes(self):
        cut = answer(message(status="incomplete"), status="incomplete")
        whole = stored(judged_json(answer()))
        from_json = replace(whole, body=compact(cut))
        assert told(given(from_json, "sse"))[-1]["type"] == "response.incomplete"
        raw = written(events(cut, "response.incomplete"))
        from_stream = replace(whole, form="sse", body=raw)
        assert json.loads(given(from_stream, "json", free=False)) == cut

    @pytest.mark.parametrize("cut", [0, 1, 5])
    def test_of_a_stream_that_is_not_whole_there_is_no_json(self, cut):
        whole = stored(judged_json(answer()))
        assert render(replace(whole, form="sse", body=written(events(answer())[:cut])), "json") is None

    def test_line_ends_between_tokens_do_not_end_the_data(self):
        entry = stored(judged_json(json.dumps(answer(), indent=1).replace("\n", "\r\n").encode()))
        assert told(given(entry, "sse", free=False))[-1]["response"] == answer()


NAMED = {
    "metadata": {"who": "anna"},
    "user": "anna",
    "safety_identifier": "anna",
    "prompt_cache_key": "anna",
}


class TestFree:
    """Who did not ask the origin paid nothing, and gets nobody's name."""

    @pytest.mark.parametrize("shape", ["json", "sse"])
    @pytest.mark.parametrize("form", ["json", "sse"])
    def test_cost_and_names_are_gone_in_every_shape(self, form, shape):
        found = judged_json(answer(**NAMED)) if form == "json" else judged_stream(stream(**NAMED))
        body = given(stored(found), shape)
        assert b"anna" not in body
        value = json.loads(body) if shape == "json" else told(body)[-1]["response"]
        blank = {"metadata": {}, "user": None, "safety_identifier": None, "prompt_cache_key": None}
        assert value == answer(**blank, usage={**USAGE, "cost": 0})

    @pytest.mark.parametrize("form", ["json", "sse"])
    def test_for_who_paid_they_are_there(self, form):
        found = judged_json(answer(**NAMED)) if form == "json" else judged_stream(stream(**NAMED))
        for shape in ("json", "sse"):
            body = given(stored(found), shape, free=False)
            assert (b"anna" in body, b"0.00012" in body) == (True, True)

    def test_other_bytes_stay(self):
        spelled = json.dumps(answer(), indent=2).encode()
        assert given(stored(judged_json(spelled)), "json") == spelled.replace(b"0.00012", b"0")


def test_what_a_body_or_an_event_cost():
    assert usage_of(ENDPOINT, compact(answer())) == SPENT
    assert usage_of(ENDPOINT, compact(events(answer())[-1])) == SPENT
    assert usage_of(ENDPOINT, compact(events(answer())[0])) == Usage()
    assert usage_of(ENDPOINT, b"x") == Usage()


def test_a_live_caller_gets_every_event_as_it_is():
    for event in read_events(stream())[0]:
        assert live(ENDPOINT, event, include_usage=False) == event.raw


def test_our_error_event_is_the_apis():
    body = error_event(ENDPOINT, 'it "broke"', "origin-cut")
    assert body.startswith(b"event: error\ndata: {")
    assert judged_stream(written(events(answer())[:3]) + body) == Refusal("error-body")
    (value,) = told(body)
    assert (value["code"], value["message"], value["param"]) == ("origin-cut", 'it "broke"', None)


def test_the_dialect_is_registered():
    assert DIALECTS[ENDPOINT].closing == b""


def test_a_chunk_whose_type_would_end_its_line_is_no_event_of_that_name() -> None:
    written = RESPONSES_ANSWERS.write_chunk(b'{"type":"x\\ndata: {}"}', True)
    assert written.startswith(b"event: error\n")
    assert RESPONSES_ANSWERS.write_chunk(b'{"type":"response.created"}', True).startswith(
        b"event: response.created\n"
    )
