"""Laws of the pace: whatever was recorded and asked, the same bytes go out, in order, from the first moment."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.core.chat_kit import USAGE, stored_stream, text_stream
from tiered_cache.core.answers import render
from tiered_cache.core.pace import pace
from tiered_cache.core.replay import LONGEST_GAP_MS, Arrivals, TokenRate
from tiered_cache.core.sse import read_events
from tiered_cache.engine.pacing import PacedBody
from tiered_cache.simulation.virtual import VirtualClock, run_virtual

texts = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12)
gaps_s = st.lists(st.floats(0, 5), min_size=40, max_size=40)
rates = st.floats(1, 100_000).map(TokenRate)
replays = st.sampled_from(["instant", "as-recorded"]) | rates
shapes = st.sampled_from(["sse", "sse+usage"])


def recorded(pieces, gaps, tokens=50):
    """An entry of these pieces of text, each event of which came so long after the one before."""
    body = text_stream(*pieces, usage={**USAGE, "completion_tokens": tokens})
    arrivals, now = Arrivals(), 100.0
    for event, gap in zip(read_events(body)[0], gaps, strict=False):
        arrivals.note([event], now)
        now += gap
    return replace(stored_stream(body), timing=arrivals.timing())


@given(texts, gaps_s, shapes, replays)
def test_steps_begin_at_once_never_go_back_and_end_with_the_body(pieces, gaps, shape, replay):
    entry = recorded(pieces, gaps)
    body = render(entry, shape).body
    steps = pace(entry, shape, body, replay)

    assert steps[0].offset_s == 0.0
    assert steps[-1].end == len(body)
    pairs = list(pairwise(steps))
    assert all(a.offset_s < b.offset_s and a.end < b.end for a, b in pairs)


@given(texts, gaps_s, shapes, replays)
def test_a_step_ends_where_an_event_ends(pieces, gaps, shape, replay):
    entry = recorded(pieces, gaps)
    body = render(entry, shape).body
    ends = [len(event.raw) for event in read_events(body)[0]]
    assert {step.end for step in pace(entry, shape, body, replay)} <= {
        sum(ends[: number + 1]) for number in range(len(ends))
    }


@given(texts, gaps_s)
def test_the_origins_timing_takes_as_long_as_the_origin_did(pieces, gaps):
    entry = recorded(pieces, gaps)
    count = len(read_events(entry.body)[0])
    took_s = sum(gaps[: count - 1])

    steps = pace(entry, "sse+usage", entry.body, "as-recorded")

    assert steps[-1].offset_s == pytest.approx(took_s, abs=0.001)
    assert max(gaps) * 1000 < LONGEST_GAP_MS


@given(texts, st.integers(1, 100_000), rates)
def test_a_rate_takes_as_long_as_the_tokens_behind_the_first_piece_take(pieces, tokens, rate):
    entry = recorded(pieces, [], tokens)
    said = [len(piece.encode()) for piece in pieces]

    steps = pace(entry, "sse", render(entry, "sse").body, rate)

    behind = sum(said[1:]) / sum(said)
    assert steps[-1].offset_s == pytest.approx(tokens * behind / rate.tokens_per_s)


@given(texts, gaps_s, shapes, replays, st.lists(st.floats(0, 3), max_size=6))
def test_a_reader_gets_the_body_in_order_however_slowly_it_reads(pieces, gaps, shape, replay, pauses):
    entry = recorded(pieces, gaps)
    body = render(entry, shape).body
    steps = pace(entry, shape, body, replay)

    async def read():
        clock = VirtualClock(asyncio.get_running_loop())
        idle = iter(pauses)
        got, begun = b"", clock.monotonic()
        async for piece in PacedBody(body, steps, clock):
            passed_s = clock.monotonic() - begun
            assert passed_s >= max(step.offset_s for step in steps if step.end <= len(got + piece)) - 1e-6
            got += piece
            await asyncio.sleep(next(idle, 0))
        return got, clock.monotonic() - begun

    got, took_s = run_virtual(read())

    assert got == body
    assert took_s <= steps[-1].offset_s + sum(pauses) + 1e-3
