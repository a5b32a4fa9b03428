"""Equal calls at the same time."""

import asyncio
import hashlib

import pytest

from tests.scenarios.world import EVENTS, JSON, OTHER_KEY, Origin, Stream, answer, body, events, world
from tiered_cache import OriginCutError, OriginTimeoutError, OriginUnreachableError, Response
from tiered_cache.engine.config import MemoryConfig

pytestmark = pytest.mark.usefixtures("no_task_left")


async def together(*calls):
    return await asyncio.gather(*calls, return_exceptions=True)


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_hundred_identical_calls_make_one_upstream_call():
    """SEMANTICS 5: N identical calls in a process: one upstream call."""
    origin = Origin(answer("one"))
    origin.gate = asyncio.Event()
    async with world() as w:
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(100)]
        await settle()
        origin.gate.set()
        seen = await together(*calls)

    assert origin.calls == 1
    assert {each.text for each in seen} == {"one"}
    collapsed = [each for each in seen if "collapsed" in each.cache_status]
    assert len(collapsed) == 99
    assert {each.json["usage"]["cost"] for each in collapsed} == {0}
    assert {each.headers[b"x-tiered-cache-saved-usd"] for each in collapsed} == {b"0.00125"}


async def test_sampled_calls_are_neither_stored_nor_collapsed():
    """SEMANTICS 3: temperature > 0 stated without seed."""
    origin = Origin(answer("a"), answer("b"), answer("c"))
    async with world() as w:
        seen = await together(*[w.ask(body(temperature=0.9), origin) for _ in range(3)])

    assert sorted(each.text for each in seen) == ["a", "b", "c"]
    assert all("fwd=bypass" in each.cache_status for each in seen)


async def test_a_json_caller_follows_a_stream_and_gets_the_whole_answer():
    """SEMANTICS 5: JSON callers may follow a stream flight."""
    gate = asyncio.Event()
    origin = Origin(Stream(events("a b"), gate=gate))
    async with world() as w:
        stream = asyncio.ensure_future(w.ask(body(stream=True), origin))
        await settle()
        follower = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        gate.set()
        streamed, followed = await together(stream, follower)

    assert origin.calls == 1
    assert (streamed.text, followed.text) == ("ab", "ab")
    assert "collapsed" in followed.cache_status


async def test_a_stream_caller_does_not_follow_a_json_call():
    """SEMANTICS 5: it would see no token until the end, so it leads its own."""
    origin = Origin(answer("j"), Stream(events("s")))
    origin.gate = asyncio.Event()
    async with world() as w:
        calls = [
            asyncio.ensure_future(w.ask(body(), origin)),
            asyncio.ensure_future(w.ask(body(stream=True), origin)),
        ]
        await settle()
        origin.gate.set()
        seen = await together(*calls)

    assert [each.text for each in seen] == ["j", "s"]


async def test_an_error_response_goes_to_all_who_wait_and_is_not_stored():
    """SEMANTICS 5: a complete HTTP response of any status ends the flight; no retry storms."""
    error = Response(429, (JSON, (b"retry-after", b"2")), b'{"error":{"message":"slow down"}}')
    origin = Origin(error, answer("later"))
    origin.gate = asyncio.Event()
    async with world() as w:
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(10)]
        await settle()
        origin.gate.set()
        seen = await together(*calls)
        later = await w.ask(body(), origin)

    assert [each.status for each in seen] == [429] * 10
    assert {each.headers[b"retry-after"] for each in seen} == {b"2"}
    assert (later.text, origin.calls) == ("later", 2)


async def test_a_refused_credential_says_nothing_about_another():
    """SEMANTICS 5: 401/402/403/412 only to callers with the leader's credential, the others start anew."""
    digests = {hashlib.sha256(key).hexdigest(): "acme" for key in (b"rqy_one", b"rqy_two")}
    origin = Origin(Response(401, (JSON,), b'{"error":{}}'), answer("yours"))
    origin.gate = asyncio.Event()
    async with world(tenants=digests) as w:
        first = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        same = asyncio.ensure_future(w.ask(body(), origin))
        other = asyncio.ensure_future(w.ask(body(), origin, key=OTHER_KEY))
        await settle()
        origin.gate.set()
        seen = await together(first, same, other)

    assert [each.status for each in seen] == [401, 401, 200]


