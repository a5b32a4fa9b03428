"""Laws of the pure rules: they hold for every value, and garbage is a miss or a typed error, nothing else."""

from decimal import Decimal
from math import inf

import msgspec
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec import structs
from xxhash import xxh3_64_digest

from tiered_cache.core.accounting import PICO, picousd, usd_text
from tiered_cache.core.codec import seal, unseal
from tiered_cache.core.directives import FOREIGN_PREFIXES, KEY_HEADERS, read_ask, read_origin
from tiered_cache.core.freshness import Verdict, judge
from tiered_cache.core.policy import lifetime, plan
from tiered_cache.core.profiles import PROFILES, unbounded
from tiered_cache.core.status import cache_status
from tiered_cache.core.structured import is_list, parse_dictionary
from tiered_cache.core.validators import make_etag, matches, parse_if_none_match
from tiered_cache.core.vocabulary import (
    PLAIN,
    Answer,
    Ask,
    CacheKey,
    Call,
    ContentClass,
    Determinism,
    Entry,
    Lifetime,
    Outcome,
    Usage,
)
from tiered_cache.errors import CorruptEntryError

seconds = st.floats(0, 1e7) | st.integers(0, 1000).map(float)
maybe_seconds = st.none() | seconds
counts = st.integers(0, 2**63)
amounts = st.integers(0, 10**18 - 1)
keys = st.binary(max_size=64).map(CacheKey)
names = st.sampled_from(
    [
        *sorted(KEY_HEADERS),
        b"cache-control",
        b"if-none-match",
        b"x-tiered-cache-replay",
        b"x-tiered-cache-ttl",
        b"accept",
    ]
)
values = st.binary(max_size=24)
lines = st.tuples(names | st.binary(max_size=12), values)
headers = st.lists(lines, max_size=6).map(tuple)

lifetimes = st.builds(Lifetime, seconds, seconds, seconds, st.text(max_size=8))
asks = st.builds(
    Ask,
    no_store=st.booleans(),
    no_cache=st.booleans(),
    max_age_s=maybe_seconds,
    min_fresh_s=maybe_seconds,
    max_stale_s=maybe_seconds | st.just(inf),
    ttl_s=maybe_seconds,
)
usages = st.builds(Usage, counts, counts, counts, st.none() | amounts)
entries = st.builds(
    Entry,
    endpoint=st.text(max_size=20),
    form=st.sampled_from(["json", "sse"]),
    status=st.integers(100, 599),
    headers=st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=4).map(tuple),
    body=st.binary(max_size=300),
    locked=st.booleans(),
    has_usage=st.booleans(),
    content_class=st.text(max_size=8),
    model=st.text(max_size=20),
    usage=usages,
    lifetime=lifetimes,
    origin_s=seconds,
    origin_request_id=st.binary(max_size=12),
    timing=st.binary(max_size=12),
)
calls = st.builds(
    Call,
    endpoint=st.sampled_from(["chat/completions", "embeddings", "images/generations"]),
    model=st.sampled_from(["openai/gpt-4o", "openai/gpt-4o-2024-08-06", ""]),
    determinism=st.sampled_from(Determinism),
    web_search=st.booleans(),
    remote_urls=st.booleans(),
    bypass=st.none() | st.just("side-effect"),
)
answers = st.builds(
    Answer,
    form=st.just("json"),
    body=st.just(b"{}"),
    locked=st.just(False),
    has_usage=st.booleans(),
    content_class=st.sampled_from(ContentClass),
    model=st.just("openai/gpt-4o"),
    usage=st.just(Usage()),
    short_lived=st.booleans(),
    searched=st.booleans(),
    expires_at_s=maybe_seconds,
    result_urls=st.booleans(),
)
profiles = st.sampled_from([*PROFILES.values(), unbounded()])
outcomes = st.builds(
    Outcome,
    kind=st.sampled_from(["hit", "stale", "revalidated", "collapsed", "miss", "bypass", "error"]),
    tier=st.none() | st.sampled_from(["L1", "disk", "L2"]),
    fwd=st.none() | st.sampled_from(["bypass", "method", "miss", "uri-miss", "request", "stale"]),
    fwd_status=st.none() | st.integers(100, 599),
    stored=st.booleans(),
    collapsed=st.booleans(),
    ttl_s=st.none() | st.floats(),
    detail=st.none() | st.text(max_size=12),
)


@given(keys, entries)
def test_unseal_undoes_seal(key, entry):
    sealed = seal(key, entry)
    assert unseal(key, sealed.payload) == sealed
    assert seal(key, structs.replace(entry)).payload == sealed.payload


