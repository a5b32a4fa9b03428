"""The ledger against the bill."""

import pytest

from tests.scenarios.world import Origin, Stream, answer, body, events, world
from tiered_cache import OriginCutError

PICO = 10**12


async def test_paid_plus_saved_is_what_it_would_have_cost():
    """SEMANTICS 9: hit and collapsed are savings, misses are spending; integers."""
    origin = Origin(answer(cost="0.00125"))
    async with world() as w:
        for _ in range(4):
            await w.ask(body(), origin)
        ledger = w.cache.ledger
        saved = sum(row.cost_picousd for row in ledger.rows() if row.saves)

    assert ledger.spent_picousd == 1_250_000_000
    assert saved == 3 * 1_250_000_000
    assert ledger.upstream_calls == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_that_are_not_cached_are_booked_as_spending_too(stream):
    """A sampled call is paid: a ledger without it would not reconcile with the bill."""
    sent = body(temperature=0.9, stream=stream, stream_options={"include_usage": True} if stream else ...)
    pieces = events("x", cost="0.5")
    origin = Origin(Stream(list(pieces)) if stream else answer(cost="0.5"))
    async with world() as w:
        seen = await w.ask(sent, origin)

    assert w.cache.ledger.spent_picousd == PICO // 2
    assert seen.body == (b"".join(pieces) if stream else answer(cost="0.5"))


async def test_a_cost_that_the_origin_did_not_say_is_unpriced_and_never_zero():
    """SEMANTICS 9: else unpriced, counted apart, never 0."""
    origin = Origin(Stream(events("x", usage=False)))
    async with world() as w:
        await w.ask(body(temperature=0.9, stream=True), origin)
        row = w.cache.ledger.rows()[0]

    assert (row.unpriced, row.cost_picousd, w.counted("unpriced-call")) == (1, 0, 1)


async def test_a_streams_cost_is_its_last_report_and_not_the_sum():
    """SEMANTICS 9: the last usage chunk of a stream, never the sum."""
    pieces = events("x", cost="0.25")
    pieces.insert(-1, pieces[-2].replace(b"0.25", b"0.5"))
    origin = Origin(Stream(pieces))
    async with world() as w:
        await w.ask(body(stream=True), origin)

    assert w.cache.ledger.spent_picousd == PICO // 2


@pytest.mark.parametrize("temperature", [0, 0.9])
async def test_an_answer_that_was_cut_is_unpriced_and_counted(temperature):
    """SEMANTICS 9: else unpriced, counted apart."""
    origin = Origin(OriginCutError("cut"))
    async with world() as w:
        with pytest.raises(OriginCutError):
            await w.ask(body(temperature=temperature), origin)

        assert w.counted("unpriced-call") == 1


async def test_a_stream_that_was_cut_is_booked_as_far_as_it_is_known():
    pieces = events("a b", done=False)
    origin = Origin(Stream(pieces, error=OriginCutError("cut")))
    async with world() as w:
        await w.ask(body(stream=True), origin)

        assert w.cache.ledger.spent_picousd == 1_250_000_000
        (row,) = w.cache.ledger.rows()
        assert (row.kind, row.requests) == ("error", 1)


async def test_a_connection_that_breaks_behind_the_answer_is_not_booked_twice():
    origin = Origin(Stream(events("a b"), error=ConnectionResetError("late")))
    async with world() as w:
        seen = await w.ask(body(stream=True), origin)

        assert seen.body.endswith(b"data: [DONE]\n\n")
        assert w.cache.ledger.spent_picousd == 1_250_000_000
        assert [row.requests for row in w.cache.ledger.rows()] == [1]
        assert (await w.ask(body(), origin)).hit
