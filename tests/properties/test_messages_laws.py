"""Laws of the messages dialect: keys in both directions, and answers that go from form to form unharmed."""

import json
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.chat_kit import compact
from tests.core.messages_kit import EMPTY, HEAD, USAGE, answer, event, judged_json, judged_stream, stored
from tests.properties.meaning import parse
from tests.properties.messages_meaning import meaning
from tests.properties.messages_strategies import bodies, edited, rewritten
from tests.properties.strategies import raw_spellings, texts, values
from tiered_cache.core.answers import render
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.keys import Keyer
from tiered_cache.core.vocabulary import Answer, Bypass, Keyed, Refusal, Request, Scope
from tiered_cache.errors import RequestError

SCOPE = Scope("tenant", "https://origin.example:443/v1")
plain_keyer = Keyer(b"a secret for the laws", memo_bytes=0)
memo_keyer = Keyer(b"a secret for the laws")


def form(raw: bytes, **options) -> Canonical | Bypass:
    return canonicalise("messages", raw, KeyOptions(**options))


def key(raw: bytes, keyer: Keyer = plain_keyer):
    keyed = keyer.key(Request("messages", raw, SCOPE))
    return keyed.key if isinstance(keyed, Keyed) else keyed


@given(st.data())
@settings(max_examples=40)
def test_every_spelling_of_one_body_has_one_key(data):
    body = data.draw(bodies)
    spelling = data.draw(raw_spellings(body))

    assert isinstance(key(compact(body)), bytes)
    assert key(spelling) == key(compact(body))
    assert key(spelling, memo_keyer) == key(compact(body), memo_keyer) == key(compact(body))


@given(st.data())
def test_a_rewrite_that_keeps_the_meaning_keeps_the_key(data):
    body = data.draw(bodies)
    other = data.draw(rewritten(body))

    assert key(compact(other)) == key(compact(body))


@given(st.data())
def test_an_edit_that_changes_the_meaning_changes_the_key(data):
    body = data.draw(bodies)
    what, other = data.draw(edited(body))

    assert key(compact(body)) != key(compact(other)), what


@given(st.data(), st.sampled_from(["drop", "key"]))
@settings(max_examples=60)
def test_a_changed_byte_changes_the_text_exactly_when_it_changes_the_meaning(data, identity):
    body = data.draw(bodies)
    raw = data.draw(raw_spellings(body)) if data.draw(st.booleans()) else compact(body)
    at = data.draw(st.integers(0, len(raw) - 1))
    piece = data.draw(
        st.sampled_from(
            [b"", b'"', b"1", b"0", b" ", b".0", b"e1", b"-", b"a", b"\\", b",", b"null", b"true", b"{}"]
        )
    )
    mutated = raw[:at] + piece + raw[at + data.draw(st.integers(0, 2)) :]
    try:
        new = form(mutated, identity_fields=identity)
    except RequestError:
        new = None
    if not isinstance(new, Canonical):
        return  # nothing is keyed, so nothing can be mixed up

    old = form(raw, identity_fields=identity)
    same = meaning(parse(mutated), identity) == meaning(parse(raw), identity)

    assert (old.text == new.text) == same


SMALL = [0, 1, 1.0, True, False, None, "", "auto", [], {}, ["a"], {"type": "auto"}, {"a": 1}, {"a": 1.0}]
SMALL += [
    [{"type": "text", "text": "a"}],
    [{"type": "text", "text": "a", "cache_control": {}}],
    "a",
    {"user_id": "a"},
]
SMALL += [{"format": {"type": "json_schema", "schema": {"x": 1.0}}}, {"properties": {}}]
FIELDS = [
    "system",
    "tool_choice",
    "metadata",
    "stream",
    "service_tier",
    "container",
    "speed",
    "inference_geo",
]
FIELDS += [
    "temperature",
    "top_k",
    "stop_sequences",
    "output_config",
    "requesty",
    "foo",
    "cache_control",
    "tools",
]
TOOL = {"name": "f", "input_schema": {}}


@pytest.mark.parametrize("identity", ["drop", "key"])
@pytest.mark.parametrize("second", [None, *FIELDS])
def test_two_texts_are_equal_exactly_when_the_oracle_says_so(second, identity):
    """Every pair of bodies of a small domain, compared through classes: one text, one meaning, both ways."""
    meaning_of_text, text_of_meaning = {}, {}
    for tools, name, value in product([None, [TOOL]], FIELDS, SMALL):
        body = {"model": "m", "messages": [], **({"tools": tools} if tools else {}), name: value}
        if second is not None:
            body.setdefault(second, SMALL[(len(name) + len(str(value))) % len(SMALL)])
        made = form(compact(body), identity_fields=identity)
        if isinstance(made, Canonical):
            meant = meaning(parse(compact(body)), identity)
            assert meaning_of_text.setdefault(made.text, meant) == meant
            assert text_of_meaning.setdefault(meant, made.text) == made.text
    assert len(text_of_meaning) > 20


