"""Whom the origin trusts: shared tenants, refused keys, nothing shown, fields that end at the cache."""

import asyncio
import hashlib

import pytest

from tests.scenarios.world import KEY, OTHER_KEY, Origin, Stream, answer, body, events, world
from tiered_cache import Response
from tiered_cache.engine.credentials import AUTH_TTL_S

pytestmark = pytest.mark.usefixtures("no_task_left")

TABLE = {hashlib.sha256(key).hexdigest(): "acme" for key in (b"rqy_one", b"rqy_two")}
DENIED = Response(401, ((b"content-type", b"application/json"),), b'{"error":{"message":"no"}}')


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


class Judge(Origin):
    """Answers the first key and turns the second one away."""

    async def __call__(self, request):
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if OTHER_KEY in request.headers:
            return Response(DENIED.status, DENIED.headers, DENIED.body)
        return Response(200, ((b"content-type", b"application/json"),), answer())


async def test_two_keys_of_one_tenant_share_once_the_origin_has_accepted_both():
    """SEMANTICS 1: several keys per tenant; a hit needs a 2xx for this credential within auth_ttl."""
    origin = Origin(answer())
    async with world(tenants=TABLE) as w:
        await w.ask(body(), origin)
        first = await w.ask(body(), origin, key=OTHER_KEY)
        assert not first.hit
        assert (await w.ask(body(), origin, key=OTHER_KEY)).hit
        assert (await w.ask(body(), origin)).hit
    assert origin.calls == 2


async def test_a_key_that_the_origin_refuses_gets_no_hit_no_304_and_joins_nobody():
    origin = Judge()
    async with world(tenants=TABLE) as w:
        tag = (await w.ask(body(), origin)).headers[b"etag"].removeprefix(b"W/")
        assert (await w.ask(body(), origin, key=OTHER_KEY)).status == 401
        assert (await w.ask(body(), origin, (b"if-none-match", tag), key=OTHER_KEY)).status == 401
        origin.gate = asyncio.Event()
        leader = asyncio.ensure_future(w.ask(body("more"), origin))
        await settle()
        other = asyncio.ensure_future(w.ask(body("more"), origin, key=OTHER_KEY))
        await settle()
        origin.gate.set()
        assert ((await leader).status, (await other).status) == (200, 401)


async def test_trust_in_a_shared_tenant_ends():
    origin = Origin(answer())
    async with world(tenants=TABLE) as w:
        await w.ask(body(), origin)
        w.clock.advance(AUTH_TTL_S - 1)
        assert (await w.ask(body(), origin)).hit
        w.clock.advance(1)
        assert not (await w.ask(body(), origin)).hit


async def test_calls_of_one_key_wait_together_for_its_acceptance():
    origin = Origin(answer())
    origin.gate = asyncio.Event()
    async with world(tenants=TABLE) as w:
        calls = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(10)]
        await settle()
        origin.gate.set()
        await asyncio.gather(*calls)
    assert origin.calls == 1


async def test_a_tenant_of_one_key_is_not_asked_about():
    origin = Origin(answer())
    async with world(tenants={hashlib.sha256(b"rqy_one").hexdigest(): "acme"}) as w:
        await w.ask(body(), origin)
        w.clock.advance(3600)
        assert (await w.ask(body(), origin)).hit


async def test_a_cookie_is_not_looked_up_in_the_table():
    origin = Origin(answer())
    async with world(tenants=TABLE) as w:
        await w.ask(body(), origin)
        for name in (b"cookie",):
            await w.ask(body(), origin, key=(name, b"rqy_one"))
            await w.ask(body(), origin, key=(name, b"rqy_one"))
    assert origin.calls == 2


async def test_streams_open_a_closed_credential_again():
    """SEMANTICS 1: closed until its next 2xx, of whatever kind."""
    origin = Origin(DENIED, Stream(events("a")), Stream(events("b")))
    async with world() as w:
        await w.ask(body(stream=True), origin)
        await w.ask(body(stream=True), origin)
        assert (await w.ask(body(stream=True), origin)).hit
    assert origin.calls == 2


async def test_a_401_closes_even_when_its_caller_has_left():
    origin = Origin(answer(), DENIED)
    async with world() as w:
        await w.ask(body(), origin)
        origin.gate = asyncio.Event()
        leaver = asyncio.ensure_future(w.ask(body("other"), origin))
        await settle()
        leaver.cancel()
        await settle()
        origin.gate.set()
        await settle()
        assert (await w.ask(body(), origin)).status == 401


