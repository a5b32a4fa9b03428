"""Several answers to one sampled call: the first calls ask the origin, the others get these answers in turn."""

import asyncio
from collections import Counter
from itertools import count

import pytest

from tests.scenarios.world import JSON, OTHER_KEY, Origin, Stream, answer, body, events, world
from tiered_cache import DiskConfig, Gives, MemoryConfig, Response, Rule
from tiered_cache.core import keys
from tiered_cache.engine import variants
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier

RETRY = (b"x-stainless-retry-count", b"1")
NO_CACHE = (b"cache-control", b"no-cache")
SAMPLED = body(temperature=0.9)

pytestmark = pytest.mark.usefixtures("no_task_left")


def three(**gives):
    return Rule(gives=Gives(**{"fresh_s": 60.0, "variants": 3, **gives}))


def numbered() -> Origin:
    """An origin that never gives the same answer twice."""
    numbers = count(1)
    return Origin(lambda _: answer(f"a{next(numbers)}"))


def slow(origin: Origin) -> Origin:
    origin.gate = asyncio.Event()
    return origin


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


async def texts(w, origin, number, sent=SAMPLED, *headers):
    return [(await w.ask(sent, origin, *headers)).text for _ in range(number)]


async def test_the_first_calls_are_misses_and_the_others_get_their_answers_in_turn():
    """SEMANTICS 3: the first k calls are misses, a flight each; then round robin from a random start."""
    origin = numbered()
    async with world(rules=(three(),)) as w:
        first = await texts(w, origin, 3)
        then = await texts(w, origin, 6)

    assert first == ["a1", "a2", "a3"]
    assert then == ["a1", "a2", "a3"] * 2
    assert origin.calls == 3


async def test_the_round_begins_somewhere():
    """Else every process would give its first caller the same of the answers that they share."""
    seen = set()
    for _ in range(40):
        async with world(rules=(three(),)) as w:
            said = (await w.ask(SAMPLED, numbered())).cache_status
            seen.add(said.partition("detail=")[2])
    assert seen == {"variant:1/3", "variant:2/3", "variant:3/3"}


async def test_every_answer_says_which_it_is():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        missed = [(await w.ask(SAMPLED, origin)).cache_status for _ in range(3)]
        hits = [(await w.ask(SAMPLED, origin)).cache_status for _ in range(3)]

    words = [status.partition("detail=")[2] for status in missed]
    assert sorted(words) == ["variant:1/3", "variant:2/3", "variant:3/3"]
    assert [status.partition("detail=")[2] for status in hits] == [f"L1/{word}" for word in words]
    assert all("fwd=uri-miss" in status and "stored" in status for status in missed)
    assert all("; hit; ttl=60;" in status for status in hits)


async def test_callers_that_come_together_have_a_flight_each_and_the_next_ones_join_in_turn():
    origin = slow(numbered())
    async with world(rules=(three(),)) as w:
        running = [asyncio.ensure_future(w.ask(SAMPLED, origin)) for _ in range(9)]
        await settle()
        assert origin.calls == 3
        origin.gate.set()
        seen = await asyncio.gather(*running)
        assert w.counted("repeat-sampling-suspected") == 0

    assert Counter(each.text for each in seen) == {"a1": 3, "a2": 3, "a3": 3}
    assert sum("collapsed" in each.cache_status for each in seen) == 6


async def test_streams_are_variants_too_and_answer_both_shapes():
    numbers = count(1)
    origin = Origin(lambda _: Stream(events(f"s{next(numbers)}")))
    async with world(rules=(three(),)) as w:
        first = await texts(w, origin, 3, body(temperature=0.9, stream=True))
        plain = await texts(w, origin, 3)

    assert sorted(first) == sorted(plain) == ["s1", "s2", "s3"]
    assert origin.calls == 3


async def test_a_paced_variant_is_paced():
    numbers = count(1)
    origin = Origin(lambda _: Stream(events(f"one two{next(numbers)}")))
    async with world(rules=(three(replay="as-recorded", variants=2),)) as w:
        await texts(w, origin, 2, body(temperature=0.9, stream=True))
        response = await w.cache.serve(w.request(body(temperature=0.9, stream=True)), origin)
        assert not isinstance(response.body, bytes)
        await response.body.aclose()


async def test_a_variant_that_ends_is_asked_for_anew_and_the_others_stay():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        await texts(w, origin, 1)
        w.clock.advance(30)
        await texts(w, origin, 2)
        w.clock.advance(31)
        again = await texts(w, origin, 4)

    assert origin.calls == 4
    assert Counter(again) == {"a4": 2, "a2": 1, "a3": 1}


async def test_an_answer_that_is_not_stored_leaves_its_place_empty():
    """Refused answers are nobody's variant: the next call asks again."""
    replies = [answer("cut", finish="length"), answer("b"), answer("c"), answer("d")]
    origin = Origin(*replies)
    async with world(rules=(three(),)) as w:
        first = await texts(w, origin, 4)
        then = await texts(w, origin, 3)

    assert first == ["cut", "b", "c", "d"]
    assert sorted(then) == ["b", "c", "d"]
    assert origin.calls == 4