@given(values(12), values(12))
def test_the_text_of_unknown_values_is_injective(left, right):
    raws = [compact({"model": "m", "messages": [], "foo": value}) for value in (left, right)]
    assert (form(raws[0]).text == form(raws[1]).text) == (meaning(parse(raws[0])) == meaning(parse(raws[1])))


@given(
    raw=st.binary(max_size=40)
    | st.text(alphabet='{}[]",:0123456789.eE+-\\untrfalsd ', max_size=40).map(str.encode)
    | values().map(compact)
    | st.builds(
        lambda m, s: compact({"model": "m", "messages": m, "system": s, "tools": m}), values(6), values(6)
    )
)
@settings(max_examples=300)
def test_any_bytes_give_a_key_a_bypass_or_a_request_error(raw):
    try:
        outcome = plain_keyer.key(Request("messages", raw, SCOPE))
    except RequestError as error:
        outcome = error
    assert isinstance(outcome, (Keyed, Bypass, RequestError))


def test_the_memory_of_tool_lists_keeps_the_dialects_apart():
    """One list means a client's tool in one dialect and an origin's in the other."""
    keyer = Keyer(b"a secret for the laws")
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = compact({"model": "m", "messages": [], "tools": tools})
    for _ in range(2):
        assert isinstance(keyer.key(Request("chat/completions", body, SCOPE)), Keyed)
        assert keyer.key(Request("messages", body, SCOPE)) == Bypass("origin-tool", "m")


# --- answers

cites = st.fixed_dictionaries(
    {"type": st.just("char_location")}, optional={"cited_text": texts, "x": values(2)}
)
text_blocks = st.fixed_dictionaries(
    {"type": st.just("text"), "text": texts},
    optional={"citations": st.lists(cites, min_size=1, max_size=2) | st.none(), "x": values(2)},
)
thoughts = st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts})
calls = st.fixed_dictionaries(
    {
        "type": st.just("tool_use"),
        "id": st.just("toolu_1"),
        "name": st.just("f"),
        "input": st.dictionaries(texts, values(3), max_size=3),
    }
)
others = st.fixed_dictionaries({"type": st.sampled_from(["redacted_thinking", "new"]), "data": values(3)})
some_blocks = st.lists(text_blocks | thoughts | calls | others, min_size=1, max_size=4)


def rendered(found, shape):
    assert isinstance(found, Answer), found
    rendering = render(stored(found), shape, free=False)
    assert rendering is not None
    return rendering.body


@given(some_blocks, st.booleans())
def test_an_answer_goes_to_events_and_back_unharmed(blocks, pretty):
    value = answer({"type": "text", "text": "x"}, *blocks, stop="tool_use")
    body = json.dumps(value, indent=1).encode() if pretty else compact(value)
    there = rendered(judged_json(body), "sse")
    back = rendered(judged_stream(there), "json")

    assert parse(back) == parse(body)
    assert rendered(judged_stream(rendered(judged_json(back), "sse")), "json") == back


def cut(text, places):
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(edges)]


DELTAS = {"text": "text_delta", "thinking": "thinking_delta"}


@given(some_blocks, st.lists(st.integers(0, 50), max_size=5))
def test_how_a_stream_is_cut_into_deltas_never_changes_the_answer(blocks, places):
    blocks = [{"type": "text", "text": "x"}, *blocks]
    start = {**HEAD, "content": [], "stop_reason": None, "stop_sequence": None, "usage": USAGE}
    said = [{"type": "message_start", "message": start}]
    for index, block in enumerate(blocks):
        kind, deltas = block["type"], []
        begun = block | EMPTY.get(kind, {})
        if kind in DELTAS:
            deltas = [{"type": DELTAS[kind], kind: piece} for piece in cut(block[kind], places)]
        if kind == "thinking":
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        if kind == "tool_use" and block["input"]:
            spelt = json.dumps(block["input"], ensure_ascii=False)
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in cut(spelt, places)]
        said.append({"type": "content_block_start", "index": index, "content_block": begun})
        said += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        said.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": "tool_use", "stop_sequence": None}
    said += [
        {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]

    back = rendered(judged_stream(b"".join(map(event, said))), "json")

    expected = {**answer(*blocks, stop="tool_use"), "usage": USAGE}
    assert json.loads(back) == expected


@given(st.lists(st.binary(max_size=30) | values(4).map(compact), max_size=5))
def test_any_bytes_are_judged_without_an_exception(parts):
    for body in (b"".join(parts), b"".join(b"event: message_start\ndata: %b\n\n" % part for part in parts)):
        assert isinstance(judged_json(body), (Answer, Refusal))
        assert isinstance(judged_stream(body), (Answer, Refusal))
