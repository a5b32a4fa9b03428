"""Laws of the key of images: equal calls have one text, different ones do not; any answer is judged."""

import copy
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.chat_kit import compact
from tests.core.test_images import CALL, ENDPOINT
from tests.properties.damage import spelled_and_damaged
from tests.properties.meaning import is_one, member, parse
from tests.properties.strategies import MODELS, raw_spellings, scalars, texts, values, whole
from tiered_cache.core.answers import read_json
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.vocabulary import Answer, Bypass, Refusal
from tiered_cache.errors import RequestError

WORDS = ("size", "quality", "style", "complexity", "background", "moderation", "response_format")
NULLABLE = [*WORDS, "n", "output_format", "output_compression", "frame_count", "frame_duration_ms", "svg"]
NULLABLE += ["partial_images"]


def says_nothing(name, value, body):
    openai = "models" not in body and (body.get("model") or "").startswith(("openai/", "azure/"))
    if name == "n":
        return is_one(value)
    automatic = name in ("background", "moderation", "quality")
    return automatic and openai and type(value) is str and value == "auto"


def meaning(body, identity):
    """What a body means, written a second time and slowly; no table of the library is asked."""
    out = set()
    for name, value in body.items():
        if name == "stream" or (identity == "drop" and name in ("user", "safety_identifier")):
            continue
        if (value is None and name in (*NULLABLE, "safety_identifier")) or says_nothing(name, value, body):
            continue
        if name == "requesty" and value is not None:
            gone = ["auto_cache", *(["user_id", "trace_id", "tags", "extra"] if identity == "drop" else [])]
            rest = frozenset(member(k, v) for k, v in value.items() if k not in gone)
            out |= {(name, rest)} if rest else set()
        else:
            out.add(member(name, value))
    return frozenset(out)


words = st.sampled_from(["auto", "low", "1024x1024", "", None])
bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "prompt": texts},
    optional={
        **dict.fromkeys(WORDS, words),
        "n": st.sampled_from([1, 1.0, 2, None]),
        "seed": whole | st.none(),
        "output_compression": st.integers(0, 100) | st.none(),
        "svg": st.dictionaries(texts, values(2), max_size=2) | st.none(),
        "stream": st.sampled_from([False, True, None]),
        "user": texts,
        "safety_identifier": texts | st.none(),
        "requesty": st.fixed_dictionaries(
            {}, optional={"auto_cache": st.booleans(), "user_id": texts, "zone": scalars}
        ),
        "models": st.lists(st.sampled_from(MODELS), max_size=2),
        "foo": values(5),
        "properties": values(5),
    },
)
TRANSPARENT = {
    "stream": [False, True, None],
    "user": ["u", None],
    "safety_identifier": ["s", None],
    "n": [1, 1.0, None],
    "size": [None],
}


def form(raw, identity="drop"):
    return canonicalise(ENDPOINT, raw, KeyOptions(identity_fields=identity))


def text(raw):
    made = form(raw)
    assert isinstance(made, Canonical), made
    return made.text


@given(st.data())
@settings(max_examples=60)
def test_every_spelling_and_rewrite_of_one_body_has_one_text(data):
    body = data.draw(bodies)
    assert text(data.draw(raw_spellings(body))) == text(compact(body))
    other = copy.deepcopy(body)
    for name, options in TRANSPARENT.items():
        if name in {"stream", "user", "safety_identifier"} or body.get(name) in options:
            other[name] = data.draw(st.sampled_from(options))
    assert text(compact(other)) == text(compact(body))


EDITS = [
    {"prompt": "never drawn, as it is too long"},
    {"seed": -(10**39)},
    {"n": 3},
    {"bar": None},
    {"output_format": "gif"},
    {"partial_images": 3},
    {"image": "https://e.com/never"},
    {"requesty": {"unknown": 1}},
    *({name: "another"} for name in WORDS),
]


@given(bodies, st.sampled_from(EDITS))
def test_an_edit_that_changes_the_meaning_changes_the_text(body, edit):
    assert text(compact(body | edit)) != text(compact(body))
    assert text(compact(body | {"model": body["model"].upper()})) != text(compact(body))


@given(st.data(), st.sampled_from(["drop", "key"]))
@settings(max_examples=80)
def test_a_changed_byte_changes_the_text_exactly_when_it_changes_the_meaning(data, identity):
    body = data.draw(bodies)
    raw, mutated = spelled_and_damaged(data, body)
    try:
        new = form(mutated, identity)
    except RequestError:
        return
    if isinstance(new, Canonical):
        same = meaning(parse(mutated), identity) == meaning(parse(raw), identity)
        assert (form(raw, identity).text == new.text) == same


SMALL = [
    0,
    1,
    1.0,
    -0.0,
    True,
    False,
    None,
    "",
    "a",
    "auto",
    [],
    ["a"],
    {},
    {"a": 1},
    {"a": 1.0},
    {"zone": 1},
]
FIELDS = [*NULLABLE, "stream", "user", "safety_identifier", "seed", "models", "requesty", "foo", "properties"]


@pytest.mark.parametrize("identity", ["drop", "key"])
@pytest.mark.parametrize("second", [None, *FIELDS])
def test_two_texts_are_equal_exactly_when_the_oracle_says_so(second, identity):
    """Every pair of bodies of a small domain, compared through classes: one text, one meaning, both ways."""
    meaning_of_text, text_of_meaning = {}, {}
    for model, name, value in product(["openai/a", "x/a"], FIELDS, SMALL):
        body = {"model": model, "prompt": "a", name: value}
        if second is not None:
            body.setdefault(second, SMALL[(len(name) + len(str(value))) % len(SMALL)])
        made = form(compact(body), identity)
        if isinstance(made, Canonical):
            meant = meaning(parse(compact(body)), identity)
            assert meaning_of_text.setdefault(made.text, meant) == meant
            assert text_of_meaning.setdefault(meant, made.text) == made.text
    assert len(text_of_meaning) > 20


@given(st.binary(max_size=40) | values().map(compact) | st.builds(lambda p: compact({"data": p}), values(6)))
@settings(max_examples=200)
def test_any_bytes_give_a_form_or_a_verdict(raw):
    try:
        made = form(raw)
    except RequestError as error:
        made = error
    assert isinstance(made, (Canonical, Bypass, RequestError))
    assert isinstance(read_json(CALL, raw), (Answer, Refusal))
