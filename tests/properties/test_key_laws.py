"""Laws of the key, in both directions: equal calls have one key, different calls have different keys."""

import json
from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.properties.meaning import DuplicateKeyError, meaning, parse
from tests.properties.strategies import chat_bodies, edited, raw_spellings, rewritten, spelled, values
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.keys import Keyer, key_text
from tiered_cache.core.memo import RecentMap
from tiered_cache.core.vocabulary import Ask, Bypass, Keyed, Request, Scope
from tiered_cache.errors import RequestError

CHAT = "chat/completions"
SECRET = b"a secret for the laws"
SCOPE = Scope("tenant", "https://origin.example:443/v1")
plain_keyer = Keyer(SECRET, memo_bytes=0)
memo_keyer = Keyer(SECRET)


def form(raw: bytes, **options) -> Canonical | Bypass:
    return canonicalise(CHAT, raw, KeyOptions(**options))


def key(raw: bytes, keyer: Keyer = plain_keyer):
    keyed = keyer.key(Request(CHAT, raw, SCOPE))
    return keyed.key if isinstance(keyed, Keyed) else keyed


def compact(body) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


@given(st.data())
@settings(max_examples=40)
def test_every_spelling_of_one_body_has_one_key(data):
    body = data.draw(chat_bodies)
    spelling = data.draw(raw_spellings(body))

    assert isinstance(key(compact(body)), bytes)
    assert key(spelling) == key(compact(body))
    assert key(spelling, memo_keyer) == key(compact(body), memo_keyer) == key(compact(body))


@given(st.data())
def test_a_rewrite_that_keeps_the_meaning_keeps_the_key(data):
    body = data.draw(chat_bodies)
    other = data.draw(rewritten(body))

    assert key(compact(other)) == key(compact(body))


@given(st.data())
def test_an_edit_that_changes_the_meaning_changes_the_key(data):
    body = data.draw(chat_bodies)
    what, other = data.draw(edited(body))

    first, second = key(compact(body)), key(compact(other))

    assert first != second, what


SMALL = [
    0,
    1,
    1.0,
    -0.0,
    2,
    True,
    False,
    None,
    "",
    "1",
    "a",
    "auto",
    [],
    {},
    [1],
    ["a"],
    ["a", "a"],
    {"a": 1},
]
SMALL += [
    {"a": 1.0},
    {"a": None},
    {"type": "text"},
    {"type": "text", "a": 1},
    {"user_id": "a"},
    {"properties": {}},
]
FIELDS = [
    "n",
    "stop",
    "foo",
    "tool_choice",
    "response_format",
    "frequency_penalty",
    "store",
    "logprobs",
    "user",
]
FIELDS += [
    "logit_bias",
    "top_k",
    "seed",
    "properties",
    "parallel_tool_calls",
    "models",
    "requesty",
    "metadata",
]
FIELDS += ["temperature", "stream", "tools", "service_tier", "modalities", "guided_json", "prediction"]
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize("identity", ["drop", "key"])
@pytest.mark.parametrize("second", [None, *FIELDS])
def test_two_texts_are_equal_exactly_when_the_oracle_says_so(second, identity):
    """Every pair of bodies of a small domain, compared through classes: one text, one meaning, both ways."""
    meaning_of_text, text_of_meaning = {}, {}
    for model, tools, name, value in product(["openai/a", "x/a"], [None, [TOOL]], FIELDS, SMALL):
        body = {"model": model, "messages": [], "tools": tools, name: value}
        if second is not None:
            body.setdefault(second, SMALL[(len(name) + len(str(value))) % len(SMALL)])
        raw = compact({name: value for name, value in body.items() if name != "tools" or value is not None})
        made = form(raw, identity_fields=identity)
        if isinstance(made, Canonical):
            meant = meaning(parse(raw), identity)
            assert meaning_of_text.setdefault(made.text, meant) == meant
            assert text_of_meaning.setdefault(meant, made.text) == made.text
    assert len(text_of_meaning) > 50


@given(st.data(), st.sampled_from(["drop", "key"]))
@settings(max_examples=60)
def test_a_changed_byte_changes_the_text_exactly_when_it_changes_the_meaning(data, identity):
    """Mutations of real JSON reach what no list of edits thinks of."""
    body = data.draw(chat_bodies)
    raw = data.draw(raw_spellings(body)) if data.draw(st.booleans()) else compact(body)
    at = data.draw(st.integers(0, len(raw) - 1))
    piece = data.draw(
        st.sampled_from(
            [b"", b'"', b"1", b"0", b" ", b".0", b"e1", b"-", b"a", b"\\", b",", b"null", b"true", b"{}"]
        )
    )
    cut = data.draw(st.integers(0, 2))
    mutated = raw[:at] + piece + raw[at + cut :]
    try:
        new = form(mutated, identity_fields=identity)
    except RequestError:
        new = None
    if not isinstance(new, Canonical):
        return  # nothing is keyed, so nothing can be mixed up

    old = form(raw, identity_fields=identity)
    same = meaning(parse(mutated), identity) == meaning(parse(raw), identity)

    assert (old.text == new.text) == same