async def test_an_empty_place_is_filled_before_a_running_flight_is_joined():
    """The second answer was refused storage while the first is still being written."""
    gate, called = asyncio.Event(), []

    async def origin(request):
        called.append(request)
        if len(called) == 1:
            await gate.wait()
        return Response(200, (JSON,), answer("b", finish="length" if len(called) == 2 else "stop"))

    async with world(rules=(three(variants=2),)) as w:
        first = asyncio.ensure_future(w.ask(SAMPLED, origin))
        await settle()
        await w.ask(SAMPLED, origin)
        third = await w.ask(SAMPLED, origin)
        assert (third.text, len(called)) == ("b", 3)
        assert "collapsed" not in third.cache_status
        gate.set()
        await first


async def test_who_cannot_have_a_variant_in_its_shape_gets_the_others():
    """An event with a field that assembly does not know locks an entry to the shape that filled it."""
    locked = [
        piece.replace(b'"delta": {"content"', b'"delta": {"odd": 1, "content"') for piece in events("locked")
    ]
    origin = Origin(Stream(locked), answer("open"))
    async with world(rules=(three(variants=2),)) as w:
        await w.ask(body(temperature=0.9, stream=True), origin)
        assert set(await texts(w, origin, 5)) == {"open"}
        assert origin.calls == 2
        assert len(set(await texts(w, origin, 4, body(temperature=0.9, stream=True)))) == 2


async def test_an_expired_variant_stands_in_while_the_origin_fails():
    origin = Origin(answer("a"), answer("b"), answer("c"), Response(503, (), b"down"))
    async with world(rules=(three(stale_if_error_s=1_000.0),)) as w:
        await texts(w, origin, 3)
        w.clock.advance(100)
        seen = [await w.ask(SAMPLED, origin) for _ in range(3)]

    assert sorted(each.text for each in seen) == ["a", "b", "c"]
    assert all("fwd=stale" in each.cache_status for each in seen)


async def test_no_cache_replaces_the_variant_whose_turn_it_is():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        await texts(w, origin, 3)
        assert await texts(w, origin, 1, SAMPLED, NO_CACHE) == ["a4"]
        assert Counter(await texts(w, origin, 3)) == {"a2": 1, "a3": 1, "a4": 1}
        assert await texts(w, origin, 3, SAMPLED, NO_CACHE) == ["a5", "a6", "a7"]
        assert sorted(await texts(w, origin, 3)) == ["a5", "a6", "a7"]


async def test_no_cache_fills_an_empty_place_first():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        await texts(w, origin, 1)
        await texts(w, origin, 2, SAMPLED, NO_CACHE)
        assert sorted(await texts(w, origin, 3)) == ["a1", "a2", "a3"]


async def test_no_store_is_neither_a_variant_nor_gets_one():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        seen = await texts(w, origin, 4, SAMPLED, (b"cache-control", b"no-store"))
        assert len(set(seen)) == 4
        await texts(w, origin, 3)
        assert origin.calls == 7


async def test_only_if_cached_gets_what_there_is():
    only = (b"cache-control", b"only-if-cached")
    origin = numbered()
    async with world(rules=(three(),)) as w:
        assert (await w.ask(SAMPLED, origin, only)).status == 504
        await texts(w, origin, 1)
        assert await texts(w, origin, 3, SAMPLED, only) == ["a1"] * 3
        assert origin.calls == 1


async def test_an_sdks_retry_joins_the_flight_that_its_first_try_left():
    """SEMANTICS 5: a retry joins a running flight whatever the collapse rule."""
    origin = slow(numbered())
    async with world(rules=(three(),)) as w:
        staying = asyncio.ensure_future(w.ask(SAMPLED, origin))
        leaving = asyncio.ensure_future(w.ask(SAMPLED, origin))
        await settle()
        later = asyncio.ensure_future(w.ask(SAMPLED, origin))
        await settle()
        leaving.cancel()
        await settle()
        again = asyncio.ensure_future(w.ask(SAMPLED, origin, RETRY))
        await settle()
        assert origin.calls == 3
        origin.gate.set()
        seen = await asyncio.gather(staying, later, again)

    assert [each.text for each in seen] == ["a1", "a3", "a2"]
    assert "collapsed" in seen[-1].cache_status


async def test_a_retry_with_nothing_to_join_is_a_call_like_any_other():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        assert await texts(w, origin, 3, SAMPLED, RETRY) == ["a1", "a2", "a3"]


async def test_without_a_rule_samples_are_neither_stored_nor_shared():
    origin = slow(numbered())
    async with world() as w:
        running = [asyncio.ensure_future(w.ask(SAMPLED, origin)) for _ in range(3)]
        await settle()
        origin.gate.set()
        seen = await asyncio.gather(*running)

    assert len({each.text for each in seen}) == 3
    assert all(each.cache_status.endswith("detail=sampled") for each in seen)


