"""Followers of a running stream: what they get, when, and what becomes of it when the stream breaks off."""

import asyncio
import hashlib
import json
import tracemalloc

import pytest

from tests.scenarios.world import EVENTS, JSON, OTHER_KEY, Origin, Seen, answer, body, events, world
from tiered_cache import OriginCutError, OriginUnreachableError, Response
from tiered_cache.engine.live import PIECE_BYTES
from tiered_cache.simulation.virtual import run_virtual

pytestmark = pytest.mark.usefixtures("no_task_left")

STREAM = body(stream=True)
USAGE = body(stream=True, stream_options={"include_usage": True})
RETRY = (b"x-stainless-retry-count", b"1")


class Tap:
    """An origin's stream that the test writes."""

    def __init__(self, *headers):
        self._written: asyncio.Queue = asyncio.Queue()
        self.headers = (EVENTS, (b"x-request-id", b"origin-7"), *headers)
        self.closed = False

    def write(self, *pieces):
        for piece in pieces:
            self._written.put_nowait(piece)

    def end(self, error=None):
        self._written.put_nowait(StopAsyncIteration() if error is None else error)

    def __call__(self, _request):
        return Response(200, self.headers, self)

    def __aiter__(self):
        return self

    async def __anext__(self):
        piece = await self._written.get()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    async def aclose(self):
        self.closed = True


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


async def read(response, least):
    """So many bytes of a live body, or the rest of a piece more."""
    got = b""
    while len(got) < least:
        got += await asyncio.wait_for(anext(response.body), 5)
    return got


async def rest(response):
    return b"".join([piece async for piece in response.body])


async def serve(w, sent, origin, *headers, **where):
    return await asyncio.wait_for(w.cache.serve(w.request(sent, *headers, **where), origin), 5)


def status(response):
    return dict(response.headers)[b"cache-status"].decode()


async def test_a_late_follower_gets_all_that_was_said_at_once_and_then_the_tail():
    """SEMANTICS 5: a follower gets every event from the start, then tails live."""
    tap, pieces = Tap(), events("one two three four", usage=False)
    origin = Origin(tap)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        tap.write(*pieces[:3])
        prefix = b"".join(pieces[:3])
        assert await read(leader, len(prefix)) == prefix
        late = await serve(w, STREAM, origin)
        assert await read(late, 1) == prefix, "the prefix comes in one piece"
        for piece in pieces[3:]:
            tap.write(piece)
            assert await read(late, 1) == piece
        tap.end()
        assert await rest(late) == b""
        assert await rest(leader) == b"".join(pieces[3:])

    assert origin.calls == 1


async def test_a_followers_head_is_its_own_and_promises_nothing_that_is_not_known_yet():
    """SEMANTICS 4: incomplete as the headers leave: no ETag, no `stored`; says `collapsed`; own request id."""
    tap = Tap((b"set-cookie", b"a=b"), (b"x-ratelimit-remaining", b"7"))
    origin = Origin(tap)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        followers = [await serve(w, STREAM, origin) for _ in range(2)]
        tap.write(*events())
        tap.end()
        for response in (leader, *followers):
            await rest(response)
        heads = [dict(response.headers) for response in followers]
        rows = {row.kind: row for row in w.cache.ledger.rows()}

    for head in heads:
        assert head[b"cache-status"] == b"tiered-cache; fwd=uri-miss; fwd-status=200; collapsed"
        assert head[b"cache-control"] == b"private, max-age=0"
        assert head[b"content-type"] == b"text/event-stream"
        assert head[b"x-tiered-cache-origin-id"] == b"origin-7"
        assert not head.keys() & {b"etag", b"set-cookie", b"x-ratelimit-remaining", b"age"}
    assert heads[0][b"x-request-id"] != heads[1][b"x-request-id"]
    assert (rows["collapsed"].requests, rows["collapsed"].cost_picousd) == (2, 2 * 1_250_000_000)
    assert rows["miss"].requests == 1
    assert w.cache.ledger.spent_picousd == 1_250_000_000


