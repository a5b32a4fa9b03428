"""Batches taken apart and put together: keys of elements, shares of usage, smaller bodies."""

import json

import pytest
from msgspec.structs import replace

from tests.core.embeddings_kit import (
    EMBEDDINGS,
    answer,
    body,
    call_of,
    canonical,
    reply,
    stored,
    vector,
    vectors_of,
)
from tiered_cache.core.canonical import KeyOptions
from tiered_cache.core.embeddings_parts import (
    USAGE_FIELD,
    apportion,
    join,
    joined_headers,
    split,
    total_usage,
    weigh_inputs,
    with_inputs,
)
from tiered_cache.core.keys import Keyer
from tiered_cache.core.vocabulary import CacheKey, Keyed, Request, Scope, Usage

KEY = CacheKey(bytes(range(49)))
OTHER = CacheKey(bytes(49))


def parts_of(texts, **fields):
    raw = body(list(texts))
    parts = split(stored(reply(raw, **fields), call_of(raw)), weigh_inputs(raw), KEY)
    assert parts is not None
    return parts


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"dimensions": 8},
        {"user": "u", "encoding_format": "base64"},
        {"input_type": "query", "task": "t", "dimensions": 8.0},
        {"a": 1},
    ],
)
@pytest.mark.parametrize("inputs", [["a", "b"], ["x", "x", 'é"\\'], [[1, 2], [3.0]]])
@pytest.mark.parametrize("identity", ["drop", "key"])
def test_the_text_of_an_element_is_that_of_the_call_for_it_alone(inputs, fields, identity):
    options = KeyOptions(identity_fields=identity)
    whole = canonical(body(inputs, **fields), options)
    alone = tuple(canonical(body([each], **fields), options).text for each in inputs)
    assert whole.elements == (() if "a" in fields else alone)


@pytest.mark.parametrize(
    "raw",
    [
        body("a"),
        body(["a"]),
        body([1, 2]),
        body([[1, 2]]),
        body(["a", [1]]),
        body(["a", {"text": "b"}]),
        body([["a", "b"], ["c"]]),
        body([[1], []]),
        body([[1], [1.5]]),
        body([[1], [True]]),
        body(["a", "b"], late_chunking=False),
        body(["a", "b"], late_chunking=None),
        body(["a", "b"], models=["m"]),
        body(["a", "b"], requesty={}),
        body(["a", "b"], encoding_format="ubinary"),
        body(["a", "b"], encoding_format=None),
    ],
)
def test_what_is_not_split(raw):
    assert canonical(raw).elements == ()


def test_the_keyer_names_elements_as_the_calls_for_them():
    keyer, scope = Keyer(b"s"), Scope("acme", "o")

    def keyed(inputs) -> Keyed:
        found = keyer.key(Request(EMBEDDINGS, body(inputs), scope))
        assert isinstance(found, Keyed)
        return found

    assert keyed(["a", "b", "a"]).elements == (keyed("a").key, keyed(["b"]).key, keyed("a").key)
    assert keyed("a").elements == ()
    assert keyed(["a", "b"]).key not in keyed(["a", "b"]).elements


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (10, [1, 2, 3], [2, 3, 5]),
        (10, [1, 1, 1], [4, 3, 3]),
        (0, [1, 2], [0, 0]),
        (1, [1, 1], [1, 0]),
        (7, [0, 0], [4, 3]),
        (5, [0, 5], [0, 5]),
        (3, [], []),
    ],
)
def test_shares_by_the_largest_remainder(total, weights, shares):
    assert (apportion(total, weights) if weights else []) == shares


def test_texts_weigh_their_bytes_and_tokens_their_number():
    assert weigh_inputs(body(["a", "é", "", "🦊"])) == (1, 2, 0, 4)
    assert weigh_inputs(body([[1, 2, 3], [10**30]])) == (3, 1)


