"""What a caller's header fields do on inference routes."""

import json

import pytest

from tests.scenarios.world import JSON, Origin, Stream, answer, body, events, world
from tiered_cache import OriginTimeoutError, OriginUnreachableError, RequestError, Response


def cache_control(value: bytes):
    return (b"cache-control", value)


async def test_no_store_neither_hits_nor_stores():
    """SEMANTICS 3: no-store: no hit, no join, nothing stored."""
    origin = Origin(answer("a"), answer("b"), answer("c"))
    async with world() as w:
        await w.ask(body(), origin)
        asked = await w.ask(body(), origin, cache_control(b"no-store"))
        fresh = await w.ask(body("x"), origin, cache_control(b"no-store"))
        after = await w.ask(body("x"), origin)

    assert (asked.text, fresh.hit, after.hit) == ("b", False, False)
    assert asked.cache_status == "tiered-cache; fwd=request; fwd-status=200; detail=no-store"


@pytest.mark.parametrize("directive", [b"no-cache", b"max-age=0"])
async def test_no_cache_asks_the_origin_and_replaces_the_entry(directive):
    """SEMANTICS 3: no-cache, max-age=0: forwarded; its answer replaces the entry."""
    origin = Origin(answer("old"), answer("new"))
    async with world() as w:
        await w.ask(body(), origin)
        asked = await w.ask(body(), origin, cache_control(directive))
        hit = await w.ask(body(), origin)

    assert (asked.text, hit.text, hit.hit) == ("new", "new", True)


async def test_only_if_cached_is_504_without_an_entry_and_a_hit_with_one():
    """SEMANTICS 3: only-if-cached without a usable entry: 504."""
    origin = Origin(answer())
    async with world() as w:
        unmet = await w.ask(body(), origin, cache_control(b"only-if-cached"))
        await w.ask(body(), origin)
        met = await w.ask(body(), origin, cache_control(b"only-if-cached"))

    assert (unmet.status, met.hit, origin.calls) == (504, True, 1)
    assert b"cache-status" not in unmet.headers, "RFC 9211: not on locally made errors"


async def test_max_age_and_min_fresh_narrow_what_is_reused():
    """RFC 9111 5.2.1.1, 5.2.1.3."""
    origin = Origin(answer("1"), answer("2"), answer("3"))
    async with world() as w:
        await w.ask(body(), origin)
        w.clock.advance(100)
        young = await w.ask(body(), origin, cache_control(b"max-age=101"))
        too_old = await w.ask(body(), origin, cache_control(b"max-age=99"))
        short = await w.ask(body(), origin, cache_control(b"min-fresh=86401"))

    assert (young.text, too_old.text, short.text) == ("1", "2", "3")


async def test_ttl_only_shortens():
    """SEMANTICS 3: x-tiered-cache-ttl only shortens."""
    origin = Origin(answer("1"), answer("2"))
    async with world() as w:
        await w.ask(body(), origin, (b"x-tiered-cache-ttl", b"10"))
        w.clock.advance(10)
        after = await w.ask(body(), origin)

    assert after.text == "2"


async def test_a_variant_is_another_entry():
    """SEMANTICS 1: x-tiered-cache-variant joins the key: the way to ask for independent samples."""
    origin = Origin(answer("a"), answer("b"))
    async with world() as w:
        await w.ask(body(), origin)
        variant = await w.ask(body(), origin, (b"x-tiered-cache-variant", b"2"))
        again = await w.ask(body(), origin, (b"x-tiered-cache-variant", b"2"))

    assert (variant.text, again.hit, origin.calls) == ("b", True, 2)