async def test_usage_goes_to_who_asked_for_it_and_costs_a_follower_nothing():
    """SEMANTICS 1, 9: the usage chunk is withheld from callers that did not ask; `usage.cost` is 0 for followers."""
    tap = Tap()
    origin = Origin(tap)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        asked, silent = await serve(w, USAGE, origin), await serve(w, STREAM, origin)
        tap.write(*events())
        tap.end()
        seen = [await rest(response) for response in (leader, asked, silent)]

    assert b"include_usage" in origin.requests[0].body
    assert b'"usage"' not in seen[0] + seen[2]
    (usage,) = [json.loads(line[6:])["usage"] for line in seen[1].split(b"\n") if b'"usage"' in line]
    assert usage == {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cost": 0}
    assert origin.calls == 1


async def test_who_asked_for_usage_does_not_follow_a_stream_that_has_none():
    """SEMANTICS 2: an entry without usage answers only stream callers that did not ask for it."""
    refused = Response(400, (JSON,), b'{"error":{"message":"unknown field stream_options"}}')
    without, own = Tap(), Tap()
    origin = Origin(refused, without, own)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        asked, silent = await serve(w, USAGE, origin), await serve(w, STREAM, origin)
        without.write(*events("plain", usage=False))
        own.write(*events("counted"))
        without.end()
        own.end()
        seen = [await rest(response) for response in (leader, asked, silent)]

    assert [b"plain" in each for each in seen] == [True, False, False]
    assert [b'"usage"' in each for each in seen] == [False, True, False]
    assert origin.calls == 3


async def test_a_stalled_follower_holds_up_nobody_and_holds_nothing_but_its_place():
    """SEMANTICS 5: a slow follower never slows others."""
    tap, words = Tap(), events(" ".join(["word" * 50] * 500), usage=False)
    origin = Origin(tap)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        stalled, quick = await serve(w, STREAM, origin), await serve(w, STREAM, origin)
        tap.write(words[0], words[1])
        first = await read(stalled, 1)
        tap.write(*words[2:])
        tap.end()
        whole = await asyncio.wait_for(rest(quick), 5)
        assert whole == await rest(leader) == b"".join(words)
        pieces = [first] + [piece async for piece in stalled.body]

    assert b"".join(pieces) == whole
    assert max(map(len, pieces)) < PIECE_BYTES + len(max(words, key=len))


async def test_one_copy_of_the_body_is_held_for_all_its_readers():
    """SEMANTICS 5: no queues: two hundred readers that read nothing hold no bytes of it."""
    tap, word = Tap(), events("x" * 1000, usage=False)[1]
    origin = Origin(tap)

    async def held(readers):
        tracemalloc.start()
        responses = [await serve(w, STREAM, origin) for _ in range(readers)]
        before = tracemalloc.get_traced_memory()[0]
        tap.write(*[bytes(bytearray(word)) for _ in range(500)])
        await settle()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        for response in responses:
            await response.body.aclose()
        return grown

    async with world(linger_s=0) as w:
        one = await held(1)
        many = await held(200)
        await asyncio.sleep(0.01)

    assert many < 1.2 * one


async def test_a_stream_that_breaks_off_before_it_said_anything_has_one_successor():
    """SEMANTICS 5: a transport failure elects one successor; a role-only chunk is not delivered."""
    broken, second = Tap(), Tap()
    origin = Origin(broken, second)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        followers = [await serve(w, STREAM, origin) for _ in range(5)]
        reading = [asyncio.ensure_future(rest(response)) for response in followers]
        broken.write(b": hello\n\n", events("never")[0])
        await settle()
        broken.end(OriginCutError("cut"))
        await settle()
        assert origin.calls == 2
        second.write(*events("second try"))
        second.end()
        seen = await asyncio.gather(*reading)
        lost = await rest(leader)
        hit = await w.ask(body(), origin)

    assert b'data: {"error"' in lost
    expected = b"".join(events("second try", usage=False))
    assert seen == [expected] * 5, "nothing of the first stream, and one role"
    assert (hit.hit, hit.text) == (True, "secondtry")
    assert w.cache.ledger.upstream_calls == 2


async def test_a_stream_that_breaks_off_after_content_is_not_spliced_onto_another():
    """SEMANTICS 5: after delivery a follower of a failed stream ends with an error event."""
    broken = Tap()
    origin = Origin(broken, answer("not this"))
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        follower = await serve(w, STREAM, origin)
        pieces = events("half", usage=False)[:2]
        broken.write(*pieces)
        assert await read(follower, 1) == b"".join(pieces)
        broken.end(OriginCutError("cut"))
        seen, lost = await rest(follower), await rest(leader)

    assert seen.startswith(b'data: {"error"') and b"[DONE]" not in seen
    assert lost == b"".join(pieces) + seen
    assert origin.calls == 1


async def test_who_was_delivered_nothing_starts_over_though_others_were():
    """SEMANTICS 5: delivered is a matter of each caller; undelivered ones may start over."""
    broken, second = Tap(), Tap()
    origin = Origin(broken, second)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        quick, slow = await serve(w, STREAM, origin), await serve(w, STREAM, origin)
        broken.write(*events("half", usage=False)[:2])
        await read(quick, 1)
        broken.end(OriginCutError("cut"))
        second.write(*events("whole"))
        second.end()
        seen = [await rest(response) for response in (leader, quick, slow)]

    assert [b"error" in each for each in seen] == [True, True, False]
    assert seen[2] == b"".join(events("whole", usage=False))


async def test_a_failed_stream_with_followers_of_both_shapes_has_one_successor():
    """SEMANTICS 5: one takeover per flight, whoever follows in whatever shape."""
    for first in (True, False):
        broken, second = Tap(), Tap()
        origin = Origin(broken, second)
        async with world() as w:
            leader = await serve(w, STREAM, origin)
            kinds = [first, not first, first, not first]
            asking = [asyncio.ensure_future(w.ask(STREAM if stream else body(), origin)) for stream in kinds]
            await settle()
            broken.write(events()[0])
            await settle()
            broken.end(OriginCutError("cut"))
            await settle()
            second.write(*events("both"))
            second.end()
            seen = await asyncio.wait_for(asyncio.gather(*asking), 5)
            await rest(leader)

        assert {each.text for each in seen} == {"both"}
        assert origin.calls == 2


async def test_after_one_takeover_the_stale_answer_stands_in():
    """SEMANTICS 5: one takeover per flight, then stale-if-error or the error."""
    broken, again = Tap(), Tap()
    origin = Origin(answer("old"), broken, again)
    async with world() as w:
        await w.ask(body(), origin)
        w.clock.advance(24 * 3600 + 60)
        leader = await serve(w, STREAM, origin)
        follower = await serve(w, STREAM, origin)
        reading = asyncio.ensure_future(Seen.of(follower))
        await settle()
        broken.end(OriginCutError("cut"))
        await settle()
        assert origin.calls == 3
        again.end(OriginCutError("cut"))
        seen = await reading
        await rest(leader)

    assert seen.text == "old"


@pytest.mark.parametrize("reply", [OriginUnreachableError("gone"), Response(429, (JSON,), b'{"error":{}}')])
async def test_after_one_takeover_the_failure_is_an_error_event(reply):
    """SEMANTICS 5: failure after headers: data: {"error":…} without [DONE]; a response of any status ends it."""
    broken = Tap()
    origin = Origin(broken, reply)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        followers = [await serve(w, STREAM, origin) for _ in range(3)]
        reading = [asyncio.ensure_future(rest(response)) for response in followers]
        await settle()
        broken.end(OriginCutError("cut"))
        seen = await asyncio.wait_for(asyncio.gather(*reading), 5)
        await rest(leader)

    assert all(each.startswith(b'data: {"error"') and b"[DONE]" not in each for each in seen)
    assert origin.calls == 2


async def test_an_error_event_in_a_stream_goes_to_all_and_is_asked_for_once():
    """SEMANTICS 5: failure after headers; JSON callers get 502. No retry storms."""
    tap = Tap()
    origin = Origin(tap, answer("later"))
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        follower = await serve(w, STREAM, origin)
        whole = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(3)]
        await settle()
        said = [*events("half")[:2], b'data: {"error":{"message":"broke off","code":502}}\n\n']
        tap.write(*said)
        tap.end()
        failed = await asyncio.gather(*whole, return_exceptions=True)
        assert await rest(follower) == await rest(leader) == b"".join(said)

    assert [type(each) for each in failed] == [OriginCutError] * 3
    assert origin.calls == 1


