"""Explain: what is decided about a call, in words that are those of the tables, and why two calls differ."""

import json

import pytest

from tests.core.vectors.make_vectors import PUBLISHED, new_keyers, request_of
from tiered_cache import Cache, CacheConfig
from tiered_cache.core.canonical import JSON_ENDPOINTS
from tiered_cache.core.canonical.catalogue import catalogue_of
from tiered_cache.core.differences import differences
from tiered_cache.core.directives import read_ask
from tiered_cache.core.explain import compare, explain
from tiered_cache.core.keys import Keyer, key_text
from tiered_cache.core.profiles import PROFILES
from tiered_cache.core.vocabulary import PLAIN, Ask, Request, Scope
from tiered_cache.errors import RequestError

CHAT = "chat/completions"
KEYER = Keyer(b"a secret for these tests")
SCOPE = Scope("acme", "https://origin.example:443/v1")
CALL = {"model": "openai/gpt-4o", "temperature": 0, "messages": [{"role": "user", "content": "hi"}]}


def request(scope: Scope | None = SCOPE, ask=PLAIN, query=b"", **fields) -> Request:
    return Request(CHAT, json.dumps(CALL | fields).encode(), scope, query=query, ask=ask)


def explained(**fields):
    return explain(KEYER, PROFILES["balanced"], request(**fields))


def compared(one: dict, other: dict) -> dict:
    made = compare(KEYER, request(**one), request(**other))
    assert made.same == (made.differences == ())
    return {difference.path: (difference.a, difference.b) for difference in made.differences}


def test_a_plain_call_has_its_key_its_rule_and_its_lifetime():
    told = explained()

    assert told.key == key_text(KEYER.key(request()).key)
    assert (told.cacheable, told.reason, told.dropped, told.edits) == (True, None, (), ())
    assert told.rule == told.lifetime.rule == "deterministic-alias"
    assert told.lifetime.fresh_s == 86_400
    assert json.loads(told.canonical) == CALL
    assert {limit.rule: limit.fresh_s for limit in told.lifetime.by_answer}["tool-call"] == 600


def test_what_is_dropped_is_told_once_with_the_row_and_its_source():
    part = {"type": "text", "text": "a", "cache_control": {}}
    told = explained(stream=True, n=1, top_p=None, messages=[{"role": "user", "content": [part, part]}])

    assert sorted((row.path, row.why) for row in told.dropped) == [
        ("messages[].content[].cache_control", "transport"),
        ("n", "default"),
        ("stream", "transport"),
        ("top_p", "null is absent"),
    ]
    assert all(row.source for row in told.dropped)


def test_every_cacheable_endpoint_has_its_tables_and_every_row_its_source():
    for endpoint in JSON_ENDPOINTS:
        tables = catalogue_of(endpoint)
        assert tables.fields, f"name the tables of {endpoint} in core.canonical.catalogue"
        assert tables.drops
        for row in (*tables.drops, *tables.elisions):
            assert tables.source(row.note) == row.source != ""
    assert catalogue_of("nowhere").drops == ()


@pytest.mark.parametrize(
    ("fields", "reason", "keyed"),
    [
        ({"scope": None}, "no-credential", False),
        ({"store": True}, "side-effect", False),
        ({"temperature": "0"}, "field-type", False),
        ({"ask": Ask(bypass="foreign-control")}, "foreign-control", False),
        ({"ask": Ask(no_store=True)}, "no-store", True),
        ({"temperature": 1}, "sampled", True),
        ({"ask": Ask(ttl_s=0.0)}, None, True),
    ],
)
def test_a_call_that_is_not_cached_says_why(fields, reason, keyed):
    told = explained(**fields)

    assert (told.cacheable, told.lifetime, told.edits) == (False, None, ())
    assert told.reason == (reason or "ttl")
    assert (told.key is not None) == keyed
    assert (told.canonical is None) == (reason == "field-type")


def test_the_callers_ttl_and_what_it_left_open_are_told():
    assert explained(temperature=None).reason == "unstated"
    assert explained(ask=Ask(ttl_s=5.0)).lifetime.rule == "ttl"
    assert "fallback-model" in {limit.rule for limit in explained(models=["a", "b"]).lifetime.by_answer}


def test_a_stream_is_edited_unless_it_asks_already():
    (edit,) = explained(stream=True).edits

    assert (edit.path, edit.value) == ("stream_options.include_usage", True)
    assert explained(stream=True, stream_options={"include_usage": True}).edits == ()