@given(values(12), values(12))
@settings(max_examples=300)
@example({"properties": ["a", 1]}, {"properties": {"a": 1}})
@example({"properties": {"": ["a", 1]}}, {"properties": ["a", 1]})
@example({"properties": {"a": 1, "b": 2}}, {"properties": {"b": 2, "a": 1}})
@example({"$defs": {"definitions": {"b": 1, "a": 2}}}, {"$defs": {"definitions": {"a": 2, "b": 1}}})
@example(1, 1.0)
@example(True, 1)
@example(0.0, -0.0)
@example({"properties": {"x": 1}}, {"properties": {"x": 1.0}})
@example(2**53, 2.0**53)
@example(2**53 + 2, 2.0**53 + 2)
@example([[], {}], [{}, []])
@example(None, "null")
def test_the_text_of_unknown_values_is_injective(left, right):
    raws = [compact({"model": "m", "messages": [], "foo": value}) for value in (left, right)]
    texts = [form(raw).text for raw in raws]

    assert (texts[0] == texts[1]) == (meaning(parse(raws[0])) == meaning(parse(raws[1])))


@given(st.data())
@settings(max_examples=60)
def test_duplicate_keys_are_found_exactly_as_a_strict_parser_finds_them(data):
    body = {"model": "m", "messages": [], "foo": data.draw(values())}
    raw = data.draw(raw_spellings(body))
    extra = data.draw(st.sampled_from(["foo", "model", "new", 'q"', "\u00e9"]))
    member = data.draw(spelled({extra: data.draw(values(2))})).strip().encode()[1:-1]
    at = raw.rindex(b"}")
    raw = raw[:at] + b"," + member + raw[at:]
    try:
        parse(raw)
    except DuplicateKeyError:
        assert form(raw) == Bypass("duplicate-key")
    else:
        assert isinstance(form(raw), Canonical) or form(raw).detail == "field-type"


@pytest.mark.parametrize("keyer", [plain_keyer, memo_keyer], ids=["plain", "memo"])
@given(
    raw=st.binary(max_size=40)
    | st.text(alphabet='{}[]",:0123456789.eE+-\\untrfalsd ', max_size=40).map(str.encode)
)
@settings(max_examples=300)
@example(raw=b"")
@example(raw=b"\xff\xfe")
@example(raw=b"[" * 100_000)
@example(raw=b'{"a":' * 5000 + b"1" + b"}" * 5000)
@example(raw=b"\xef\xbb\xbf{}")
@example(raw=b"-")
@example(raw=b"1" * 10_000)
@example(raw=b"1e99999999")
@example(raw=b"\x00\x00\x00{")
def test_any_bytes_give_a_key_a_bypass_or_a_request_error(raw, keyer):
    for _ in range(2):
        try:
            outcome = keyer.key(Request(CHAT, raw, SCOPE))
        except RequestError as error:
            outcome = error
        assert isinstance(outcome, (Keyed, Bypass, RequestError))
        if isinstance(outcome, RequestError):
            assert outcome.status == 400
            assert outcome.__context__ is None  # an exception chain would carry the body


@given(st.data())
@settings(max_examples=40)
def test_a_400_is_given_only_to_what_no_parser_reads(data):
    raw = data.draw(raw_spellings(data.draw(values())))

    assert isinstance(form(raw), (Canonical, Bypass))


_fields = st.tuples(
    st.sampled_from(["t", "tt", ""]),
    st.sampled_from(["o", "to", ""]),
    st.sampled_from([b"", b"q", b"t"]),
    st.sampled_from([b"", b"q", b"\0"]),
)


@given(_fields, _fields)
def test_partition_query_and_header_fields_are_in_both_digests(left, right):
    raw = compact({"model": "m", "messages": []})
    keys = []
    for tenant, origin, query, key_fields in (left, right):
        request = Request(CHAT, raw, Scope(tenant, origin), query=query, ask=Ask(key_fields=key_fields))
        keys.append(plain_keyer.key(request).key)

    assert (keys[0] == keys[1]) == (left == right)
    assert (keys[0][1:17] == keys[1][1:17]) == (left == right)
    assert (keys[0][17:] == keys[1][17:]) == (left == right)


@given(st.data())
def test_the_memory_of_seen_bodies_never_changes_an_answer(data):
    keyer = Keyer(SECRET, memo_bytes=data.draw(st.sampled_from([0, 1000, 4000, 2**20])))
    raws = [compact({"model": "m", "messages": [], "foo": i}) for i in range(4)] + [b"[]", b'{"a":1,"a":1}']
    for _ in range(20):
        raw = data.draw(st.sampled_from(raws))
        scope = Scope(data.draw(st.sampled_from("ab")), "o")
        assert keyer.key(Request(CHAT, raw, scope)) == plain_keyer.key(Request(CHAT, raw, scope))


class Weighed(NamedTuple):
    name: int
    weight: int


@given(st.lists(st.builds(Weighed, st.integers(0, 9), st.integers(0, 40))), st.integers(0, 60))
def test_a_recent_map_never_holds_more_than_its_capacity_and_never_lies(puts, capacity):
    recent: RecentMap[int, Weighed] = RecentMap(capacity)
    truth = {}
    for value in puts:
        found = recent.get(value.name)
        assert found is None or found == truth[value.name]
        truth[value.name] = value
        recent.put(value.name, value)
        assert recent.weight <= capacity
        assert value.weight > capacity // 2 or recent.get(value.name) == value


@given(st.binary(min_size=49, max_size=49), st.binary(min_size=49, max_size=49))
def test_two_keys_have_two_texts(one, other):
    assert (key_text(one) == key_text(other)) == (one == other)
