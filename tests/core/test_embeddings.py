"""Embeddings: what is one call, which answers are kept, and one entry in both forms of vectors."""

import base64
import json
import math
import struct

import openai.types
import pytest

from tests.core.embeddings_kit import (
    EMBEDDINGS,
    answer,
    body,
    call_of,
    canonical,
    packed,
    stored,
    unpacked,
    vector,
    vectors_of,
)
from tiered_cache.core.answers import read_json, render
from tiered_cache.core.canonical import KeyOptions, canonicalise
from tiered_cache.core.canonical.embeddings import DROPS, FIELDS
from tiered_cache.core.vectors import as_base64, as_floats, read_vector
from tiered_cache.core.vocabulary import Answer, Bypass, Refusal, Usage

SAME = [
    (body("x"), body(["x"])),
    (body("x"), body("x", encoding_format="float")),
    (body("x"), body("x", encoding_format="base64")),
    (body("x"), body("x", user="u")),
    (body("x"), body("x", requesty={"user_id": "u", "tags": ["t"]})),
    (body([1, 2]), body([1.0, 2])),
    (
        body("x", dimensions=8),
        b'{"input": "\\u0078","dimensions":8.0, "model":"openai/text-embedding-3-small"}',
    ),
]
OTHERS = [
    body("x"),
    body("X"),
    body("x "),
    body(["x", "y"]),
    body(["y", "x"]),
    body(["xy"]),
    body([1, 2]),
    body([[1, 2]]),
    body([[1], [2]]),
    body(["1", "2"]),
    body("x", dimensions=8),
    body("x", dimensions=None),
    body("x", input_type="query"),
    body("x", input_type="document"),
    body("x", task="query"),
    body("x", encoding_format="ubinary"),
    body("x", encoding_format=None),
    body("x", model="openai/text-embedding-3-large"),
    body("x", late_chunking=True),
    body("x", output_dtype="int8"),
    body("x", models=["a/b"]),
    body("x", requesty={"other": 1}),
    body([{"text": "x"}]),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_call_in_two_spellings(one, other):
    assert canonical(one).text == canonical(other).text


def test_calls_that_differ_differ():
    texts = [canonical(raw).text for raw in OTHERS]
    assert len(set(texts)) == len(texts)


def test_the_end_user_joins_the_key_where_the_operator_wants_it():
    keyed = KeyOptions(identity_fields="key")
    assert canonical(body("x", user="u"), keyed).text != canonical(body("x"), keyed).text
    assert canonical(body("x", encoding_format="base64"), keyed).text == canonical(body("x"), keyed).text


def test_beside_a_field_that_is_not_known_the_form_of_vectors_is_keyed():
    """Base64 of int8 read as float32 would be a wrong answer."""
    one = canonical(body("x", output_dtype="int8", encoding_format="base64"))
    assert one.text != canonical(body("x", output_dtype="int8")).text
    assert (one.call.vectors, one.call.shape) == ("other", "json")


@pytest.mark.parametrize(
    "raw",
    [
        body(...),
        body(None),
        body([]),
        body(""),
        body(7),
        body({"text": "x"}),
        body("x", model=7),
        body("x", dimensions="8"),
        body("x", dimensions=8.5),
        body("x", user=7),
        body("x", encoding_format=["float"]),
        body("x", requesty=[]),
        body("x", requesty={"tags": "t"}),
        body("x", models=[1]),
    ],
)
def test_wrong_types_bypass(raw):
    told = canonicalise(EMBEDDINGS, raw, KeyOptions())
    if raw == body(""):
        assert not isinstance(told, Bypass)  # a text all the same
        return
    assert isinstance(told, Bypass)
    assert told.detail == "field-type"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"model": ...}, "no-model"),
        ({"model": "policy/p"}, "policy-model"),
        ({"models": ["a/b", "policy/p"]}, "policy-model"),
        ({}, None),
    ],
)
def test_calls_whose_model_is_not_told_are_never_cached(fields, word):
    assert call_of(body("x", **fields)).bypass == word


def test_the_facts_of_a_call():
    assert [call_of(body(given)).choices for given in ("x", ["x"], ["x", "y"], [1, 2], [[1], [2], [3]])] == [
        1,
        1,
        2,
        1,
        3,
    ]
    assert call_of(body("x", encoding_format="base64")).shape == "base64"
    assert call_of(body([{"image": "https://e.com/a.png"}])).remote_urls
    assert call_of(body([{"images": ["a", "https://e.com/a.png"]}])).remote_urls
    assert not call_of(body(["https://e.com/a.png"])).remote_urls


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_a_whole_answer_is_stored_as_it_came(encoding):
    raw = answer(["a", "b"], encoding=encoding)
    read = read_json(call_of(body(["a", "b"])), raw)
    assert isinstance(read, Answer)
    assert (read.body, read.model) == (raw, "text-embedding-3-small")
    assert read.usage == Usage(8, 0, 0, 20_000_000)


def altered(**changes) -> bytes:
    return json.dumps(json.loads(answer(["a", "b"])) | changes).encode()


