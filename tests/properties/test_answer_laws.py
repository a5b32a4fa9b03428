"""Laws of answers: framing loses no byte, forms say the same, cut streams are never whole, garbage is refused."""

import json
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.core.chat_kit import CALL, compact, events, stored
from tests.properties.chat_answers import answers, streams
from tests.properties.strategies import values
from tiered_cache.core import chat_assembly
from tiered_cache.core.answers import ends_stream, live, read_json, read_stream, render
from tiered_cache.core.chat_rendering import without_cost
from tiered_cache.core.sse import EventParser, read_events
from tiered_cache.core.vocabulary import Answer, Refusal

BOM = b"\xef\xbb\xbf"
FEWER = settings(max_examples=40)  # each draws a whole stream or answer
SHAPES = ("json", "sse", "sse+usage")
line_bytes = st.lists(
    st.sampled_from([b"\r", b"\n", b"data", b":", b" ", b"x", b"event", b"\xc3\xa9", BOM, b"[DONE]"]),
    max_size=30,
).map(b"".join)


def reference(body):
    """The interpretation of WHATWG HTML §9.2.6, line by line, of a body that has ended."""
    text = body.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found, data, name = [], None, b""
    for line in text.split(b"\n")[:-1]:
        if not line:
            found += [] if data is None else [(name, data)]
            data, name = None, b""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data = value if data is None else data + b"\n" + value
        elif field == b"event":
            name = value
    return found


@settings(max_examples=500)
@given(line_bytes, st.lists(st.integers(0, 40), max_size=6))
def test_events_are_those_of_the_standard_however_the_bytes_are_cut(body, cuts):
    whole, rest = read_events(body)
    assert b"".join(event.raw for event in whole) + rest == body
    parser, found = EventParser(), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), None], strict=True):
        found += parser.feed(body[start:end])
    assert (found, parser.rest()) == (whole, rest)
    told = [(event.name, event.data) for event in whole if event.data is not None]
    wanted = reference(body)
    # A last CR may yet become a CRLF, so its event may wait for a byte that never comes.
    assert told == wanted or (body.endswith(b"\r") and told == wanted[:-1])


@st.composite
def said(draw):
    """An answer, its call, and a stream that says it."""
    answer = draw(answers())
    call = replace(CALL, choices=len(answer["choices"]))
    return answer, call, draw(streams(answer))


@FEWER
@given(said())
def test_a_stream_in_pieces_says_what_was_meant(case):
    answer, call, body = case
    found = read_stream(call, events(body))
    assert isinstance(found, Answer) and not found.locked
    rendering = render(stored(found), "json", free=False)
    assert rendering is not None
    assert without_nulls(json.loads(rendering.body)) == without_nulls(answer)


def without_nulls(answer):
    """SDKs read an absent optional field of an answer as null."""
    answer = {name: value for name, value in answer.items() if value is not None}
    for choice in answer["choices"]:
        if choice.get("logprobs") is None:
            choice.pop("logprobs", None)
    return answer


@FEWER
@given(answers(), st.booleans())
def test_json_to_stream_to_json_changes_nothing(answer, pretty):
    call = replace(CALL, choices=len(answer["choices"]))
    first = stored(read_json(call, json.dumps(answer, indent=1 if pretty else None).encode()))
    there = render(first, "sse+usage", free=False)
    assert there is not None
    second = stored(read_stream(call, events(there.body)))
    back = render(second, "json", free=False)
    assert back is not None
    assert without_nulls(json.loads(back.body)) == without_nulls(answer)
    assert (second.usage, second.model, second.content_class) == (
        first.usage,
        first.model,
        first.content_class,
    )


@FEWER
@given(said(), st.data())
def test_a_stream_cut_anywhere_is_refused(case, data):
    _, call, body = case
    cut = data.draw(st.integers(0, len(body) - 1))
    found = events(body[:cut])
    assert isinstance(read_stream(call, found), Refusal)
    assert not any(ends_stream("chat/completions", event) for event in found)


