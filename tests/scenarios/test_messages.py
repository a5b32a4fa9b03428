"""Messages calls through the whole engine: shapes of one entry, shared streams, what is not edited, money."""

import asyncio
import json
from typing import Any

from tests.core.messages_kit import (
    NO_INPUT,
    STOP,
    TEXT,
    TOOL,
    USAGE,
    answer,
    begin,
    block_events,
    ending,
    stream,
)
from tests.scenarios.world import EVENTS, JSON, Origin, Seen, Stream, world
from tiered_cache import Request, Response, Scope
from tiered_cache.errors import OriginCutError

MODEL = "anthropic/claude-sonnet-4-5-20250929"
WHOLE = stream()
PIECES = [begin(), *block_events(0, TEXT), ending(), STOP]


def body(text: str = "hello", **fields: Any) -> bytes:
    call = {
        "model": MODEL,
        "max_tokens": 9,
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
    }
    return json.dumps(call | fields).encode()


def either(request: Request) -> Response:
    """An origin that answers in the form that was asked for."""
    if json.loads(request.body).get("stream"):
        return Response(200, (EVENTS,), WHOLE)
    return Response(200, (JSON,), json.dumps(answer()).encode())


async def test_one_entry_answers_both_shapes_and_the_callers_bytes_go_out():
    for first, then in ((True, False), (False, True)):
        async with world() as here:
            origin = Origin(either)
            sent = body(stream=first)
            led = await here.ask(sent, origin, endpoint="messages")
            hit = await here.ask(body(stream=then), origin, endpoint="messages")
            again = await here.ask(sent, origin, endpoint="messages")
        assert [request.body for request in origin.requests] == [sent]
        assert (led.hit, hit.hit, again.hit) == (False, True, True)
        whole = hit if first else again
        assert whole.json == {**answer(), "usage": {**USAGE, "cost": 0}}
        assert hit.headers[b"x-tiered-cache-saved-usd"] == b"0.00012"


async def test_lifetimes_are_those_of_generation():
    async with world() as here:
        ttl = {
            name: (await here.ask(sent, Origin(either), endpoint="messages")).cache_status
            for name, sent in {
                "dated": body(),
                "alias": body(model="anthropic/claude-sonnet-4-5"),
                "unstated": body(temperature=None),
                "remote": body([{"type": "image", "source": {"type": "url", "url": "https://e.com"}}]),
                "search": body(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
                "sampled": body(temperature=1),
                "side-effect": body(container="c"),
                "origin-tool": body(tools=[{"type": "code_execution_20250825", "name": "c"}]),
            }.items()
        }
    assert "ttl=604800" in ttl["dated"]
    assert "ttl=86400" in ttl["alias"]
    assert "ttl=600;" in ttl["unstated"]
    assert "ttl=600;" in ttl["remote"]
    assert "ttl=300;" in ttl["search"]
    for word in ("sampled", "side-effect", "origin-tool"):
        assert f"fwd=bypass; fwd-status=200; detail={word}" in ttl[word]


async def test_a_tool_call_is_used_for_ten_minutes():
    reply = json.dumps(answer(TOOL, NO_INPUT, stop="tool_use")).encode()
    async with world() as here:
        seen = await here.ask(body(), Origin(reply), endpoint="messages")
    assert "ttl=600;" in seen.cache_status


async def test_equal_streams_share_one_call():
    async with world() as here:
        gate = asyncio.Event()
        origin = Origin(Stream(PIECES, gate=gate))
        calls = [
            asyncio.create_task(here.ask(body(stream=shape), origin, endpoint="messages"))
            for shape in (True, True, False)
        ]
        for _ in range(100):
            await asyncio.sleep(0)
        gate.set()
        leader, follower, whole = await asyncio.gather(*calls)
    assert origin.calls == 1
    assert leader.body == b"".join(PIECES)
    assert follower.body.endswith(STOP)
    assert whole.json["content"] == [TEXT]


async def test_a_cut_stream_ends_with_anthropics_error_event_and_is_not_stored():
    async with world() as here:
        origin = Origin(Stream(PIECES[:4], error=OriginCutError("cut")), either)
        cut = await here.ask(body(stream=True), origin, endpoint="messages")
        again = await here.ask(body(stream=True), origin, endpoint="messages")
    *_, last, rest = cut.body.split(b"\n\n")
    assert rest == b""
    name, _, data = last.decode().partition("\ndata: ")
    assert name == "event: error"
    assert json.loads(data)["error"]["type"] == "api_error"
    assert not again.hit
    assert again.body == WHOLE


async def test_a_call_that_bypasses_is_booked_with_the_counts_of_both_its_usages():
    last = ending().replace(b'"cost":0.00012', b'"cost":0.5')
    pieces = [*PIECES[:-2], last, STOP]
    async with world() as here:
        seen = await here.ask(body(stream=True, temperature=1), Origin(Stream(pieces)), endpoint="messages")
        assert seen.body == b"".join(pieces)
        (row,) = here.cache.ledger.rows()
    assert (row.kind, row.prompt_tokens, row.completion_tokens) == ("bypass", 16, 4)
    assert row.cost_picousd == 5 * 10**11


async def test_a_value_that_no_json_stands_for_reaches_its_caller_and_is_not_stored():
    events = [json.loads(piece.split(b"data: ")[1]) for piece in PIECES]
    events[2]["note"] = {1, 2}
    events.insert(3, {"a value": object()})
    fetched = 0

    async def fetch(_: dict[str, Any]) -> Any:
        nonlocal fetched
        fetched += 1

        async def chunks() -> Any:
            for one in events:
                yield one

        return chunks()

    async with world() as here:
        for _ in range(2):
            call = json.loads(body(stream=True))
            result = await here.cache.call("messages", call, fetch, scope=Scope("t", "o"))
            assert [chunk async for chunk in result.value] == events
    assert fetched == 2


async def test_a_hit_survives_the_bytes_of_a_slow_origin_cut_anywhere():
    whole = b"".join(PIECES)
    async with world() as here:
        origin = Origin(Stream([whole[at : at + 7] for at in range(0, len(whole), 7)]))
        led = await here.ask(body(stream=True), origin, endpoint="messages")
        hit = await Seen.of(await here.cache.serve(here.request(body(), endpoint="messages"), origin))
    assert led.body == whole
    assert hit.hit
    assert hit.json["content"] == [TEXT]