async def test_what_only_the_body_shows_goes_to_all_who_joined_and_is_not_stored():
    """SEMANTICS 5: length: delivered to all who joined, not stored, hit-for-miss."""
    tap = Tap()
    origin = Origin(tap, answer("anew"))
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        follower = await serve(w, STREAM, origin)
        whole = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        tap.write(*events("cut short", finish="length"))
        tap.end()
        seen = [await Seen.of(leader), await Seen.of(follower), await whole]
        later = await w.ask(body(), origin)

    assert [each.text for each in seen] == ["cutshort"] * 3
    assert (later.hit, later.text) == (False, "anew")


async def test_the_leader_and_others_may_leave_a_stream():
    """SEMANTICS 5: a client that hangs up never costs another client its answer."""
    tap, pieces = Tap(), events("one two three")
    origin = Origin(tap)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        leaving, staying = await serve(w, STREAM, origin), await serve(w, STREAM, origin)
        tap.write(*pieces[:2])
        await read(leader, 1)
        await read(leaving, 1)
        await leader.body.aclose()
        await leaving.body.aclose()
        tap.write(*pieces[2:])
        tap.end()
        assert await rest(staying) == b"".join(events("one two three", usage=False))
        hit = await w.ask(body(), origin)
        rows = {row.kind: row for row in w.cache.ledger.rows()}

    assert hit.hit
    assert rows["collapsed"].requests == 2
    assert rows["collapsed"].prompt_tokens == 9, "who left early is not counted as saved"


