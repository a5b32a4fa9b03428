"""One entry answers every shape it can, and no other (SEMANTICS §2); hits cost nothing (§9)."""

import json

import pytest
from msgspec.structs import replace

from tests.core.chat_kit import (
    USAGE,
    answer,
    chunk,
    compact,
    delta,
    event,
    events,
    message,
    stored_json,
    stored_stream,
    stream,
    text_stream,
)
from tiered_cache.core.answers import live, render
from tiered_cache.core.chat_rendering import without_cost
from tiered_cache.core.validators import make_etag
from tiered_cache.core.vocabulary import Entry, Shape

SHAPES: tuple[Shape, ...] = ("json", "sse", "sse+usage")
STREAM = text_stream("x")


def body_of(entry: Entry, shape: Shape, *, free: bool = True) -> bytes | None:
    rendering = render(entry, shape, free=free)
    return None if rendering is None else rendering.body


def free_usage(body: bytes) -> bytes:
    return body.replace(b"0.00012", b"0")


@pytest.mark.parametrize("entry", [stored_stream(STREAM), stored_json(answer())], ids=["sse", "json"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_rendering_names_its_type_and_has_a_strong_tag_of_its_bytes(entry: Entry, shape: Shape) -> None:
    rendering = render(entry, shape)
    assert rendering is not None
    assert rendering.etag == make_etag(rendering.body)
    expected = b"application/json" if shape == "json" else b"text/event-stream; charset=utf-8"
    assert rendering.content_type == expected


def test_the_form_that_filled_it_is_given_as_it_came() -> None:
    pretty = json.dumps(answer(), indent=1).encode()
    assert body_of(stored_json(pretty), "json", free=False) == pretty
    assert body_of(stored_stream(STREAM), "sse+usage", free=False) == STREAM


@pytest.mark.parametrize("entry", [stored_stream(STREAM), stored_json(answer())], ids=["sse", "json"])
def test_an_entry_that_was_locked_at_its_fill_stays_so(entry: Entry) -> None:
    given = [body_of(replace(entry, locked=True), shape) is not None for shape in SHAPES]
    assert given == ([True, False, False] if entry.form == "json" else [False, True, True])


def test_the_usage_chunk_is_for_those_who_asked_for_it() -> None:
    body = body_of(stored_stream(STREAM), "sse", free=False)
    assert body == STREAM.replace(event(chunk(usage=USAGE)), b"")


def test_an_entry_without_usage_answers_only_streams_that_did_not_ask_for_it() -> None:
    entry = stored_stream(text_stream("x", usage=None))
    assert not entry.has_usage
    assert [body_of(entry, shape) is not None for shape in SHAPES] == [False, True, False]


def test_a_json_answer_without_usage_is_given_as_it_came_and_never_invents_any() -> None:
    value = answer(usage=None)
    entry = stored_json(value)
    assert body_of(entry, "json") == compact(value)
    assert body_of(entry, "sse") is not None
    assert body_of(entry, "sse+usage") is None


# --- answers that were refused storage are handed on to those who waited


def refused(body: bytes, form: str) -> Entry:
    entry = stored_stream(STREAM) if form == "sse" else stored_json(answer())
    return replace(entry, body=body, has_usage=True)


def test_a_whole_stream_that_is_not_stored_is_assembled_for_who_waits_for_json() -> None:
    body = body_of(refused(text_stream("x", finish="length"), "sse"), "json")
    assert body is not None
    assert json.loads(body)["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    "body",
    [
        STREAM.removesuffix(b"data: [DONE]\n\n"),
        STREAM.removesuffix(b"\n"),
        STREAM + event(chunk(delta(content="more"))),
        event({"error": {"message": "x"}}) + STREAM,
        b"data: {\n\n" + STREAM,
        b"data: 1\n\n" + STREAM,
        event(chunk(delta(tool_calls=[{"id": "a"}]))) + STREAM,
        event(chunk(delta(unknown=1))) + STREAM,
        text_stream("x", usage=None),
        b"",
        b"\xff",
    ],
)
def test_json_is_never_made_of_a_stream_that_is_not_whole_and_understood(body: bytes) -> None:
    entry = refused(body, "sse")
    assert body_of(entry, "json") is None
    assert body_of(entry, "sse+usage", free=False) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"error":{"message":"x"}}',
        compact({**answer(), "error": "x"}),
        compact({**answer(), "choices": None}),
        compact({**answer(), "choices": [{"index": 0, "message": None}]}),
        compact(answer(message(unknown=1))),
    ],
)
def test_a_stream_is_never_made_of_json_that_is_no_answer(body: bytes) -> None:
    entry = refused(body, "json")
    assert body_of(entry, "sse") is None
    assert body_of(entry, "sse+usage") is None
    assert body_of(entry, "json") == free_usage(body)


def test_an_entry_of_an_unknown_dialect_is_given_as_it_is_or_a_miss() -> None:
    stream, body = (replace(refused(b"whatever", form), endpoint="images/edits") for form in ("sse", "json"))
    assert all(body_of(stream, shape) is None for shape in SHAPES)
    given = {shape: body_of(body, shape) for shape in SHAPES}
    assert given == {**dict.fromkeys(SHAPES), "json": b"whatever"}


# --- cost


