"""What rules and retries change about who shares a call with whom, and how long a call lives."""

import asyncio
import json

import pytest

from tests.scenarios.test_live import RETRY, STREAM, USAGE, Tap, rest, serve, settle, status
from tests.scenarios.world import JSON, OTHER_KEY, Origin, Seen, answer, body, events, world
from tiered_cache import Gives, OriginCutError, Response, Rule

pytestmark = pytest.mark.usefixtures("no_task_left")

SAMPLED = {"temperature": 0.9}


def ruled(**gives):
    return {"rules": (Rule(gives=Gives(**gives)),)}


async def test_a_stream_caller_follows_json_where_a_rule_says_so():
    """SEMANTICS 5: a stream caller follows a JSON flight only by rule."""
    origin = Origin(answer("both"))
    origin.gate = asyncio.Event()
    async with world(**ruled(follow_json=True)) as w:
        first = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        second = asyncio.ensure_future(w.ask(USAGE, origin))
        await settle()
        origin.gate.set()
        seen = await first, await second

    assert [each.text for each in seen] == ["both", "both"]
    assert seen[1].body.endswith(b"data: [DONE]\n\n")
    assert "collapsed" in seen[1].cache_status
    assert origin.calls == 1


async def test_every_lead_is_a_stream_where_a_rule_says_so():
    """SEMANTICS 5: `upstream_stream = true` (rule, off) makes every lead a stream."""
    tap = Tap()
    origin = Origin(tap)
    async with world(**ruled(upstream_stream=True)) as w:
        whole = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        live = await serve(w, STREAM, origin)
        tap.write(*events("one")[:2])
        assert b"one" in await anext(live.body)
        tap.write(*events("one two")[2:])
        tap.end()
        streamed, seen = await Seen.of(live), await whole
        hit = await w.ask(body(), origin)
        sent = json.loads(origin.requests[0].body)

    assert sent["stream"] is True and sent["stream_options"] == {"include_usage": True}
    assert origin.calls == 1
    assert seen.headers[b"content-type"] == b"application/json"
    assert "fwd=uri-miss" in seen.cache_status and "stored" in seen.cache_status
    assert b"etag" not in seen.headers or seen.headers[b"etag"].startswith(b"W/")
    assert (seen.text, streamed.text, hit.text) == ("onetwo", "two", "onetwo")
    assert (seen.json["usage"]["cost"], hit.json["usage"]["cost"]) == (0.00125, 0)


async def test_a_stream_that_has_no_json_is_asked_for_as_json():
    """Decision 0039: where the stream says something that JSON cannot, the origin is asked again."""
    odd = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a","x_new":{"a":1}}}]}\n\n'
    tap = Tap()
    origin = Origin(tap, answer("plain"))
    async with world(**ruled(upstream_stream=True)) as w:
        whole = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        pieces = events("a")
        tap.write(pieces[0], odd, *pieces[1:])
        tap.end()
        seen = await whole

    assert (seen.text, origin.calls) == ("plain", 2)
    assert b'"stream"' not in origin.requests[1].body


async def test_a_json_leader_of_a_stream_that_fails_gets_an_error():
    """SEMANTICS 5: JSON callers get 502."""
    tap = Tap()
    origin = Origin(tap)
    async with world(**ruled(upstream_stream=True)) as w:
        whole = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        tap.write(events("half")[0], b'data: {"error":{"message":"no"}}\n\n')
        tap.end()
        with pytest.raises(OriginCutError):
            await whole

    assert origin.calls == 1


@pytest.mark.parametrize("fields", [SAMPLED, {"temperature": 0.9, "stream": True}])
async def test_a_retry_joins_a_sample_that_runs(fields):
    """SEMANTICS 5: `x-stainless-retry-count` >= 1 joins a running flight whatever the collapse rule."""
    gate = asyncio.Event()
    tap = Tap()
    origin = Origin(tap if "stream" in fields else answer("sample"))
    origin.gate = gate
    async with world() as w:
        first = asyncio.ensure_future(w.ask(body(**fields), origin))
        await settle()
        retry = asyncio.ensure_future(w.ask(body(**fields), origin, RETRY))
        stranger = asyncio.ensure_future(w.ask(body(**fields), origin, RETRY, key=OTHER_KEY))
        await settle()
        first.cancel()
        assert origin.calls == 2
        tap.write(*events("sample", usage=False))
        tap.end()
        tap.write(*events("sample", usage=False))
        tap.end()
        gate.set()
        seen, other = await retry, await stranger
        rows = sorted((row.kind, row.requests) for row in w.cache.ledger.rows())

    assert seen.text == other.text == "sample"
    assert "fwd=bypass" in seen.cache_status and "collapsed" in seen.cache_status
    assert "detail=sampled" in seen.cache_status
    assert "collapsed" not in other.cache_status
    assert rows == [("bypass", 1), ("bypass", 1), ("collapsed", 1)]
    assert w.counted("bypass", "sampled") == 2
    assert not w.counted("stored")


