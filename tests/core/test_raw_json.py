"""JSON text is edited without touching the text of what stays."""

import pytest

from tiered_cache.core.raw_json import (
    UnreadableError,
    check,
    concatenate,
    extend,
    integer,
    items,
    members,
    parses,
    string,
    with_member,
    without_member,
)


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"x":1}', "{}"),
        ('{ "x" : 1 }', "{ }"),
        ('{"x":1, "a" : 2 }', '{ "a" : 2 }'),
        ('{ "x":1,"a" : 2 }', '{ "a" : 2 }'),
        ('{"a" : 1.0 , "x":[1]}', '{"a" : 1.0 }'),
        ('{"a":1, "x" : "}" , "b":2}', '{"a":1 , "b":2}'),
        ('{"x":1,"a":{"x":1}}', '{"a":{"x":1}}'),
        ('{"a":"x", "x": 1}', '{"a":"x"}'),
        ('{ "x": 1, "a":"x"}', '{"a":"x"}'),
        (r'{ "\u0078":1, "a" : 1.0 }', '{"a":1.0}'),
        ('{"x":1, "x":1, "a":1}', '{"a":1}'),
    ],
)
def test_a_member_is_taken_out_with_one_comma(text: str, expected: str) -> None:
    assert without_member(text.encode(), "x") == expected.encode()


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{ "x" : 1 , "a":1.0}', '{ "x" : 9 , "a":1.0}'),
        ('{"a":{"x":1},"x":1}', '{"a":{"x":1},"x":9}'),
        ('{ "x":1,"a":{"x":1}}', '{"x":9,"a":{"x":1}}'),
    ],
)
def test_a_member_gets_another_value(text: str, expected: str) -> None:
    assert with_member(text.encode(), "x", b"9") == expected.encode()


def test_members_and_items_keep_their_text() -> None:
    assert members(b'{"a": 1.10 , "b":{ "c":[ ] },"a" :"\\u00e9"}') == {
        "a": b'"\\u00e9"',
        "b": b'{ "c":[ ] }',
    }
    assert items(b"[ 1.0,{ } ]") == [b"1.0", b"{ }"]
    assert concatenate([b'"a\\n"', b'""', b'"\\u00e9"']) == b'"a\\n\\u00e9"'
    assert extend([b"[ ]", b"[1.0, 2 ]", b"[3]"]) == b"[1.0, 2,3]"


@pytest.mark.parametrize("text", [b"", b"1", b'"x"', b"[]", b"null", b'{"a":1', b'{"a":\xff}', b"{'a':1}"])
def test_what_is_no_object_is_unreadable_and_the_error_carries_no_text(text: bytes) -> None:
    with pytest.raises(UnreadableError) as caught:
        members(text)
    assert (caught.value.args, caught.value.__context__, caught.value.__cause__) == ((), None, None)
    with pytest.raises(UnreadableError):
        items(text if text != b"[]" else b"{}")


@pytest.mark.parametrize(
    "text",
    [
        b"NaN",
        b"1e999",
        b'"\\ud83d"',
        b'"\\ude00"',
        b'"\xff"',
        b"[1,]",
        b"1 2",
        b"",
        b"[" * 9999 + b"]" * 9999,
    ],
)
def test_what_parsers_disagree_on_is_unreadable(text: bytes) -> None:
    assert not parses(text)
    with pytest.raises(UnreadableError) as caught:
        check(text)
    assert (caught.value.args, caught.value.__context__) == ((), None)


def test_only_a_value_of_the_type_is_read() -> None:
    assert [integer(text) for text in (b"0", b"-1", b"true", b'"1"', b"1.5", b"null", b"{", None)] == [
        0,
        -1,
    ] + [None] * 6
    assert [string(text) for text in (b'"x"', b'""', b"1", b"null", b'"\\ud83d"', None)] == [
        "x",
        "",
        *[None] * 4,
    ]
