"""Purges: what was purged is not served again, from any tier or flight, and nothing else is lost."""

import asyncio

import pytest

from tests.scenarios.world import JSON, KEY, OTHER_KEY, Origin, Stream, answer, body, events, world
from tiered_cache import DiskConfig, Gives, Match, PurgeOrder, RequestError, Response, Rule, Selector
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier

SOFT = PurgeOrder(soft=True)


def tags(*names):
    return b"x-tiered-cache-tags", ", ".join(names).encode()


async def filled(w, origin, *texts, **more):
    return [await w.ask(body(text), origin, **more) for text in texts]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    "what",
    [
        Selector(everything=True),
        Selector(model="openai/gpt-4o-mini"),
        Selector(model="gpt-4o-mini-2024-07-18"),
        Selector(tag="red"),
    ],
    ids=["everything", "model", "answered-model", "tag"],
)
async def test_what_is_purged_is_asked_for_again(what, soft):
    async with world() as w:
        origin = Origin(answer("old"))
        await w.ask(body(), origin, tags("red", "blue"))
        assert (await w.ask(body(), origin)).hit
        record = await w.cache.purge(what, PurgeOrder(soft=soft))
        assert record.complete
        origin.replies = [answer("new")]
        again = await w.ask(body(), origin)
        assert (again.text, again.hit) == ("new", False)
        assert (await w.ask(body(), origin)).hit
    assert origin.calls == 2


async def test_what_is_not_purged_stays():
    async with world() as w:
        origin = Origin(answer())
        await w.ask(body(), origin, tags("red"))
        for what in (
            Selector(tag="blue"),
            Selector(model="openai/gpt-4o"),
            Selector(tenant="nobody"),
            Selector(tag="red", tenant="nobody"),
            Selector(key="1-" + "00" * 16 + "-" + "00" * 32),
        ):
            await w.cache.purge(what)
        assert (await w.ask(body(), origin)).hit
    assert origin.calls == 1


async def test_a_tag_of_one_tenant_is_not_that_of_another():
    async with world() as w:
        origin = Origin(answer())
        for key in (KEY, OTHER_KEY):
            await w.ask(body(), origin, tags("red"), key=key)
        tenant = w.request(body(), key=KEY).scope.tenant
        await w.cache.purge(Selector(tag="red", tenant=tenant))
        assert not (await w.ask(body(), origin, key=KEY)).hit
        assert (await w.ask(body(), origin, key=OTHER_KEY)).hit
        await w.cache.purge(Selector(tag="red"))
        assert not (await w.ask(body(), origin, key=OTHER_KEY)).hit


async def test_tags_come_from_rules_and_from_the_origin_too():
    rule = Rule(match=Match(endpoints=("chat/completions",)), gives=Gives(tags=("ruled",)))
    for tag in ("ruled", "told", "grouped"):
        async with world(rules=(rule,)) as w:
            lines = (JSON, (b"cache-tag", b"told, other"), (b"cache-groups", b'"grouped", token'))
            origin = Origin(Response(200, lines, answer()))
            await w.ask(body(), origin)
            assert (await w.ask(body(), origin)).hit
            await w.cache.purge(Selector(tag=tag))
            assert not (await w.ask(body(), origin)).hit


async def test_one_call_is_purged_by_its_body_in_another_spelling_or_by_its_key():
    async with world() as w:
        origin = Origin(answer())
        await filled(w, origin, "one", "two")
        request = w.request(b" " + body("one", n=1))
        await w.cache.purge(request)
        assert [seen.hit for seen in await filled(w, origin, "one", "two")] == [False, True]
        key = w.cache.explain(w.request(body("two"))).key
        await w.cache.purge(Selector(key=key))
        assert [seen.hit for seen in await filled(w, origin, "one", "two")] == [True, False]


async def test_a_soft_purge_leaves_an_answer_for_when_the_origin_fails():
    async with world() as w:
        origin = Origin(answer("old"))
        await filled(w, origin, "one", "two")
        await w.cache.purge(w.request(body("one")), SOFT)
        await w.cache.purge(w.request(body("two")))
        origin.replies = [ConnectionError()]
        assert (await w.ask(body("one"), origin)).text == "old"
        with pytest.raises(ConnectionError):
            await w.ask(body("two"), origin)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_began_before_is_not_stored_and_not_joined(stream):
    async with world() as w:
        gate = asyncio.Event()
        reply = Stream(events("old"), gate=gate) if stream else answer("old")
        old = Origin(reply)
        old.gate = None if stream else gate
        first = asyncio.ensure_future(w.ask(body(stream=stream), old))
        for _ in range(20):
            await asyncio.sleep(0)
        assert old.calls == 1
        await w.cache.purge(Selector(everything=True))
        new = Origin(Stream(events("new")) if stream else answer("new"))
        assert (await w.ask(body(stream=stream), new)).text == "new"
        gate.set()
        assert (await first).text == "old"
        seen = await w.ask(body(stream=stream), new)
    assert (seen.text, seen.hit) == ("new", True)