async def test_a_stream_that_all_left_is_joined_by_the_retry():
    """SEMANTICS 5: the call lives on linger_s (SDKs retry and join)."""
    tap = Tap()
    origin = Origin(tap)
    async with world() as w:
        leader = await serve(w, STREAM, origin)
        tap.write(*events("one two")[:2])
        await read(leader, 1)
        await leader.body.aclose()
        retry = await serve(w, STREAM, origin, RETRY)
        tap.write(*events("one two")[2:])
        tap.end()
        seen = await Seen.of(retry)

    assert (seen.text, origin.calls) == ("onetwo", 1)
    assert "collapsed" in seen.cache_status


async def test_no_cache_joins_only_what_began_after_it_came():
    """SEMANTICS 3: no-cache: not joined to an older flight."""
    old, new = Tap(), Tap()
    origin = Origin(old, new)
    async with world() as w:
        first = await serve(w, STREAM, origin)
        fresh = await serve(w, STREAM, origin, (b"cache-control", b"no-cache"))
        plain = await serve(w, STREAM, origin)
        old.write(*events("old"))
        new.write(*events("new"))
        old.end()
        new.end()
        seen = [(await Seen.of(response)).text for response in (first, fresh, plain)]
        hit = await w.ask(body(), origin)

    assert seen == ["old", "new", "new"]
    assert (hit.text, origin.calls) == ("new", 2)


async def test_another_service_tier_is_another_flight():
    """SEMANTICS 5: a flight is named by key, upstream mode and service_tier."""
    taps = Tap(), Tap()
    origin = Origin(*taps)
    async with world() as w:
        responses = [
            await serve(w, body(stream=True, service_tier=tier), origin) for tier in ("flex", "auto")
        ]
        for tap, text in zip(taps, ("a", "b"), strict=True):
            tap.write(*events(text))
            tap.end()
        seen = [(await Seen.of(response)).text for response in responses]

    assert (seen, origin.calls) == (["a", "b"], 2)


async def test_another_key_of_a_shared_tenant_follows_once_the_origin_has_accepted_it():
    """SEMANTICS 1: in a partition shared by an explicit rule a join needs a 2xx for this credential."""
    digests = {hashlib.sha256(key).hexdigest(): "acme" for key in (b"rqy_one", b"rqy_two")}
    tap, own = Tap(), Tap()
    origin = Origin(tap, own, answer("other call"), answer("shared"))
    async with world(tenants=digests) as w:
        leader = await serve(w, STREAM, origin)
        stranger = await serve(w, STREAM, origin, key=OTHER_KEY)
        known = await serve(w, STREAM, origin, key=OTHER_KEY)
        tap.write(*events("first"))
        own.write(*events("second"))
        tap.end()
        own.end()
        seen = [(await Seen.of(response)).text for response in (leader, stranger, known)]

    assert seen[:2] == ["first", "second"]
    assert "collapsed" in status(known)


async def test_a_stream_that_outgrows_the_limit_goes_on_for_its_followers_and_is_not_held():
    """SEMANTICS 5, 8: size is bounded; who has begun to read is not released, who stalls is left behind."""
    tap, word = Tap(), events("x" * 900, usage=False)[1]
    origin = Origin(tap, answer("own"))
    async with world(max_entry_bytes=20_000) as w:
        leader = await serve(w, STREAM, origin)
        quick, stalled = await serve(w, STREAM, origin), await serve(w, STREAM, origin)
        whole = asyncio.ensure_future(w.ask(body(), origin))
        recording = leader.body._cursor._recording
        tap.write(word)
        await read(stalled, 1)
        reading = [asyncio.ensure_future(rest(response)) for response in (leader, quick)]
        for _ in range(200):
            tap.write(word)
            await asyncio.sleep(0)
            assert sum(len(event.raw) for event in recording.events) < 22_000
        tap.end()
        seen = await asyncio.gather(*reading)
        left = await rest(stalled)
        assert (await whole).text == "own"

    assert seen == [word * 201] * 2
    assert left.endswith(b"\n\n") and b'data: {"error"' in left
    assert w.counted("refused", "too-large") == 1


