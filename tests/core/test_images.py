"""Images: what is one call, which answers are kept, and what of them another caller gets."""

import json

import openai.types.image_generate_params as sdk
import pytest
from msgspec.structs import replace

from tests.core.chat_kit import compact, stored
from tests.core.sdk_fields import fields_of
from tiered_cache.core.answers import read_json, read_stream, render, usage_of
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.canonical.images_tables import BODY_FIELDS
from tiered_cache.core.policy import lifetime, plan
from tiered_cache.core.profiles import PROFILES
from tiered_cache.core.vocabulary import PLAIN, Answer, Bypass, Call, Determinism, Refusal, Usage

ENDPOINT = "images/generations"
MODEL = "openai/gpt-image-2"
USAGE = {
    "input_tokens": 9,
    "output_tokens": 400,
    "total_tokens": 409,
    "input_tokens_details": {"text_tokens": 9, "image_tokens": 0},
    "cost": 0.02,
}
CALL = Call(ENDPOINT, MODEL, determinism=Determinism.DETERMINISTIC)
PICTURE = {"b64_json": "aGk="}


def told(options: KeyOptions | None = None, **fields) -> Canonical | Bypass:
    said = {"model": MODEL, "prompt": "a fox", **fields}
    raw = compact({name: value for name, value in said.items() if value is not ...})
    return canonicalise(ENDPOINT, raw, KeyOptions() if options is None else options)


def call_of(**fields) -> Call:
    form = told(**fields)
    assert isinstance(form, Canonical), form
    return form.call


def answer(*pictures, **fields):
    return {"created": 1763900000, "data": list(pictures or (PICTURE,)), "usage": USAGE, **fields}


def judged(value, call=CALL):
    return read_json(call, value if isinstance(value, bytes) else compact(value))


def test_what_differs_is_another_call():
    others = [
        told(),
        *(told(prompt=prompt) for prompt in ("A fox", "a fox ", "")),
        *(told(seed=seed) for seed in (7, 8, None)),
        *(told(size=size) for size in ("auto", "1024x1024")),
        *(told(quality=word) for word in ("low", "high")),
        *(told(response_format=word) for word in ("url", "b64_json")),
        *(told(output_format=word) for word in ("png", "webp")),
        told(background="opaque"),
        told(moderation="low"),
        told(n=2),
        told(partial_images=0),
        told(svg={"model": "a"}),
        told(model="bfl/flux", quality="auto"),
        told(model="bfl/flux"),
        told(service_tier="flex"),
    ]
    assert len({form.text for form in others}) == len(others)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"n": 1.0},
        {"background": "auto", "moderation": "auto", "quality": "auto"},
        {"stream": False},
        {"user": "u", "safety_identifier": "s"},
        {"requesty": {"trace_id": "t"}},
        dict.fromkeys(("n", "size", "quality", "style", "background", "output_format", "svg", "stream")),
    ],
)
def test_what_says_nothing_is_the_same_call(fields):
    assert told(**fields).text == told().text


def test_the_end_user_joins_the_key_where_the_operator_says_so():
    options = KeyOptions(identity_fields="key")
    texts = {told(options, **{name: "u"}).text for name in ("user", "safety_identifier", "prompt")}
    assert len(texts) == 3


@pytest.mark.parametrize(
    "fields",
    [{"prompt": ...}, {"prompt": None}, {"prompt": ["a"]}, {"n": 0}, {"n": True}, {"seed": "7"}, {"size": 1}],
)
def test_wrong_types_bypass(fields):
    form = told(**fields)
    assert isinstance(form, Bypass)
    assert form.detail == "field-type"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"model": ...}, "no-model"),
        ({"stream": True}, "stream"),
        ({"stream": True, "partial_images": 2, "seed": 7}, "stream"),
        ({"tools": []}, "origin-tool"),
        ({"conversation": "c"}, "side-effect"),
        ({"seed": 7}, None),
    ],
)
def test_what_is_never_cached(fields, word):
    assert call_of(**fields).bypass == word