@given(keys, keys, entries)
def test_no_key_opens_another_keys_bytes(mine, other, entry):
    assume(mine != other)
    try:
        unseal(other, seal(mine, entry).payload)
    except CorruptEntryError:
        return
    raise AssertionError("another key's entry was given away")


@given(keys, entries, st.data())
def test_damaged_bytes_are_corrupt_and_nothing_else(key, entry, data):
    payload = bytearray(seal(key, entry).payload)
    begin = data.draw(st.integers(0, len(payload)))
    end = data.draw(st.integers(begin, len(payload)))
    damaged = bytes(payload[:begin]) + data.draw(st.binary(max_size=20)) + bytes(payload[end:])
    assume(damaged != payload)
    try:
        unseal(key, damaged)
    except CorruptEntryError:
        return
    raise AssertionError("damaged bytes passed for an entry")


@given(keys, entries, st.data())
def test_damage_under_a_right_checksum_is_an_entry_or_corrupt_and_nothing_else(key, entry, data):
    body = bytearray(msgspec.msgpack.encode(entry))
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] = data.draw(st.integers(0, 255))
    whole = seal(key, entry).payload[: 6 + len(key)] + bytes(body)
    try:
        read = unseal(key, whole + xxh3_64_digest(whole)).entry
    except CorruptEntryError:
        return
    assert read.lifetime.retention_s >= 0


@given(headers, st.frozensets(names, max_size=2))
def test_any_request_headers_give_an_ask(fields, key_headers):
    ask = read_ask(fields, key_headers)
    assert ask is PLAIN or ask != PLAIN
    assert all(
        limit is None or limit >= 0 for limit in (ask.max_age_s, ask.min_fresh_s, ask.max_stale_s, ask.ttl_s)
    )


tricky = st.sampled_from([b"", b"a", b"1:a", b"a, a", b"1:a14:openai-project0:", b"0:14:openai-project1:a"])
keyed = st.dictionaries(st.sampled_from([b"openai-beta", b"openai-project", b"anthropic-beta"]), tricky)


@given(keyed, keyed)
@example({b"openai-beta": b"a", b"openai-project": b""}, {b"openai-beta": b"a14:openai-project0:"})
def test_key_fields_tell_any_two_sets_of_fields_apart(one, two):
    asked = [read_ask(tuple(fields.items())).key_fields for fields in (one, two)]
    assert (asked[0] == asked[1]) == (one == two)


@given(headers, st.sampled_from(FOREIGN_PREFIXES), st.binary(max_size=5))
def test_a_foreign_control_bypasses_whatever_else_is_said(fields, prefix, rest):
    assert read_ask((*fields, (prefix + rest, b""))).bypass is not None


@given(st.lists(st.sampled_from([b"no-store", b"x=1", b'y="no-store, a"', b"max-age=1", b""]), max_size=5))
def test_no_store_is_found_wherever_it_stands_and_nowhere_else(members):
    fields = ((b"cache-control", b" ,".join(members)),)
    assert read_ask(fields).no_store == (b"no-store" in members)
    assert read_origin(fields).no_store == (b"no-store" in members)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_response_headers_can_be_read(control, targeted):
    read_origin(((b"cache-control", control), (b"cdn-cache-control", targeted)))


@given(st.lists(st.sampled_from(list(b'a1=",;() ?*-.:\\/\t')), max_size=30).map(bytes))
def test_any_bytes_are_a_structured_field_or_none(value):
    members = parse_dictionary(value)
    assert members is None or all(name == name.lower() for name in members)
    assert is_list(value) in {True, False}


@given(st.lists(st.binary(max_size=6), max_size=4))
def test_any_bytes_are_tags_or_none_and_a_list_of_tags_is_read_whole(bodies):
    tags = tuple(make_etag(body) for body in bodies)
    garbage = parse_if_none_match(b",".join(bodies))
    assert all(tag == b"*" or (tag.endswith(b'"') and tag.count(b'"') == 2) for tag in garbage)
    assert parse_if_none_match(b" , ".join(tags)) == tags
    assert all(matches(tags, b"W/" + tag) for tag in tags)
    assert matches(tags, make_etag(b"a body that is longer")) is False


@given(lifetimes, seconds, asks)
def test_what_may_be_done_never_gets_better_with_age(lifetime_, age_s, ask):
    order = [Verdict.FRESH, Verdict.STALE_WHILE_REVALIDATE, Verdict.STALE_IF_ERROR, Verdict.EXPIRED]
    young, old = (judge(lifetime_, age, PLAIN) for age in (age_s, age_s + 1))
    assert order.index(young) <= order.index(old)
    assert (judge(lifetime_, age_s, PLAIN) is Verdict.FRESH) == (lifetime_.fresh_s > age_s)
    if judge(lifetime_, age_s, ask) is Verdict.FRESH and ask.max_stale_s is None:
        assert lifetime_.fresh_s > age_s