def test_a_part_is_an_answer_to_a_call_for_one_input():
    first, second = parts_of(["a", "bb"], tokens=7, cost="0.000007", note=1.50)
    assert vectors_of(first.body) == [vector("a")]
    assert vectors_of(second.body) == [vector("bb")]
    assert json.loads(second.body)["usage"] == {"prompt_tokens": 5, "total_tokens": 5, "cost": 0.000004666667}
    assert (first.usage, second.usage) == (Usage(2, 0, 0, 2_333_333), Usage(5, 0, 0, 4_666_667))
    assert json.loads(first.body)["note"] == 1.5
    assert first.headers[-1][0] == USAGE_FIELD


def test_parts_of_one_batch_make_its_answer_again():
    parts = parts_of(["a", "bb"], tokens=7, cost="0.000007")
    joined = join(parts, "json", 7_000_000, KEY)
    assert json.loads(joined.body) == json.loads(reply(body(["a", "bb"]), tokens=7, cost="0.000007"))
    assert not joined.estimated
    assert join(parts, "json", 0, OTHER).estimated
    assert join([parts[0], stored(answer(["c"]), call_of(body("c")))], "json", 0, KEY).estimated
    assert joined_headers(parts[0], estimated=False) == ()
    assert joined_headers(parts[0], estimated=True) == ((USAGE_FIELD, b"estimated"),)


def test_a_cost_that_is_not_known_is_not_said():
    parts = parts_of(["a", "b"])
    assert "cost" not in json.loads(join(parts, "json", None, KEY).body)["usage"]
    assert json.loads(join(parts, "json", 0, KEY).body)["usage"]["cost"] == 0
    raw = body(["a", "b"])
    bare = stored(
        reply(raw).replace(b',"cost":0.00002', b',"prompt_tokens_details":{},"odd":-1'), call_of(raw)
    )
    unpriced = split(bare, (1, 1), KEY)
    assert [part.usage.cost_picousd for part in unpriced] == [None, None]
    assert json.loads(join(unpriced, "json", 0, KEY).body)["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    assert total_usage([Usage(1, 0, 0, 5), Usage(2)]) == Usage(3, 0, 0, None)


def test_results_are_told_apart_by_their_index():
    raw = body(["a", "b"])
    entry = stored(reply(raw), call_of(raw))
    told = json.loads(entry.body)
    told["data"].reverse()
    parts = split(replace(entry, body=json.dumps(told).encode()), (1, 1), KEY)
    assert [vectors_of(part.body) for part in parts] == [[vector("a")], [vector("b")]]


@pytest.mark.parametrize(
    "broken", [b"", b"{}", b'{"data":[]}', b'{"data":[{"index":0},{"index":0}]}', b'{"data":[1,2]}']
)
def test_what_is_no_whole_answer_is_not_taken_apart(broken):
    raw = body(["a", "b"])
    assert split(replace(stored(reply(raw), call_of(raw)), body=broken), (1, 1), KEY) is None


def test_what_does_not_fit_together_is_not_put_together():
    one, two = parts_of(["a", "b"])
    assert join([one, replace(two, model="another")], "json", 0, KEY) is None
    odd = replace(two, body=b'{"data":[{"embedding":[1e99]}]}')
    assert join([one, odd], "base64", 0, KEY) is None
    assert join([one, odd], "json", 0, KEY) is not None


def test_a_smaller_body_keeps_the_rest_as_it_is():
    raw = b'{ "model":"m", "input" : ["a", "b\\u00e9" , "c"], "dimensions":8 }'
    assert with_inputs(raw, [1]) == b'{ "model":"m", "input" : ["b\\u00e9"], "dimensions":8 }'
    trap = b'{"input":["a","b"],"model":"input","user":"\\"input\\":[\\"a\\",\\"b\\"]"}'
    assert json.loads(with_inputs(trap, [1, 0])) == json.loads(trap) | {"input": ["b", "a"]}