async def test_after_a_401_the_credential_gets_no_hits_until_a_2xx():
    """SEMANTICS 1: a 401/403 closes a credential's own partition until its next 2xx."""
    origin = Origin(answer("a"), Response(401, (JSON,), b"{}"), answer("fresh"))
    async with world() as w:
        await w.ask(body("a"), origin)
        await w.ask(body("b"), origin)
        closed = await w.ask(body("a"), origin)
        reopened = await w.ask(body("a"), origin)

    assert (closed.hit, closed.text, reopened.hit) == (False, "fresh", True)


async def test_a_transport_failure_elects_one_successor():
    """SEMANTICS 5: only a transport failure elects a successor: one takeover per flight."""
    origin = Origin(OriginUnreachableError("refused"), answer("second try"))
    origin.gate = asyncio.Event()
    async with world() as w:
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(10)]
        await settle()
        origin.gate.set()
        seen = await together(*calls)

    assert isinstance(seen[0], OriginUnreachableError)
    assert {each.text for each in seen[1:]} == {"second try"}
    assert origin.calls == 2


async def test_a_second_transport_failure_fails_all():
    """SEMANTICS 5: one takeover per flight, then the error. No retry storms."""
    origin = Origin(OriginUnreachableError("refused"))
    origin.gate = asyncio.Event()
    async with world() as w:
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(10)]
        await settle()
        origin.gate.set()
        seen = await together(*calls)

    assert all(isinstance(each, OriginUnreachableError) for each in seen)
    assert origin.calls == 2


async def test_an_answer_cut_short_by_length_goes_to_all_who_joined_and_is_not_stored():
    """SEMANTICS 5: what only the body shows is delivered to all who joined, not stored, hit-for-miss."""
    origin = Origin(answer("cut", finish="length"))
    origin.gate = asyncio.Event()
    async with world() as w:
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(3)]
        await settle()
        origin.gate.set()
        seen = await together(*calls)
        origin.gate.clear()
        parallel = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(3)]
        await settle()
        in_parallel = origin.calls
        origin.gate.set()
        await together(*parallel)

    assert [each.text for each in seen] == ["cut"] * 3
    assert "detail=finish-reason" in seen[0].cache_status
    assert in_parallel == 4, "nobody waits for an answer that will not be stored"


async def test_what_the_headers_forbid_releases_followers_at_once():
    """SEMANTICS 5: origin no-store releases followers at once, in parallel, with hit-for-miss."""
    gates = [asyncio.Event(), asyncio.Event()]

    def forbidden(number):
        stream = Stream(events(str(number)), gate=gates[number])
        return Response(
            200, ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")), stream
        )

    origin = Origin(forbidden(0), forbidden(1), answer("json"))
    async with world() as w:
        leader = asyncio.ensure_future(w.ask(body(stream=True), origin))
        await settle()
        follower = asyncio.ensure_future(w.ask(body(stream=True), origin))
        await settle()
        assert origin.calls == 2, "the follower did not wait for the stream's end"
        for gate in gates:
            gate.set()
        seen = await together(leader, follower)

    assert [each.text for each in seen] == ["0", "1"]
    assert w.counted("refused", "origin-no-store") == 2


async def test_the_leader_may_leave_and_the_followers_get_their_answer():
    """SEMANTICS 5: a client that hangs up never costs another client its answer."""
    origin = Origin(answer("kept"))
    origin.gate = asyncio.Event()
    async with world() as w:
        leader = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        follower = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        leader.cancel()
        await settle()
        origin.gate.set()
        seen = await follower

    assert (seen.text, origin.calls) == ("kept", 1)


async def test_a_call_that_everybody_left_is_finished_and_stored():
    """SEMANTICS 5: the call lives on linger_s; then JSON answers finish and are stored, booked as own spending."""
    origin = Origin(answer("for nobody"))
    origin.gate = asyncio.Event()
    async with world() as w:
        caller = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        caller.cancel()
        await settle()
        origin.gate.set()
        await settle()
        hit = await w.ask(body(), origin)

    assert (hit.hit, origin.calls) == (True, 1)
    assert w.cache.ledger.spent_for_nobody_picousd == 1_250_000_000


