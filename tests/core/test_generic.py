"""Paths that the operator names: the whole body is the key, and any JSON that is no error is kept."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.chat_kit import compact
from tests.properties.meaning import anything, member, parse
from tests.properties.strategies import names, raw_spellings, values
from tiered_cache.core.answers import (
    ends_stream,
    read_json,
    read_stream,
    refuse_head,
    render,
    usage_of,
)
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.explain import compare, explain
from tiered_cache.core.keys import Keyer
from tiered_cache.core.policy import lifetime, plan
from tiered_cache.core.rules import Gives, Match, Rule
from tiered_cache.core.sse import Event
from tiered_cache.core.vocabulary import (
    PLAIN,
    Answer,
    Bypass,
    Call,
    Entry,
    Keyed,
    Lifetime,
    Refusal,
    Request,
    Scope,
    Usage,
)
from tiered_cache.engine.build import keyer_of, profile_of
from tiered_cache.engine.config import CacheConfig
from tiered_cache.errors import RequestError

OPTIONS = KeyOptions(generic_paths=frozenset({"ocr", "tools/extract"}))
CONFIG = CacheConfig(generic_paths={"ocr": 60, "tools/extract": 5})
PROFILE = profile_of(CONFIG)
SCOPE = Scope("acme", "origin")
CALL = Call("ocr", "")


def form(raw, endpoint="ocr", options=OPTIONS):
    return canonicalise(endpoint, raw, options)


def text(body) -> bytes:
    made = form(body if isinstance(body, bytes) else compact(body))
    assert isinstance(made, Canonical), made
    return made.text


def call_of(body) -> Call:
    made = form(compact(body))
    assert isinstance(made, Canonical), made
    return made.call


def test_only_named_paths_have_keys():
    keyer = keyer_of(CONFIG, b"a secret for these tests")
    plain = Keyer(b"a secret for these tests")
    for endpoint in ("ocr", "tools/extract"):
        request = Request(endpoint, b'{"a":1}', SCOPE)
        assert isinstance(keyer.key(request), Keyed)
        assert plain.key(request) == Bypass("route")
    for endpoint in ("ocr/", "OCR", "tools", "extract", "v1/ocr", "ocr/x"):
        assert keyer.key(Request(endpoint, b'{"a":1}', SCOPE)) == Bypass("route")
    assert form(b'{"a":1}', "other") == Bypass("route")


def test_the_path_is_in_the_partition():
    keyer = keyer_of(CONFIG, b"a secret for these tests")
    keys = {keyer.key(Request(endpoint, b'{"a":1}', SCOPE)).key for endpoint in CONFIG.generic_paths}
    assert len(keys) == 2


def test_nothing_is_left_out_and_nothing_has_a_default():
    bodies = [
        {},
        {"user": "u"},
        {"metadata": {}},
        {"n": 1},
        {"stream": False},
        {"stream": None},
        {"requesty": {}},
        {"requesty": {"trace_id": "t"}},
        {"model": "m"},
        {"model": None},
        {"model": 1},
        {"model": ["m"]},
        {"stop": "a"},
        {"stop": ["a"]},
        {"x": 1},
        {"x": "1"},
        {"x": True},
        {"properties": {"a": 1, "b": 2}},
        {"properties": {"b": 2, "a": 1}},
        {"properties": {"a": 1.0, "b": 2}},
    ]
    made = [form(compact(body)) for body in bodies]
    assert len({one.text for one in made}) == len(bodies)
    assert {one.dropped for one in made} == {()}


@pytest.mark.parametrize(
    ("raw", "word"),
    [(b"[]", "field-type"), (b'{"a":1,"a":2}', "duplicate-key"), (b'{"a":1e999}', "number")],
)
def test_bodies_without_one_meaning_bypass(raw, word):
    assert form(raw).detail == word


def test_a_body_of_too_many_values_bypasses():
    options = KeyOptions(generic_paths=OPTIONS.generic_paths, max_values=3)
    made = [form(compact({"a": [1] * number}), options=options) for number in (1, 9)]
    assert isinstance(made[0], Canonical)
    assert made[1] == Bypass("too-many-values")


def test_the_facts_of_a_call():
    assert call_of({"stream": True}).bypass == "stream"
    assert call_of({"model": "policy/a"}).bypass == "policy-model"
    assert call_of({}).bypass is None
    assert call_of({"document": {"url": "https://e.com/a.pdf"}}).remote_urls
    assert call_of({"urls": ["https://e.com/a.pdf"]}).remote_urls
    assert call_of({"pages": [["a", ["HTTP://e.com/a.pdf"]]]}).remote_urls
    assert not call_of({"pages": [["a https://e.com/a.pdf"]]}).remote_urls
    assert [call_of({"model": model}).model for model in ("a/b", 1, None)] == ["a/b", "", ""]


members_of_a_body = st.dictionaries(names, values(6), max_size=5).filter(
    lambda body: body.get("stream") is not True
)


@given(st.data())
@settings(max_examples=60)
def test_every_spelling_of_one_body_has_one_text(data):
    body = data.draw(st.dictionaries(st.sampled_from(["a", "b", "é", "x-y"]), values(6), max_size=4))
    assert text(data.draw(raw_spellings(body))) == text(body)


@given(members_of_a_body, members_of_a_body)
def test_two_bodies_have_one_text_exactly_when_they_mean_the_same(one, other):
    def meaning(body):
        return frozenset(member(*each) for each in parse(compact(body)).items())

    assert (text(one) == text(other)) == (meaning(one) == meaning(other))
    assert text(one | {"another": None}) != text(one)


@given(values(8), values(8))
def test_values_are_told_apart_as_everywhere(one, other):
    same = anything(parse(compact(one))) == anything(parse(compact(other)))
    assert (text({"x": one}) == text({"x": other})) == same


@given(st.binary(max_size=40) | values().map(compact))
@settings(max_examples=200)
def test_any_bytes_give_a_form_or_a_verdict(raw):
    try:
        made = form(raw)
    except RequestError as error:
        made = error
    assert isinstance(made, (Canonical, Bypass, RequestError))
    assert isinstance(read_json(CALL, raw), (Answer, Refusal))


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b'{"pages":[]}', None),
        (b'{"error":null}', None),
        (b"[1, 2]", None),
        (b'"text"', None),
        (b"{}", None),
        (b'[{"error":"deeper"}]', None),
        (b'{"error":{"message":"no"}}', "error-body"),
        (b'{"error":"no"}', "error-body"),
        (b'{"error":false}', "error-body"),
        (b'{"pages":[', "bad-json"),
        (b"", "bad-json"),
        (b"NaN", "bad-json"),
    ],
)
def test_json_that_is_no_error_is_kept_as_it_came(raw, word):
    found = read_json(CALL, raw)
    assert (found.detail if isinstance(found, Refusal) else None) == word
    if word is None:
        assert (found.body, found.form, found.locked) == (raw, "json", False)


def test_nothing_but_json_of_status_200():
    kinds = {
        b"application/json; charset=utf-8": None,
        b"text/event-stream": "media-type",
        b"text/plain": "media-type",
        b"application/problem+json": "media-type",
    }
    for kind, word in kinds.items():
        found = refuse_head(CALL, 200, ((b"content-type", kind),))
        assert (found and found.detail) == word
    assert refuse_head(CALL, 201, ((b"content-type", b"application/json"),)) == Refusal("status")
    assert read_stream(CALL, []) == Refusal("media-type")
    assert not ends_stream("ocr", Event(b"data: [DONE]\n\n", b"[DONE]", b""))


def test_the_lifetime_is_the_operators_and_every_end_in_the_answer():
    def lasts(answer, call=CALL, profile=PROFILE):
        found = read_json(call, compact(answer))
        assert isinstance(found, Answer)
        return lifetime(profile, call, found, PLAIN, wall_now_s=1767225600.0)

    url = "https://e.com/a?X-Amz-Date=20260101T000000Z&X-Amz-Expires=9&X-Amz-Signature=a"
    assert lasts({"pages": []}) == Lifetime(60.0, rule="generic")
    assert lasts({"expires_at": 1767225607}).fresh_s == 7
    assert lasts([{"url": url}]).fresh_s == 9
    long = profile_of(CacheConfig(generic_paths={"ocr": 86400.0}))
    assert lasts({"url": "https://e.com/a"}, profile=long).fresh_s == 600
    remote = call_of({"url": "https://e.com/a"})
    assert lasts({}, remote, long) == Lifetime(600.0, rule="remote-urls")
    ruled = profile_of(
        CacheConfig(
            generic_paths={"ocr": 60},
            rules=(Rule(match=Match(endpoints=("ocr",)), gives=Gives(stale_if_error_s=30.0)),),
        )
    )
    assert lasts({}, profile=ruled) == Lifetime(60.0, 0.0, 30.0, "rules[0]")


@pytest.mark.parametrize("profile", ["balanced", "strict", "aggressive", "unbounded"])
def test_every_profile_stores_and_shares_what_the_operator_named(profile):
    made = profile_of(CacheConfig(profile=profile, generic_paths={"ocr": 60}))
    intended = plan(made, CALL)
    assert (intended.store, intended.collapse, intended.rule) == (True, True, "generic")
    if profile != "unbounded":
        assert not plan(made, Call("another", "")).store


def test_who_pays_nothing_reads_a_cost_of_nothing():
    body = b'{"usage": {"cost": 2, "prompt_tokens": 3}, "a": 1}'
    entry = Entry("ocr", "json", 200, (), body, False, True, "generic", "", Usage(), Lifetime(1.0), 0.0)
    assert json.loads(render(entry, "json").body) == {"usage": {"cost": 0, "prompt_tokens": 3}, "a": 1}
    assert render(entry, "json", free=False).body == body
    assert render(entry, "sse") is None
    read = read_json(CALL, body)
    assert (read.usage, usage_of("ocr", body)) == (Usage(3, 0, 0, 2 * 10**12), Usage())


def test_it_is_explained():
    keyer = keyer_of(CONFIG, b"a secret for these tests")
    told = explain(keyer, PROFILE, Request("ocr", b'{"b": 1.0, "a": "x"}', SCOPE))
    assert (told.cacheable, told.rule, told.canonical) == (True, "generic", '{"a":"x","b":1}')
    assert told.lifetime is not None
    assert told.lifetime.fresh_s == 60
    assert not explain(keyer, PROFILE, Request("ocr", b'{"stream":true}', SCOPE)).cacheable
    first, other = (Request("ocr", raw, SCOPE) for raw in (b'{"a":1}', b'{"a":2}'))
    assert [each.path for each in compare(keyer, first, other).differences] == ["a"]
