"""What callers and origins ask is read to the letter; what cannot be understood never lengthens a lifetime."""

from math import inf

import pytest

from tiered_cache.core.directives import (
    FOREIGN_PREFIXES,
    KEY_HEADERS,
    LONGEST_S,
    SDK_DEFAULT,
    OriginSays,
    read_ask,
    read_origin,
)
from tiered_cache.core.replay import TokenRate
from tiered_cache.core.vocabulary import PLAIN, Ask

SDK = (
    (b"host", b"cache"),
    (b"accept-encoding", b"gzip, deflate, zstd"),
    (b"connection", b"keep-alive"),
    (b"authorization", b"Bearer k"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-package-version", b"3.54.0"),
    (b"x-stainless-os", b"Linux"),
    (b"x-stainless-arch", b"x64"),
    (b"x-stainless-runtime", b"CPython"),
    (b"x-stainless-runtime-version", b"3.11.7"),
    (b"x-stainless-async", b"false"),
    (b"content-length", b"27"),
)
FIRST_TRY = ((b"x-stainless-retry-count", b"0"), (b"x-stainless-read-timeout", b"600"))


def cache_control(*values: bytes) -> Ask:
    return read_ask(tuple((b"cache-control", value) for value in values))


def test_headers_that_say_nothing_to_the_cache_give_plain_itself():
    assert read_ask(()) is PLAIN
    assert read_ask(SDK) is PLAIN
    assert read_ask((*SDK, (b"x-unheard-of", b"1"), (b"x-requesty-team", b"blue"))) is PLAIN
    assert read_ask((*SDK, (b"x-stainless-retry-count", b"0"))) is PLAIN
    assert read_ask((*SDK, (b"cache-control", b"no-transform, x=1"))) is PLAIN
    assert read_ask(SDK, frozenset({b"x-team"})) is PLAIN


def test_an_sdks_first_try_gives_one_constant_that_carries_its_time_out():
    assert read_ask((*SDK, *FIRST_TRY)) is SDK_DEFAULT
    assert Ask(read_timeout_s=600.0) == SDK_DEFAULT


@pytest.mark.parametrize(
    ("value", "ask"),
    [
        (b"no-store", Ask(no_store=True)),
        (b"No-Cache", Ask(no_cache=True)),
        (b"only-if-cached", Ask(only_if_cached=True)),
        (b"max-age=5", Ask(max_age_s=5.0)),
        (b'max-age="5"', Ask(max_age_s=5.0)),
        (b"max-age=0", Ask(no_cache=True, max_age_s=0.0)),
        (b"max-age=000", Ask(no_cache=True, max_age_s=0.0)),
        (b"max-age=0000000000000007", Ask(max_age_s=7.0)),
        (b"min-fresh=0", Ask(min_fresh_s=0.0)),
        (b"max-stale", Ask(max_stale_s=inf)),
        (b"max-stale=0", Ask(max_stale_s=0.0)),
        (b"max-stale=abc", PLAIN),
        (b"max-stale, max-stale=9", Ask(max_stale_s=9.0)),
        (b"max-age=9999999999999999999999", Ask(max_age_s=float(LONGEST_S))),
        (b"max-age=" + b"9" * 5000, Ask(max_age_s=float(LONGEST_S))),
        (b"max-age=30, max-age=10", Ask(max_age_s=10.0)),
        (b"min-fresh=30, min-fresh=10", Ask(min_fresh_s=30.0)),
        (b'ext="no-store, no-cache", max-age=3', Ask(max_age_s=3.0)),
        (b'ext="\\", no-store"', PLAIN),
        (b" , max-age=3 ,, ", Ask(max_age_s=3.0)),
        (b"no-store-please", PLAIN),
    ],
)
def test_request_directives_are_read_as_rfc_9111_5_2_1_says(value, ask):
    assert cache_control(value) == ask


@pytest.mark.parametrize(
    "value",
    [b"max-age", b"max-age=", b"max-age=-1", b"max-age=1.5", b"max-age=x", b"min-fresh=x", b"max-age=5x"],
)
def test_a_broken_age_counts_as_no_cache(value):
    """HTTP.md: "invalid → stale"."""
    assert cache_control(value).no_cache


def test_lines_of_one_field_are_one_list():
    assert cache_control(b"no-store", b"max-age=4") == Ask(no_store=True, max_age_s=4.0)
    asked = read_ask(((b"if-none-match", b'"a"'), (b"if-none-match", b' W/"b" ')))
    assert asked.if_none_match == (b'"a"', b'W/"b"')


def test_a_ttl_is_read_and_zero_means_zero():
    assert read_ask(((b"x-tiered-cache-ttl", b"0"),)) == Ask(ttl_s=0.0)
    assert read_ask(((b"x-tiered-cache-ttl", b" 90 "),)) == Ask(ttl_s=90.0)


def test_of_several_ttls_the_shortest_counts():
    assert read_ask(((b"x-tiered-cache-ttl", b"90"), (b"x-tiered-cache-ttl", b"30"))) == Ask(ttl_s=30.0)


@pytest.mark.parametrize("value", [b"", b"5m", b"-1", b"1.5", b"60, x"])
def test_a_ttl_that_cannot_be_read_is_never_cached_instead_of_ignored(value):
    asked = read_ask(((b"x-tiered-cache-ttl", value),))
    assert asked.bypass == "bad-ttl"
    assert asked.ttl_s is None


@pytest.mark.parametrize(
    ("value", "replay"),
    [
        (b"instant", "instant"),
        (b" as-recorded ", "as-recorded"),
        (b"tokens_per_s=80", TokenRate(80.0)),
        (b"tokens_per_s=1", TokenRate(1.0)),
        (b"tokens_per_s=12.5", TokenRate(12.5)),
        (b"tokens_per_s=100000", TokenRate(100_000.0)),
    ],
)
def test_a_pace_is_read(value, replay):
    assert read_ask(((b"x-tiered-cache-replay", value),)) == Ask(replay=replay)


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"slow", b"Instant", b"80", b"instant, instant", b"tokens_per_s=", b"tokens_per_s=0"),
        *(b"tokens_per_s=0.999", b"tokens_per_s=100000.5", b"tokens_per_s=1e3", b"tokens_per_s=-1"),
        *(b"tokens_per_s=nan", b"tokens_per_s=80\n", b"tokens_per_s=1000000"),
    ],
)
def test_a_pace_that_cannot_be_read_is_never_cached_instead_of_ignored(value):
    asked = read_ask(((b"x-tiered-cache-replay", value),))
    assert asked.bypass == "bad-replay"
    assert asked.replay is None