async def test_a_call_that_asks_for_one_answer_has_one():
    """Temperature 0 or a seed: no number of variants makes them samples."""
    origin = numbered()
    async with world(rules=(three(),)) as w:
        assert set(await texts(w, origin, 3, body())) == {"a1"}
        assert set(await texts(w, origin, 3, body(temperature=0.9, seed=7))) == {"a2"}


async def test_models_that_take_no_temperature_have_variants_too():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        assert len(set(await texts(w, origin, 6, body(temperature=...)))) == 3


async def test_another_call_and_another_credential_have_variants_of_their_own():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        mine = await texts(w, origin, 6)
        other = await texts(w, origin, 6, body("other", temperature=0.9))
        theirs = [(await w.ask(SAMPLED, origin, key=OTHER_KEY)).text for _ in range(6)]

    assert [len(set(each)) for each in (mine, other, theirs)] == [3, 3, 3]
    assert len({*mine, *other, *theirs}) == 9


async def test_a_callers_own_variant_text_names_another_set():
    origin = numbered()
    async with world(rules=(three(),)) as w:
        one = await texts(w, origin, 4, SAMPLED, (b"x-tiered-cache-variant", b"1"))
        two = await texts(w, origin, 4, SAMPLED, (b"x-tiered-cache-variant", b"2"))

    assert len(set(one)) == len(set(two)) == 3
    assert not set(one) & set(two)


async def test_what_a_lower_tier_holds_is_not_asked_for_again():
    """Another node, or this one before a restart, has filled some of the places."""
    shared = []

    def tier(clock):
        if not shared:
            shared.append(MemoryTier(None, clock))
        return GuardedTier(shared[0], clock=clock)

    origin = numbered()
    async with world(rules=(three(),), lower=[tier]) as w:
        await texts(w, origin, 2)
        await settle()
        await w.cache.memory.clear()
        more = await texts(w, origin, 4)

    assert origin.calls == 3
    assert more[0] == "a3"
    assert set(more) == {"a1", "a2", "a3"}


async def test_variants_outlive_a_restart(tmp_path):
    disk = DiskConfig(directory=str(tmp_path), read_deadline_s=10.0)
    origin = numbered()
    async with world(rules=(three(),), disk=disk) as w:
        await texts(w, origin, 3)
    async with world(rules=(three(),), disk=disk) as w:
        w.clock.advance(1)
        seen = await texts(w, origin, 3)

    assert sorted(seen) == ["a1", "a2", "a3"]
    assert origin.calls == 3


async def test_a_memory_that_keeps_nothing_makes_every_call_a_miss():
    origin = numbered()
    async with world(rules=(three(),), memory=MemoryConfig(capacity_bytes=0)) as w:
        assert len(set(await texts(w, origin, 6))) == 6


async def test_collapse_false_keeps_even_further_callers_apart():
    origin = slow(numbered())
    async with world(rules=(three(collapse=False),)) as w:
        running = [asyncio.ensure_future(w.ask(SAMPLED, origin)) for _ in range(5)]
        await settle()
        assert origin.calls == 5
        origin.gate.set()
        await asyncio.gather(*running)
        assert len(set(await texts(w, origin, 6))) == 3
        assert origin.calls == 5


async def test_with_the_fast_hash_a_constant_variants_are_not_mixed_up(monkeypatch):
    """SEMANTICS 1: what a key selects is named by a second, keyed digest as well."""
    monkeypatch.setattr(keys, "xxh3_128_digest", lambda *_: bytes(16))
    origin = numbered()
    async with world(rules=(three(),)) as w:
        mine = await texts(w, origin, 6)
        other = await texts(w, origin, 6, body("other", temperature=0.9))

    assert len(set(mine)) == len(set(other)) == 3
    assert not set(mine) & set(other)


async def test_a_looser_key_has_variants_of_its_own():
    """A variant's key keeps the version of the call's, so that no change of the words finds what was stored."""
    origin = numbered()
    strict, loose = three(), three(looser=("trim",))
    spaced = body(" hello ", temperature=0.9)
    found = []
    for rule in (strict, loose):
        async with world(rules=(rule,)) as w:
            assert len({*await texts(w, origin, 3), *await texts(w, origin, 3, spaced)}) == (
                6 if rule is strict else 3
            )
            found.append(
                {key[0] for turns in w.cache._beyond._variants._rounds.values() for key in turns.keys}
            )
    assert found == [{1}, {17}]


async def test_explain_says_how_many_there_are():
    async with world(rules=(three(),)) as w:
        told = [w.cache.explain(w.request(sent)).variants for sent in (SAMPLED, body())]

    assert told == [3, 0]


async def test_the_number_of_remembered_rounds_is_bounded(monkeypatch):
    """A forgotten round begins anew; what is stored stays."""
    monkeypatch.setattr(variants, "_ROUNDS", 3)
    origin = numbered()
    async with world(rules=(three(),)) as w:
        for number in range(5):
            await texts(w, origin, 3, body(f"q{number}", temperature=0.9))
        assert len(w.cache._beyond._variants._rounds) == 3
        assert sorted(await texts(w, origin, 3, body("q0", temperature=0.9))) == ["a1", "a2", "a3"]