@pytest.mark.parametrize("entry", [stored_stream(STREAM), stored_json(answer())], ids=["sse", "json"])
@pytest.mark.parametrize("shape", ["json", "sse+usage"])
def test_a_hit_costs_nothing_and_changes_nothing_else(entry: Entry, shape: Shape) -> None:
    paid, free = body_of(entry, shape, free=False), body_of(entry, shape)
    assert paid is not None and free is not None
    assert b'"cost":0.00012' in paid
    assert free == free_usage(paid)


def test_cost_is_zero_in_every_chunk_that_names_it() -> None:
    parts = [chunk(delta(content="x"), usage=USAGE), chunk(delta(finish="stop"), usage=USAGE)]
    body = stream(*parts)
    assert body_of(stored_stream(body), "sse+usage") == free_usage(body)
    assert body_of(stored_stream(body), "sse") == free_usage(body)


@pytest.mark.parametrize(
    "usage, expected",
    [
        ('{"cost": 1.50, "prompt_tokens": 1.0}', '{"cost": 0, "prompt_tokens": 1.0}'),
        ('{"a":{"cost":1},"cost"\n:\t1 }', '{"a":{"cost":1},"cost"\n:\t0 }'),
        ('{"cost":1, "costs":1, "x":"\\"cost\\":1"}', '{"cost":0, "costs":1, "x":"\\"cost\\":1"}'),
        ('{"cost":-0.0}', '{"cost":0}'),
        ('{"cost":1e-9}', '{"cost":0}'),
        ('{"cost":1,"cost":2}', '{"cost":1,"cost":0}'),
        ('{"cost":null}', '{"cost":null}'),
        ('{"cost":"1"}', '{"cost":"1"}'),
        ('{"total":{"cost":1}}', '{"total":{"cost":1}}'),
        ('["cost",1]', '["cost",1]'),
        ("null", "null"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        '{"usage":@}',
        '{ "usage" : @ , "x":[1.0] }',
        '{"x":"\\"usage\\":{\\"cost\\":1}","usage":@}',
        '{"x":{"usage":{"cost":5}},"usage":@}',
    ],
)
def test_the_cost_of_the_usage_becomes_zero_and_no_other_byte_changes(
    text: str, usage: str, expected: str
) -> None:
    assert without_cost(text.replace("@", usage).encode()) == text.replace("@", expected).encode()


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"usage": {"cost":1, "a":{"cost":1}}}', '{"usage": {"cost":0,"a":{"cost":1}}}'),
        ('{"usage": {"cost":1, "a":"cost"}}', '{"usage": {"cost":0,"a":"cost"}}'),
        ('{"usage": {"\\u0063ost":1, "a":{"cost":1}}}', '{"usage": {"cost":0,"a":{"cost":1}}}'),
        (
            '{"usage": {"cost":1.5}, "x":{"usage":{"cost":1.5}}}',
            '{"usage":{"cost":0},"x":{"usage":{"cost":1.5}}}',
        ),
        (
            '{"usage": {"cost":1}, "x":{"usage": {"cost":1}}}',
            '{"usage":{"cost":0},"x":{"usage": {"cost":1}}}',
        ),
        ('{"usage": {"cost":1}, "x":"usage"}', '{"usage":{"cost":0},"x":"usage"}'),
    ],
)
def test_where_the_name_stands_twice_only_the_right_one_changes(text: str, expected: str) -> None:
    """The object is then written anew: spaces between its members go, values keep their text."""
    assert without_cost(text.encode()) == expected.encode()


@pytest.mark.parametrize(
    "body", [b"", b'{"cost"', b'"cost"', b'["cost"]', b'{"usage":{"cost":1}', b'{"a":"cost"}']
)
def test_what_has_no_cost_to_change_stays_as_it_is(body: bytes) -> None:
    assert without_cost(body) == body


# --- live


def live_of(body: bytes, *, include_usage: bool) -> bytes:
    return b"".join(live("chat/completions", one, include_usage=include_usage) for one in events(body))


def test_a_live_caller_gets_everything_but_a_usage_chunk_it_did_not_ask_for() -> None:
    noise = b": ping\n\n" + event(chunk(delta(content="y"), usage=None, obfuscation="x"))
    body = noise + STREAM + b"\n"
    assert live_of(body, include_usage=True) == body
    assert live_of(body, include_usage=False) == body.replace(event(chunk(usage=USAGE)), b"")


@pytest.mark.parametrize(
    "kept",
    [
        chunk(delta(content="x"), usage=USAGE),
        chunk(usage=None),
        chunk(usage=None, prompt_filter_results=[]),
        chunk(usage=USAGE, citations=["https://e.com"]),
        chunk(delta(content='"usage"')),
        {"usage": None, "x": "usage"},
    ],
)
def test_a_chunk_that_says_more_than_the_usage_is_never_withheld(kept: dict[str, object]) -> None:
    assert live_of(event(kept), include_usage=False) == event(kept)


@pytest.mark.parametrize(
    "withheld",
    [
        chunk(usage=USAGE),
        {**chunk(usage=USAGE), "choices": None},
        {"usage": USAGE},
        chunk(usage=USAGE, note=None),
    ],
)
def test_every_chunk_of_usage_alone_is_withheld(withheld: dict[str, object]) -> None:
    assert live_of(event(withheld), include_usage=False) == b""
    assert live_of(event(withheld), include_usage=True) == event(withheld)


@pytest.mark.parametrize("raw", [b'data: {"usage"\n\n', b'data: ["usage"]\n\n', b'data: "usage"\n\n'])
def test_what_cannot_be_read_passes_live(raw: bytes) -> None:
    assert live_of(raw, include_usage=False) == raw
