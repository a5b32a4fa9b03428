"""Completions: what is one call, which answers are kept, and one entry in every shape."""

import json

import openai.types.completion_create_params as sdk
import pytest
from msgspec.structs import replace

from tests.core.chat_kit import DONE, compact, events, stored, stream
from tests.core.sdk_fields import fields_of
from tiered_cache.core.answers import error_event, live, read_json, read_stream, render, spoken, usage_of
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise, with_usage_requested
from tiered_cache.core.canonical.completions_tables import BODY_FIELDS
from tiered_cache.core.policy import plan
from tiered_cache.core.profiles import PROFILES
from tiered_cache.core.vocabulary import Answer, Bypass, Call, ContentClass, Determinism, Refusal, Usage

ENDPOINT = "completions"
MODEL = "openai/gpt-3.5-turbo-instruct"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "cost": 0.00012}
SPENT = Usage(9, 4, 0, 120_000_000)
HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 1763900000, "model": "gpt-3.5-turbo-instruct"}
CALL = Call(ENDPOINT, MODEL, stream=True)
LOGPROBS = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5}], "text_offset": [2]}


def told(options: KeyOptions | None = None, **fields) -> Canonical | Bypass:
    said = {"model": MODEL, "prompt": "hi", **fields}
    raw = compact({name: value for name, value in said.items() if value is not ...})
    return canonicalise(ENDPOINT, raw, KeyOptions() if options is None else options)


def call_of(**fields) -> Call:
    form = told(**fields)
    assert isinstance(form, Canonical), form
    return form.call


def choice(text="hello", index=0, finish="stop", **fields):
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish, **fields}


def answer(*choices, **fields):
    return {**HEAD, "choices": list(choices or (choice(),)), "usage": USAGE, **fields}


def chunk(*choices, **fields):
    return {**HEAD, "choices": list(choices), **fields}


def entry_of(found):
    return replace(stored(found), endpoint=ENDPOINT)


def given(found, shape) -> bytes:
    rendering = render(entry_of(found), shape, free=False)
    assert rendering is not None
    return rendering.body


def test_what_differs_is_another_call():
    others = [
        told(),
        *(told(prompt=prompt) for prompt in (["hi"], "Hi", "hi ", [1], [[1]], ["hi", "hi"], None, ...)),
        *(told(logprobs=number) for number in (0, 1, 5)),
        *(told(best_of=number) for number in (1, 2)),
        *(told(suffix=text) for text in ("", "x")),
        told(echo=True),
        told(n=2),
        told(temperature=0),
        told(max_tokens=0),
        told(seed=1),
        told(service_tier="flex"),
        told(metadata={"a": "b"}),
        told(models=[MODEL]),
        told(model="vllm/a", presence_penalty=0),
    ]
    assert len({form.text for form in others}) == len(others)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"n": 1.0},
        {"echo": False},
        {"logit_bias": {}},
        {"presence_penalty": 0, "frequency_penalty": -0.0},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"user": "u"},
        {"requesty": {"trace_id": "t", "auto_cache": True}},
        dict.fromkeys(("suffix", "echo", "best_of", "n", "stop", "seed", "logprobs", "max_tokens", "top_p")),
    ],
)
def test_what_says_nothing_is_the_same_call(fields):
    assert told(**fields).text == told().text


def test_spellings_of_one_meaning():
    assert told(stop="a").text == told(stop=["a"]).text != told(stop=["b"]).text
    assert told(logprobs=1.0).text == told(logprobs=1).text
    assert told(KeyOptions(identity_fields="key"), user="u").text != told().text


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": True},
        {"logprobs": 1.5},
        {"echo": 1},
        {"prompt": 1},
        {"prompt": []},
        {"prompt": [True]},
        {"prompt": ["a", 1]},
        {"prompt": [None]},
        {"n": 0},
        {"stop": ["a", 1]},
        {"stream_options": {"include_usage": 1}},
        {"response_format": {}},
        {"model": 1},
    ],
)
def test_wrong_types_bypass(fields):
    form = told(**fields)
    assert isinstance(form, Bypass)
    assert form.detail == "field-type"


