"""Structured Fields are read by the grammar, and a field with one error is no field (RFC 8941 §4.2)."""

import pytest

from tiered_cache.core.structured import TRUE, Bare, is_list, parse_dictionary


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (b"", {}),
        (b"  ", {}),
        (b"a", {b"a": TRUE}),
        (b"a=?1, b=?0", {b"a": TRUE, b"b": Bare("boolean", b"0")}),
        (b"max-age=60,no-store", {b"max-age": Bare("integer", b"60"), b"no-store": TRUE}),
        (b'a="x, \\"no-store"', {b"a": Bare("string", b'x, \\"no-store')}),
        (b"a=1, a=2", {b"a": Bare("integer", b"2")}),
        (b"a;x=1;y, b", {b"a": TRUE, b"b": TRUE}),
        (b"a; x=1", {b"a": TRUE}),
        (b"a=(1 2;q=3 tok);z, b=-1.5", {b"a": Bare("list", b""), b"b": Bare("decimal", b"-1.5")}),
        (b"a=()", {b"a": Bare("list", b"")}),
        (b"a=( 1  2 )", {b"a": Bare("list", b"")}),
        (b"a=:aGk=:", {b"a": Bare("binary", b"aGk=")}),
        (b"*x.y-_=tok/en:1 \t,\tb", {b"*x.y-_": Bare("token", b"tok/en:1"), b"b": TRUE}),
    ],
)
def test_a_dictionary_is_read_with_the_type_of_each_member(value, members):
    assert parse_dictionary(value) == members


@pytest.mark.parametrize(
    "value",
    [
        b"A=1",
        b"a=",
        b"a,",
        b"a, ",
        b",a",
        b"a,,b",
        b"a b",
        b"a ;x",
        b'a="unclosed',
        b'a="bad\\escape"',
        b"a=1234567890123456",
        b"a=1.",
        b"a=1.2345",
        b"a=1234567890123.1",
        b"a=(1 2",
        b"a=(1(2))",
        b'a=("x""y")',
        b"a=?2",
        b"a=:not base64!:",
        b"a=\xff",
        b"a;=1",
        b"a=1; x=",
        b"a\n",
    ],
)
def test_one_error_makes_the_whole_field_unreadable(value):
    assert parse_dictionary(value) is None


@pytest.mark.parametrize(
    "value",
    [b"a", b"cdn; hit; ttl=5, b;fwd=miss", b'"quoted name";hit', b"(a b);c", b"1", b"a \t"],
)
def test_a_list_that_can_be_appended_to_is_recognised(value):
    assert is_list(value)


@pytest.mark.parametrize("value", [b"a,", b",", b"a;", b"(a", b'"a', b"a b", b"a;ttl=", b"\xe9"])
def test_a_broken_list_is_recognised(value):
    assert not is_list(value)