async def test_another_gateways_control_header_bypasses():
    """SEMANTICS 1: control headers of other gateways that we do not translate: bypass."""
    origin = Origin(answer())
    async with world() as w:
        await w.ask(body(), origin, (b"helicone-cache-enabled", b"true"))
        again = await w.ask(body(), origin, (b"helicone-cache-enabled", b"true"))

    assert not again.hit
    assert "fwd=bypass" in again.cache_status


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (b'{"model":"m","model":"n","messages":[]}', "duplicate-key"),
        (b'{"model":"openai/x","messages":[{"role":"user","content":"\\ud800"}]}', "surrogate"),
        (b'{"model":"openai/x","messages":[],"temperature":NaN}', "number"),
        (b'{"model":"openai/x","messages":[],"top_p":1e999}', "number"),
        (b'{"model":"openai/x","x":' + b"[" * 128 + b"]" * 128 + b',"messages":[]}', "nesting"),
        (b'{"model":5,"messages":[]}', "field-type"),
        (b"[1,2]", "field-type"),
        (b'{"messages":[]}', "no-model"),
        (b'{"model":"policy/mine","messages":[]}', "policy-model"),
        (b'{"model":"openai/x","messages":[],"store":true}', "side-effect"),
    ],
)
async def test_what_has_no_safe_key_is_forwarded_as_it_came(sent, detail):
    """SEMANTICS 1: bypass, never a crash, never a stored entry."""
    origin = Origin(answer())
    async with world() as w:
        seen = await w.ask(sent, origin)
        again = await w.ask(sent, origin)

    assert [request.body for request in origin.requests] == [sent, sent]
    assert (seen.status, again.hit) == (200, False)
    assert f"fwd=bypass; fwd-status=200; detail={detail}" in seen.cache_status
    assert w.cache.memory.entries == 0


@pytest.mark.parametrize("sent", [b"", b"   ", b"{", b"hello", b'{"a":1}}'])
async def test_what_no_parser_reads_is_a_400(sent):
    """Issue 2: 400 only for an empty body or one that no JSON parser reads."""
    origin = Origin(answer())
    async with world() as w:
        with pytest.raises(RequestError) as caught:
            await w.ask(sent, origin)

    assert (caught.value.status, origin.calls) == (400, 0)


async def test_a_body_over_the_limit_goes_through_uncached():
    """SEMANTICS 1: a body over max_body streams through uncached (detail=too-large)."""
    origin = Origin(answer())
    async with world(max_body_bytes=100) as w:
        seen = await w.ask(body("x" * 200), origin)

    assert "detail=too-large" in seen.cache_status


async def test_a_body_of_too_many_values_goes_through_uncached():
    """It would hold every other caller of the process up while it is keyed."""
    many = body(logit_bias={str(number): 1 for number in range(300)})
    origin = Origin(answer())
    async with world(max_body_values=250) as w:
        told = [await w.ask(many, origin) for _ in range(2)]
        kept = [await w.ask(body("1,2,3" * 300), origin) for _ in range(2)]

    assert told[1].cache_status == "tiered-cache; fwd=bypass; fwd-status=200; detail=too-many-values"
    assert (kept[1].hit, origin.requests[0].body) == (True, many)


@pytest.mark.parametrize("failure", [OriginUnreachableError("x"), OriginTimeoutError("x")])
async def test_a_stale_answer_stands_in_for_a_failed_origin(failure):
    """SEMANTICS 3: stale-if-error 24 h for temperature 0, on connection errors and time-outs."""
    origin = Origin(answer("old"), failure)
    async with world() as w:
        await w.ask(body(), origin)
        w.clock.advance(86400 + 3600)
        stale = await w.ask(body(), origin)
        w.clock.advance(86400)
        with pytest.raises(type(failure)):
            await w.ask(body(), origin)

    assert stale.text == "old"
    assert stale.cache_status == "tiered-cache; fwd=stale; ttl=-3600; detail=L1/stale-if-error"
    assert stale.headers[b"age"] == b"90000"


