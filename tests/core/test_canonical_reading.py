"""Bodies that parsers read differently are not keyed; 400 is only for what no parser reads; edits keep bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.core.canonical import Bypass, Canonical, KeyOptions, canonicalise, with_usage_requested
from tiered_cache.core.canonical.reading import has_more_values, read_object
from tiered_cache.errors import RequestError


def outcome(raw: bytes):
    made = canonicalise("chat/completions", raw, KeyOptions())
    return made.detail if isinstance(made, Bypass) else "keyed"


def body(extra: bytes) -> bytes:
    return b'{"model":"m","messages":[],"foo":' + extra + b"}"


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (body(b'1,"foo":1'), "duplicate-key"),
        (body(b'1,"fo\\u006f":1'), "duplicate-key"),
        (body(b'{"a":[{"b":1,"b":2}]}'), "duplicate-key"),
        (body(b'{"":1,"":1}'), "duplicate-key"),
        (body(b'"\\u0022\\u0022","foo":""'), "duplicate-key"),
        (body(b'1,"foo":2,"x":"\\u0022\\u0022"'), "duplicate-key"),
        (body(b'1,"foo":2,"x":"\\u0022\\u0022\\u0022"'), "duplicate-key"),
        (body(b'"\\u0022","x":"\\u0022\\u0022\\u0022"'), "keyed"),
        (body(b'{"a":1,"b":{"a":1}}'), "keyed"),
        (body(b'["a","a"]'), "keyed"),
        (body(b"NaN"), "number"),
        (body(b"Infinity"), "number"),
        (body(b"-Infinity"), "number"),
        (body(b"1e309"), "number"),
        (body(b"-1e309"), "number"),
        (body(b"1" * 41), "number"),
        (body(b"-" + b"1" * 41), "number"),
        (body(b"1" * 5000), "number"),
        (body(b"1" * 40), "keyed"),
        (body(b"-" + b"9" * 40), "keyed"),
        (body(b"0." + b"1" * 39), "keyed"),
        (body(b"0." + b"1" * 40), "number"),
        (body(b"-0." + b"1" * 39), "keyed"),
        (body(b"1." + b"0" * 20 + b"e" + b"0" * 19 + b"1"), "number"),
        (body(b"1e" + b"0" * 38 + b"1"), "keyed"),
        (body(b"1e" + b"0" * 39 + b"1"), "number"),
        (body(b"1e-400"), "keyed"),
        (body(b"1.7976931348623157e308"), "keyed"),
        (body(b'"\\ud800"'), "surrogate"),
        (body(b'"\\udc00x"'), "surrogate"),
        (body(b'"\\udc00\\ud800"'), "surrogate"),
        (body(b'{"\\ud83d":1}'), "surrogate"),
        (body(b'"\\ud83d\\ude00"'), "keyed"),
        (body(b'"\xff"'), "utf8"),
        (body(b'"\xed\xa0\x80"'), "utf8"),
        (body(b'"\xc0\xaf"'), "utf8"),
        (body(b'{"\xe9":1}'), "utf8"),
        (b"\xef\xbb\xbf" + body(b"1"), "utf8"),
        (body(b"1").decode().encode("utf-16"), "utf8"),
        (body(b'"a\x01b"'), "control-character"),
        (body(b'"a\nb"'), "control-character"),
        (body(b'"\\u0000\x7f"'), "keyed"),
        (b"[" * 100_000, "nesting"),
        (body(b"[" * 2000 + b"]" * 2000), "nesting"),
        (body(b'{"a":' * 500 + b"1" + b"}" * 500), "nesting"),
        (b"[NaN," + b"[" * 100_000, "nesting"),
        (b"[]", "field-type"), (b'"x"', "field-type"), (b"5", "field-type"), (b"null", "field-type"), (b"{}", "field-type"),
        (b"\t\r\n " + body(b"1") + b" \n", "keyed"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_has_no_one_safe_meaning_bypasses_with_its_word(raw, word):
    assert outcome(raw) == word


@pytest.mark.parametrize(
    "field",
    [
        "metadata",
        "requesty",
        "stream_options",
        "prompt_cache_options",
        "tools",
        "response_format",
        "logit_bias",
    ],
)
def test_a_refused_number_is_refused_in_dropped_fields_too(field):
    value = b'{"type":"function","function":{"name":"f"},"extra":{"a":%b}}' % (b"1" * 41)
    value = b"[" + value + b"]" if field == "tools" else value

    assert outcome(b'{"model":"m","messages":[],"%b":%b}' % (field.encode(), value)) == "number"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "empty_body"),
        (b" \n", "empty_body"),
        (b"{", "invalid_json"),
        (b"{'a':1}", "invalid_json"),
        (b'{"a":1,}', "invalid_json"),
        (b'{"a":01}', "invalid_json"),
        (b'{"a":.5}', "invalid_json"),
        (b'{"a":"\\x"}', "invalid_json"),
        (b"{} {}", "invalid_json"),
        (b'{"a":1}\x00', "invalid_json"),
        (b"\xff\xff", "invalid_json"),
        (b"\x0b{}", "invalid_json"),
        (b"hello secret prompt", "invalid_json"),
    ],
)
def test_400_only_for_what_no_parser_reads(raw, code):
    with pytest.raises(RequestError) as raised:
        outcome(raw)

    assert (raised.value.status, raised.value.code) == (400, code)
    assert "secret" not in str(raised.value)
    assert raised.value.__context__ is None


def test_a_caller_deep_in_its_own_stack_gets_a_bypass_and_never_an_error():
    deep = body(b"[" * 100 + b"]" * 100)

    def descend(levels):
        return outcome(deep) if levels == 0 else descend(levels - 1)

    words = set()
    for levels in range(0, 960, 20):
        try:
            words.add(descend(levels))
        except RecursionError:
            break  # not even this test's own frames fit
    assert words <= {"keyed", "nesting"}
    assert "keyed" in words


def test_the_object_read_is_what_json_says():
    raw = b'{"a":[1,2.5,"\\u00e9",null,true],"b":{"c":-0.0}}'

    assert read_object(raw) == json.loads(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"model":"m", "x":1.00}', b'{"stream_options":{"include_usage":true},"model":"m", "x":1.00}'),
        (b' \n{ "model" : "m"}', b' \n{"stream_options":{"include_usage":true}, "model" : "m"}'),
        (b"{ }", b'{"stream_options":{"include_usage":true} }'),
        (b'{"stream_options":null,"x":1e0}', b'{"stream_options":{"include_usage":true},"x":1e0}'),
        (b'{"stream_options":{}}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"a": [1, 2],"stream_options":{"include_usage":false,"b": [ 1.0 ]}}',
         b'{"a":[1, 2],"stream_options":{"include_usage":true,"b":[ 1.0 ]}}'),
        (b'{"stream\\u005foptions":{"b":1}}', b'{"stream_options":{"b":1,"include_usage":true}}'),
        (b'{"a":"\\"stream_options\\":"}', b'{"stream_options":{"include_usage":true},"a":"\\"stream_options\\":"}'),
    ],
)  # fmt: skip
def test_usage_is_asked_for_and_all_else_keeps_its_raw_text(raw, expected):
    assert with_usage_requested(raw) == expected


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'{"stream_options":5}', b'{"stream_options":[]}', b"\xff", b'"{"']
)
def test_a_body_that_cannot_be_edited_is_forwarded_as_it_came(raw):
    assert with_usage_requested(raw) == raw


def test_a_body_that_already_asks_is_forwarded_as_it_came():
    raw = b'{ "stream_options" : { "include_usage" : true } , "x":1}'

    assert with_usage_requested(raw) is raw


def test_the_edit_keeps_the_canonical_form():
    raw = b'{"model":"m","messages":[{"role":"user","content":"\\u00e9"}],"stream":true,"temperature":1.0}'
    forms = [canonicalise("chat/completions", one, KeyOptions()) for one in (raw, with_usage_requested(raw))]

    assert all(isinstance(form, Canonical) for form in forms)
    assert forms[0].text == forms[1].text
    assert [form.call.include_usage for form in forms] == [False, True]


def counted(raw: bytes) -> int:
    """Values of a JSON text, one by one."""

    def values(value) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + sum(map(values, inner))

    return values(json.loads(raw))


LISTED = st.recursive(
    st.none() | st.integers() | st.text('"\\,[{}] a'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('"\\,[{ab'), inner),
)


@given(LISTED, st.integers(0, 60), st.booleans())
def test_more_values_than_the_bound_are_seen_and_texts_are_not_values(value, most, spaced):
    raw = json.dumps(value, indent=1 if spaced else None).encode()
    values = counted(raw)
    strings = raw.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') // 2
    if has_more_values(raw, most):
        assert 2 * max(values, strings) > most, "brackets and commas are less than two a value"
    else:
        assert values <= most + 1


@pytest.mark.parametrize(
    ("piece", "kept"),
    [
        (b"1", False),
        (b"{}", False),
        (b"[[[[1]]]]", False),
        (b'"a"', False),
        (b'{"a":1}', False),
        (b'"' + b"1,[{," * 400 + b'"', True),
        (b'"' + b"\\\\" * 900 + b'\\",' * 400 + b'"', True),
    ],
)
def test_a_body_of_more_values_than_the_bound_is_not_keyed(piece, kept):
    options = KeyOptions(max_values=400)
    raw = b'{"model":"a/b","messages":[],"x":[' + b",".join([piece] * (1 if kept else 500)) + b"]}"
    made = canonicalise("chat/completions", raw, options)
    assert (made == Bypass("too-many-values")) != kept
    assert isinstance(canonicalise("chat/completions", raw, KeyOptions()), Canonical)


def test_no_value_is_keyed_where_none_may_be():
    assert canonicalise("embeddings", b'{"model":"a","input":"b"}', KeyOptions(max_values=0)) == Bypass(
        "too-many-values"
    )
    tokens = json.dumps({"model": "a/b", "input": [[1] * 8000] * 37}, separators=(",", ":")).encode()
    assert isinstance(canonicalise("embeddings", tokens, KeyOptions()), Canonical), "what one call may bring"