async def test_a_young_stream_that_everybody_left_is_cancelled_after_its_linger():
    """SEMANTICS 5: younger streams are cancelled."""
    stream = Stream(events("never"), gate=asyncio.Event())
    origin = Origin(stream, answer("anew"))
    async with world(linger_s=0.01) as w:
        response = await w.cache.serve(w.request(body(stream=True)), origin)
        await response.body.aclose()
        await asyncio.sleep(0.05)
        closed = stream.closed
        anew = await w.ask(body(), origin)

    assert closed
    assert anew.text == "anew"


async def test_a_cut_stream_ends_with_an_error_event_and_is_never_stored():
    """SEMANTICS 5: failure after headers: data: {"error":…} without [DONE]."""
    origin = Origin(Stream(events("half", done=False), error=OriginCutError("cut")), answer("whole"))
    async with world() as w:
        cut = await w.ask(body(stream=True), origin)
        whole = await w.ask(body(), origin)

    assert cut.body.count(b'data: {"error"') == 1
    assert b"[DONE]" not in cut.body
    assert (whole.text, whole.hit) == ("whole", False)


async def test_a_stream_that_ends_early_without_an_error_is_passed_on_and_not_stored():
    """SEMANTICS 2: stored only if framing is complete: [DONE] when streamed."""
    origin = Origin(Stream(events("half", done=False)), answer("whole"))
    async with world() as w:
        await w.ask(body(stream=True), origin)
        whole = await w.ask(body(), origin)

    assert not whole.hit
    assert w.counted("refused", "incomplete") == 1


async def test_a_streams_leader_reads_events_as_they_come():
    """Issue 2: passed on event by event while it is recorded."""
    pieces = events("a b c", usage=False)
    written: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def tail():
        while (piece := await written.get()) is not None:
            yield piece

    async def origin(request):
        return Response(200, (EVENTS,), tail())

    async with world() as w:
        asking = asyncio.ensure_future(w.cache.serve(w.request(body(stream=True)), origin))
        got = []
        for piece in pieces:
            written.put_nowait(piece)
            response = await asyncio.wait_for(asyncio.shield(asking), 5)
            got.append(await asyncio.wait_for(anext(response.body), 5))
        written.put_nowait(None)
        with pytest.raises(StopAsyncIteration):
            await anext(response.body)

    assert got == pieces


async def test_an_older_call_never_overwrites_the_answer_of_a_no_cache_call():
    """SEMANTICS 3: no-cache: not joined to an older flight; its answer replaces the entry."""
    old = asyncio.Event()

    async def slow(request):
        await old.wait()
        return Response(200, (JSON,), answer("old"))

    fast = Origin(answer("new"))
    async with world() as w:
        first = asyncio.ensure_future(w.ask(body(), slow))
        await settle()
        newer = await w.ask(body(), fast, (b"cache-control", b"no-cache"))
        old.set()
        await first
        hit = await w.ask(body(), fast)

    assert (newer.text, hit.text, hit.hit) == ("new", "new", True)
    assert "fwd=request" in newer.cache_status


