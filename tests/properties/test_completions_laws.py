"""Laws of completions: equal calls have one text, different ones do not; an answer is the same in every form."""

import copy
import json
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.core.chat_kit import compact, events, stored, stream
from tests.core.test_completions import CALL, ENDPOINT, answer, choice, chunk
from tests.properties.completions_meaning import meaning
from tests.properties.damage import spelled_and_damaged
from tests.properties.meaning import parse
from tests.properties.strategies import MODELS, doubles, raw_spellings, scalars, texts, values, whole
from tiered_cache.core.answers import read_json, read_stream, render
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.vocabulary import Answer, Bypass, Refusal
from tiered_cache.errors import RequestError

tokens = st.lists(st.integers(0, 9), min_size=1, max_size=3)
prompts = texts | st.lists(texts, min_size=1, max_size=2) | tokens | st.lists(tokens, min_size=1, max_size=2)
bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "prompt": prompts},
    optional={
        "temperature": st.sampled_from([0, 0.0, 1, 1.0, 0.7, -0.0]) | st.none(),
        "top_p": doubles,
        "seed": whole | st.none(),
        "n": st.sampled_from([1, 1.0, 2, None]),
        "best_of": st.sampled_from([1, 2, None]),
        "echo": st.booleans() | st.none(),
        "suffix": texts | st.none(),
        "logprobs": st.integers(0, 5) | st.none(),
        "max_tokens": st.integers(0, 9) | st.none(),
        "frequency_penalty": st.sampled_from([0, 0.0, -0.0, 1, 0.5, None]),
        "logit_bias": st.dictionaries(st.sampled_from("12"), st.sampled_from([1, 1.0, -5]), max_size=2),
        "stop": texts | st.lists(texts, max_size=2) | st.none(),
        "stream": st.booleans(),
        "user": texts,
        "service_tier": texts,
        "requesty": st.fixed_dictionaries(
            {}, optional={"auto_cache": st.booleans(), "user_id": texts, "zone": scalars}
        ),
        "models": st.lists(st.sampled_from(MODELS), max_size=2),
        "foo": values(5),
        "properties": values(5),
    },
)
TRANSPARENT = {
    "stream": [True, False, None],
    "stream_options": [{"include_usage": True}, None],
    "user": ["u", None],
    "echo": [False, None],
    "n": [1, 1.0, None],
    "suffix": [None],
    "logprobs": [None],
    "logit_bias": [{}, None],
}


def form(raw, identity="drop"):
    return canonicalise(ENDPOINT, raw, KeyOptions(identity_fields=identity))


def text(raw):
    made = form(raw)
    assert isinstance(made, Canonical), made
    return made.text


@given(st.data())
@settings(max_examples=60)
def test_every_spelling_of_one_body_has_one_text(data):
    body = data.draw(bodies)
    assert text(data.draw(raw_spellings(body))) == text(compact(body))


@given(st.data())
def test_a_rewrite_that_keeps_the_meaning_keeps_the_text(data):
    body = data.draw(bodies)
    other = copy.deepcopy(body)
    for name, options in TRANSPARENT.items():
        value = data.draw(st.sampled_from(options))
        if (
            body.get(name) in options
            or name in {"stream", "stream_options", "user"}
            or (name not in body and data.draw(st.booleans()))
        ):
            other[name] = value
    if isinstance(body.get("stop"), str):
        other["stop"] = [body["stop"]]
    assert text(compact(other)) == text(compact(body))


EDITS = [
    lambda body: body.update(model=body["model"] + "x"),
    lambda body: body.update(model=body["model"].upper()),
    lambda body: body.update(prompt="never drawn, as it is too long"),
    lambda body: body.update(prompt=[body["prompt"]] if isinstance(body["prompt"], str) else "x" * 20),
    lambda body: body.update(prompt=[*body["prompt"], body["prompt"][0]] if body["prompt"] else "x" * 20),
    lambda body: body.update(temperature=0.25),
    lambda body: body.update(seed=-(10**39)),
    lambda body: body.update(n=3),
    lambda body: body.update(best_of=9),
    lambda body: body.update(echo=not body.get("echo")),
    lambda body: body.update(suffix="never drawn, as it is too long"),
    lambda body: body.update(logprobs=17),
    lambda body: body.update(max_tokens=100),
    lambda body: body.update(frequency_penalty=0.25),
    lambda body: body.update(logit_bias={"3": 1}),
    lambda body: body.update(stop=["a", "b", "c"]),
    lambda body: body.update(service_tier="never drawn, as it is too long"),
    lambda body: body.update(bar=None),
    lambda body: body.update(foo=[body.get("foo")]),
    lambda body: body.update(requesty={"unknown": 1}),
]