@pytest.mark.parametrize("profile", ["balanced", "strict", "aggressive"])
@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, "sampled"),
        ({"n": 2}, "sampled"),
        ({"seed": 0}, "sampled"),
        ({"seed": -1}, "sampled"),
        ({"seed": 7}, "deterministic-alias"),
        ({"seed": 7, "n": 2}, "sampled"),
        ({"seed": 7, "model": f"{MODEL}-2026-04-21"}, "deterministic-dated"),
    ],
)
def test_pictures_without_a_seed_are_neither_stored_nor_collapsed(profile, fields, rule):
    """SEMANTICS 3: n > 1, and images without seed."""
    intended = plan(PROFILES[profile], call_of(**fields))
    keeps = rule != "sampled"
    assert (intended.rule, intended.store, intended.collapse) == (rule, keeps, keeps)


def test_the_facts_of_a_call():
    made = call_of(n=3, seed=7, models=["a/b"])
    assert (made.choices, made.fallback_models, made.shape, made.remote_urls) == (3, ("a/b",), "json", False)
    assert call_of(images=[{"url": "https://e.com/a.png"}]).remote_urls
    assert not call_of(prompt="https://e.com/a.png").remote_urls


@pytest.mark.parametrize(
    ("word", "value", "choices"),
    [
        (None, answer(), 1),
        (None, answer(PICTURE, PICTURE), 2),
        (None, answer({"url": "https://e.com/a.png", "revised_prompt": "b"}), 1),
        ("choices", answer(PICTURE), 2),
        ("choices", answer(PICTURE, PICTURE), 1),
        ("choices", answer(data=[]), 1),
        ("schema", answer({"revised_prompt": "b"}), 1),
        ("schema", answer({"b64_json": ""}), 1),
        ("schema", answer({"b64_json": None, "url": 1}), 1),
        ("schema", answer(data=None), 1),
        ("schema", answer(data=[1]), 1),
        ("error-body", answer(error={"message": "no"}), 1),
        ("bad-json", b"[]", 1),
        ("bad-json", b"", 1),
    ],
)
def test_only_as_many_pictures_as_asked_for_are_kept(word, value, choices):
    found = judged(value, replace(CALL, choices=choices))
    assert (found.detail if isinstance(found, Refusal) else None) == word
    if word is None:
        assert found.body == compact(value)
        assert found.usage == Usage(9, 400, 0, 20_000_000_000)


def test_what_a_url_shows_ends_with_it():
    def lasts(url: str, now_s: float = 1767225600.0) -> float:
        found = judged(answer({"url": url}))
        assert isinstance(found, Answer)
        return lifetime(PROFILES["balanced"], CALL, found, PLAIN, wall_now_s=now_s).fresh_s

    signed = "https://e.com/a.png?X-Amz-Date=20260101T000000Z&X-Amz-Expires=90&X-Amz-Signature=a"
    azure = "https://e.blob.core.windows.net/a.png?se=2026-01-01T00%3A02%3A00Z&sig=x"
    assert [lasts(url) for url in (signed, azure, "https://e.com/a.png")] == [90, 120, 600]
    found = judged(answer())
    assert lifetime(PROFILES["balanced"], CALL, found, PLAIN).fresh_s == 24 * 3600


def test_another_caller_pays_nothing_and_learns_nobodys_name():
    value = answer(safety_identifier="anna", size="1024x1024")
    entry = replace(stored(judged(value)), endpoint=ENDPOINT)
    free = json.loads(render(entry, "json").body)
    assert free == {**value, "safety_identifier": None, "usage": {**USAGE, "cost": 0}}
    assert render(entry, "json", free=False).body == compact(value)
    assert render(entry, "sse") is None
    for body in (compact(answer()), compact(answer({"b64_json": '"safety_identifier"'}))):
        entry = replace(stored(judged(body)), endpoint=ENDPOINT)
        assert render(entry, "json").body == body.replace(b"0.02", b"0")


def test_usage_and_streams():
    assert usage_of(ENDPOINT, compact(answer())) == Usage(9, 400, 0, 20_000_000_000)
    assert usage_of(ENDPOINT) == Usage()
    assert read_stream(CALL, []) == Refusal("media-type")


def test_every_field_of_the_sdk_is_in_the_table():
    known = {field.name for field in BODY_FIELDS}
    asked = fields_of(sdk.ImageGenerateParamsNonStreaming) | fields_of(sdk.ImageGenerateParamsStreaming)
    assert asked - known == set()