@given(lifetimes, seconds)
def test_past_retention_everything_is_expired(lifetime_, more_s):
    assert judge(lifetime_, lifetime_.retention_s + more_s, PLAIN) is Verdict.EXPIRED


@given(lifetimes, seconds, asks)
def test_wishes_other_than_max_stale_only_take_away(lifetime_, age_s, ask):
    asked = structs.replace(ask, max_stale_s=None)
    order = [Verdict.FRESH, Verdict.STALE_WHILE_REVALIDATE, Verdict.STALE_IF_ERROR, Verdict.EXPIRED]
    if lifetime_.fresh_s > age_s or judge(lifetime_, age_s, PLAIN) is not Verdict.EXPIRED:
        assert order.index(judge(lifetime_, age_s, asked)) >= order.index(judge(lifetime_, age_s, PLAIN))
    else:
        assert judge(lifetime_, age_s, asked) is Verdict.EXPIRED


@given(profiles, calls, answers, maybe_seconds, maybe_seconds)
def test_a_ttl_only_shortens_and_only_what_is_planned_is_stored(profile, call, answer, ttl_s, wall_now_s):
    free = lifetime(profile, call, answer, PLAIN, wall_now_s=wall_now_s)
    asked = lifetime(profile, call, answer, Ask(ttl_s=ttl_s), wall_now_s=wall_now_s)
    assert asked.fresh_s == (free.fresh_s if ttl_s is None else min(free.fresh_s, ttl_s))
    assert free.fresh_s == 0 or plan(profile, call).store
    if answer.expires_at_s is None or wall_now_s is None:
        assert (free.fresh_s > 0) == plan(profile, call).store
    assert asked.fresh_s > 0 or asked.retention_s == 0
    if call.bypass is not None:
        assert not plan(profile, call).collapse


@given(st.sampled_from(list(PROFILES.values())), calls, answers, maybe_seconds, maybe_seconds)
def test_nothing_is_kept_past_an_instant_at_which_something_in_it_ends(
    profile, call, answer, ttl_s, wall_now_s
):
    found = lifetime(profile, call, answer, Ask(ttl_s=ttl_s), wall_now_s=wall_now_s)
    assert min(found.fresh_s, found.stale_if_error_s) >= 0
    if answer.expires_at_s is not None and wall_now_s is None:
        assert found.retention_s <= 60
    elif answer.expires_at_s is not None:
        assert found.fresh_s <= max(0, answer.expires_at_s - wall_now_s)
        assert wall_now_s + found.retention_s <= max(wall_now_s, answer.expires_at_s) + 1e-3
    if answer.result_urls:
        assert found.retention_s <= 600


@given(calls, answers, maybe_seconds)
def test_strict_never_keeps_longer_than_balanced_nor_balanced_than_aggressive(call, answer, wall_now_s):
    strict, balanced, aggressive = (
        lifetime(PROFILES[name], call, answer, PLAIN, wall_now_s=wall_now_s)
        for name in ("strict", "balanced", "aggressive")
    )
    assert strict.fresh_s <= balanced.fresh_s <= aggressive.fresh_s
    assert strict.retention_s <= balanced.retention_s + 1e-3
    assert balanced.retention_s <= aggressive.retention_s + 1e-3


@given(amounts)
def test_dollars_written_and_read_are_the_same_amount(cost):
    text = usd_text(cost)
    assert picousd(text) == cost
    assert b"e" not in text.lower()
    assert Decimal(text.decode()) * PICO == cost


@given(st.decimals(0, 999999, allow_nan=False, allow_infinity=False, places=12))
def test_an_amount_is_the_same_in_every_spelling(amount):
    exact = int(amount.scaleb(12))
    assert picousd(str(amount)) == exact
    assert picousd(f"{amount:E}") == exact
    assert picousd(amount) == exact


@given(st.text(max_size=12) | st.binary(max_size=12) | st.floats() | st.integers() | st.decimals())
def test_any_value_is_an_amount_or_unpriced(amount):
    cost = picousd(amount)
    assert cost is None or 0 <= cost < 10**18


@given(outcomes, st.sampled_from([b"", b"cdn; hit", b"cdn; hit,"]))
def test_cache_status_is_always_a_readable_list_with_hit_or_fwd(outcome, earlier):
    value = cache_status(outcome, earlier=earlier)
    assert is_list(value)
    ours = value.rpartition(b"tiered-cache")[2]
    if b"tiered-cache" in value:
        assert (b"; hit" in ours) != (b"; fwd=" in ours)