async def test_tenants_that_the_embedder_names_are_closed_apart():
    origin = Origin(answer(), answer(), DENIED)
    async with world() as w:
        cache = w.cache
        one, two = cache.scope("one"), cache.scope("two")

        async def ask(scope, text="hello"):
            return await cache.serve(cache.request("chat/completions", body(text), scope=scope), origin)

        await ask(one)
        await ask(two)
        assert (await ask(two, "other")).status == 401
        assert (await ask(one)).outcome.kind == "hit"


@pytest.mark.parametrize(
    "key",
    [
        (b"authorization", b""),
        (b"authorization", b"Bearer"),
        (b"authorization", b" bearer  "),
        (b"x-api-key", b""),
    ],
)
async def test_a_field_that_shows_nothing_is_no_credential(key):
    """SEMANTICS 1: never an "anonymous" partition."""
    origin = Origin(answer())
    async with world() as w:
        await w.ask(body(), origin, key=key)
        assert "no-credential" in (await w.ask(body(), origin, key=key)).cache_status
        assert "no-credential" in (await w.ask(body(), origin, key=None, query=b"key=")).cache_status


async def test_the_order_of_two_keys_tells_callers_apart():
    origin = Origin(answer())
    async with world() as w:
        await w.ask(body(), origin, OTHER_KEY)
        await w.ask(body(), origin, KEY, key=OTHER_KEY)
    assert origin.calls == 2


@pytest.mark.parametrize(
    ("listed", "line"),
    [(b"openai-beta", (b"openai-beta", b"v2")), (b"Keep-Alive, OpenAI-Beta", (b"openai-beta", b"v2"))],
)
async def test_a_key_field_that_ends_here_is_not_in_the_key(listed, line):
    """RFC 9110 7.6.1: the origin does not get what Connection lists, so its answer knows nothing of it."""
    origin = Origin(answer())
    async with world() as w:
        await w.ask(body(), origin, line, (b"connection", listed))
        assert not (await w.ask(body(), origin, line)).hit
        assert (await w.ask(body(), origin)).hit


async def test_a_credential_that_ends_here_is_none():
    origin = Origin(answer())
    async with world() as w:
        seen = await w.ask(body(), origin, (b"connection", b"authorization"))
    assert "no-credential" in seen.cache_status


async def test_followers_of_an_error_get_nothing_of_the_leaders_own():
    """SEMANTICS 2: cookies and ids are of one exchange; every answer has its own x-request-id."""
    lines = (
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=b"),
        (b"x-request-id", b"o-1"),
        (b"retry-after", b"3"),
        (b"retry-after-ms", b"3000"),
    )
    origin = Origin(Response(429, lines, b'{"error":{}}'))
    origin.gate = asyncio.Event()
    async with world() as w:
        leader = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        follower = asyncio.ensure_future(w.ask(body(), origin))
        await settle()
        origin.gate.set()
        own, shared = await leader, await follower

    assert own.headers[b"set-cookie"] == b"a=b"
    assert b"set-cookie" not in shared.headers
    assert shared.headers[b"x-request-id"].startswith(b"tc-")
    assert shared.headers[b"retry-after"] == b"3"
    names = [name for name, _ in shared.response.headers]
    assert names.count(b"retry-after") == names.count(b"retry-after-ms") == 1
    assert shared.body == own.body
    assert "collapsed" in shared.cache_status


async def test_memory_does_not_grow_with_large_credentials():
    origin = Origin(answer())
    async with world() as w:
        for number in range(40):
            await w.ask(body(), origin, key=(b"cookie", b"%d" % number + b"x" * 200_000))
        assert w.cache._callers._seen.weight <= 2**20
        assert w.cache._keyer._lanes.weight <= 2**20


async def test_a_cookie_of_the_network_does_not_tell_callers_apart():
    """HTTP clients send back what the network before the origin sets, anew every half-hour."""
    origin = Origin(answer())
    async with world() as w:
        await w.ask(body(), origin)
        assert (await w.ask(body(), origin, (b"cookie", b"__cf_bm=1; _cfuvid=2"))).hit
        assert not (await w.ask(body(), origin, (b"cookie", b"__cf_bm=1; session=2"))).hit
        assert (await w.ask(body(), origin, (b"cookie", b"session=2; __cf_bm=3"))).hit