@pytest.mark.parametrize("name", sorted(KEY_HEADERS))
def test_each_key_header_joins_the_key_with_its_value_and_its_absence(name):
    asked = {read_ask(((name, value),)).key_fields for value in (b"", b"a", b"b", b"A")}
    assert len(asked | {b""}) == 5


def test_an_operators_key_headers_join_the_key_even_when_they_are_usual_fields():
    english = read_ask((*SDK, (b"accept-language", b"en")), frozenset({b"accept-language"}))
    german = read_ask((*SDK, (b"accept-language", b"de")), frozenset({b"accept-language"}))
    assert len({english.key_fields, german.key_fields, b""}) == 3
    assert read_ask((*SDK, (b"accept-language", b"de"))) is PLAIN
    both = read_ask(
        ((b"openai-beta", b"x"), (b"accept-language", b"de")), frozenset({b"accept-language"})
    ).key_fields
    assert both not in {german.key_fields, read_ask(((b"openai-beta", b"x"),)).key_fields}


def test_key_fields_do_not_depend_on_the_order_of_fields_but_on_that_of_their_lines():
    one, two = (b"openai-beta", b"a"), (b"openai-project", b"b")
    assert read_ask((one, two)).key_fields == read_ask((two, one)).key_fields
    first, second = (b"openai-beta", b"a"), (b"openai-beta", b"b")
    assert read_ask((first, second)).key_fields != read_ask((second, first)).key_fields


def test_key_fields_are_unambiguous():
    """No value can be written so that it looks like another field."""
    real = read_ask(((b"openai-beta", b"a"), (b"openai-project", b"b"))).key_fields
    forgeries = [
        real.split(b":", 2)[2],
        *(
            b"a" + end + b"openai-project" + sign + b"b"
            for end in (b"", b",", b";", b"&", b" ")
            for sign in (b"", b":", b"=")
        ),
    ]
    for forged in forgeries:
        assert read_ask(((b"openai-beta", forged),)).key_fields != real
    assert read_ask(((b"openai-beta", b"a1"),)).key_fields != read_ask(((b"openai-beta", b"a"),)).key_fields


@pytest.mark.parametrize("prefix", FOREIGN_PREFIXES)
def test_another_gateways_control_field_bypasses(prefix):
    assert read_ask((*SDK, (prefix + b"cache-ttl", b"60"))).bypass == "foreign-control"


def test_the_fields_people_type_for_other_gateways_bypass():
    typed = [
        b"x-portkey-cache-force-refresh",
        b"helicone-cache-enabled",
        b"cf-aig-skip-cache",
        b"x-openrouter-cache",
        b"x-bt-use-cache",
        b"x-litellm-tags",
    ]
    assert {read_ask(((name, b"1"),)).bypass for name in typed} == {"foreign-control"}


@pytest.mark.parametrize("name", [b"x-tiered-cache-scope", b"x-tiered-cache-tag", b"x-tiered-cache-tll"])
def test_a_control_of_ours_that_is_not_honoured_bypasses(name):
    """SEMANTICS §3: "-scope only narrows": ignoring it would share more than was asked for."""
    assert read_ask(((name, b"x"),)).bypass == "unknown-control"