@pytest.mark.parametrize(
    ("status", "stands_in"), [(503, True), (529, True), (424, True), (429, False), (400, False), (401, False)]
)
async def test_which_statuses_a_stale_answer_stands_in_for(status, stands_in):
    """SEMANTICS 3: on 424, 500, 502, 503, 504, 529; 429 by its own switch; never on other 4xx."""
    origin = Origin(answer("old"), Response(status, (JSON,), b'{"error":{}}'))
    async with world() as w:
        await w.ask(body(), origin)
        w.clock.advance(86400 + 60)
        seen = await w.ask(body(), origin)

    assert seen.status == (200 if stands_in else status)


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (answer("", finish="stop"), "empty"),
        (answer("x", finish="content_filter"), "finish-reason"),
        (answer("x", finish=None), "finish-reason"),
        (b'{"error":{"message":"no"}}', "error-body"),
        (answer("x")[:-20], "bad-json"),
        (Response(200, ((b"content-type", b"text/html"),), b"<html>"), "media-type"),
        (Stream(events("x", finish="length")), "finish-reason"),
    ],
)
async def test_answers_off_the_allow_list_are_not_stored(reply, detail):
    """SEMANTICS 2: stored only if: an allow-list."""
    sent = body(stream=True) if isinstance(reply, Stream) else body()
    origin = Origin(reply)
    async with world() as w:
        await w.ask(sent, origin)

    assert (w.cache.memory.entries, w.counted("refused", detail)) == (0, 1), w.cache.ledger.counts


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({}, [(b"cache-control", b"only-if-cached, no-cache")]),
        ({}, [(b"cache-control", b"only-if-cached, max-age=0")]),
        ({}, [(b"cache-control", b"only-if-cached, no-store")]),
        ({"temperature": 0.7}, [(b"cache-control", b"only-if-cached")]),
        ({"tools": [{"type": "mcp"}]}, [(b"cache-control", b"only-if-cached")]),
        ({}, [(b"cache-control", b"only-if-cached"), (b"x-portkey-x", b"1")]),
    ],
)
async def test_only_if_cached_never_reaches_the_origin(fields, lines):
    """RFC 9111 5.2.1.7: a stored response or 504."""
    origin = Origin(answer())
    async with world() as w:
        seen = await w.ask(body(**fields), origin, *lines)

    assert (seen.status, origin.calls) == (504, 0)
    assert seen.headers[b"cache-control"] == b"private, max-age=0"


async def test_an_unstated_temperature_is_said():
    """SEMANTICS 3: temperature absent: 10 min, detail=unstated."""
    origin = Origin(answer())
    async with world() as w:
        miss = await w.ask(body(temperature=...), origin)
        hit = await w.ask(body(temperature=...), origin)

    assert miss.cache_status.endswith("; detail=unstated")
    assert hit.cache_status.endswith("; detail=L1/unstated")


async def test_every_answer_is_private_whatever_the_origin_said():
    """SEMANTICS 4: inference answers go out private, without CDN-Cache-Control, s-maxage or Cache-Tag."""
    lines = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"public, s-maxage=600"),
        (b"cdn-cache-control", b"max-age=600"),
        (b"cache-tag", b"x"),
    )
    origin = Origin(
        Response(200, lines, answer(finish="length")),
        Response(400, lines, b"{}"),
        Response(200, lines, answer()),
    )
    async with world() as w:
        seen = [await w.ask(body(text), origin) for text in ("a", "b")]
        seen.append(await w.ask(body(temperature=1), origin))

    for each in seen:
        assert each.headers[b"cache-control"] == b"private, max-age=0"
        assert not {b"cdn-cache-control", b"cache-tag"} & set(each.headers)


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("x")])
async def test_a_stale_answer_does_not_hide_what_is_no_failed_origin(error):
    """SEMANTICS 3: stale-if-error on connection errors, time-outs and some statuses only."""
    origin = Origin(answer("old"), error)
    async with world() as w:
        await w.ask(body(), origin)
        w.clock.advance(24 * 3600 + 1)
        with pytest.raises(type(error)):
            await w.ask(body(), origin)


async def test_an_entry_without_usage_says_why_it_does_not_fit():
    origin = Origin(Stream(events("a", usage=False)), answer("b"))
    async with world() as w:
        await w.ask(body(stream=True), origin)
        seen = await w.ask(body(), origin)

    assert seen.text == "b"
    assert seen.cache_status.endswith("detail=no-usage")


async def test_a_stream_that_is_answered_as_json_has_no_tag():
    """SEMANTICS 4: a tag is of the rendering that this request would get."""
    origin = Origin(answer())
    async with world() as w:
        seen = await w.ask(body(stream=True), origin)

    assert b"etag" not in seen.headers


async def test_an_answer_is_not_used_beyond_what_expires_in_it():
    """SEMANTICS 2: lifetime = min(policy, every expiry inside the answer), after an error too."""
    origin = Origin(None)
    async with world() as w:
        ends_s = int(w.clock.wall()) + 300
        link = f"https://x.example/i.png?Expires={ends_s}&Signature=abc"
        content = json.loads(answer())
        content["choices"][0]["message"]["images"] = [{"image_url": {"url": link}}]
        origin.replies = [json.dumps(content).encode(), OriginUnreachableError("down")]
        await w.ask(body(), origin)
        w.clock.advance(299)
        assert (await w.ask(body(), origin)).hit
        w.clock.advance(2)
        with pytest.raises(OriginUnreachableError):
            await w.ask(body(), origin)