async def test_a_defect_of_ours_costs_the_leader_nothing(monkeypatch):
    """SEMANTICS 7: no fault of ours becomes the caller's error; it is counted."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("tiered_cache.engine.judge.read_stream", broken)
    monkeypatch.setattr("tiered_cache.engine.judge.read_json", broken)
    pieces = events("whole", usage=False)
    origin = Origin(Stream(list(pieces)), answer("json"))
    async with world() as w:
        streamed = await w.ask(body(stream=True), origin)
        whole = await w.ask(body(), origin)
        await settle()

    assert streamed.body == b"".join(pieces)
    assert whole.text == "json"
    assert w.counted("fault", "flight:ZeroDivisionError") == 2


async def test_a_json_follower_does_not_wait_for_the_connection_to_close():
    """SEMANTICS 5: waiters are woken by the answer; an origin may keep its stream open behind [DONE]."""
    hold, release = asyncio.Event(), asyncio.Event()

    class Lingering(Stream):
        async def __anext__(self):
            await release.wait()
            if not self.pieces:
                await hold.wait()
            return await super().__anext__()

    origin = Origin(Lingering(events("a b")))
    async with world() as w:
        stream = asyncio.ensure_future(w.ask(body(stream=True), origin))
        await settle()
        follower = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        release.set()
        seen = await asyncio.wait_for(follower, 5)
        assert seen.text == "ab"
        hold.set()
        await stream


async def test_a_callers_deadline_is_counted_once():
    origin = Origin(answer())
    origin.gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with world() as w:
        leader = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        began_s = loop.time()
        with pytest.raises(OriginTimeoutError):
            await w.ask(body(), origin, (b"x-stainless-read-timeout", b"0.3"))
        took_s = loop.time() - began_s
        origin.gate.set()
        await leader

    assert 0.29 <= took_s < 0.55


async def test_a_leader_who_runs_out_of_time_costs_nobody_else_the_answer():
    """SEMANTICS 5: each keeps its own deadline; the call lives on for the retry."""
    origin = Origin(answer())
    origin.gate = asyncio.Event()
    async with world() as w:
        leader = asyncio.ensure_future(w.ask(body(), origin, (b"x-stainless-read-timeout", b"0.05")))
        await settle()
        follower = asyncio.ensure_future(w.ask(body(), origin))
        with pytest.raises(OriginTimeoutError):
            await leader
        retry = asyncio.ensure_future(w.ask(body(), origin, (b"x-stainless-retry-count", b"1")))
        await settle()
        origin.gate.set()

        assert (await follower).text == (await retry).text == "hi"
    assert origin.calls == 1


async def test_an_origin_body_that_breaks_is_not_paid_again_by_everybody():
    """SEMANTICS 5: one takeover per flight, no retry storms."""
    gate = asyncio.Event()

    def broken(_request):
        return Response(200, (JSON,), Stream([b"{"], error=ConnectionResetError("cut"), gate=gate))

    origin = Origin(broken)
    async with world() as w:
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(20)]
        await settle()
        gate.set()
        seen = await together(*calls)

        assert {type(each) for each in seen} == {ConnectionResetError}
        assert origin.calls == 2
        assert not [name for name, _ in w.cache.ledger.counts if name == "fault"]
        assert w.counted("unpriced-call") == 2  # what began was perhaps paid for


async def test_a_stream_over_the_limit_is_passed_on_and_not_held():
    """SEMANTICS 8: sizes are bounded; who waited for the whole starts anew."""
    gate = asyncio.Event()
    long = Origin(Stream(events(" ".join(["word"] * 400)), gate=gate), answer("short"))
    async with world(max_entry_bytes=4000) as w:
        response = await asyncio.wait_for(w.cache.serve(w.request(body(stream=True)), long), 5)
        follower = asyncio.ensure_future(w.ask(body(), long))
        await settle()
        gate.set()
        pieces = [piece async for piece in response.body]
        recording = response.body._cursor._recording

        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
        assert recording.passing and not recording.events
        assert (await follower).text == "short"
        assert w.counted("refused", "too-large") == 1
        assert w.cache.ledger.spent_picousd == 2 * 1_250_000_000


async def test_a_refused_stream_that_its_reader_left_is_not_held():
    lines = (EVENTS, (b"cache-control", b"no-store"))
    origin = Origin(lambda _request: Response(200, lines, Stream(events("a b c d"))))
    async with world() as w:
        response = await w.cache.serve(w.request(body(stream=True)), origin)
        recording = response.body._cursor._recording
        await response.body.aclose()
        await settle()

        assert recording.closed and not recording.events


async def test_a_shape_too_large_for_its_share_is_not_held_by_its_hits():
    """SEMANTICS 8: what L1 holds is within its budget, answers ready to go included."""
    origin = Origin(answer("x" * 30_000))
    shapes = ({}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}})
    async with world(memory=MemoryConfig(capacity_bytes=200_000)) as w:
        for _ in range(2):
            for shape in shapes:
                assert (await w.ask(body(**shape), origin)).text == "x" * 30_000
        (resident,) = w.cache.memory._lru._values.values()

        assert set(resident.heads) == set(resident.renderings) < {"json", "sse", "sse+usage"}
    assert origin.calls == 1