def test_two_spellings_are_the_same_call():
    assert compared({}, {"stream": True, "n": 1, "temperature": 0.0, "user": "u"}) == {}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {"temperature": 1}, {"temperature": ("0", "1")}),
        ({"x": 1}, {"x": True}, {"x": ("1", "true")}),
        ({}, {"seed": 5}, {"seed": (None, "5")}),
        ({"x": None}, {}, {"x": ("null", None)}),
        ({"x": [1, {"a b": 1}]}, {"x": [1, {"a b": 2}, 3]}, {'x[1]["a b"]': ("1", "2"), "x[2]": (None, "3")}),
        (
            {},
            {"messages": [{"role": "user", "content": "Hi"}]},
            {"messages[0].content": ('"hi"', '"Hi"')},
        ),
        (
            {"x": {"properties": {"a": 1, "b": 1}}},
            {"x": {"properties": {"b": 1, "a": 1}}},
            {"x.properties[0]": ('"a"', '"b"'), "x.properties[2]": ('"b"', '"a"')},
        ),
        ({}, {"query": b"a=1"}, {"query string": (None, '"a=1"')}),
        (
            {},
            {"scope": Scope("b", "o")},
            {
                "partition origin": ('"https://origin.example:443/v1"', '"o"'),
                "partition tenant": ('"acme"', '"b"'),
            },
        ),
        (
            {"ask": read_ask(((b"anthropic-beta", b"a:b"), (b"openai-beta", b"c")))},
            {"ask": read_ask(((b"openai-beta", b"d"),))},
            {"header anthropic-beta": ('"a:b"', None), "header openai-beta": ('"c"', '"d"')},
        ),
        ({}, {"store": True}, {"reason word": (None, '"side-effect"'), "store": (None, "true")}),
        ({"x": 10**41}, {}, {"reason word": ('"number"', None)}),
        (
            {"scope": None},
            {"scope": None},
            {"reason word": ('"no-credential"', '"no-credential"')},
        ),
    ],
)
def test_each_difference_is_named_where_it_is(one, other, expected):
    assert compared(one, other) == expected


def test_what_may_be_a_credential_is_only_marked():
    named = frozenset({b"x-session"})
    one = {"query": b"key=secret-1&a=b", "ask": read_ask(((b"x-session", b"secret-2"),), named)}
    other = {"query": b"key=secret-3&a=b", "ask": read_ask(((b"x-session", b"secret-4"),), named)}
    made = compared(one, other)

    assert set(made) == {"query string", "header x-session"}
    assert "secret" not in str(made)
    assert all(a != b for a, b in made.values())


def test_names_that_look_like_paths_are_told_apart():
    paths = {difference.path for difference in differences({"a.b": 1, "a": {"b": 1}, "": 1}, {})}

    assert paths == {'["a.b"]', "a", '[""]'}


def test_every_golden_vector_is_explained_as_it_is_keyed():
    """Equal keys have no difference, all others at least one that is named."""
    keyers, rows = new_keyers(), json.loads(PUBLISHED.read_text(encoding="utf-8"))["rows"]
    rows = [row for row in rows if "error" not in row]
    previous = rows[-1]
    for row in rows:
        keyer = keyers[row.get("identity_fields", "drop")]
        told = explain(keyer, PROFILES["balanced"], request_of(row))
        assert told.key == row.get("key"), row["name"]
        assert told.cacheable <= ("key" in row)
        if "key" in row:
            assert told.canonical == row["canonical"]
        else:
            assert (told.reason, told.rule) == (row["bypass"], "bypass")
        assert all(dropped.source for dropped in told.dropped)
        if row.get("identity_fields") == previous.get("identity_fields"):
            made = compare(keyer, request_of(previous), request_of(row))
            assert made.same == ("key" in row and row["key"] == previous.get("key")) == (not made.differences)
        previous = row


async def test_a_cache_explains_with_its_own_options():
    config = CacheConfig(profile="strict", max_body_bytes=300, secret="a secret for these tests")
    async with Cache.open(config) as cache:
        headers = ((b"authorization", b"Bearer a"),)
        plain = cache.request(CHAT, json.dumps(CALL).encode(), headers=headers)
        other = cache.request(CHAT, b" " + plain.body, headers=headers)
        long = cache.request(CHAT, plain.body + b" " * 300, headers=headers)

        assert cache.explain(plain).rule == "deterministic-alias"
        assert cache.explain(plain, other).same
        assert "Bearer" not in repr(cache.explain(plain))
        with pytest.raises(RequestError) as refused:
            cache.explain(plain, long)
        assert refused.value.status == 413
        assert cache.ledger.upstream_calls == 0


def test_a_body_that_nobody_reads_is_refused():
    with pytest.raises(RequestError):
        explain(KEYER, PROFILES["balanced"], Request(CHAT, b"{", SCOPE))
