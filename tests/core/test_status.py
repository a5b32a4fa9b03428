"""Cache-Status is what RFC 9211 says: one member, hit xor fwd, behind the members of caches before us."""

from math import inf, nan

import pytest

from tiered_cache.core.status import cache_status
from tiered_cache.core.vocabulary import Outcome


@pytest.mark.parametrize(
    ("outcome", "value"),
    [
        (Outcome("hit", tier="L1", ttl_s=41.9), b"tiered-cache; hit; ttl=41; detail=L1"),
        (Outcome("hit", tier="L2", ttl_s=0.0), b"tiered-cache; hit; ttl=0; detail=L2"),
        (Outcome("stale", tier="disk", ttl_s=-0.5), b"tiered-cache; hit; ttl=-1; detail=disk"),
        (
            Outcome("stale", fwd="stale", fwd_status=503, ttl_s=-30.0, tier="L1"),
            b"tiered-cache; fwd=stale; fwd-status=503; ttl=-30; detail=L1",
        ),
        (
            Outcome("miss", fwd="uri-miss", fwd_status=200, stored=True, ttl_s=600.0),
            b"tiered-cache; fwd=uri-miss; fwd-status=200; ttl=600; stored",
        ),
        (
            Outcome("miss", fwd="miss", fwd_status=200, detail="unstated"),
            b"tiered-cache; fwd=miss; fwd-status=200; detail=unstated",
        ),
        (Outcome("miss"), b"tiered-cache; fwd=miss"),
        (
            Outcome("bypass", fwd="bypass", detail="duplicate-key"),
            b"tiered-cache; fwd=bypass; detail=duplicate-key",
        ),
        (Outcome("bypass", detail="nesting"), b"tiered-cache; fwd=bypass; detail=nesting"),
        (
            Outcome("collapsed", fwd="uri-miss", fwd_status=200, collapsed=True),
            b"tiered-cache; fwd=uri-miss; fwd-status=200; collapsed",
        ),
        (Outcome("collapsed"), b"tiered-cache; fwd=miss; collapsed"),
        (
            Outcome("revalidated", fwd="stale", fwd_status=304, ttl_s=10.0),
            b"tiered-cache; fwd=stale; fwd-status=304; ttl=10",
        ),
        (Outcome("hit", tier="L1", detail="unstated"), b"tiered-cache; hit; detail=L1/unstated"),
        (Outcome("error", fwd="miss", fwd_status=500), b"tiered-cache; fwd=miss; fwd-status=500"),
    ],
)
def test_an_outcome_is_one_member_with_hit_or_fwd(outcome, value):
    assert cache_status(outcome) == value


def test_a_locally_made_error_has_no_member():
    """RFC 9211 §2: not on locally made errors."""
    assert cache_status(Outcome("error")) == b""
    assert cache_status(Outcome("error"), earlier=b"cdn; hit") == b"cdn; hit"


def test_our_member_stands_behind_those_of_caches_nearer_the_origin():
    assert (
        cache_status(Outcome("miss"), earlier=b"cdn; fwd=miss, b; hit")
        == b"cdn; fwd=miss, b; hit, tiered-cache; fwd=miss"
    )


@pytest.mark.parametrize("earlier", [b"cdn; hit,", b"cdn; ttl=", b'"cdn', b"MISS from cache.example (1)"])
def test_an_earlier_value_that_would_make_ours_unreadable_is_dropped(earlier):
    assert cache_status(Outcome("miss"), earlier=earlier) == b"tiered-cache; fwd=miss"


def test_an_earlier_value_that_can_be_read_is_kept_however_odd():
    assert cache_status(Outcome("miss"), earlier=b"MISS") == b"MISS, tiered-cache; fwd=miss"


@pytest.mark.parametrize("ttl_s", [inf, -inf, nan, 1e300, -1e300, 1e15, -1e15])
def test_a_ttl_that_the_field_cannot_hold_is_left_out(ttl_s):
    assert cache_status(Outcome("hit", ttl_s=ttl_s)) == b"tiered-cache; hit"


def test_the_longest_ttl_that_the_field_holds_is_written():
    assert cache_status(Outcome("hit", ttl_s=10**15 - 2)) == b"tiered-cache; hit; ttl=999999999999998"


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("a/b:c", b"a/b:c"),
        ("two words", b'"two words"'),
        ("5xx", b'"5xx"'),
        ('say "x"\\', b'"say \\"x\\"\\\\"'),
        ("line\r\nx-evil: 1", b'"line??x-evil: 1"'),
        ("caf\u00e9\x7f", b'"caf??"'),
    ],
)
def test_words_are_tokens_where_they_can_be_and_never_break_the_field(word, written):
    assert cache_status(Outcome("hit", detail=word)) == b"tiered-cache; hit; detail=" + written
    assert cache_status(Outcome("hit"), name=word) == written + b"; hit"
