"""A fleet over every kind of call: recordings, batches, refreshes, variants, shapes that follow each other."""

import asyncio
import json

from tests.core.embeddings_kit import body as batch
from tests.core.embeddings_kit import reply, vector, vectors_of
from tests.scenarios.fleet_world import fleet
from tests.scenarios.test_fleet import gated, settle
from tests.scenarios.test_fleet_faults import Spoken, stream
from tests.scenarios.world import EVENTS, JSON, Origin, Stream, answer, body, events
from tiered_cache import Gives, Response, Rule

SPEECH = json.dumps({"model": "openai/tts-1", "voice": "alloy", "input": "hello"}).encode()
SAMPLED = body(temperature=1)
USAGE = body(stream=True, stream_options={"include_usage": True})


def recording(*, framed):
    """Some pieces of sound, each after a moment."""

    async def pieces():
        for number in range(8):
            await asyncio.sleep(0.02)
            yield bytes([number]) * 1000

    return lambda _request: Response(200, ((b"content-type", b"audio/mpeg"),), pieces(), framed=framed)


class Recordings(Origin):
    def __init__(self, *, framed):
        super().__init__()
        self.make = recording(framed=framed)

    async def __call__(self, request):
        self.requests.append(request)
        return self.make(request)


async def spread(nodes, origin, sent, *headers, **where):
    """The call at each node, one after the other; then the origin goes on."""
    asks = []
    for node in nodes:
        asks.append(asyncio.create_task(node.ask(sent, origin, *headers, **where)))
        await settle(0.03)
    if origin.gate is not None:
        origin.gate.set()
    return await asyncio.wait_for(asyncio.gather(*asks), 3)


async def test_a_recording_is_heard_elsewhere_while_it_is_made():
    origin = Recordings(framed=True)
    async with fleet() as nodes:
        seen = await spread(nodes, origin, SPEECH, endpoint="audio/speech")
        again = [await node.ask(SPEECH, origin, endpoint="audio/speech") for node in nodes]

    whole = b"".join(bytes([number]) * 1000 for number in range(8))
    assert origin.calls == 1
    assert [each.body for each in seen] == [whole, whole]
    assert all(each.hit and each.body == whole for each in again)


async def test_a_recording_whose_end_nothing_tells_is_everybodys_own():
    origin = Recordings(framed=False)
    async with fleet() as nodes:
        seen = await spread(nodes, origin, SPEECH, endpoint="audio/speech")

    assert origin.calls == 2
    assert [len(each.body) for each in seen] == [8000, 8000]


async def test_a_batch_is_asked_for_once_and_its_elements_are_everywhere():
    origin = gated(lambda request: Response(200, (JSON,), reply(request.body)))
    async with fleet() as nodes:
        seen = await spread(nodes, origin, batch(["a", "b"]), endpoint="embeddings")
        single = [await node.ask(batch("b"), origin, endpoint="embeddings") for node in nodes]

    assert origin.calls == 1
    assert [vectors_of(each.body) for each in seen] == [[vector("a"), vector("b")]] * 2
    assert all(each.hit for each in single)


async def test_what_is_stale_everywhere_is_refreshed_once():
    origin = Origin(answer("old"), answer("new"))
    rules = (Rule(gives=Gives(fresh_s=0.2, stale_while_revalidate_s=20, jitter=0.0)),)
    async with fleet(rules=rules) as (one, two):
        await one.ask(body(), origin)
        await settle(0.03)
        await two.ask(body(), origin)
        await settle(0.25)
        origin.gate = asyncio.Event()
        stale = [await node.ask(body(), origin) for node in (one, two)]
        await settle(0.05)
        origin.gate.set()
        await settle(0.05)
        fresh = [await node.ask(body(), origin) for node in (one, two)]

    assert [each.text for each in stale] == ["old", "old"]
    assert [each.text for each in fresh] == ["new", "new"]
    assert origin.calls == 2


