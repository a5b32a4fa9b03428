"""Laws of embeddings: any history of batches gives the vectors of an uncached call, and shares add up."""

import asyncio
import json
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.embeddings_kit import (
    body,
    call_of,
    canonical,
    float32,
    inputs_of,
    packed,
    reply,
    stored,
    unpacked,
    vector,
    vectors_of,
)
from tests.scenarios.world import JSON, world
from tiered_cache import Response
from tiered_cache.core.answers import render
from tiered_cache.core.embeddings_parts import apportion, join, split, weigh_inputs, with_inputs
from tiered_cache.core.vectors import as_base64, as_floats
from tiered_cache.core.vocabulary import CacheKey

KEY = CacheKey(bytes(49))
FEWER = settings(max_examples=60)  # each runs a whole cache

texts = st.sampled_from(["a", "b", "c", "A", "é", "", "a b", '"', "\\", "🦊"]) | st.text(max_size=3)
tokens = st.lists(st.integers(0, 3), min_size=1, max_size=3)
batches = st.lists(texts, min_size=1, max_size=6) | st.lists(tokens, min_size=1, max_size=6)
forms = st.sampled_from([..., "float", "base64"])
float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)


class Origin:
    """Answers by scripts of its own: it writes either form, and charges by the call."""

    def __init__(self, writes):
        self.writes = writes
        self.asked = []
        self.cost = 0

    async def __call__(self, request):
        await asyncio.sleep(0)
        inputs = inputs_of(request.body)
        self.asked += inputs
        self.cost += 7 * len(inputs)
        form = {} if self.writes is None else {"encoding_format": self.writes}
        sent = json.dumps(json.loads(request.body) | form).encode()
        return Response(200, (JSON,), reply(sent, cost=f"0.{7 * len(inputs):09}"))


@FEWER
@given(
    st.lists(st.tuples(batches, forms, st.booleans()), min_size=1, max_size=6),
    st.sampled_from([None, "float", "base64"]),
)
def test_any_history_gives_what_an_uncached_call_gives(history, writes):
    """Batches one after another or at once, in either form, from an origin that writes what it likes."""

    async def play():
        origin = Origin(writes)
        async with world() as w:

            async def ask(inputs, form):
                seen = await w.ask(body(inputs, encoding_format=form), origin, endpoint="embeddings")
                assert seen.status == 200
                assert vectors_of(seen.body) == [vector(each) for each in inputs]
                return seen.json["usage"]["cost"]

            paid, at_once = [], []
            for inputs, form, wait in history:
                if wait:
                    paid += await asyncio.gather(*[ask(*each) for each in at_once])
                    at_once = []
                at_once.append((inputs, form))
            paid += await asyncio.gather(*[ask(*each) for each in at_once])
            bill = round(sum(paid) * 1e9)
            assert bill == origin.cost, "what callers add up is what the origin charged"
            assert w.cache.ledger.spent_picousd == origin.cost * 1000
            if all(wait for _, _, wait in history):
                once = [json.dumps(each) for each in origin.asked]
                assert len(set(once)) == len(once), "an input is asked once"

    asyncio.run(play())


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_shares_add_up_and_none_is_off_by_one(total, weights):
    shares = apportion(total, weights)
    whole = sum(weights)
    assert sum(shares) == total
    if whole:
        assert all(
            abs(share * whole - total * weight) < whole for share, weight in zip(shares, weights, strict=True)
        )


@given(st.lists(texts, min_size=2, max_size=8), st.integers(0, 10**6), st.integers(0, 10**9), forms)
def test_a_batch_taken_apart_and_put_together_is_the_batch(inputs, count, cost, form):
    raw = body(inputs)
    sent = body(inputs, encoding_format=form)
    entry = stored(reply(sent, tokens=count, cost=f"{cost}e-12"), call_of(raw))
    parts = split(entry, weigh_inputs(raw), KEY)
    assert sum(part.usage.prompt_tokens for part in parts) == count
    assert sum(part.usage.cost_picousd for part in parts) == cost == entry.usage.cost_picousd
    for shape in ("json", "base64"):
        joined = join(parts, shape, 0, KEY)
        assert not joined.estimated
        assert json.loads(joined.body) == json.loads(render(entry, shape).body)


@given(st.lists(texts, min_size=2, max_size=6), st.data())
def test_a_smaller_call_is_keyed_by_its_own_inputs(inputs, data):
    places = data.draw(st.lists(st.sampled_from(range(len(inputs))), min_size=1, unique=True))
    fields = data.draw(
        st.fixed_dictionaries({}, optional={"user": texts, "task": texts, "dimensions": st.just(6)})
    )
    raw = body(inputs, **fields)
    smaller = with_inputs(raw, places)
    assert json.loads(smaller) == json.loads(raw) | {"input": [inputs[place] for place in places]}
    whole, part = canonical(raw), canonical(smaller)
    wanted = tuple(whole.elements[place] for place in places)
    assert (part.elements or (part.text,)) == wanted


@given(batches, batches)
def test_batches_have_one_key_exactly_when_they_are_equal(one, other):
    same = json.dumps(one) == json.dumps(other)
    assert (canonical(body(one)).text == canonical(body(other)).text) == same


@given(st.lists(float32s, min_size=1, max_size=20))
def test_vectors_survive_any_number_of_conversions(values):
    text = json.dumps(packed(values)).encode()
    numbers = as_floats(text)
    assert unpacked(json.loads(numbers)) == values
    assert as_base64(numbers) == text
    assert struct.pack(f"<{len(values)}d", *json.loads(numbers)) == struct.pack(f"<{len(values)}d", *values)


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=20))
def test_more_precise_numbers_become_the_nearest_float32(values):
    assert unpacked(json.loads(as_base64(json.dumps(values).encode()))) == [
        float32(value) for value in values
    ]
