"""Splits bytes into the events of a WHATWG event stream, exactly as they came, and writes events."""

import re

from msgspec import Struct

_BOM = b"\xef\xbb\xbf"
_LONGEST_END = 4

# A line ends in CRLF, LF or CR. A blank line made of a CR that may yet become a CRLF is waited for, except
# after a line that ended in a bare CR: such an origin would otherwise be read one event late.
_END = re.compile(rb"\r\r|(?:\r\n|\n)(?:\r\n|\n|\r(?=[^\n]))")
_BLANK_LINE = re.compile(rb"\r\n|\n|\r(?=[^\n])")


class Event(Struct, frozen=True):
    """One block of lines up to and including its blank line.

    Attributes:
        raw: the exact bytes; those of all events and the rest, joined, are the stream.
        data: its data lines joined by LF; None where there is none (comment, ping, stray blank line).
        name: value of its `event` field, empty without one.
    """

    raw: bytes
    data: bytes | None
    name: bytes


class EventParser:
    """Reads a stream in chunks of any size: how it is cut up never changes the events."""

    __slots__ = ("_begun", "_buffer", "_has_cr", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._begun = False
        self._has_cr = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes."""
        buffer = self._buffer
        buffer += chunk
        self._has_cr = self._has_cr or b"\r" in chunk
        block_end = self._block_end if self._has_cr else self._block_end_of_lf
        events: list[Event] = []
        start = 0
        while (end := block_end(start)) > start:
            events.append(self._event(bytes(buffer[start:end])))
            start = end
            self._searched = start
        del buffer[:start]
        self._searched = max(0, len(buffer) - _LONGEST_END + 1)
        return events

    def rest(self) -> bytes:
        """What came after the last whole event: nothing, when the stream ended properly."""
        return bytes(self._buffer)

    def _block_end(self, start: int) -> int:
        """Where the block that begins at `start` ends; -1 while that is open."""
        found = _BLANK_LINE.match(self._buffer, start)
        found = found or _END.search(self._buffer, max(start, self._searched))
        return -1 if found is None else found.end()

    def _block_end_of_lf(self, start: int) -> int:
        """The same while lines end in LF only, as nearly everyone's do."""
        if self._buffer.startswith(b"\n", start):
            return start + 1
        found = self._buffer.find(b"\n\n", max(start, self._searched))
        return -1 if found < 0 else found + 2

    def _event(self, raw: bytes) -> Event:
        if self._begun:
            return read_event(raw)
        self._begun = True
        return read_event(raw.removeprefix(_BOM), raw)


def read_event(block: bytes, raw: bytes | None = None) -> Event:
    """One block of lines as an event. `raw`: its bytes with the byte order mark that `block` lacks."""
    raw = block if raw is None else raw
    if block.startswith(b"data: ") and block.count(b"\n") == 2 and b"\r" not in block:
        return Event(raw, block[6:-2], b"")
    data: list[bytes] = []
    name = b""
    for line in block.splitlines():
        field, value = _field(line)
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(raw, b"\n".join(data) if data else None, name)


def read_events(body: bytes) -> tuple[list[Event], bytes]:
    """The events of a whole body, and what follows the last of them."""
    parser = EventParser()
    events = parser.feed(body)
    return events, parser.rest()


def write_event(data: bytes, name: bytes = b"") -> bytes:
    """An event with this one line of data, named if `name` is not empty."""
    return b"event: %b\ndata: %b\n\n" % (name, data) if name else b"data: %b\n\n" % data


def says_something(event: Event) -> bool:
    """Whether it is a part of the answer: comments and pings pass live and are not stored."""
    return event.data is not None and event.name != b"ping"


def is_plain(event: Event) -> bool:
    """Whether it is one line of data and nothing else, written as usual."""
    return event.raw.startswith(b"data: ") and event.raw[6:-2] == event.data and event.raw.endswith(b"\n\n")


def with_data(event: Event, data: bytes) -> bytes:
    """The event's bytes with other JSON text as its data, on one line; its other lines as they are."""
    lines: list[bytes] = []
    placed = False
    for line in _lines(event.raw):
        if _field(line.rstrip(b"\r\n"))[0] != b"data":
            lines.append(line)
        elif not placed:
            placed = True
            end = line[len(line.rstrip(b"\r\n")) :]
            lines.append(b"data: " + on_one_line(data) + end)
    return b"".join(lines)


def on_one_line(text: bytes) -> bytes:
    """JSON text whose line ends are spaces: it has them between tokens alone, never inside a string."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


def without_comments(event: Event) -> bytes:
    """The event's bytes without comment lines and byte order mark."""
    raw = event.raw
    if not raw.startswith((b":", _BOM)) and b"\n:" not in raw and b"\r:" not in raw:
        return raw
    return b"".join([line for line in _lines(raw) if not line.startswith(b":")])


def _lines(raw: bytes) -> list[bytes]:
    return raw.removeprefix(_BOM).splitlines(keepends=True)


def _field(line: bytes) -> tuple[bytes, bytes]:
    """Name and value of one line; the name of a comment is empty."""
    name, _, value = line.partition(b":")
    return name, value.removeprefix(b" ")
