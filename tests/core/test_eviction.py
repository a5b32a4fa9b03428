"""Least recently used, within a budget of bytes."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.core.eviction import LARGEST_SHARE, Lru


def test_the_least_recently_used_leaves_first():
    lru = Lru(400)
    for key in "abcd":
        lru.put(key, key.upper(), 100)
    lru.get("a")
    lru.put("e", "E", 100)

    assert [lru.peek(key) for key in "abcde"] == ["A", None, "C", "D", "E"]
    assert (lru.weight_bytes, lru.evictions, len(lru)) == (400, 1, 4)


def test_peek_does_not_count_as_use():
    lru = Lru(400)
    for key in "abcd":
        lru.put(key, key, 100)
    lru.peek("a")
    lru.put("e", "e", 100)

    assert lru.peek("a") is None


def test_a_value_larger_than_its_share_is_not_kept_and_its_former_value_is_gone():
    lru = Lru(400)
    assert lru.put("a", 1, 400 // LARGEST_SHARE)
    assert not lru.put("a", 2, 400 // LARGEST_SHARE + 1)

    assert lru.get("a") is None
    assert lru.weight_bytes == 0


def test_zero_means_zero_and_none_means_unlimited():
    nothing, everything = Lru(0), Lru(None)

    assert not nothing.put("a", 1, 1)
    assert len(nothing) == 0
    for number in range(1000):
        assert everything.put(number, number, 10**12)
    assert len(everything) == 1000


def test_reweighing_evicts_others_and_refuses_more_than_the_share():
    lru = Lru(400)
    for key in "abcd":
        lru.put(key, key, 90)

    assert not lru.reweigh("a", 101)
    assert not lru.reweigh("absent", 1)
    assert lru.weight_bytes == 360
    lru.put("e", "e", 40)
    assert lru.reweigh("e", 100)
    assert lru.peek("a") is None
    assert lru.weight_bytes == 370


@pytest.mark.parametrize("known", [True, False])
def test_pop_and_clear_are_no_evictions(known):
    lru = Lru(400)
    lru.put("a", 1, 50)

    assert lru.pop("a" if known else "b") == (1 if known else None)
    lru.clear()
    assert (lru.weight_bytes, lru.evictions, len(lru)) == (0, 0, 0)


KEYS = st.integers(0, 9)
WEIGHTS = st.integers(0, 60)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, WEIGHTS),
        st.tuples(st.just("reweigh"), KEYS, WEIGHTS),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("pop"), KEYS, st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.one_of(st.none(), st.integers(0, 200)))
def test_it_agrees_with_the_obvious_model(steps, capacity):
    """Same values in the same order as a list scanned from the front, and never over the budget."""
    lru, model = Lru(capacity), OrderedDict()
    for number, (step, key, weight) in enumerate(steps):
        if step == "put":
            lru.put(key, number, weight)
            model.pop(key, None)
            if capacity is None or weight <= capacity // LARGEST_SHARE:
                model[key] = (number, weight)
        elif step == "reweigh":
            lru.reweigh(key, weight)
            if key in model and (capacity is None or weight <= capacity // LARGEST_SHARE):
                model[key] = (model.pop(key)[0], weight)
        elif step == "get":
            assert lru.get(key) == (model[key][0] if key in model else None)
            if key in model:
                model.move_to_end(key)
        else:
            assert lru.pop(key) == model.pop(key, (None, 0))[0]
        while capacity is not None and sum(weight for _, weight in model.values()) > capacity:
            model.popitem(last=False)
        assert [lru.peek(key) for key in range(10)] == [model.get(key, (None,))[0] for key in range(10)]
        assert lru.weight_bytes == sum(weight for _, weight in model.values())
        assert capacity is None or lru.weight_bytes <= capacity
