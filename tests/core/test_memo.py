"""The bounded map: what is used stays, the rest goes, and its weight never exceeds its capacity."""

from typing import NamedTuple

from tiered_cache.core.memo import RecentMap


class Value(NamedTuple):
    name: int
    weight: int = 1


def test_what_is_used_stays_and_the_rest_goes():
    recent: RecentMap[int, Value] = RecentMap(8)
    recent.put(-1, Value(-1))
    for number in range(100):
        recent.put(number, Value(number))
        assert recent.get(number) == Value(number)
        assert recent.get(-1) == Value(-1)

    assert recent.get(50) is None
    assert recent.weight <= 8


def test_what_was_replaced_never_comes_back():
    recent: RecentMap[int, Value] = RecentMap(8)
    recent.put(1, Value(1, 1))
    recent.put(2, Value(2, 4))  # the first is in the old generation now
    recent.put(1, Value(1, 5))  # more than may be held

    assert recent.get(1) is None


def test_a_value_put_again_does_not_push_others_out():
    recent: RecentMap[int, Value] = RecentMap(8)
    recent.put(1, Value(1))
    for number in range(20):
        recent.put(2, Value(number))

    assert (recent.get(1), recent.get(2), recent.weight) == (Value(1), Value(19), 2)


def test_no_capacity_holds_nothing():
    recent: RecentMap[int, Value] = RecentMap(0)
    recent.put(1, Value(1))

    assert recent.get(1) is None
    assert recent.weight == 0