def test_the_facts_of_a_call():
    prompts = ("hi", [1, 2], ["a", "b"], [[1], [2], [3]], None)
    assert [call_of(prompt=prompt, n=2).choices for prompt in prompts] == [2, 2, 4, 6, 2]
    made = call_of(stream=True, stream_options={"include_usage": True}, models=["a/b", "c"])
    assert (made.shape, made.fallback_models, made.tools) == ("sse+usage", ("a/b", "c"), False)
    assert call_of(response_format={"type": "json_object"}).json_output
    assert call_of(guided_json={}).json_output
    assert call_of(web_search_options={}).web_search


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"model": ...}, "no-model"),
        ({"model": "policy/a"}, "policy-model"),
        ({"models": ["policy/a"]}, "policy-model"),
        ({"store": True}, "side-effect"),
        ({"conversation": "c"}, "side-effect"),
        ({"tools": [{"type": "mcp"}]}, "origin-tool"),
    ],
)
def test_what_is_never_cached(fields, word):
    assert call_of(**fields).bypass == word


@pytest.mark.parametrize(
    ("fields", "determinism", "rule"),
    [
        ({}, Determinism.UNSTATED, "unstated"),
        ({"temperature": 0}, Determinism.DETERMINISTIC, "deterministic-alias"),
        ({"temperature": 0, "n": 2}, Determinism.DETERMINISTIC, "deterministic-alias"),
        ({"temperature": 1, "seed": 7}, Determinism.DETERMINISTIC, "deterministic-alias"),
        ({"temperature": 1}, Determinism.SAMPLED, "sampled"),
        ({"n": 2}, Determinism.SAMPLED, "sampled"),
        ({"prompt": ["a", "b"]}, Determinism.UNSTATED, "unstated"),
        ({"seed": 7, "model": f"{MODEL}-2026-01-01"}, Determinism.DETERMINISTIC, "deterministic-dated"),
    ],
)
def test_lifetimes_are_those_of_chat(fields, determinism, rule):
    call = call_of(**fields)
    intended = plan(PROFILES["balanced"], call)
    assert (call.determinism, intended.rule, intended.store) == (determinism, rule, rule != "sampled")


def test_the_usage_chunk_is_asked_for():
    assert json.loads(with_usage_requested(b'{"stream":true}'))["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("word", "choices", "fields"),
    [
        (None, [choice()], {}),
        ("finish-reason", [choice(finish="length")], {}),
        ("finish-reason", [choice(finish="content_filter")], {}),
        ("finish-reason", [choice(finish="tool_calls")], {}),
        ("finish-reason", [choice(finish=None)], {}),
        ("empty", [choice("")], {}),
        ("choices", [choice(), choice()], {}),
        ("choices", [choice(index=1)], {}),
        ("choices", [], {}),
        ("error-body", [choice()], {"error": {"message": "no"}}),
    ],
)
def test_only_whole_answers_are_kept(word, choices, fields):
    found = [read_json(CALL, compact({**HEAD, "choices": choices, "usage": USAGE, **fields}))]
    if len(choices) == 1:  # a stream says more of a choice by saying its index again
        found.append(read_stream(CALL, events(stream(chunk(*choices, **fields), chunk(usage=USAGE)))))
    assert {one.detail if isinstance(one, Refusal) else None for one in found} == {word}
    assert {one.usage for one in found} == {SPENT}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"choices":1}', b'{"choices":[1]}', b"{}"])
def test_what_is_no_answer(body):
    assert isinstance(read_json(CALL, body), Refusal)


def test_a_stream_without_its_end_is_not_whole():
    cut = stream(chunk(choice()), done=False)
    assert read_stream(CALL, events(cut)) == Refusal("incomplete")


