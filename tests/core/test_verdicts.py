"""Rerank and moderations: what is one call, and which answers are kept."""

import json

import openai.types
import pytest

from tiered_cache.core.answers import ends_stream, live, read_json, read_stream, render, usage_of
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.canonical.moderations import FIELDS as MODERATION_FIELDS
from tiered_cache.core.policy import plan
from tiered_cache.core.profiles import PROFILES
from tiered_cache.core.sse import Event
from tiered_cache.core.vocabulary import Answer, Bypass, Call, Entry, Lifetime, Refusal, Usage

RANK = {"model": "cohere/rerank-v3.5", "query": "q", "documents": ["a", "b", "c"]}
MODERATE = {"model": "openai/omni-moderation-latest", "input": "x"}


def told(endpoint: str, call: dict, **fields) -> Canonical | Bypass:
    said = {name: value for name, value in {**call, **fields}.items() if value is not ...}
    return canonicalise(endpoint, json.dumps(said).encode(), KeyOptions())


def call_of(endpoint: str, call: dict, **fields) -> Call:
    form = told(endpoint, call, **fields)
    assert isinstance(form, Canonical)
    return form.call


def rank(**fields) -> Canonical | Bypass:
    return told("rerank", RANK, **fields)


def moderate(**fields) -> Canonical | Bypass:
    return told("moderations", MODERATE, **fields)


@pytest.mark.parametrize(
    "others",
    [
        [
            rank(),
            rank(query="Q"),
            rank(documents=["b", "a", "c"]),
            rank(documents=["a", "b", {"text": "c"}]),
            rank(top_n=2),
            rank(top_n=None),
            rank(return_documents=True),
            rank(max_tokens_per_doc=9),
            rank(user="u"),
            rank(model="jina/x"),
            rank(models=["a/b"]),
        ],
        [
            moderate(),
            moderate(input=["x"]),
            moderate(input="X"),
            moderate(input=["x", "y"]),
            moderate(input=[{"type": "text", "text": "x"}]),
            moderate(user="u"),
            moderate(model="mistral/m"),
        ],
    ],
    ids=["rerank", "moderations"],
)
def test_calls_that_differ_differ(others):
    assert len({form.text for form in others}) == len(others)


def test_what_only_the_router_reads_is_left_out():
    assert rank(requesty={"trace_id": "t"}).text == rank().text
    assert moderate(requesty={"auto_cache": True}).text == moderate().text
    assert moderate(requesty={"auto_cache": True}).dropped == (
        "requesty.auto_cache: transport",
        "requesty: default",
    )
    assert moderate(requesty={"new": 1}).text != moderate().text


@pytest.mark.parametrize("told_of", [rank, moderate])
def test_what_the_router_reads_has_the_form_that_it_has_in_every_dialect(told_of):
    """Settled once: an ordered object is one flat array, and no array of it is wrapped."""
    nested = {
        "a": {"properties": {"b": {"x": 1.0}, "a": 1}, "c": 1.0},
        "properties": {"y": 1, "x": 2},
        "z": 1.0,
    }

    assert json.loads(told_of(requesty=nested).text)["requesty"] == {
        "a": {"properties": ["b", {"x": 1.0}, "a", 1], "c": 1.0},
        "properties": ["y", 1, "x", 2],
        "z": 1,
    }
    assert b'"c":1.0' in told_of(requesty=nested).text


@pytest.mark.parametrize(
    "form",
    [
        rank(query=...),
        rank(query=None),
        rank(query=["q"]),
        rank(documents=...),
        rank(documents=[]),
        rank(documents="a"),
        rank(top_n=0),
        rank(top_n="2"),
        rank(model=1),
        moderate(input=...),
        moderate(input=[]),
        moderate(input=7),
    ],
)
def test_wrong_types_bypass(form):
    assert isinstance(form, Bypass)
    assert form.detail == "field-type"


def test_the_facts_of_a_call():
    assert [call_of("rerank", RANK, top_n=top).choices for top in (..., None, 2, 2.0, 9)] == [3, 3, 2, 2, 3]
    assert call_of("rerank", RANK, top_k=1).choices == 1
    assert call_of("rerank", RANK, documents=[{"image": "https://e.com/a.png"}]).remote_urls
    assert call_of("rerank", RANK, model=...).bypass == "no-model"
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "http://e.com/a"}}]
    inputs = ("x", "", ["x"], ["x", "y"], parts)
    assert [call_of("moderations", MODERATE, input=given).choices for given in inputs] == [1, 1, 1, 2, 1]
    assert call_of("moderations", MODERATE, input=parts).remote_urls
    assert call_of("moderations", MODERATE, model=...).bypass == "no-model"


