"""How fast a stored stream is given again."""

import asyncio
import contextlib
import gc

import pytest

from tests.scenarios.world import EVENTS, Origin, answer, body, events, world
from tiered_cache import DiskConfig, Gives, Match, Response, Rule, TokenRate
from tiered_cache.engine.pacing import PacedBody

REPLAY = b"x-tiered-cache-replay"
AS_RECORDED = (REPLAY, b"as-recorded")
SLOWLY = (REPLAY, b"tokens_per_s=1")


class Timed:
    """A stream that takes time on the world's clock: so many seconds before each piece."""

    def __init__(self, clock, *pieces):
        self._clock = clock
        self._pieces = iter(pieces)

    def __aiter__(self):
        return self

    async def __anext__(self):
        for piece, seconds in self._pieces:
            self._clock.advance(seconds)
            return piece
        raise StopAsyncIteration


def stream(text="one two three", **fields):
    return body(text, stream=True, **fields)


async def fill(w, gaps=(1.0, 0.0, 0.5, 2.0, 0.0, 0.0, 0.0), text="one two three"):
    """Store the stream of `text`, whose events come so many seconds after one another."""
    pieces = events(text)
    timed = Timed(w.clock, *zip(pieces, gaps, strict=True))
    origin = Origin(lambda _: Response(200, (EVENTS,), timed))
    return await w.ask(stream(), origin)


async def pieces_at(w, response):
    """Each piece with the seconds since the answer began; time passes only while the reader waits."""
    begun, got = w.clock.monotonic(), []
    reading = asyncio.ensure_future(anext(response.body))
    while True:
        for _ in range(3):
            await asyncio.sleep(0)
        if not reading.done():
            w.clock.advance(0.125)
            continue
        if isinstance(reading.exception(), StopAsyncIteration):
            return got
        got.append((w.clock.monotonic() - begun, reading.result()))
        reading = asyncio.ensure_future(anext(response.body))


async def test_a_stored_stream_comes_at_once_unless_somebody_asks_otherwise():
    """Replays are at once by default (SEMANTICS 2)."""
    async with world() as w:
        await fill(w)
        for headers in ((), ((REPLAY, b"instant"),)):
            response = await w.cache.serve(w.request(stream(), *headers), Origin())
            assert isinstance(response.body, bytes)
            assert response.outcome.kind == "hit"


async def test_as_recorded_every_event_comes_as_long_after_the_first_as_it_did_from_the_origin():
    async with world() as w:
        await fill(w)
        response = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        got = await pieces_at(w, response)
        whole = (await w.ask(stream(), Origin())).body

    assert [at for at, _ in got] == [0.0, 0.5, 2.5]
    assert [piece.count(b"data: ") for _, piece in got] == [2, 1, 3]
    assert b"".join(piece for _, piece in got) == whole


async def test_the_withheld_usage_chunk_is_no_piece_of_its_own():
    async with world() as w:
        await fill(w, gaps=(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0))
        response = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        got = await pieces_at(w, response)

    assert [at for at, _ in got] == [0.0, 2.0]
    assert got[-1][1] == b"data: [DONE]\n\n"


async def test_at_a_steady_rate_the_first_text_is_at_once_and_the_rest_takes_its_tokens():
    """Three tokens on eleven bytes, of which eight come behind the first piece."""
    async with world() as w:
        await fill(w)
        response = await w.cache.serve(w.request(stream(), SLOWLY), Origin())
        got = await pieces_at(w, response)

    assert got[0][0] == 0.0
    assert b"one" in got[0][1]
    assert got[-1][0] == pytest.approx(3 * 8 / 11, abs=0.125)


async def test_the_header_fields_are_those_of_any_hit():
    """The body is whole, so that its tag is known; only how fast it comes is another."""
    async with world() as w:
        await fill(w)
        paced = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        await paced.body.aclose()
        plain = await w.ask(stream(), Origin())

    own = {b"x-request-id": b""}
    assert dict(paced.headers) | own == plain.headers | own
    assert paced.outcome == plain.response.outcome