@given(bodies, st.sampled_from(EDITS))
def test_an_edit_that_changes_the_meaning_changes_the_text(body, edit):
    other = copy.deepcopy(body)
    edit(other)
    assert text(compact(other)) != text(compact(body))


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


SMALL = [0, 1, 1.0, -0.0, True, False, None, "", "a", [], ["a"], [1], [1.0], [[1]], {}, {"a": 1}, {"a": 1.0}]
SMALL += [{"type": "text"}, {"type": "json_schema", "x": 1.0}, {"user_id": "a"}, {"properties": {}}]
FIELDS = [
    *("prompt", "n", "echo", "best_of", "suffix", "logprobs", "stop", "logit_bias", "presence_penalty"),
    *("response_format", "stream", "stream_options", "user", "models", "requesty", "temperature", "foo"),
    *("service_tier", "properties", "top_k"),
]


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


@given(
    st.binary(max_size=40) | values().map(compact) | st.builds(lambda p: compact({"prompt": p}), values(6))
)
@settings(max_examples=200)
def test_any_bytes_give_a_form_a_bypass_or_a_request_error(raw):
    try:
        made = form(raw)
    except RequestError as error:
        made = error
    assert isinstance(made, (Canonical, Bypass, RequestError))


# --- answers

probabilities = st.fixed_dictionaries(
    {
        "tokens": st.lists(texts, min_size=1, max_size=3),
        "token_logprobs": st.lists(st.floats(-9, 0) | st.none(), min_size=1, max_size=3),
        "text_offset": st.lists(st.integers(0, 9), min_size=1, max_size=3),
    }
)
some_choices = st.lists(st.tuples(texts.filter(bool), probabilities | st.none()), min_size=1, max_size=3).map(
    lambda said: [choice(text, index, logprobs=more) for index, (text, more) in enumerate(said)]
)


def rendered(found, shape):
    assert isinstance(found, Answer), found
    rendering = render(replace(stored(found), endpoint=ENDPOINT), shape, free=False)
    assert rendering is not None
    return rendering.body


@given(some_choices, st.booleans())
def test_an_answer_goes_to_chunks_and_back_unharmed(choices, pretty):
    value, call = answer(*choices), replace(CALL, choices=len(choices))
    body = json.dumps(value, indent=1).encode() if pretty else compact(value)
    there = rendered(read_json(call, body), "sse+usage")
    back = rendered(read_stream(call, events(there)), "json")
    assert parse(back) == parse(body)


@given(st.lists(texts.filter(bool), min_size=1, max_size=3), st.lists(st.integers(0, 50), max_size=5))
def test_how_texts_are_cut_into_chunks_never_changes_the_answer(said, places):
    pieces = []
    for index, whole_text in enumerate(said):
        edges = sorted({0, len(whole_text), *(place % (len(whole_text) + 1) for place in places)})
        pieces += [chunk(choice(whole_text[start:end], index, None)) for start, end in pairwise(edges)]
    ends = [chunk(choice("", index)) for index in range(len(said))]
    body = stream(*pieces, *ends, chunk(usage=answer()["usage"]))
    found = read_stream(replace(CALL, choices=len(said)), events(body))
    assert json.loads(rendered(found, "json")) == answer(
        *(choice(whole_text, index) for index, whole_text in enumerate(said))
    )


@given(st.lists(st.binary(max_size=30) | values(4).map(compact), max_size=5))
def test_any_bytes_are_judged_without_an_exception(parts):
    for body in (b"".join(parts), b"".join(b"data: %b\n\n" % part for part in parts)):
        assert isinstance(read_json(CALL, body), (Answer, Refusal))
        assert isinstance(read_stream(CALL, events(body)), (Answer, Refusal))
