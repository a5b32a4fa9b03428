"""Laws of variants: a model of what is stored foresees every answer, whatever is asked in whatever order."""

import asyncio
import re
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenarios.world import Origin, answer, body, world
from tiered_cache import Gives, Rule
from tiered_cache.core.keys import Keyer
from tiered_cache.core.variants import Place, choose, replaced
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier

FRESH_S = 100.0
NO_CACHE = (b"cache-control", b"no-cache")

places = st.lists(st.sampled_from(Place), min_size=2, max_size=16)
turns = st.integers(0, 15)


@given(places, turns)
def test_an_empty_place_is_filled_before_anything_is_served_twice(found, turn):
    index = choose(found, turn % len(found))
    if Place.EMPTY in found:
        assert found[index] is Place.EMPTY
    elif set(found) == {Place.TAKEN}:
        assert index == turn % len(found)
    else:
        assert found[index] in {Place.STORED, Place.RUNNING}


@given(places, turns)
def test_who_may_not_ask_the_origin_gets_what_is_stored_wherever_it_is(found, turn):
    index = choose(found, turn % len(found), fill=False)
    assert (found[index] is Place.STORED) == (Place.STORED in found)


@given(places, turns)
def test_a_full_round_serves_each_that_can_answer_once(found, turn):
    usable = [index for index, place in enumerate(found) if place in {Place.STORED, Place.RUNNING}]
    if Place.EMPTY in found or not usable:
        return
    turn %= len(found)
    served = []
    for _ in usable:
        served.append(choose(found, turn))
        turn = (served[-1] + 1) % len(found)
    assert sorted(served) == usable


@given(places, turns)
def test_what_is_replaced_is_empty_or_whose_turn_it_is(found, turn):
    index = replaced(found, turn % len(found))
    assert found[index] is Place.EMPTY if Place.EMPTY in found else index == turn % len(found)


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8, unique=True))
def test_no_two_variants_have_one_key(names):
    keyer = Keyer(b"a secret for these tests")
    keys = [CacheKey(name) for name in names]
    made = [keyer.variant(key, number) for key in keys for number in range(16)]
    assert len({*made, *keys}) == len(made) + len(keys)
    assert {len(key) for key in made} == {49}
    assert len({key[1:17] for key in made}) == len({key[17:] for key in made}) == len(made)


calls = st.integers(0, 2)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), calls),
        st.tuples(st.just("together"), calls, st.integers(2, 6)),
        st.tuples(st.just("anew"), calls),
        st.tuples(st.just("pass"), st.sampled_from([1.0, 40.0, 101.0])),
        st.tuples(st.just("forget")),
    ),
    max_size=30,
)


class Model:
    """What must be stored: for each call its places, with the text and when that ends."""

    def __init__(self, w, size: int) -> None:
        self.w = w
        self.size = size
        self.stored: dict[int, dict[int, tuple[str, float]]] = {}
        self.asked: dict[str, int] = {}
        numbers = count(1)
        self.origin = Origin(lambda request: answer(f"{self._call_of(request)}-{next(numbers)}"))

    @staticmethod
    def _call_of(request) -> str:
        return re.search(rb'"content": "(\d)"', request.body)[1].decode()

    def live(self, call: int) -> dict[int, tuple[str, float]]:
        now = self.w.clock.monotonic()
        kept = {at: held for at, held in self.stored.get(call, {}).items() if now < held[1]}
        self.stored[call] = kept
        return kept

    def check(self, call: int, seen, before: int) -> None:
        """One answer: of this call, of the place that it names, new only where a place was empty."""
        place, size = map(int, re.search(r"variant:(\d+)/(\d+)", seen.cache_status).groups())
        held = self.stored[call]
        assert size == self.size
        assert 1 <= place <= size
        assert seen.text.startswith(f"{call}-")
        if "fwd=uri-miss" in seen.cache_status and "collapsed" not in seen.cache_status:
            assert before < size, "there was no empty place"
            assert place not in held, "it was no empty place"
            held[place] = (seen.text, self.w.clock.monotonic() + FRESH_S)
        else:
            assert held[place][0] == seen.text
        assert len(held) <= size

    async def ask(self, call: int, *headers):
        return await self.w.ask(body(str(call), temperature=1.0), self.origin, *headers)


async def run(size: int, sequence) -> None:
    lower = [lambda clock: GuardedTier(MemoryTier(None, clock), clock=clock)]
    rule = Rule(gives=Gives(fresh_s=FRESH_S, variants=size))
    async with world(rules=(rule,), lower=lower) as w:
        model = Model(w, size)
        for step in sequence:
            await perform(model, *step)
        for call in range(3):
            await fill(model, call)


async def perform(model: Model, what: str, *told) -> None:
    match what:
        case "ask":
            before = len(model.live(told[0]))
            model.check(told[0], await model.ask(told[0]), before)
        case "together":
            await together(model, *told)
        case "anew":
            held = model.live(told[0])
            seen = await model.ask(told[0], NO_CACHE)
            place = int(re.search(r"variant:(\d+)/", seen.cache_status)[1])
            assert "fwd=request" in seen.cache_status
            assert len(held) == model.size or place not in held, "an empty place comes first"
            held[place] = (seen.text, model.w.clock.monotonic() + FRESH_S)
        case "pass":
            model.w.clock.advance(told[0])
        case _:
            await asyncio.sleep(0.001)  # what is written behind is written
            await model.w.cache.memory.clear()


async def together(model: Model, call: int, number: int) -> None:
    """Callers at one moment: as many new answers as there are empty places, at most."""
    before = len(model.live(call))
    calls_before = model.origin.calls
    seen = await asyncio.gather(*[model.ask(call) for _ in range(number)])
    made = model.origin.calls - calls_before
    assert made == min(number, model.size - before)
    for each in sorted(seen, key=lambda one: "; hit" in one.cache_status or "collapsed" in one.cache_status):
        model.check(call, each, before)


async def fill(model: Model, call: int) -> None:
    """In the end every place is filled, and a round serves each of them once."""
    while len(model.live(call)) < model.size:
        model.check(call, await model.ask(call), len(model.live(call)))
    texts = [(await model.ask(call)).text for _ in range(model.size)]
    assert sorted(texts) == sorted(text for text, _ in model.live(call).values())


@settings(max_examples=60)
@given(st.integers(2, 4), steps)
def test_a_model_foresees_every_answer(size, sequence):
    asyncio.run(run(size, sequence))