async def test_a_tag_that_matches_is_answered_304_without_a_wait():
    async with world() as w:
        await fill(w)
        tag = (await w.ask(stream(), Origin())).headers[b"etag"]
        seen = await w.ask(stream(), Origin(), AS_RECORDED, (b"if-none-match", tag))

    assert (seen.status, seen.body) == (304, b"")
    assert w.clock.sleeping == 0


async def test_json_is_never_paced():
    async with world() as w:
        await fill(w)
        hit = await w.cache.serve(w.request(body("one two three"), SLOWLY), Origin())

    assert hit.outcome.kind == "hit"
    assert isinstance(hit.body, bytes)


async def test_what_the_origin_answered_as_json_has_one_piece_of_text_and_comes_at_once():
    async with world() as w:
        await w.ask(body("x"), Origin(answer("hi there")))
        for replay in (AS_RECORDED, SLOWLY):
            seen = await w.ask(body("x", stream=True), Origin(), replay)
            assert seen.text == "hi there"


async def test_a_miss_is_not_paced_and_its_answer_is_stored_once():
    async with world() as w:
        origin = Origin(lambda _: Response(200, (EVENTS,), Timed(w.clock, *[(e, 0.0) for e in events()])))
        first = await w.ask(stream(), origin, SLOWLY)
        assert (await w.ask(stream(), origin)).hit

    assert "fwd=uri-miss" in first.cache_status
    assert origin.calls == 1


async def test_the_pace_is_not_in_the_key_and_not_sent_on():
    """How fast an answer comes does not change it."""
    async with world() as w:
        await fill(w)
        keys = {
            w.cache.explain(w.request(stream(), *headers)).key for headers in ((), (SLOWLY,), (AS_RECORDED,))
        }

    assert len(keys) == 1


async def test_a_pace_that_is_not_known_is_a_bypass():
    """As for every field of our own (decision 0009)."""
    async with world() as w:
        await fill(w)
        origin = Origin(answer("new"))
        seen = await w.ask(body("one two three"), origin, (REPLAY, b"slowly"))

    assert seen.cache_status == "tiered-cache; fwd=bypass; fwd-status=200; detail=bad-replay"


async def test_a_reader_that_leaves_while_it_waits_leaves_nothing_behind():
    async with world() as w:
        await fill(w)
        response = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        assert isinstance(response.body, PacedBody)
        await anext(response.body)
        before = asyncio.all_tasks()
        waiting = asyncio.ensure_future(anext(response.body))
        await asyncio.sleep(0)
        assert w.clock.sleeping == 1
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await response.body.aclose()

        assert w.clock.sleeping == 0
        assert asyncio.all_tasks() == before
        assert [piece async for piece in response.body] == []


async def test_ten_thousand_readers_who_leave_leave_nothing_behind():
    """No task, no sleeper, and no memory but that of the entry."""
    async with world() as w:
        await fill(w)
        request = w.request(stream(), AS_RECORDED)

        async def leave_early():
            response = await w.cache.serve(request, Origin())
            await anext(response.body)
            waiting = asyncio.ensure_future(anext(response.body))
            await asyncio.sleep(0)
            waiting.cancel()
            await response.body.aclose()

        await leave_early()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(100):
            await asyncio.gather(*[leave_early() for _ in range(100)])
        await asyncio.sleep(0)
        gc.collect()

        assert len(gc.get_objects()) - before < 200
        assert w.clock.sleeping == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_body_that_is_closed_while_somebody_waits_for_it_ends():
    async with world() as w:
        await fill(w)
        response = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        await anext(response.body)
        waiting = asyncio.ensure_future(anext(response.body))
        await asyncio.sleep(0)
        await response.body.aclose()
        w.clock.advance(10)
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_a_slow_reader_holds_nobody_up_and_catches_up():
    async with world() as w:
        await fill(w)
        slow = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        quick = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        first = await anext(slow.body)
        w.clock.advance(60)
        got = await pieces_at(w, quick)
        rest = await anext(slow.body)
        with pytest.raises(StopAsyncIteration):
            await anext(slow.body)

    assert [at for at, _ in got] == [0.0, 0.5, 2.5]
    assert first + rest == b"".join(piece for _, piece in got)