def test_the_profile_has_rows_for_them():
    for call in (call_of("rerank", RANK), call_of("moderations", MODERATE)):
        intended = plan(PROFILES["balanced"], call)
        assert (intended.store, intended.collapse, intended.rule) == (True, True, "function")


def ranking(*results, **fields) -> bytes:
    said = [{"index": index, "relevance_score": score} for index, score in results]
    return json.dumps({"id": "1", "results": said, "usage": {"total_tokens": 7}, **fields}).encode()


GOOD = ((2, 0.9), (0, 0.5), (1, 0))


def test_a_whole_ranking_is_stored_as_it_came():
    call = call_of("rerank", RANK)
    read = read_json(call, ranking(*GOOD))
    assert isinstance(read, Answer)
    assert read.body == ranking(*GOOD)
    assert isinstance(read_json(call_of("rerank", RANK, top_n=1), ranking((2, 0.9))), Answer)
    voyage = json.loads(ranking(*GOOD))
    voyage["data"] = voyage.pop("results")
    assert isinstance(read_json(call, json.dumps(voyage).encode()), Answer)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"[]", "bad-json"),
        (ranking(*GOOD, error={"message": "no"}), "error-body"),
        (ranking(results=None), "schema"),
        (ranking(results=[1]), "schema"),
        (b"{}", "schema"),
        (ranking((0, None), (1, 1), (2, 1)), "schema"),
        (ranking((0, "1"), (1, 1), (2, 1)), "schema"),
        (ranking((0, 1), (1, 1)), "choices"),
        (ranking((0, 1), (1, 1), (1, 1)), "choices"),
        (ranking((0, 1), (1, 1), (-1, 1)), "choices"),
        (ranking((0, 1), (1, 1), (None, 1)), "choices"),
        (ranking(), "choices"),
    ],
)
def test_rankings_that_are_not_whole_are_refused(raw, word):
    read = read_json(call_of("rerank", RANK), raw)
    assert isinstance(read, Refusal)
    assert read.detail == word


def verdicts(*results, **fields) -> bytes:
    return json.dumps({"id": "1", "model": "omni", "results": list(results), **fields}).encode()


VERDICT = {"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 0.1}}


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (verdicts(VERDICT), None),
        (verdicts({"categories": {}}), None),
        (verdicts(), "choices"),
        (verdicts(VERDICT, VERDICT), "choices"),
        (verdicts({"flagged": False}), "schema"),
        (verdicts({**VERDICT, "flagged": "no"}), "schema"),
        (verdicts(1), "schema"),
        (verdicts(VERDICT, error={"code": 1}), "error-body"),
        (b"", "bad-json"),
    ],
)
def test_only_whole_verdicts_are_kept(raw, word):
    read = read_json(call_of("moderations", MODERATE), raw)
    assert (read.detail if isinstance(read, Refusal) else None) == word


def test_an_answer_by_a_fallback_is_short_lived():
    call = call_of("moderations", MODERATE, models=["openai/a", "openai/b"])
    first, second = (read_json(call, verdicts(VERDICT, model=model)) for model in ("a", "b"))
    assert (first.short_lived, second.short_lived) == (False, True)


def test_json_is_all_they_speak():
    call, event = call_of("moderations", MODERATE), Event(b"data: {}\n\n", b"{}", b"")
    assert read_stream(call, [event]) == Refusal("media-type")
    assert not ends_stream("moderations", event)
    assert live("moderations", event, include_usage=False) == event.raw
    assert usage_of("rerank", b'{"usage":{"prompt_tokens":3}}') == Usage(3)
    assert usage_of("rerank", b"[]") == Usage()
    entry = Entry(
        "rerank",
        "json",
        200,
        (),
        b'{"usage":{"cost":2}}',
        False,
        True,
        "generic",
        "m",
        Usage(),
        Lifetime(1.0),
        0.0,
    )
    assert render(entry, "json").body == b'{"usage":{"cost":0}}'
    assert render(entry, "json", free=False).body == entry.body
    assert render(entry, "sse") is None


def test_every_field_of_the_sdks_moderations_is_in_the_table():
    known = {field.name for field in MODERATION_FIELDS}
    assert set(openai.types.ModerationCreateParams.__annotations__) - known == set()