async def test_a_caller_of_a_stream_follows_a_call_for_json_elsewhere_where_a_rule_says_so():
    origin = gated(answer("whole"))
    async with fleet(rules=(Rule(gives=Gives(follow_json=True)),)) as (one, two):
        led = asyncio.create_task(one.ask(body(), origin))
        await settle(0.03)
        followed = asyncio.create_task(two.ask(body(stream=True), origin))
        await settle(0.03)
        origin.gate.set()
        seen = await asyncio.wait_for(asyncio.gather(led, followed), 2)

    assert origin.calls == 1
    assert [each.text for each in seen] == ["whole", "whole"]
    assert seen[1].headers[b"content-type"].startswith(b"text/event-stream")


async def test_a_caller_of_a_stream_leads_its_own_beside_a_call_for_json_elsewhere():
    gate = asyncio.Event()

    def by_shape(request):
        return (
            Response(200, (EVENTS,), Stream(events("live")))
            if b'"stream": true' in request.body
            else answer()
        )

    origin = Origin()

    async def ask_origin(request):
        origin.requests.append(request)
        if b'"stream": true' not in request.body:
            await gate.wait()
        reply = by_shape(request)
        return reply if isinstance(reply, Response) else Response(200, (JSON,), reply)

    async with fleet() as (one, two):
        led = asyncio.create_task(one.ask(body(), ask_origin))
        await settle(0.03)
        seen = await asyncio.wait_for(two.ask(body(stream=True), ask_origin), 1)
        gate.set()
        await led

    assert origin.calls == 2
    assert seen.text == "live"


async def test_callers_who_want_token_counts_do_not_take_a_stream_without():
    """The origin refuses to count; who needs the counts asks for itself, and nobody waits for it."""
    refusal = Response(400, (JSON,), b'{"error":{"message":"unknown field stream_options"}}')
    told = Spoken("a b")
    told.pieces = [piece for piece in told.pieces if b'"usage"' not in piece]
    origin = Origin()

    async def ask(request):
        origin.requests.append(request)
        if origin.calls == 1:
            return refusal
        if origin.calls == 2:
            return Response(200, (EVENTS,), aiter(told))
        return Response(200, (EVENTS,), Stream(events("counted")))

    async with fleet() as (one, two):
        led = asyncio.create_task(stream(one, ask))
        await settle(0.03)
        followed = asyncio.create_task(stream(two, ask))
        await settle(0.03)
        wants = await asyncio.wait_for(two.ask(USAGE, ask), 1)
        told.say()
        seen = await asyncio.wait_for(asyncio.gather(led, followed), 1)

    assert [each.text for each in seen] == ["ab", "ab"]
    assert b'"usage":{' in wants.body
    assert origin.calls == 3


async def test_spending_is_booked_where_it_was_spent_and_saving_where_it_was_saved():
    told = Spoken("a b c")
    origin = Origin()

    async def ask(request):
        origin.requests.append(request)
        return Response(200, (EVENTS,), aiter(told))

    async with fleet(3) as nodes:
        asks = []
        for node in nodes:
            asks += [asyncio.create_task(stream(node, ask)) for _ in range(2)]
            await settle(0.03)
        told.say()
        await asyncio.wait_for(asyncio.gather(*asks), 2)
        ledgers = [node.cache.ledger for node in nodes]

    assert origin.calls == 1
    assert [ledger.spent_picousd for ledger in ledgers] == [1_250_000_000, 0, 0]
    assert [ledger.upstream_calls for ledger in ledgers] == [1, 0, 0]
    rows = [{row.kind: row for row in ledger.rows()} for ledger in ledgers]
    assert [each["collapsed"].requests for each in rows] == [1, 2, 2]
    assert sum(each["collapsed"].cost_picousd for each in rows) == 5 * 1_250_000_000


async def test_variants_are_filled_by_the_fleet():
    """The first calls are misses, wherever they come; then each node gives what any of them was told."""
    origin = Origin(*[answer(str(number)) for number in range(9)])
    async with fleet(rules=(Rule(gives=Gives(variants=2, fresh_s=60)),)) as (one, two):
        texts = set()
        for _ in range(4):
            for node in (one, two):
                texts.add((await node.ask(SAMPLED, origin)).text)
                await settle(0.02)

    assert origin.calls == 2
    assert texts == {"0", "1"}
