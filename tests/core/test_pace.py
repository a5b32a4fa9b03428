"""When the events of a stored stream go out: examples of each dialect, by hand."""

import pytest
from msgspec.structs import replace

from tests.core import messages_kit, responses_kit
from tests.core.chat_kit import (
    USAGE,
    answer,
    chunk,
    delta,
    message,
    stored_json,
    stored_stream,
    stream,
    text_stream,
)
from tiered_cache.core.answers import render
from tiered_cache.core.pace import Step, pace
from tiered_cache.core.replay import LONGEST_GAP_MS, Arrivals, TokenRate, read_timing
from tiered_cache.core.sse import read_events

AS_RECORDED = "as-recorded"


def timed(body: bytes, *instants_s: float) -> bytes:
    """The timing of a stream of which one event came at each instant."""
    arrivals = Arrivals()
    for each, instant_s in zip(read_events(body)[0], instants_s, strict=True):
        arrivals.note([each], instant_s)
    return arrivals.timing()


def offsets(entry, shape, replay) -> list[float]:
    """The offset of each event, in order."""
    body = render(entry, shape).body
    found = []
    steps = iter(pace(entry, shape, body, replay))
    step, sent = next(steps), 0
    for each in read_events(body)[0]:
        if sent == step.end:
            step = next(steps)
        found.append(step.offset_s)
        sent += len(each.raw)
    assert sent == step.end
    assert list(steps) == []
    return found


def test_at_once_is_one_step():
    body = text_stream("a", "b")
    assert pace(stored_stream(body), "sse+usage", body, "instant") == (Step(0.0, len(body)),)


def test_a_stream_goes_out_as_it_came():
    body = text_stream("a", "b")
    entry = replace(stored_stream(body), timing=timed(body, 5.0, 5.25, 5.25, 6.0, 6.0, 6.001))
    assert offsets(entry, "sse+usage", AS_RECORDED) == [0.0, 0.25, 0.25, 1.0, 1.0, 1.001]


def test_what_a_caller_does_not_get_leaves_its_time_to_what_follows():
    body = text_stream("a")
    entry = replace(stored_stream(body), timing=timed(body, 0.0, 0.1, 0.2, 0.5, 0.6))
    assert offsets(entry, "sse", AS_RECORDED) == [0.0, 0.1, 0.2, 0.6]


def test_comments_and_pings_are_not_timed_as_they_are_not_stored():
    said = read_events(text_stream("a"))[0]
    passing = read_events(b": wait\n\nevent: ping\ndata: {}\n\n")[0]
    arrivals = Arrivals()
    arrivals.note(passing[:1], 0.0)
    arrivals.note(said[:1], 1.0)
    arrivals.note(passing, 1.5)
    arrivals.note(said[1:], 2.0)
    assert read_timing(arrivals.timing()) == (1000, 1000, 0, 0, 0)


def test_a_fast_stream_does_not_drift_and_a_long_silence_is_cut():
    said = read_events(text_stream("a"))[0]
    arrivals = Arrivals()
    for number in range(1000):
        arrivals.note(said[1:2], number * 0.0004)
    assert sum(read_timing(arrivals.timing())) == 400
    arrivals.note(said[1:2], 1_000.0)
    arrivals.note(said[1:2], 1_000.1)
    assert read_timing(arrivals.timing())[-2:] == (LONGEST_GAP_MS, 100)


@pytest.mark.parametrize("timing", [b"", b"\0", b"\0\0\1"])
def test_without_timing_everything_is_at_once(timing):
    entry = replace(stored_stream(text_stream("a", "b")), timing=timing)
    assert set(offsets(entry, "sse", AS_RECORDED)) == {0.0}


def test_an_answer_that_was_no_stream_has_no_timing():
    entry = stored_json(answer(message("hello")))
    assert set(offsets(entry, "sse", AS_RECORDED)) == {0.0}
    assert set(offsets(entry, "sse", TokenRate(1.0))) == {0.0}, "its text is one piece"


def test_tokens_are_apportioned_over_the_bytes_of_the_text():
    usage = {**USAGE, "completion_tokens": 10}
    entry = stored_stream(text_stream("ab", "cdef", "ghij", usage=usage))
    found = offsets(entry, "sse+usage", TokenRate(2.0))
    # Ten tokens for ten bytes: the first two are free, the others take half a second each.
    assert found == pytest.approx([0.0, 0.0, 2.0, 4.0, 4.0, 4.0, 4.0])


def test_where_nobody_counted_tokens_four_bytes_are_one():
    entry = stored_stream(text_stream("ab", "cdef", usage={**USAGE, "completion_tokens": 0}))
    assert offsets(entry, "sse", TokenRate(2.0)) == pytest.approx([0.0, 0.0, 0.5, 0.5, 0.5])


def test_reasoning_and_arguments_are_text_too():
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    body = stream(
        chunk(delta(role="assistant", content=None)),
        chunk(delta(reasoning_content="abcd")),
        chunk(delta(tool_calls=[call])),
        chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "{   "}}])),
        chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "}"}}])),
        chunk(delta(finish="tool_calls")),
        chunk(usage={**USAGE, "completion_tokens": 9}),
    )
    found = offsets(stored_stream(body), "sse", TokenRate(1.0))
    assert found == pytest.approx([0.0, 0.0, 0.0, 4.0, 5.0, 5.0, 5.0])


def test_messages_are_paced_by_their_deltas():
    entry = messages_kit.stored(messages_kit.judged_stream(messages_kit.stream(messages_kit.TEXT)))
    found = offsets(entry, "sse", TokenRate(1.0))
    size = sum(len(piece) for piece in messages_kit.pieces(messages_kit.TEXT["text"]))
    assert size > 0
    assert found == sorted(found)
    assert 0.0 < found[-1] < entry.usage.completion_tokens
    assert len(set(found)) == len(messages_kit.pieces(messages_kit.TEXT["text"]))


def test_responses_are_paced_by_their_deltas():
    entry = responses_kit.stored(
        responses_kit.judged_stream(responses_kit.stream(responses_kit.message(responses_kit.text_part())))
    )
    found = offsets(entry, "sse", TokenRate(1.0))
    assert found == sorted(found)
    assert len(set(found)) == 3, "the text comes in three pieces, the first of them at once"


@pytest.mark.parametrize("damage", [b"data: {\n\n", b"data: 5\n\n", b'data: {"choices":7,"delta":[]}\n\n'])
def test_events_that_cannot_be_read_have_no_text(damage):
    for kit in (messages_kit, responses_kit):
        entry = replace(kit.stored(kit.judged_stream(kit.stream(*one_part(kit)))), body=damage)
        assert pace(entry, "sse", damage, TokenRate(1.0)) == (Step(0.0, len(damage)),)
    entry = replace(stored_stream(text_stream("a")), body=damage)
    assert pace(entry, "sse", damage, TokenRate(1.0)) == (Step(0.0, len(damage)),)


def one_part(kit):
    return (kit.TEXT,) if kit is messages_kit else (kit.message(kit.text_part()),)


def test_a_body_without_events_is_one_step():
    entry = stored_stream(text_stream("a"))
    assert pace(entry, "sse", b"", AS_RECORDED) == (Step(0.0, 0),)
