"""What a second caller gets."""

import pytest

from tests.scenarios.world import EVENTS, OTHER_KEY, Origin, Stream, answer, body, events, world
from tiered_cache import Response


async def test_an_equal_call_is_answered_without_the_origin():
    """Gateways pay for answers they already had."""
    origin = Origin(answer("hi"))
    async with world() as w:
        first = await w.ask(body(), origin)
        second = await w.ask(body(), origin)

    assert (first.hit, second.hit, origin.calls) == (False, True, 1)
    assert "fwd=uri-miss" in first.cache_status
    assert "stored" in first.cache_status
    assert second.text == "hi"


async def test_other_spelling_of_the_same_call_hits():
    """SEMANTICS 1: JSON object order, whitespace, escapes, 0 = 0.0, n=1 absent, one text part = string."""
    origin = Origin(answer())
    spelled = (
        b'{ "n": 1, "stream": false, "user": "u1", "temperature": 0.0,\n'
        b' "messages": [ {"content": [{"type":"text","text":"h\\u0065llo"}], "role": "user"} ],'
        b' "model": "openai/gpt-4o-mini" }'
    )
    async with world() as w:
        await w.ask(body("hello"), origin)

        assert (await w.ask(spelled, origin)).hit


@pytest.mark.parametrize(
    "changed",
    [
        body("hello "),
        body("Hello"),
        body(model="openai/gpt-4o"),
        body(temperature=0.1, seed=1),
        body(max_tokens=5),
        body(top_p=0.5),
        body(unknown_field=None),
        body(messages=[{"role": "developer", "content": "hello"}]),
        body(extra_body={"a": 1}),
    ],
)
async def test_each_field_that_matters_misses(changed):
    """A wrong hit is the worst bug we can have."""
    origin = Origin(answer("first"), answer("second"))
    async with world() as w:
        await w.ask(body("hello"), origin)
        other = await w.ask(changed, origin)

    assert (other.text, origin.calls) == ("second", 2)


async def test_another_credential_never_shares():
    """SEMANTICS 1: the partition holds the tenant, by default a keyed digest of every credential sent."""
    origin = Origin(answer("mine"), answer("yours"))
    async with world() as w:
        await w.ask(body(), origin)
        other = await w.ask(body(), origin, key=OTHER_KEY)

    assert (other.text, origin.calls) == ("yours", 2)


async def test_without_a_credential_nothing_is_cached():
    """SEMANTICS 1: No credential: bypass, never an "anonymous" partition."""
    origin = Origin(answer())
    async with world() as w:
        await w.ask(body(), origin, key=None)
        again = await w.ask(body(), origin, key=None)

    assert origin.calls == 2
    assert again.cache_status == "tiered-cache; fwd=bypass; fwd-status=200; detail=no-credential"


async def test_a_hit_says_what_it_is():
    """SEMANTICS 4: Age, Cache-Control, Cache-Status on every response we answer; saved cost, ids."""
    origin = Origin(answer(cost="0.00125"))
    async with world() as w:
        await w.ask(body(), origin)
        w.clock.advance(10.5)
        hit = await w.ask(body(), origin)
        again = await w.ask(body(), origin)

    assert hit.cache_status == "tiered-cache; hit; ttl=86389; detail=L1"
    assert hit.headers[b"age"] == b"10"
    assert hit.headers[b"cache-control"] == b"private, max-age=86389"
    assert hit.headers[b"x-tiered-cache-saved-usd"] == b"0.00125"
    assert hit.headers[b"x-tiered-cache-origin-id"] == b"origin-7"
    assert hit.headers[b"x-request-id"] != again.headers[b"x-request-id"] != b"origin-7"


