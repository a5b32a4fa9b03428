"""What may be done with an answer at each age, exact at the boundaries."""

from math import inf

import pytest

from tiered_cache.core.freshness import Verdict, judge, stale_if_error_allowed
from tiered_cache.core.vocabulary import PLAIN, Ask, Lifetime

FRESH = Verdict.FRESH
REVALIDATE = Verdict.STALE_WHILE_REVALIDATE
IF_ERROR = Verdict.STALE_IF_ERROR
EXPIRED = Verdict.EXPIRED

WINDOWS = Lifetime(100.0, 10.0, 50.0)
PLAIN_100 = Lifetime(100.0)


@pytest.mark.parametrize(
    ("age_s", "verdict"),
    [
        (0.0, FRESH),
        (99.999, FRESH),
        (100.0, REVALIDATE),
        (109.999, REVALIDATE),
        (110.0, IF_ERROR),
        (149.999, IF_ERROR),
        (150.0, EXPIRED),
        (inf, EXPIRED),
    ],
)
def test_fresh_iff_lifetime_exceeds_age_and_windows_end_at_their_instant(age_s, verdict):
    """RFC 9111 §4.2: fresh ⇔ lifetime > current_age; RFC 5861 windows follow it."""
    assert judge(WINDOWS, age_s, PLAIN) is verdict
    assert judge(WINDOWS, age_s, Ask(read_timeout_s=600.0)) is verdict


def test_windows_of_zero_allow_nothing():
    assert judge(PLAIN_100, 99.0, PLAIN) is FRESH
    assert judge(PLAIN_100, 100.0, PLAIN) is EXPIRED
    assert judge(Lifetime(0.0), 0.0, PLAIN) is EXPIRED
    assert judge(Lifetime(0.0, 0.0, 5.0), 0.0, PLAIN) is IF_ERROR


def test_the_window_after_errors_counts_from_the_end_of_freshness_not_of_revalidation():
    assert judge(Lifetime(10.0, 100.0, 50.0), 109.0, PLAIN) is REVALIDATE
    assert judge(Lifetime(10.0, 100.0, 50.0), 110.0, PLAIN) is EXPIRED


def test_an_answer_never_outlives_its_retention_except_by_the_callers_own_wish():
    assert judge(WINDOWS, WINDOWS.retention_s, PLAIN) is EXPIRED


@pytest.mark.parametrize("ask", [Ask(no_store=True), Ask(no_cache=True), Ask(no_cache=True, max_stale_s=inf)])
def test_no_store_and_no_cache_take_nothing_stored_not_even_after_an_error(ask):
    assert judge(WINDOWS, 0.0, ask) is EXPIRED
    assert judge(WINDOWS, 120.0, ask) is EXPIRED


@pytest.mark.parametrize(
    ("max_age_s", "age_s", "verdict"),
    [
        (30.0, 29.0, FRESH),
        (30.0, 30.0, FRESH),
        (30.0, 30.001, IF_ERROR),
        (500.0, 105.0, IF_ERROR),
        (0.0, 0.0, FRESH),
    ],
)
def test_max_age_takes_nothing_older_and_nothing_stale(max_age_s, age_s, verdict):
    """RFC 9111 §5.2.1.1: unless max-stale is also present, the client does not wish to receive a stale response."""
    assert judge(WINDOWS, age_s, Ask(max_age_s=max_age_s)) is verdict


def test_an_answer_too_old_for_the_caller_and_without_a_window_is_of_no_use():
    assert judge(PLAIN_100, 31.0, Ask(max_age_s=30.0)) is EXPIRED


@pytest.mark.parametrize(
    ("min_fresh_s", "age_s", "verdict"),
    [
        (20.0, 79.0, FRESH),
        (20.0, 80.0, FRESH),
        (20.0, 80.001, IF_ERROR),
        (0.0, 99.0, FRESH),
        (0.0, 100.0, IF_ERROR),
    ],
)
def test_min_fresh_takes_what_stays_fresh_that_long(min_fresh_s, age_s, verdict):
    """RFC 9111 §5.2.1.3: freshness lifetime is no less than the current age plus the specified time."""
    assert judge(WINDOWS, age_s, Ask(min_fresh_s=min_fresh_s)) is verdict


@pytest.mark.parametrize(
    ("max_stale_s", "age_s", "verdict"),
    [
        (20.0, 120.0, FRESH),
        (20.0, 120.001, EXPIRED),
        (inf, 1e9, FRESH),
        (0.0, 100.0, FRESH),
        (0.0, 100.001, EXPIRED),
        (20.0, 50.0, FRESH),
    ],
)
def test_max_stale_takes_what_is_no_staler(max_stale_s, age_s, verdict):
    """RFC 9111 §5.2.1.2: exceeded its freshness lifetime by no more than the specified number of seconds."""
    assert judge(PLAIN_100, age_s, Ask(max_stale_s=max_stale_s)) is verdict


def test_a_stale_answer_that_the_caller_takes_is_still_revalidated_inside_the_window():
    assert judge(WINDOWS, 105.0, Ask(max_stale_s=60.0)) is REVALIDATE
    assert judge(WINDOWS, 115.0, Ask(max_stale_s=60.0)) is FRESH
    assert judge(WINDOWS, 105.0, Ask(max_stale_s=1.0)) is IF_ERROR


def test_all_wishes_must_hold_and_min_fresh_beats_max_stale():
    assert judge(PLAIN_100, 105.0, Ask(max_stale_s=10.0, max_age_s=105.0)) is FRESH
    assert judge(PLAIN_100, 105.0, Ask(max_stale_s=10.0, max_age_s=104.0)) is EXPIRED
    assert judge(PLAIN_100, 100.0, Ask(max_stale_s=10.0, min_fresh_s=0.0)) is EXPIRED


@pytest.mark.parametrize("status", [None, 424, 500, 502, 503, 504, 529])
def test_a_stale_answer_stands_in_for_an_origin_that_failed(status):
    assert stale_if_error_allowed(status)


@pytest.mark.parametrize("status", [200, 304, 400, 401, 402, 403, 404, 408, 409, 412, 422, 429, 501, 505])
def test_a_stale_answer_never_replaces_what_the_origin_did_answer(status):
    assert not stale_if_error_allowed(status)