async def test_the_timing_is_in_every_tier(tmp_path):
    """What another start of the process reads from the disk goes out as it came the first time."""
    disk = DiskConfig(directory=str(tmp_path), read_deadline_s=10.0)
    async with world(disk=disk) as w:
        await fill(w)
    async with world(disk=disk) as w:
        w.clock.advance(60)
        response = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        got = await pieces_at(w, response)

    assert "detail=disk" in dict(response.headers)[b"cache-status"].decode()
    assert [at for at, _ in got] == [0.0, 0.5, 2.5]


def ruled(replay, **match):
    return Rule(match=Match(**match), gives=Gives(replay=replay))


async def test_a_rule_paces_all_that_it_covers_and_peek_leaves_them_to_serve():
    async with world(rules=(ruled("as-recorded", models=("openai/*",)),)) as w:
        await fill(w)
        request = w.request(stream())
        assert w.cache.peek(request) is None
        got = await pieces_at(w, await w.cache.serve(request, Origin()))
        assert w.cache.peek(w.request(body("one two three"))).outcome.kind == "hit"

    assert [at for at, _ in got] == [0.0, 0.5, 2.5]


async def test_what_no_paced_rule_covers_is_answered_by_peek():
    async with world(rules=(ruled("as-recorded", models=("azure/*",)), ruled("instant"))) as w:
        await fill(w)
        assert isinstance(w.cache.peek(w.request(stream())).body, bytes)


async def test_a_callers_own_pace_wins_over_the_rules():
    async with world(rules=(ruled(TokenRate(1)),)) as w:
        await fill(w)
        at_once = await w.cache.serve(w.request(stream(), (REPLAY, b"instant")), Origin())
        recorded = await w.cache.serve(w.request(stream(), AS_RECORDED), Origin())
        got = await pieces_at(w, recorded)

    assert isinstance(at_once.body, bytes)
    assert [at for at, _ in got] == [0.0, 0.5, 2.5]


async def test_a_stale_answer_is_paced_as_a_fresh_one():
    rule = Rule(gives=Gives(fresh_s=10, stale_if_error_s=100, replay="as-recorded"))
    async with world(rules=(rule,)) as w:
        await fill(w)
        w.clock.advance(50)
        response = await w.cache.serve(w.request(stream()), Origin(Response(503, (), b"down")))
        got = await pieces_at(w, response)

    assert "stale-if-error" in dict(response.headers)[b"cache-status"].decode()
    assert [at for at, _ in got] == [0.0, 0.5, 2.5]


async def test_explain_says_the_pace():
    async with world(rules=(ruled(TokenRate(5)),)) as w:
        told = [w.cache.explain(w.request(stream(), *more)).replay for more in ((), (AS_RECORDED,))]

    assert told == [TokenRate(5), "as-recorded"]


async def test_values_are_paced_as_bytes_are():
    """`Cache.call` gives the chunks of a gateway that holds parsed bodies."""
    async with world() as w:
        await fill(w)
        request = w.request(stream(), AS_RECORDED)
        asked = {"model": "openai/gpt-4o-mini", "temperature": 0, "stream": True}
        asked["messages"] = [{"role": "user", "content": "one two three"}]

        async def fetch(_):
            raise AssertionError("it is stored")

        result = await w.cache.call("chat/completions", asked, fetch, scope=request.scope, ask=request.ask)
        await anext(result.value)
        await anext(result.value)
        waiting = asyncio.ensure_future(anext(result.value))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        w.clock.advance(3)
        await waiting
        rest = [chunk async for chunk in result.value]

    assert len(rest) == 2
