"""An event stream is split as WHATWG HTML §9.2.6 says, however its bytes arrive, and no byte is lost."""

import pytest

from tests.core.chat_kit import events
from tiered_cache.core.sse import Event, EventParser, is_plain, read_events, with_data, without_comments

BOM = b"\xef\xbb\xbf"


def told(body: bytes) -> list[tuple[bytes, bytes | None]]:
    return [(found.name, found.data) for found in events(body)]


@pytest.mark.parametrize(
    "body, expected",
    [
        (b"data: x\n\n", [(b"", b"x")]),
        (b"data:x\n\n", [(b"", b"x")]),
        (b"data:  x\n\n", [(b"", b" x")]),
        (b"data\n\n", [(b"", b"")]),
        (b"data:\n\n", [(b"", b"")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"data: a\ndata\ndata: b\n\n", [(b"", b"a\n\nb")]),
        (b"event: error\ndata: x\n\n", [(b"error", b"x")]),
        (b"event: a\nevent: b\ndata: x\n\n", [(b"b", b"x")]),
        (b"id: 7\nretry: 10\nunknown: 1\ndata: x\n\n", [(b"", b"x")]),
        (b": keep-alive\n\n", [(b"", None)]),
        (b": a comment\ndata: x\n\n", [(b"", b"x")]),
        (b"event: ping\n\n", [(b"ping", None)]),
        (b"data: a: b\n\n", [(b"", b"a: b")]),
        (b" data: x\n\n", [(b"", None)]),
        (BOM + b"data: x\n\n", [(b"", b"x")]),
        (b"data: x\n\n" + BOM + b"data: y\n\n", [(b"", b"x"), (b"", None)]),
        (b"data: x\r\n\r\ndata: y\r\n\r\nz", [(b"", b"x"), (b"", b"y")]),
        (b"data: x\r\rdata: y\r\rz", [(b"", b"x"), (b"", b"y")]),
        (b"data: a\r\ndata: b\rdata: c\n\r\nz", [(b"", b"a\nb\nc")]),
        (b"data: x\n\n\ndata: y\n\n", [(b"", b"x"), (b"", None), (b"", b"y")]),
        (b"data: \xff\n\n", [(b"", b"\xff")]),
        (b"data: x\n", []),
        (b"", []),
    ],
)
def test_lines_make_events_as_the_standard_says(
    body: bytes, expected: list[tuple[bytes, bytes | None]]
) -> None:
    assert told(body) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_any_chunking_gives_the_same_events_and_loses_no_byte(end: bytes) -> None:
    text = "data: grüße 🦊|data: 2||: ping||event: e|data: |data: x||||data: [DONE]||data: cut"
    body = BOM + text.encode().replace(b"|", end)
    whole, rest = read_events(body)
    assert [found.data for found in whole if found.data is not None][-1] == b"[DONE]"
    for size in range(1, len(body)):
        parser = EventParser()
        found = [one for at in range(0, len(body), size) for one in parser.feed(body[at : at + size])]
        assert found == whole, size
        assert b"".join(one.raw for one in found) + parser.rest() == body
        assert parser.rest() == rest


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_an_event_is_given_as_soon_as_its_blank_line_is_there(end: bytes) -> None:
    assert EventParser().feed(b"data: x" + end + end) == [Event(b"data: x" + end + end, b"x", b"")]


def test_a_carriage_return_that_may_become_a_crlf_is_waited_for() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\r\n\r") == []
    assert parser.feed(b"\n") == [Event(b"data: x\r\n\r\n", b"x", b"")]
    assert parser.rest() == b""


def test_an_empty_chunk_changes_nothing() -> None:
    parser = EventParser()
    parser.feed(b"data: x\n")
    assert parser.feed(b"") == []
    assert parser.feed(b"\n")[0].data == b"x"


@pytest.mark.parametrize(
    "raw, expected",
    [
        (b"data: old\n\n", b"data: new\n\n"),
        (b"id: 1\r\ndata: o\r\ndata: ld\r\n\r\n", b"id: 1\r\ndata: new\r\n\r\n"),
        (b"event: old\ndata:old\n\n", b"event: old\ndata: new\n\n"),
        (b": data: old\ndata: old\n\n", b": data: old\ndata: new\n\n"),
    ],
)
def test_other_data_leaves_the_other_lines(raw: bytes, expected: bytes) -> None:
    assert with_data(events(raw)[0], b"new") == expected


def test_data_of_several_lines_is_written_on_one() -> None:
    assert with_data(events(b"data: x\n\n")[0], b'{\r\n"a":1}') == b'data: {  "a":1}\n\n'


@pytest.mark.parametrize(
    "raw, expected",
    [
        (b": ping\ndata: x\n\n", b"data: x\n\n"),
        (b"data: x\r: ping\r\r", b"data: x\r\r"),
        (b"data: :x\nid: :\n\n", b"data: :x\nid: :\n\n"),
        (BOM + b"data: x\n\n", b"data: x\n\n"),
    ],
)
def test_comments_are_taken_out_of_an_event(raw: bytes, expected: bytes) -> None:
    assert without_comments(events(raw)[0]) == expected


@pytest.mark.parametrize(
    "raw", [b"data:x\n\n", b"data: a\ndata: b\n\n", b"id: 1\ndata: x\n\n", b"data: x\r\n\r\n"]
)
def test_only_one_usual_line_is_plain(raw: bytes) -> None:
    assert is_plain(events(b"data: x\n\n")[0])
    assert not is_plain(events(raw)[0])
