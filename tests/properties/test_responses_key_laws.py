"""Laws of the key of the Responses API, in both directions: equal calls have one key, different ones do not."""

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.core.chat_kit import compact
from tests.properties.meaning import parse
from tests.properties.responses_meaning import meaning
from tests.properties.responses_strategies import bodies, edited, rewritten
from tests.properties.strategies import raw_spellings
from tiered_cache.core.canonical import Canonical, KeyOptions, ToolMemo, canonicalise
from tiered_cache.core.vocabulary import Bypass
from tiered_cache.errors import RequestError

ORDERED = (b'"properties"', b'"patternProperties"', b'"$defs"', b'"definitions"')
MEMO = ToolMemo(2**20)


def form(raw: bytes, *, memo: ToolMemo | None = None, **options) -> Canonical | Bypass:
    return canonicalise("responses", raw, KeyOptions(**options), memo)


def text(raw: bytes, memo: ToolMemo | None = None) -> bytes:
    made = form(raw, memo=memo)
    assert isinstance(made, Canonical), made
    return made.text


@given(st.data())
@settings(max_examples=60)
def test_every_spelling_of_one_body_has_one_text(data):
    body = data.draw(bodies)
    spelling = data.draw(raw_spellings(body))

    assert text(spelling) == text(compact(body))
    assert text(spelling, MEMO) == text(compact(body), MEMO) == text(compact(body))


@given(st.data())
def test_a_rewrite_that_keeps_the_meaning_keeps_the_text(data):
    body = data.draw(bodies)
    other = data.draw(rewritten(body))

    assert text(compact(other)) == text(compact(body))
    assert meaning(parse(compact(other))) == meaning(parse(compact(body)))


@given(st.data())
def test_an_edit_that_changes_the_meaning_changes_the_text(data):
    body = data.draw(bodies)
    what, other = data.draw(edited(body))

    assert text(compact(other)) != text(compact(body)), what


@given(bodies)
def test_the_text_is_a_body_of_the_same_meaning_unless_an_order_is_kept_in_it(body):
    """Canonicalising twice changes nothing."""
    once = text(compact(body))
    if not any(name in once for name in ORDERED):
        assert text(once) == once


@given(st.data(), st.sampled_from(["drop", "key"]))
@settings(max_examples=80)
def test_a_changed_byte_changes_the_text_exactly_when_it_changes_the_meaning(data, identity):
    body = data.draw(bodies)
    raw = data.draw(raw_spellings(body)) if data.draw(st.booleans()) else compact(body)
    at = data.draw(st.integers(0, len(raw) - 1))
    pieces = [b"", b'"', b"1", b"0", b" ", b".0", b"e1", b"-", b"a", b"\\", b",", b"null", b"true", b"{}"]
    piece = data.draw(st.sampled_from(pieces))
    mutated = raw[:at] + piece + raw[at + data.draw(st.integers(0, 2)) :]
    try:
        new = form(mutated, identity_fields=identity)
    except RequestError:
        return
    if not isinstance(new, Canonical):
        return  # nothing is keyed, so nothing can be mixed up

    old = form(raw, identity_fields=identity)
    assert isinstance(old, Canonical)
    same = meaning(parse(mutated), identity) == meaning(parse(raw), identity)

    assert (old.text == new.text) == same


SMALL = [
    *(0, 1, 1.0, -0.0, True, False, None, "", "a", "auto", "disabled", [], {}),
    *([1], ["a"], {"a": 1}, {"a": 1.0}, {"a": None}, {"type": "text"}, {"format": {"type": "text"}}),
    *(
        {"format": {"type": "text", "a": 1}},
        {"format": None},
        {"format": {"type": "text"}, "verbosity": "low"},
    ),
    *({"id": "p"}, {"user_id": "a"}, {"properties": {}}, [{"role": "user", "content": "a"}], [{"id": "a"}]),
    [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}],
    [{"role": "user", "content": [{"type": "output_text", "text": "a"}]}],
    [{"role": "assistant", "content": [{"type": "input_text", "text": "a"}]}],
    [{"role": "user", "content": "a", "type": "message"}],
    [{"role": "user", "content": "a", "type": "message", "id": "a"}],
]
FIELDS = [
    *("input", "foo", "tool_choice", "text", "truncation", "parallel_tool_calls", "store", "user", "include"),
    *("temperature", "stream", "service_tier", "prompt", "models", "requesty", "metadata", "instructions"),
    *("reasoning", "background", "conversation", "properties", "seed", "image"),
]
TOOL = {"type": "function", "name": "f"}


@pytest.mark.parametrize("identity", ["drop", "key"])
@pytest.mark.parametrize("second", [None, *FIELDS])
def test_two_texts_are_equal_exactly_when_the_oracle_says_so(second, identity):
    """Every pair of bodies of a small domain, compared through classes: one text, one meaning, both ways."""
    meaning_of_text, text_of_meaning = {}, {}
    for model, tools, name, value in product(["openai/a", "x/a"], [None, [TOOL]], FIELDS, SMALL):
        body = {"model": model, "input": "a", "tools": tools, name: value}
        if second is not None:
            body[second] = (
                body[second] if second == name else SMALL[(len(name) + len(str(value))) % len(SMALL)]
            )
        raw = compact({name: value for name, value in body.items() if name != "tools" or value is not None})
        made = form(raw, identity_fields=identity)
        if isinstance(made, Canonical):
            meant = meaning(parse(raw), identity)
            assert meaning_of_text.setdefault(made.text, meant) == meant
            assert text_of_meaning.setdefault(meant, made.text) == made.text
    assert len(text_of_meaning) > 50


@given(
    raw=st.binary(max_size=40)
    | st.text(alphabet='{}[]",:0123456789.eE+-\\untrfalsd ', max_size=40).map(str.encode)
)
@settings(max_examples=200)
@example(raw=b'{"input":' * 5000 + b"1" + b"}" * 5000)
@example(raw=b'{"input":[[]],"store":false}')
def test_any_bytes_give_a_form_a_bypass_or_a_request_error(raw):
    try:
        made = form(raw)
    except RequestError as error:
        made = error
    assert isinstance(made, (Canonical, Bypass, RequestError))
