"""What an operator's rules do to calls."""

import asyncio
import hashlib

from tests.scenarios.world import KEY, OTHER_KEY, Origin, answer, body, events, world
from tiered_cache import Gives, Match, Response, Rule

SAMPLED = body(temperature=0.9)


def tenants(**names: str) -> dict[str, str]:
    keys = {"one": b"rqy_one", "two": b"rqy_two"}
    return {hashlib.sha256(keys[key]).hexdigest(): tenant for key, tenant in names.items()}


async def test_a_rule_keeps_one_tenant_out_of_the_cache():
    """SEMANTICS 3: ordered rules, the first match wins; a rule matches on tenant."""
    rule = Rule(match=Match(tenants=("legal",)), gives=Gives(store=False))
    origin = Origin(answer())
    async with world(rules=(rule,), tenants=tenants(one="legal", two="acme")) as w:
        legal = [await w.ask(body(), origin) for _ in range(2)]
        acme = [await w.ask(body(), origin, key=OTHER_KEY) for _ in range(2)]

    assert [seen.hit for seen in (*legal, *acme)] == [False, False, False, True]
    assert legal[1].cache_status == "tiered-cache; fwd=bypass; fwd-status=200; detail=rule"
    assert origin.calls == 3


async def test_a_rule_has_samples_stored_and_shared():
    rule = Rule(match=Match(determinism="sampled"), gives=Gives(fresh_s=60, collapse=True))
    origin = Origin(answer("one"), answer("two"))
    origin.gate = asyncio.Event()
    async with world(rules=(rule,)) as w:
        asking = [asyncio.ensure_future(w.ask(SAMPLED, origin)) for _ in range(5)]
        await asyncio.sleep(0.01)
        origin.gate.set()
        texts = {(await seen).text for seen in asking}
        hit = await w.ask(SAMPLED, origin)
        w.clock.advance(61)
        later = await w.ask(SAMPLED, origin)

    assert texts == {"one"}
    assert (hit.text, "detail=L1/sampled" in hit.cache_status) == ("one", True)
    assert (later.text, origin.calls) == ("two", 2)


async def test_a_rule_keeps_equal_calls_apart():
    rule = Rule(gives=Gives(collapse=False))
    origin = Origin(answer())
    origin.gate = asyncio.Event()
    async with world(rules=(rule,)) as w:
        asking = [asyncio.ensure_future(w.ask(body(), origin)) for _ in range(3)]
        await asyncio.sleep(0.01)
        origin.gate.set()
        await asyncio.gather(*asking)
        assert (await w.ask(body(), origin)).hit

    assert origin.calls == 3


async def test_a_rule_has_a_stale_answer_given_while_a_newer_one_is_fetched():
    """RFC 5861 3: stale-while-revalidate."""
    rule = Rule(gives=Gives(fresh_s=10, stale_while_revalidate_s=20))
    origin = Origin(answer("old"), answer("new"))
    async with world(rules=(rule,)) as w:
        await w.ask(body(), origin)
        w.clock.advance(15)
        stale = await w.ask(body(), origin)
        await asyncio.sleep(0.01)
        fresh = await w.ask(body(), origin)
        w.clock.advance(31)
        gone = await w.ask(body(), origin)

    assert (stale.text, "ttl=-5" in stale.cache_status) == ("old", True)
    assert (fresh.text, fresh.hit) == ("new", True)
    assert (gone.hit, origin.calls) == (False, 3)


async def test_a_rule_has_an_answer_stand_in_for_longer():
    rule = Rule(match=Match(models=("openai/*",)), gives=Gives(fresh_s=10, stale_if_error_s=1000))
    origin = Origin(answer("old"), Response(503, (), b"down"))
    async with world(rules=(rule,)) as w:
        await w.ask(body(), origin)
        w.clock.advance(1000)
        assert (await w.ask(body(), origin)).text == "old"
        w.clock.advance(11)
        assert (await w.ask(body(), origin)).status == 503


async def test_callers_may_ask_for_more_where_a_rule_leaves_room():
    """SEMANTICS 3: x-tiered-cache-ttl only shortens below max_fresh."""
    rule = Rule(gives=Gives(fresh_s=10, max_fresh_s=100))
    origin = Origin(answer("one"), answer("two"))
    async with world(rules=(rule,)) as w:
        await w.ask(body(), origin, (b"x-tiered-cache-ttl", b"500"))
        w.clock.advance(99)
        assert (await w.ask(body(), origin)).hit
        w.clock.advance(2)
        assert (await w.ask(body(), origin)).text == "two"


async def test_a_rule_matches_on_what_kind_of_answer_it_is():
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    whole = answer().replace(
        b'"content":"hi"', b'"content":null,"tool_calls":%s' % str(calls).replace("'", '"').encode()
    )
    whole = whole.replace(b'"finish_reason":"stop"', b'"finish_reason":"tool_calls"')
    rule = Rule(match=Match(content=("tool-call",)), gives=Gives(fresh_s=5))
    streams = Rule(match=Match(media_types=("text/event-*",)), gives=Gives(fresh_s=7))
    stream = Response(200, ((b"content-type", b"text/Event-Stream; charset=utf-8"),), b"".join(events()))
    async with world(rules=(rule, streams)) as w:
        told = [
            await w.ask(body("tools"), Origin(whole)),
            await w.ask(body("text"), Origin(answer())),
            await w.ask(body("text", seed=1, stream=True), Origin(stream)),
        ]
        ttls = [
            await w.ask(sent, Origin(answer()))
            for sent in (body("tools"), body("text"), body("text", seed=1))
        ]

    assert [seen.status for seen in told] == [200, 200, 200]
    assert [seen.cache_status.partition("ttl=")[2].partition(";")[0] for seen in ttls] == ["5", "86400", "7"]


async def test_a_rule_knows_whether_a_call_brings_tools():
    rule = Rule(match=Match(tools=True), gives=Gives(store=False))
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    origin = Origin(answer())
    async with world(rules=(rule,)) as w:
        brought = [
            await w.ask(body(tools=[tool]), origin),
            await w.ask(body(functions=[{"name": "f"}]), origin),
            await w.ask(body(tools=[tool], n=1, models=["openai/gpt-4o-mini"]), origin),
        ]
        without = [await w.ask(body(**fields), origin) for fields in ({}, {"tools": []})]

    assert ["detail=rule" in seen.cache_status for seen in brought] == [True, True, True]
    assert ["detail=rule" in seen.cache_status for seen in without] == [False, False]


async def test_explain_names_the_rule_of_the_tenant_that_asks():
    rule = Rule(name="legal", match=Match(tenants=("legal",)), gives=Gives(fresh_s=5, jitter=0))
    async with world(rules=(rule,), tenants=tenants(one="legal")) as w:
        told = [w.cache.explain(w.request(body(), key=key)) for key in (KEY, OTHER_KEY)]

    assert [each.rule for each in told] == ["legal", "deterministic-alias"]
    assert told[0].lifetime.fresh_s == 5


async def test_an_operator_forbids_single_directives():
    """SEMANTICS 3: Operators can forbid each."""
    origin = Origin(answer())
    async with world(ignored_directives=("no-cache", "x-tiered-cache-variant")) as w:
        await w.ask(body(), origin)
        told = [
            await w.ask(body(), origin, line)
            for line in ((b"cache-control", b"no-cache"), (b"x-tiered-cache-variant", b"2"))
        ]
        kept = await w.ask(body(), origin, (b"cache-control", b"no-store"))

    assert [seen.hit for seen in (*told, kept)] == [True, True, False]
