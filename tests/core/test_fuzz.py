"""Raw bytes of any kind give a key, a bypass or a typed 400; duplicate names are seen as a strict parser sees them."""

import json
import random
from collections import Counter

import pytest

from tests.core.form_kit import typed_as_begun
from tests.core.vectors.call_parts import raw_of
from tests.core.vectors.make_vectors import PUBLISHED
from tests.core.vectors.spelling import damaged
from tiered_cache.core.canonical import (
    CACHEABLE_ENDPOINTS,
    JSON_ENDPOINTS,
    Canonical,
    KeyOptions,
    canonicalise,
)
from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.reading import read_object
from tiered_cache.core.vocabulary import Bypass
from tiered_cache.errors import RequestError

ROWS = json.loads(PUBLISHED.read_text(encoding="utf-8"))["rows"]
WORDS = {
    *("duplicate-key", "number", "surrogate", "utf8", "control-character", "nesting", "field-type"),
    *("no-model", "policy-model", "origin-tool", "side-effect", "stream", "multipart", "response-format"),
}
BODIES, TEXTS = 20_000, 100_000
"""Bodies of each dialect, and texts in which names stand twice or not."""


def told_of(dialect: str, raw: bytes) -> str:
    """The word for what a body comes out as; whatever else is raised fails the test."""
    try:
        form = canonicalise(dialect, raw, KeyOptions(), content_type=typed_as_begun(raw))
    except RequestError as error:
        return f"{error.status} {error.code}"
    if isinstance(form, Bypass):
        assert form.detail in WORDS
        return "bypass"
    assert isinstance(form, Canonical)
    assert form.call.bypass is None or form.call.bypass in WORDS
    return "text"


def noise(draw: random.Random, raws: list[bytes]) -> bytes:
    """A known body with damage in several places, two bodies joined, a piece of one, or bytes alone."""
    raw = draw.choice(raws)
    match draw.randrange(8):
        case 0:
            return draw.randbytes(draw.randrange(40))
        case 1:
            return raw[draw.randrange(len(raw)) :]
        case 2:
            other, at = draw.choice(raws), draw.randrange(len(raw))
            return raw[:at] + other[draw.randrange(len(other)) :]
        case _:
            for _ in range(draw.randrange(1, 4)):
                raw = damaged(raw, draw) or b" "
            return raw


@pytest.mark.parametrize("dialect", sorted(CACHEABLE_ENDPOINTS))
def test_any_bytes_give_a_text_a_bypass_or_a_typed_400(dialect):
    draw = random.Random(11)
    raws = [raw for raw in (raw_of(row) for row in ROWS if row["dialect"] == dialect) if raw]

    told = Counter(told_of(dialect, noise(draw, raws)) for _ in range(BODIES))

    assert told.total() == BODIES
    kinds = {"text", "bypass"} | ({"400 invalid_json"} if dialect in JSON_ENDPOINTS else set())
    assert min(told[kind] for kind in kinds) > BODIES // 50, told
    assert told.keys() <= {"text", "bypass", "400 invalid_json", "400 empty_body"}


NAMES = (
    '"a"',
    '"\\u0061"',
    '"b"',
    '"c"',
    '""',
    '"\\u0022"',
    '"\\""',
    '"a\\"b"',
    '"\\\\"',
    '"é"',
    '"\\u00e9"',
    '"ab"',
)
LEAVES = (
    "1",
    "-0.0",
    "null",
    "true",
    '"x"',
    '"\\u0022"',
    '"\\u0022\\u0022"',
    '"\\"\\""',
    "[]",
    "{}",
    '"a"',
    '"\\u005c"',
)


def text_of(draw: random.Random, levels: int) -> str:
    """A JSON text with few names, quotes in every spelling and white space."""
    if levels == 0 or draw.random() < 0.3:
        return draw.choice(LEAVES)
    inner = [text_of(draw, levels - 1) for _ in range(draw.randrange(3))]
    if draw.random() < 0.25:
        return f"[{','.join(inner)}]"
    space = draw.choice(("", "", " "))
    return f"{{{','.join(f'{draw.choice(NAMES)}{space}:{value}' for value in inner)}}}"


def has_duplicate(text: str) -> bool:
    """What a strict parser says."""

    def pairs(members):
        if len({name for name, _ in members}) != len(members):
            raise KeyError
        return dict(members)

    try:
        json.loads(text, object_pairs_hook=pairs)
    except KeyError:
        return True
    return False


def is_refused(text: str) -> bool:
    try:
        read_object(text.encode())
    except UnsafeBodyError as error:
        return error.detail == "duplicate-key"
    return False


@pytest.mark.slow
def test_duplicate_names_are_seen_as_a_strict_parser_sees_them():
    """100,000 texts, the same at every run: the count of quotes alone settles most, a second parse the rest."""
    draw = random.Random(13)
    duplicates = 0
    for _ in range(TEXTS):
        text = f'{{"x":{text_of(draw, 4)},{draw.choice(NAMES)}:{draw.choice(LEAVES)}}}'
        expected = has_duplicate(text)
        duplicates += expected
        assert is_refused(text) == expected, text

    assert TEXTS // 20 < duplicates < TEXTS // 2