async def test_a_refused_stream_is_not_read_ahead_of_its_reader():
    """SEMANTICS 8: what is not stored is not held: the origin waits for the caller."""
    taken = 0

    async def endless():
        nonlocal taken
        while True:
            taken += 1
            yield b"data: {}\n\n"

    async def origin(_request):
        return Response(200, (EVENTS, (b"cache-control", b"no-store")), endless())

    async with world(linger_s=0) as w:
        response = await serve(w, STREAM, origin)
        await settle()
        assert taken < 10
        await read(response, 5)
        assert taken < 20
        await response.body.aclose()
        await asyncio.sleep(0.01)


def test_silence_behind_a_followers_head_is_filled():
    """SEMANTICS 5: after a follower's headers, 15 s of silence is filled with an SSE comment."""

    async def main():
        tap = Tap()
        origin = Origin(tap)
        loop = asyncio.get_running_loop()
        async with world() as w:
            leader = await serve(w, STREAM, origin)
            follower = await serve(w, STREAM, origin)
            began_s = loop.time()
            tap.write(events()[0])
            filled = [await anext(follower.body) for _ in range(2)]
            waited_s = loop.time() - began_s
            loop.call_later(10, tap.write, *events("late")[1:3])
            content = await anext(follower.body)
            said_s = loop.time()
            after = await anext(follower.body)
            silence_s = loop.time() - said_s
            loop.call_later(100, tap.end)
            await asyncio.wait_for(rest(leader), 500)
            await follower.body.aclose()
        return filled, waited_s, content, after, silence_s

    filled, waited_s, content, after, silence_s = run_virtual(main())
    assert all(piece.startswith(b":") and piece.endswith(b"\n\n") for piece in [*filled, after])
    assert waited_s == pytest.approx(30, abs=0.1)
    assert b"late" in content and content.startswith(events()[0])
    assert silence_s == pytest.approx(15, abs=0.1)


def test_silence_is_filled_while_a_successor_is_asked():
    """SEMANTICS 5: 15 s of silence is filled; a comment is not delivered, so the caller may start over."""

    async def main():
        broken, second = Tap(), Tap()
        slow = asyncio.Event()
        replies = [broken, second]

        async def origin(request):
            reply = replies.pop(0)
            if reply is second:
                await slow.wait()
            return reply(request)

        loop = asyncio.get_running_loop()
        async with world() as w:
            leader = await serve(w, STREAM, origin)
            follower = await serve(w, STREAM, origin)
            loop.call_later(20, broken.end, OriginCutError("cut"))
            loop.call_later(50, slow.set)
            second.write(*events("there"))
            second.end()
            seen = await rest(follower)
            await rest(leader)
            return seen, loop.time()

    seen, took_s = run_virtual(main())
    assert seen == b": waiting\n\n" * 3 + b"".join(events("there", usage=False))
    assert took_s == pytest.approx(50, abs=0.1)


async def test_a_follower_that_leaves_while_it_starts_over_leaves_nothing_behind():
    """SEMANTICS 5: own cancellation for each caller."""
    broken, second = Tap(), Tap()
    gate = asyncio.Event()
    replies = [broken, second]

    async def origin(request):
        reply = replies.pop(0)
        if reply is second:
            await gate.wait()
        return reply(request)

    async with world(linger_s=0) as w:
        leader = await serve(w, STREAM, origin)
        follower = await serve(w, STREAM, origin)
        broken.end(OriginCutError("cut"))
        reading = asyncio.ensure_future(anext(follower.body))
        await settle()
        assert not replies
        reading.cancel()
        await settle()
        await follower.body.aclose()
        await rest(leader)
        gate.set()
        second.end()


async def test_values_are_shared_as_they_are_said():
    """Issue 5: the second caller sees the first chunks at once, through `Cache.call` too."""
    written: asyncio.Queue = asyncio.Queue()
    chunk = json.loads(events("x")[1][6:])
    calls = 0

    async def chunks():
        while (value := await written.get()) is not None:
            yield value

    async def fetch(_body):
        nonlocal calls
        calls += 1
        return chunks()

    sent = json.loads(STREAM)
    async with world() as w:
        scope = w.cache.scope("acme")
        leader = await w.cache.call("chat/completions", sent, fetch, scope=scope)
        written.put_nowait(chunk)
        assert await anext(leader.value) == chunk
        follower = await w.cache.call("chat/completions", sent, fetch, scope=scope)
        assert await asyncio.wait_for(anext(follower.value), 5) == chunk
        written.put_nowait({"choices": [], "odd": {1, 2}, "bytes": object})
        assert "odd" in await anext(leader.value)
        with pytest.raises(OriginCutError):
            await anext(follower.value)
        written.put_nowait(None)
        assert [value async for value in leader.value] == []

    assert calls == 1