async def test_a_hit_costs_nothing_and_keeps_its_tokens():
    """SEMANTICS 9: token counts stay, usage.cost is 0, so that a client's sum matches the bill."""
    origin = Origin(answer(cost="0.00125"))
    async with world() as w:
        first = await w.ask(body(), origin)
        hit = await w.ask(body(), origin)

    assert first.json["usage"]["cost"] == 0.00125
    assert hit.json["usage"] == {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cost": 0}


async def test_an_entry_is_used_until_its_lifetime_ends_and_not_after():
    """SEMANTICS 3: 24 h for temperature 0 with an alias; fresh while lifetime > age."""
    origin = Origin(answer("old"), answer("new"))
    async with world() as w:
        await w.ask(body(), origin)
        w.clock.advance(86399.9)
        before = await w.ask(body(), origin)
        w.clock.advance(0.1)
        after = await w.ask(body(), origin)

    assert (before.text, after.text) == ("old", "new")
    assert "fwd=stale" in after.cache_status


async def test_a_stream_and_its_json_share_one_entry():
    """SEMANTICS 2: one entry answers stream: true and false."""
    origin = Origin(Stream(events("one two")))
    async with world() as w:
        streamed = await w.ask(body(stream=True), origin)
        json_hit = await w.ask(body(), origin)
        stream_hit = await w.ask(body(stream=True, stream_options={"include_usage": True}), origin)

    assert origin.calls == 1
    assert (streamed.text, json_hit.text, stream_hit.text) == ("onetwo",) * 3
    assert json_hit.json["usage"]["total_tokens"] == 12
    assert b'"usage"' in stream_hit.body
    assert b'"total_tokens"' not in streamed.body


async def test_a_json_answer_is_given_as_a_stream():
    """SEMANTICS 2: synthesised from a JSON answer."""
    origin = Origin(answer("all of it"))
    async with world() as w:
        await w.ask(body(), origin)
        stream = await w.ask(body(stream=True), origin)

    assert stream.hit
    assert stream.headers[b"content-type"].startswith(EVENTS[1])
    assert stream.text == "all of it"
    assert stream.body.endswith(b"data: [DONE]\n\n")


async def test_the_origin_is_asked_for_usage_on_cacheable_streams():
    """SEMANTICS 1: stream_options.include_usage=true is the one edit; the chunk is withheld from who did not ask."""
    origin = Origin(Stream(events()))
    async with world() as w:
        await w.ask(body(stream=True), origin)

    assert b'"include_usage":true' in origin.requests[0].body.replace(b" ", b"")


async def test_an_origin_that_refuses_stream_options_is_asked_again_without_and_remembered():
    """SEMANTICS 1: A 4xx that names stream_options is retried once without the edit, remembered per origin."""
    refusal = Response(400, (), b'{"error":{"message":"unknown field stream_options"}}')
    origin = Origin(refusal, Stream(events("a", usage=False)), Stream(events("b", usage=False)))
    async with world() as w:
        first = await w.ask(body("x", stream=True), origin)
        second = await w.ask(body("y", stream=True), origin)

    assert (first.text, second.text, origin.calls) == ("a", "b", 3)
    assert [b"stream_options" in request.body for request in origin.requests] == [True, False, False]


async def test_a_304_for_the_tag_that_this_caller_has():
    """SEMANTICS 4: If-None-Match that matches the rendering this request would get: 304, no body."""
    origin = Origin(answer())
    async with world() as w:
        first = await w.ask(body(), origin)
        hit = await w.ask(body(), origin)
        tag = hit.headers[b"etag"]
        same = await w.ask(body(), origin, (b"if-none-match", tag))
        other = await w.ask(body(), origin, (b"if-none-match", b'"other"'))
        other_shape = await w.ask(body(stream=True), origin, (b"if-none-match", tag))

    assert first.headers[b"etag"] == b"W/" + tag, "a hit's bytes differ in usage.cost"
    assert (same.status, same.body) == (304, b"")
    assert same.headers[b"etag"] == tag
    assert b"content-type" not in same.headers
    assert (other.status, other_shape.status, origin.calls) == (200, 200, 1)
