"""Entity tags name exact bytes; lists of them are read by the grammar; If-None-Match compares weakly."""

import pytest

from tiered_cache.core.validators import make_etag, matches, parse_if_none_match


def test_a_tag_is_strong_quoted_and_a_function_of_every_byte():
    tag = make_etag(b"an answer")
    assert tag == make_etag(b"an answer")
    assert tag != make_etag(b"an answer ")
    assert tag == b'"7pVVGENGz0K8nvZhnXZMiA"'
    assert make_etag(b"") == b'"47DEQpj8HBSa-_TImW-5JA"'


def test_our_own_tag_survives_the_way_there_and_back():
    tag = make_etag(b"x")
    assert parse_if_none_match(tag) == (tag,)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (b"", ()),
        (b"*", (b"*",)),
        (b" * ", (b"*",)),
        (b'"*"', (b'"*"',)),
        (b'""', (b'""',)),
        (b'"a"', (b'"a"',)),
        (b'W/"a"', (b'W/"a"',)),
        (b'"a","b"', (b'"a"', b'"b"')),
        (b' "a" ,\t, W/"b" , ', (b'"a"', b'W/"b"')),
        (b'"a,b", "c"', (b'"a,b"', b'"c"')),
        (b'"\\", "x"', (b'"\\"', b'"x"')),
        (b'"\xe4"', (b'"\xe4"',)),
    ],
)
def test_a_list_of_tags_is_read_as_written(value, tags):
    assert parse_if_none_match(value) == tags


@pytest.mark.parametrize(
    "value", [b"a", b'"a', b'w/"a"', b'W/ "a"', b'"a" "b"', b'*, "a"', b'"a", *', b'"a b"', b'x"a"', b'"a",b']
)
def test_what_is_no_list_of_tags_matches_nothing(value):
    assert parse_if_none_match(value) == ()


def test_weak_comparison_looks_at_the_opaque_part_only():
    """RFC 9110 §8.8.3.2, the table of examples."""
    assert matches((b'W/"1"',), b'W/"1"')
    assert not matches((b'W/"1"',), b'W/"2"')
    assert matches((b'W/"1"',), b'"1"')
    assert matches((b'"1"',), b'W/"1"')
    assert matches((b'"1"',), b'"1"')


def test_any_of_the_tags_or_the_wildcard_matches_and_none_matches_nothing():
    assert matches((b'"x"', b'"1"'), b'"1"')
    assert matches((b"*",), b'"1"')
    assert not matches((b'"*"',), b'"1"')
    assert not matches((), b'"1"')
    assert not matches((b'"A"',), b'"a"')
