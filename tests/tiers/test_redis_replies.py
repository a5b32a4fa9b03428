"""Both readers of Redis' replies, hiredis and ours, read the same."""

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.tiers.redis_replies import (
    UNFINISHED,
    PythonReader,
    ReplyError,
    UnreadableReplyError,
    is_push,
    new_reader,
)

WHOLE = {
    b"+OK\r\n": b"OK",
    b":-12\r\n": -12,
    b"$0\r\n\r\n": b"",
    b"$-1\r\n": None,
    b"$7\r\na\r\n\x00b\r\n\r\n": b"a\r\n\x00b\r\n",
    b"*-1\r\n": None,
    b"*0\r\n": [],
    b"*3\r\n$1\r\na\r\n:2\r\n*1\r\n$-1\r\n": [b"a", 2, [None]],
    b"_\r\n": None,
    b"#t\r\n": True,
    b"#f\r\n": False,
    b",1.5\r\n": 1.5,
    b"~2\r\n:1\r\n:2\r\n": [1, 2],
    b"=7\r\ntxt:abc\r\n": b"abc",
}


def read_all(reader, *pieces):
    replies = []
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.gets()) is not UNFINISHED:
            replies.append(reply)
    return replies


@pytest.mark.parametrize("make", [PythonReader, new_reader])
@pytest.mark.parametrize("raw", WHOLE, ids=repr)
def test_each_kind_is_read_whole_and_byte_by_byte(make, raw):
    assert read_all(make(), raw) == [WHOLE[raw]]
    assert read_all(make(), *(raw[at : at + 1] for at in range(len(raw)))) == [WHOLE[raw]]


def test_hiredis_is_used_where_it_is_installed():
    assert isinstance(new_reader(), hiredis.Reader)


@pytest.mark.parametrize("make", [PythonReader, new_reader])
def test_an_error_is_a_value_with_a_word(make):
    (first, second, third) = read_all(make(), b"-MOVED 1 h:2\r\n-NOAUTH\r\n-1$ secret\r\n")
    assert [type(each) for each in (first, second, third)] == [ReplyError] * 3
    assert [first.word, second.word, third.word] == ["MOVED", "NOAUTH", "error"]


@pytest.mark.parametrize("make", [PythonReader, new_reader])
def test_what_a_server_says_unasked_is_told_from_a_reply(make):
    pushed, reply = read_all(make(), b">2\r\n+invalidate\r\n*0\r\n*1\r\n+x\r\n")
    assert is_push(pushed)
    assert not is_push(reply)


@pytest.mark.parametrize(
    "raw", [b"?\r\n", b"$x\r\n", b"$1\r\nabc\r\n", b":\r\n", b"*1\r\n" * 100 + b":1\r\n", b"#x\r\n"], ids=repr
)
def test_what_is_no_reply_is_one_error(raw):
    with pytest.raises(UnreadableReplyError):
        read_all(PythonReader(), raw)


@given(st.binary(max_size=60))
def test_any_bytes_are_replies_or_that_error(raw):
    reader = PythonReader()
    try:
        read_all(reader, raw)
    except UnreadableReplyError:
        return


values = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


def written(value):
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case list():
            return b"*%d\r\n" % len(value) + b"".join(map(written, value))


@given(st.lists(values, max_size=5), st.lists(st.integers(1, 30), min_size=1, max_size=10))
def test_both_readers_read_the_same_however_the_bytes_are_cut(expected, cuts):
    raw = b"".join(map(written, expected))
    pieces, at, number = [], 0, 0
    while at < len(raw):
        pieces.append(raw[at : at + cuts[number % len(cuts)]])
        at += len(pieces[-1])
        number += 1
    assert read_all(PythonReader(), *pieces) == expected
    assert read_all(new_reader(), *pieces) == expected


def test_a_large_value_in_small_pieces_takes_no_quadratic_time():
    raw = b"$%d\r\n%b\r\n" % (4 * 2**20, bytes(4 * 2**20))
    pieces = [raw[at : at + 4096] for at in range(0, len(raw), 4096)]
    (value,) = read_all(PythonReader(), *pieces)
    assert len(value) == 4 * 2**20
