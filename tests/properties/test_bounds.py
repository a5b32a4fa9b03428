"""The bounds of a replay: no cache does better, and the clairvoyant one is no worse than LRU."""

from collections import OrderedDict
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.simulation.bounds import Ratios, Sums, clairvoyant, partition_key, unbounded
from tiered_cache.simulation.trace_calls import OriginModel
from tiered_cache.simulation.traces import Row

MODEL = OriginModel()
ROWS = st.lists(
    st.builds(
        Row,
        ts_ms=st.integers(0, 10_000),
        key_id=st.integers(0, 6),
        prompt_tokens=st.integers(0, 500),
        output_tokens=st.integers(0, 100),
        tenant=st.sampled_from(["", "a", "b"]),
    ),
    max_size=40,
)


@given(ROWS)
def test_unbounded_saves_every_call_but_the_first_of_its_key(rows):
    saved = unbounded(rows, MODEL)
    firsts = {partition_key(row): row for row in reversed(rows)}.values()

    assert saved.requests == len(rows) - len(firsts)
    assert saved.tokens == sum(r.prompt_tokens + r.output_tokens for r in rows) - sum(
        r.prompt_tokens + r.output_tokens for r in firsts
    )
    assert saved.cost_picousd == sum(map(MODEL.cost_picousd, rows)) - sum(map(MODEL.cost_picousd, firsts))


@given(st.lists(st.integers(0, 4), min_size=8, max_size=12), st.integers(0, 3))
def test_clairvoyant_is_the_best_there_is_for_equal_weights(ids, capacity):
    rows = [Row(at, key_id, 1, 1) for at, key_id in enumerate(ids)]

    assert clairvoyant(rows, MODEL, capacity, lambda _row: 1).requests == best_possible(tuple(ids), capacity)


def best_possible(keys, capacity: int) -> int:
    """Every way to choose what to keep, tried out."""

    @cache
    def hits(at: int, kept: frozenset) -> int:
        if at == len(keys):
            return 0
        gained = keys[at] in kept
        held = kept | {keys[at]}
        smaller = [held] if len(held) <= capacity else [held - {dropped} for dropped in held]
        return gained + max(hits(at + 1, choice) for choice in smaller if len(choice) <= max(capacity, 0))

    return hits(0, frozenset())


@given(ROWS, st.integers(0, 8))
def test_clairvoyant_is_between_lru_and_unbounded(rows, capacity):
    saved = clairvoyant(rows, MODEL, capacity, lambda _row: 1).requests

    assert lru(rows, capacity) <= saved <= unbounded(rows, MODEL).requests


def lru(rows, capacity: int) -> int:
    kept: OrderedDict = OrderedDict()
    hits = 0
    for row in rows:
        key = partition_key(row)
        hits += key in kept
        kept[key] = None
        kept.move_to_end(key)
        while len(kept) > capacity:
            kept.popitem(last=False)
    return hits


def test_clairvoyant_drops_what_comes_last_and_remembers_weights():
    rows = [Row(at, key_id, 1, 1) for at, key_id in enumerate([1, 2, 3, 2, 3, 1])]

    assert clairvoyant(rows, MODEL, 2, lambda _row: 1).requests == 2
    assert clairvoyant(rows, MODEL, 2, lambda row: 2 if row.key_id == 1 else 1).requests == 2
    assert clairvoyant(rows, MODEL, 3, lambda row: 2 if row.key_id == 3 else 1).requests == 2
    assert clairvoyant(rows, MODEL, 3, lambda _row: 1).requests == 3


@given(ROWS)
def test_clairvoyant_without_want_of_space_is_unbounded(rows):
    assert clairvoyant(rows, MODEL, 10**9, lambda _row: 1) == unbounded(rows, MODEL)


def test_ratios_of_nothing_are_zero_and_all_of_nothing_is_reached():
    nothing = Sums().ratios(Sums())

    assert nothing == Ratios(0.0, 0.0, 0.0, 0.0)
    assert nothing.of(nothing) == Ratios(1.0, 1.0, 1.0, 1.0)


def test_share_of_a_bound():
    assert Ratios(0.25, 0.1, 0.0, 1.0).of(Ratios(0.5, 0.2, 0.5, 1.0)) == Ratios(0.5, 0.5, 0.0, 1.0)