async def test_calls_that_no_rule_shares_are_not_joined_by_new_calls():
    """SEMANTICS 3: sampled calls are neither stored nor collapsed; the origin gets the caller's bytes."""
    taps = Tap(), Tap()
    origin = Origin(*taps)
    sent = body(stream=True, **SAMPLED)
    async with world() as w:
        both = [await serve(w, sent, origin) for _ in range(2)]
        for tap, text in zip(taps, "ab", strict=True):
            tap.write(*events(text, usage=False))
            tap.end()
        seen = [await rest(response) for response in both]

    assert [b'"a"' in each for each in seen] == [True, False]
    assert {request.body for request in origin.requests} == {sent}
    assert {status(response) for response in both} == {
        "tiered-cache; fwd=bypass; fwd-status=200; detail=sampled"
    }


async def test_no_store_is_neither_joined_nor_joins_even_as_a_retry():
    """SEMANTICS 3: no-store: no hit, no join, nothing stored."""
    gate = asyncio.Event()
    origin = Origin(answer("a"), answer("b"))
    origin.gate = gate
    async with world() as w:
        first = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        second = asyncio.ensure_future(w.ask(body(), origin, RETRY, (b"cache-control", b"no-store")))
        await settle()
        gate.set()
        assert [(await first).text, (await second).text] == ["a", "b"]


async def test_a_sample_that_all_left_is_given_up_when_its_linger_is_over():
    """Decision 0038: what would not be stored is of use to nobody."""
    gate = asyncio.Event()
    origin = Origin(answer("never"))
    origin.gate = gate
    async with world(linger_s=0.01) as w:
        first = asyncio.ensure_future(w.ask(body(**SAMPLED), origin))
        await settle()
        first.cancel()
        await asyncio.sleep(0.05)
        assert w.cache.traffic().flights == 0
        assert w.counted("abandoned", "cancelled") == 1


async def test_a_rule_cancels_what_all_have_left():
    """SEMANTICS 5: `on_abandon = "finish" | "cancel"` overrides."""
    origin = Origin(answer("never"))
    origin.gate = asyncio.Event()
    async with world(**ruled(on_abandon="cancel", linger_s=0.01)) as w:
        first = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        first.cancel()
        await asyncio.sleep(0.05)
        assert w.cache.traffic().flights == 0


async def test_a_rule_finishes_even_a_young_stream():
    """SEMANTICS 5: `on_abandon = "finish"` overrides; finished-for-nobody is the cache's own spending."""
    tap = Tap()
    origin = Origin(tap)
    async with world(**ruled(on_abandon="finish", linger_s=0.01)) as w:
        leader = await serve(w, STREAM, origin)
        await leader.body.aclose()
        await asyncio.sleep(0.05)
        traffic = w.cache.traffic()
        tap.write(*events("kept"))
        tap.end()
        await settle()
        hit = await w.ask(body(), origin)

    assert (traffic.flights, traffic.callers, traffic.lingering) == (1, 0, 1)
    assert (hit.hit, hit.text) == (True, "kept")
    assert w.cache.ledger.spent_for_nobody_picousd == 1_250_000_000
    assert w.counted("abandoned", "finished") == 1


async def test_flights_are_counted():
    """Issue 5: metrics for flights, leaders, followers, takeovers, upstream calls avoided."""
    broken, second = Tap(), Tap()
    origin = Origin(broken, second)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        followers = [await serve(w, STREAM, origin) for _ in range(3)]
        traffic = w.cache.traffic()
        reading = [asyncio.ensure_future(rest(response)) for response in followers]
        await settle()
        broken.end(OriginCutError("cut"))
        second.write(*events("x"))
        second.end()
        await asyncio.gather(*reading)
        await rest(leader)
        counts = {name: w.cache.ledger.counts[name, "stream"] for name in ("flight", "leader", "follower")}

    assert (traffic.flights, traffic.streams, traffic.callers, traffic.lingering) == (1, 1, 4, 0)
    assert counts == {"flight": 2, "leader": 2, "follower": 5}
    assert w.counted("takeover") == 1
    assert w.counted("upstream-calls-avoided") == 2
    assert w.cache.traffic().flights == 0


async def test_an_error_of_a_call_that_is_not_stored_is_passed_on_as_it_is():
    """SEMANTICS 7: what the origin answers is passed on."""
    error = Response(400, (JSON, (b"x-request-id", b"o")), b'{"error":{"message":"no"}}')
    async with world() as w:
        seen = await w.ask(body(**SAMPLED), Origin(error))

    assert (seen.status, seen.body, seen.headers[b"x-request-id"]) == (400, error.body, b"o")
    assert seen.cache_status == "tiered-cache; fwd=bypass; fwd-status=400; detail=sampled"


def test_explain_lists_the_edit_that_a_rule_makes():
    """SEMANTICS 1: exactly these edits, listed by `explain`."""

    async def edits(**gives):
        async with world(**ruled(**gives)) as w:
            return [edit.path for edit in w.cache.explain(w.request(body())).edits]

    assert asyncio.run(edits(upstream_stream=True)) == ["stream", "stream_options.include_usage"]
    assert asyncio.run(edits()) == []