async def test_what_a_lower_tier_holds_is_purged_with_it():
    kept = []

    def lower(clock):
        kept.append(MemoryTier(None, clock))
        return GuardedTier(kept[0], clock=clock)

    async with world(lower=[lower]) as w:
        origin = Origin(answer("old"))
        await w.ask(body(), origin)
        await asyncio.sleep(0.01)
        await w.cache.memory.clear()
        assert (await w.ask(body(), origin)).hit
        await w.cache.purge(Selector(everything=True))
        assert kept[0].entries == 1
        assert not (await w.ask(body(), origin)).hit


async def test_a_purge_outlives_the_process_beside_a_disk(tmp_path):
    disk = DiskConfig(directory=str(tmp_path / "cache"), read_deadline_s=5.0)
    origin = Origin(answer())
    async with world(disk=disk) as w:
        await filled(w, origin, "one", "two")
        await w.cache.purge(w.request(body("one")))
    async with world(disk=disk) as w:
        assert [seen.hit for seen in await filled(w, origin, "one", "two")] == [False, True]


@pytest.mark.parametrize("damage", ["lost", "cut", "rubbish"])
async def test_a_journal_that_is_damaged_makes_all_on_disk_useless(tmp_path, damage):
    disk = DiskConfig(directory=str(tmp_path / "cache"), read_deadline_s=5.0)
    origin = Origin(answer())
    async with world(disk=disk) as w:
        await filled(w, origin, "one")
        await w.cache.purge(Selector(tag="t"))
    journal = tmp_path / "cache" / "purges"
    if damage == "lost":
        journal.unlink()
    else:
        journal.write_bytes(b"" if damage == "cut" else b"{}\n" + journal.read_bytes())
    async with world(disk=disk) as w:
        assert [seen.hit for seen in await filled(w, origin, "one", "one")] == [False, True]


async def test_a_line_that_the_journal_lost_does_not_lend_its_number_to_another(tmp_path):
    disk = DiskConfig(directory=str(tmp_path / "cache"), read_deadline_s=5.0)
    origin = Origin(answer())
    journal = tmp_path / "cache" / "purges"
    async with world(disk=disk) as w:
        await filled(w, origin, "one")
        before = journal.read_bytes()
        await w.cache.purge(Selector(tag="t"))
        await filled(w, origin, "two")
    journal.write_bytes(before)
    async with world(disk=disk) as w:
        await w.cache.purge(Selector(everything=True))
        assert [seen.hit for seen in await filled(w, origin, "one", "two", "two")] == [False, False, True]


async def test_a_dry_run_counts_and_purges_nothing():
    async with world() as w:
        origin = Origin(answer())
        for text in ("one", "two"):
            await w.ask(body(text), origin, tags("red"))
        await filled(w, origin, "three")
        record = await w.cache.purge(Selector(tag="red"), PurgeOrder(dry_run=True))
        assert record.entries == 2
        assert all(seen.hit for seen in await filled(w, origin, "one", "two", "three"))
        assert w.cache.purges == ()


async def test_the_trail_says_who_and_what_and_nothing_of_the_prompt():
    async with world() as w:
        await w.cache.purge(w.request(body("a secret prompt")), PurgeOrder(by="ada"))
        (record,) = w.cache.purges
        assert record.by == "ada"
        assert record.what.key == w.cache.explain(w.request(body("a secret prompt"))).key
        assert "secret prompt" not in str(record)


@pytest.mark.parametrize(
    "what",
    [
        Selector(),
        Selector(tag="x", model="y"),
        Selector(everything=True, tenant="t"),
        Selector(key="x"),
        Selector(key="1-00", tenant="t"),
    ],
)
async def test_a_selector_names_one_thing(what):
    async with world() as w:
        with pytest.raises(RequestError):
            await w.cache.purge(what)


async def test_a_call_that_is_never_cached_cannot_be_purged():
    async with world() as w:
        with pytest.raises(RequestError, match="side-effect"):
            await w.cache.purge(w.request(body(store=True)))


@pytest.mark.parametrize("value", [b"", b"a,,b", b"a b", b"x" * 129, b"t\xe4g", b",".join([b"a"] * 129)])
async def test_tags_that_are_not_honoured_bypass(value):
    async with world() as w:
        origin = Origin(answer())
        for _ in range(2):
            seen = await w.ask(body(), origin, (b"x-tiered-cache-tags", value))
            assert "detail=bad-tags" in seen.cache_status
    assert origin.calls == 2


async def test_a_write_that_was_purged_does_not_keep_the_next_one_from_the_tier_below():
    """The first fill waits for its turn when it is purged; the second, which waits behind it, is written."""
    gate, kept = asyncio.Event(), []

    class Slow(MemoryTier):
        async def put(self, key, sealed, age_s=0.0):
            kept.append(sealed.entry.body)
            await gate.wait()
            await super().put(key, sealed, age_s)

    async with world(lower=[lambda clock: GuardedTier(Slow(None, clock), clock=clock)]) as w:
        for text in ("first", "second", "third"):
            await w.ask(body(), Origin(answer(text)), (b"cache-control", b"no-cache"))
            if text == "first":
                for _ in range(5):
                    await asyncio.sleep(0)
            if text == "second":
                await w.cache.purge(Selector(everything=True))
        gate.set()
        await asyncio.sleep(0.01)
    assert kept == [answer("first"), answer("third")]