def test_json_that_was_asked_for_must_parse():
    call = replace(CALL, json_output=True)
    assert read_json(call, compact(answer(choice("{")))) == Refusal("bad-json", SPENT)
    found = read_json(call, compact(answer(choice("{}"))))
    assert isinstance(found, Answer)
    assert found.content_class is ContentClass.STRUCTURED


def test_a_result_that_ends_is_noticed():
    url = "https://e.com/a?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=a"
    found = read_json(CALL, compact(answer(choice(f"see {url}"))))
    assert isinstance(found, Answer)
    assert found.expires_at_s == 1767225660.0


def test_pieces_are_joined_by_choice_and_places_kept():
    call = replace(CALL, choices=2)
    offsets = [{**LOGPROBS, "text_offset": [place]} for place in (2, 3)]
    body = stream(
        chunk(choice("a", 1, None, logprobs=offsets[0])),
        chunk(choice('b"', 0, None)),
        chunk(choice("c", 1, "stop", logprobs=offsets[1])),
        chunk(choice("", 0, "stop")),
        chunk(usage=USAGE),
    )
    found = read_stream(call, events(body))
    assert isinstance(found, Answer)
    assert not found.locked
    both = {name: value * 2 for name, value in LOGPROBS.items()} | {"text_offset": [2, 3]}
    wanted = answer(choice('b"'), choice("ac", 1, logprobs=both))
    assert json.loads(given(found, "json")) == wanted
    assert given(found, "sse+usage") == body


def test_an_answer_comes_as_a_stream():
    value = answer(
        choice("b", 1, logprobs=LOGPROBS), choice("a"), prompt_filter_results=[{"prompt_index": 0}]
    )
    found = read_json(replace(CALL, choices=2), compact(value))
    parts = events(given(found, "sse+usage"))
    said = [json.loads(part.data) for part in parts[:-1]]
    assert parts[-1].raw == DONE
    assert [[one["text"] for one in each["choices"]] for each in said] == [["a"], [""], ["b"], [""], []]
    assert [one["finish_reason"] for each in said for one in each["choices"]] == [None, "stop"] * 2
    assert [each.get("usage") for each in said] == [None] * 4 + [USAGE]
    assert [spoken(ENDPOINT, part) for part in parts] == [1, 0, 1, 0, 0, 0]
    assert "usage" not in str(given(found, "sse"))
    back = read_stream(replace(CALL, choices=2), parts)
    assert json.loads(given(back, "json")) == {**value, "choices": value["choices"][::-1]}


@pytest.mark.parametrize("where", ["chunk", "choice"])
def test_what_the_table_does_not_know_keeps_the_shape(where):
    extra = {"x_new": 1}
    said = chunk(choice(**extra)) if where == "choice" else chunk(choice(), **extra)
    by_stream = read_stream(CALL, events(stream(said, chunk(usage=USAGE))))
    by_json = read_json(
        CALL, compact(answer(choice(**extra)) if where == "choice" else answer(choice(), **extra))
    )
    for found, shape in ((by_stream, "json"), (by_json, "sse")):
        assert isinstance(found, Answer)
        assert found.locked
        assert render(entry_of(found), shape) is None


def test_a_live_caller_gets_no_usage_chunk_it_did_not_ask_for():
    (event, last, _) = events(stream(chunk(choice()), chunk(usage=USAGE)))
    assert live(ENDPOINT, event, include_usage=False) == event.raw
    assert live(ENDPOINT, last, include_usage=False) == b""
    assert live(ENDPOINT, last, include_usage=True) == last.raw
    assert usage_of(ENDPOINT, event.data, last.data) == SPENT
    assert error_event(ENDPOINT, "no", "origin_cut").startswith(b'data: {"error":')


def test_every_field_of_the_sdk_is_in_the_table():
    known = {field.name for field in BODY_FIELDS}
    asked = fields_of(sdk.CompletionCreateParamsNonStreaming) | fields_of(sdk.CompletionCreateParamsStreaming)
    assert asked - known == set()