@pytest.mark.parametrize(
    ("value", "is_retry"), [(b"0", False), (b"1", True), (b"12", True), (b"", False), (b"x", False)]
)
def test_a_retry_is_recognised(value, is_retry):
    assert read_ask(((b"x-stainless-retry-count", value),)).retry is is_retry


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"600", 600.0),
        (b"2.5", 2.5),
        (b"0", 0.0),
        (b"-1", None),
        (b"nan", None),
        (b"inf", None),
        (b"x", None),
    ],
)
def test_the_callers_time_out_is_read(value, seconds):
    assert read_ask(((b"x-stainless-read-timeout", value),)).read_timeout_s == seconds


def origin(**fields: bytes) -> OriginSays:
    return read_origin(tuple((name.replace("_", "-").encode(), value) for name, value in fields.items()))


def test_an_origin_that_says_nothing_forbids_nothing():
    assert read_origin(((b"content-type", b"text/event-stream"),)) == OriginSays()
    assert origin(cache_control=b"max-age=0, no-cache, must-revalidate") == OriginSays()


def test_an_origins_no_store_is_read():
    groq = origin(cache_control=b"private, max-age=0, no-store, no-cache, must-revalidate")
    assert groq == OriginSays(no_store=True)
    assert origin(cache_control=b"NO-STORE") == OriginSays(no_store=True)
    assert origin(cache_control=b'private="set-cookie"') == OriginSays()
    assert origin(cache_control=b'ext="no-store"') == OriginSays()
    assert read_origin(((b"cache-control", b"private"), (b"cache-control", b"no-store"))).no_store


def test_must_understand_sets_no_store_aside():
    """RFC 9111 §5.2.2.3: ignore no-store if the status is understood."""
    assert origin(cache_control=b"no-store, must-understand") == OriginSays()
    assert origin(cdn_cache_control=b"no-store, must-understand") == OriginSays()
    assert origin(cache_control=b"no-store", cdn_cache_control=b"must-understand").no_store


@pytest.mark.parametrize("field", ["cache_control", "cdn_cache_control", "tieredcache_cache_control"])
def test_no_store_binds_whatever_the_other_fields_say(field):
    """RFC 9213 would let the first targeted field replace the others; here that could only loosen."""
    others = dict.fromkeys(("tieredcache_cache_control", "cdn_cache_control"), b"max-age=60")
    assert origin(**(others | {field: b"no-store"})).no_store
    assert not origin(**(others | {field: b"private"})).no_store


@pytest.mark.parametrize("broken", [b"", b"  ", b"no-store,", b"No-Store", b"max-age=60, ="])
def test_a_targeted_field_that_is_empty_or_broken_is_passed_over(broken):
    assert origin(tieredcache_cache_control=broken, cdn_cache_control=broken) == OriginSays()
    assert origin(tieredcache_cache_control=broken, cdn_cache_control=b"no-store").no_store


def test_a_targeted_member_of_the_wrong_type_is_not_used():
    assert origin(cdn_cache_control=b'no-store="x"') == OriginSays()
    assert origin(cdn_cache_control=b"no-store=?0") == OriginSays()


@pytest.mark.parametrize(
    ("ignored", "lines", "asked"),
    [
        (b"no-store", ((b"cache-control", b"no-store, max-age=5"),), Ask(max_age_s=5.0)),
        (b"no-cache", ((b"cache-control", b"no-cache"),), PLAIN),
        (b"no-cache", ((b"cache-control", b"max-age=0"),), PLAIN),
        (b"no-cache", ((b"cache-control", b"max-age=soon, min-fresh=x"),), PLAIN),
        (b"no-cache", ((b"cache-control", b"no-cache, max-age=5"),), Ask(max_age_s=5.0)),
        (b"max-age", ((b"cache-control", b"max-age=0, no-cache"),), Ask(no_cache=True)),
        (b"max-age", ((b"cache-control", b"MAX-AGE=0"),), PLAIN),
        (b"min-fresh", ((b"cache-control", b"min-fresh=x"),), PLAIN),
        (b"max-stale", ((b"cache-control", b"max-stale, max-age=5"),), Ask(max_age_s=5.0)),
        (b"only-if-cached", ((b"cache-control", b"only-if-cached"),), PLAIN),
        (b"x-tiered-cache-ttl", ((b"x-tiered-cache-ttl", b"soon"),), PLAIN),
        (b"x-tiered-cache-replay", ((b"x-tiered-cache-replay", b"slow"),), PLAIN),
        (b"x-tiered-cache-variant", ((b"x-tiered-cache-variant", b"2"),), PLAIN),
    ],
)
def test_what_an_operator_forbids_counts_as_not_there(ignored, lines, asked):
    """SEMANTICS 3: Operators can forbid each."""
    found = read_ask(lines, frozenset(), frozenset({ignored}))
    assert found == asked
    assert (found is PLAIN) == (asked == PLAIN)
    assert read_ask(lines) != asked, "the line asks something where it is not forbidden"