@FEWER
@given(said(), st.data())
def test_the_quick_way_through_a_stream_finds_what_the_slow_one_finds(case, data):
    _, call, body = case
    at = data.draw(st.integers(0, len(body)))
    length = data.draw(st.integers(0, 9))
    damaged = body[:at] + data.draw(st.binary(max_size=3)) + body[at + length :]
    for one in (body, damaged):
        quick = read_stream(call, events(one))
        with mock.patch.object(chat_assembly, "read_plain", return_value=None):
            slow = read_stream(call, events(one))
        assert quick == slow


@FEWER
@given(said())
def test_only_padding_and_comments_are_lost_in_storage(case):
    _, call, body = case
    entry = stored(read_stream(call, events(body)))
    rendering = render(entry, "sse+usage", free=False)
    assert rendering is not None and rendering.body == entry.body
    sent = [event.data for event in events(body) if event.data is not None]
    kept = [event.data for event in events(entry.body)]
    assert len(sent) == len(kept)
    for before, after in zip(sent, kept, strict=True):
        if before == b"[DONE]":
            assert after == before
            continue
        wanted = json.loads(before)
        padded = wanted.pop("obfuscation", None) is not None
        assert json.loads(after) == wanted
        assert padded or after == before


@FEWER
@given(said())
def test_live_and_replayed_streams_say_the_same(case):
    _, call, body = case
    entry = stored(read_stream(call, events(body)))
    for include_usage, shape in ((False, "sse"), (True, "sse+usage")):
        watched = b"".join(
            live("chat/completions", event, include_usage=include_usage) for event in events(body)
        )
        replayed = render(entry, shape, free=False)
        assert replayed is not None
        assert said_by(watched) == said_by(replayed.body)


def said_by(body):
    chunks = [json.loads(event.data) for event in events(body) if event.data not in {None, b"[DONE]"}]
    for chunk in chunks:
        chunk.pop("obfuscation", None)
    return chunks


@FEWER
@given(answers(), st.booleans())
def test_a_free_answer_differs_in_its_cost_alone(answer, spaced):
    body = json.dumps(answer).encode() if spaced else compact(answer)
    free = json.loads(without_cost(body))
    if "cost" in answer["usage"]:
        assert free["usage"]["cost"] == 0
        free["usage"]["cost"] = answer["usage"]["cost"]
    assert free == answer


chunk_like = st.fixed_dictionaries(
    {},
    optional={
        name: values(4)
        for name in ("id", "model", "choices", "usage", "error", "service_tier", "obfuscation", "other")
    },
)
choice_like = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 0, 1, None])},
    optional={
        "delta": values(3)
        | st.fixed_dictionaries({}, optional={"content": values(2), "tool_calls": values(4)}),
        "message": values(3)
        | st.fixed_dictionaries({}, optional={"content": values(2), "tool_calls": values(4)}),
        "finish_reason": st.sampled_from(["stop", None, "length", 1]),
        "logprobs": values(2),
    },
)
near_chunks = st.builds(
    lambda fields, choices: {**fields, "choices": choices}, chunk_like, st.lists(choice_like, max_size=2)
)


def renders_or_not(found):
    """Whatever was taken can be rendered in every shape or is not given in it; nothing raises."""
    assert isinstance(found, Answer | Refusal)
    if isinstance(found, Answer):
        entry = stored(found)
        assert render(entry, "sse" if entry.form == "sse" else "json") is not None
        for shape in SHAPES:
            rendering = render(entry, shape)
            assert rendering is None or rendering.body


@given(st.lists(chunk_like | near_chunks | values(3), max_size=4), st.booleans())
def test_any_json_is_judged_and_never_crashes(parts, done):
    body = b"".join(b"data: " + compact(part) + b"\n\n" for part in parts) + b"data: [DONE]\n\n" * done
    renders_or_not(read_stream(CALL, events(body)))
    for part in parts:
        renders_or_not(read_json(CALL, compact(part)))


@FEWER
@given(said(), st.data())
def test_any_bytes_are_judged_and_never_crash(case, data):
    answer, call, body = case
    for whole in (body, compact(answer)):
        at = data.draw(st.integers(0, len(whole)))
        damaged = whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 30)) :]
        renders_or_not(read_stream(call, events(damaged)))
        renders_or_not(read_json(call, damaged))
        for event in events(damaged):
            assert live("chat/completions", event, include_usage=False) in {b"", event.raw}