def results(*embeddings, indexes=(0, 1)) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": embedding}
        for index, embedding in zip(indexes, embeddings, strict=True)
    ]
    return altered(data=data)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "bad-json"),
        (b"[]", "bad-json"),
        (b'{"object":"list","data":[{"embedding":[NaN]}]}', "bad-json"),
        (altered(error={"message": "no"}), "error-body"),
        (altered(object="embedding"), "schema"),
        (altered(data={}), "schema"),
        (altered(data=[1, 2]), "schema"),
        (altered(data=None), "schema"),
        (answer(["a"]), "choices"),
        (answer(["a", "b", "c"]), "choices"),
        (altered(data=[]), "choices"),
        (results([1.0], [2.0], indexes=(0, 0)), "choices"),
        (results([1.0], [2.0], indexes=(0, 2)), "choices"),
        (results([1.0], [2.0], indexes=(0, None)), "choices"),
        (results([1.0], [2.0, 3.0]), "vectors"),
        (results([], []), "vectors"),
        (results(None, None), "vectors"),
        (results([1.0], ["1"]), "vectors"),
        (results([1.0], [1e39]), "vectors"),
        (results("", ""), "vectors"),
        (results("AAAAAA", "AAAAAA"), "vectors"),
        (results("AAAA", "AAAA"), "vectors"),
        (results("AA AAAAA==", "AAAAAA=="), "vectors"),
        (results(packed([math.nan]), packed([1.0])), "vectors"),
        (results(packed([math.inf]), packed([1.0])), "vectors"),
        (results(packed([1.0]), packed([1.0, 2.0])), "vectors"),
    ],
)
def test_answers_that_are_not_whole_are_refused(raw, word):
    read = read_json(call_of(body(["a", "b"])), raw)
    assert isinstance(read, Refusal)
    assert read.detail == word


def test_results_in_another_order_and_mixed_forms_are_whole():
    assert isinstance(
        read_json(call_of(body(["a", "b"])), results([1.0], packed([2.0]), indexes=(1, 0))), Answer
    )


def test_a_form_of_its_own_is_kept_and_never_converted():
    asked = call_of(body(["a", "b"], encoding_format="ubinary"))
    entry = stored(results([1, 2], [3, 4]), asked)
    assert entry.locked
    told = render(entry, "json")
    assert told is not None
    assert told.body == entry.body.replace(b"2e-05", b"0")
    assert isinstance(read_json(asked, results("ab", "cd")), Answer)
    assert isinstance(read_json(asked, results("ab", "cde")), Refusal)
    assert isinstance(read_json(asked, results({}, {})), Refusal)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_one_entry_answers_both_forms_with_equal_float32_vectors(encoding):
    entry = stored(answer(["a", "b"], encoding=encoding), call_of(body(["a", "b"])))
    floats, packs = render(entry, "json"), render(entry, "base64")
    assert floats is not None
    assert packs is not None
    assert floats.content_type == packs.content_type == b"application/json"
    assert floats.etag != packs.etag
    assert vectors_of(floats.body) == vectors_of(packs.body) == [vector("a"), vector("b")]
    assert all(isinstance(result["embedding"], list) for result in json.loads(floats.body)["data"])
    assert all(isinstance(result["embedding"], str) for result in json.loads(packs.body)["data"])
    for told in (floats, packs):
        assert json.loads(told.body)["usage"] == {"prompt_tokens": 8, "total_tokens": 8, "cost": 0}
    assert render(entry, "sse") is None


def test_the_origins_own_form_is_given_byte_for_byte():
    raw = answer(["a"], cost="0", note="kept")
    told = render(stored(raw, call_of(body("a"))), "json")
    assert told is not None
    assert told.body == raw


def test_members_that_are_not_known_are_kept_in_the_other_form():
    raw = results([1.0], [2.0]).replace(b'"index": 0', b'"index": 0, "why": 1.50')
    told = render(stored(raw, call_of(body(["a", "b"]))), "base64")
    assert told is not None
    assert b'"why":1.50' in told.body


def test_more_digits_than_a_float32_holds_are_kept_for_floats_and_rounded_for_base64():
    exact = 0.1234567890123456
    entry = stored(results([exact], [1]), call_of(body(["a", "b"])))
    floats, packs = render(entry, "json"), render(entry, "base64")
    assert json.loads(floats.body)["data"][0]["embedding"] == [exact]
    assert vectors_of(packs.body)[0] == unpacked([exact])


def test_an_error_for_those_who_waited_is_given_as_it_is():
    entry = stored(answer(["a"]), call_of(body("a")))
    from msgspec.structs import replace  # noqa: PLC0415

    error = b'{"error":{"message":"no"}}'
    assert render(replace(entry, body=error), "base64").body == error
    broken = b'{"data":[{"embedding":[1e99]}]}'
    assert render(replace(entry, body=broken), "base64") is None


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 1e-45, 3.4028234663852886e38, 0.1, 16777217.0])
def test_single_numbers_survive_both_ways(value):
    text = as_base64(json.dumps([value]).encode())
    assert base64.b64decode(json.loads(text)) == struct.pack("<f", value)
    numbers = as_floats(text)
    assert struct.pack("<f", json.loads(numbers)[0]) == struct.pack("<f", value)
    assert as_base64(text) is text
    assert as_floats(numbers) is numbers


def test_what_is_no_vector_is_none():
    for text in (b"null", b"{}", b'"?"', b"[[1]]", b'["1"]', b"[true]", b"[]", b'""'):
        assert read_vector(text) is None


def test_big_endian_machines_read_the_same_bytes(monkeypatch):
    expected = read_vector(b'"AACAPw=="')
    monkeypatch.setattr("sys.byteorder", "big")
    swapped = read_vector(b'"AACAPw=="')
    assert expected.tolist() == [1.0]
    swapped.byteswap()
    assert swapped == expected


def test_every_field_that_the_sdk_sends_is_in_the_table():
    """A field that the SDK adds joins the key; this names it."""
    known = {field.name for field in FIELDS}
    assert set(openai.types.EmbeddingCreateParams.__annotations__) - known == set()
    assert {row.path for row in DROPS} <= known
    assert all(row.source for row in DROPS)
