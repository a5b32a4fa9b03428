"""Assembles the events of a messages stream into one JSON answer, by the table; raw texts are kept."""

from collections.abc import Sequence

from tiered_cache.core.messages_fields import DELTAS, ENDING, EVENTS, Delta, Rule
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    check,
    concatenate,
    extend,
    integer,
    is_string,
    members,
    members_or_none,
    parses,
    string,
    write,
)
from tiered_cache.core.sse import Event

_STOP = b"message_stop"
_DELTAS = {row.kind: row for row in DELTAS}


class Assembly:
    """One stream, event by event. Nothing raises: what is wrong is noted, and the usage is read all the same.

    Attributes:
        done: `message_stop` was seen, and nothing that belongs before it came after.
        locked: something was said that an answer in JSON cannot say.
        aside: what that was, by the name of its field.
        usage: members of the answer's usage, as far as it is known.
    """

    __slots__ = ("_blocks", "_ending", "_message", "_problem", "aside", "done", "locked", "usage")

    def __init__(self) -> None:
        self._message: dict[str, bytes] | None = None
        self._blocks: list[_Block] = []
        self._ending: dict[str, bytes] = {}
        self._problem: str | None = None
        self.done = False
        self.locked = False
        self.aside: list[tuple[str, bytes]] = []
        self.usage: dict[str, bytes] = {}

    def add(self, event: Event) -> None:
        """Take in one event."""
        if event.data is None or event.name == b"ping" or (self.done and is_done_word(event)):
            return
        self.done = False
        try:
            check(event.data)
            said = members(event.data)
        except UnreadableError:
            self._note("bad-json")
            return
        kind = string(said.get("type")) or ""
        if event.name == b"error" or kind == "error":
            self._note("error-body")
        elif kind != "ping":
            self._add(kind, event, said)

    def _add(self, kind: str, event: Event, said: dict[str, bytes]) -> None:
        """Take in an event that says something of the message."""
        self.usage |= usage_said(said)
        known = EVENTS.get(kind)
        if known is None:
            self._lock(said)
            return
        if event.name != kind.encode():
            self.locked = True  # SDKs go by the name of an event
        self._lock({name: value for name, value in said.items() if name not in known})
        try:
            self._take(kind, said)
        except UnreadableError:
            self._note("choices")

    def _take(self, kind: str, said: dict[str, bytes]) -> None:
        """Raises UnreadableError: it does not fit behind what came before it, or has the wrong types."""
        match kind:
            case "message_start":
                self._take_message(said)
            case "content_block_start":
                self._take_block(said)
            case "content_block_delta":
                self._take_delta(said)
            case "content_block_stop":
                self._block(said).open = False
            case "message_delta":
                self._take_ending(said)
            case _:
                self.done = True

    def _lock(self, lost: dict[str, bytes]) -> None:
        if lost:
            self.locked = True
            self.aside += lost.items()

    def _note(self, problem: str) -> None:
        """Keep the first problem; but an error is what the stream is about."""
        if self._problem is None or problem == "error-body":
            self._problem = problem

    def _take_message(self, said: dict[str, bytes]) -> None:
        message = members(said.get("message", NULL))
        if self._message is not None or message.get("content", b"[]") != b"[]":
            raise UnreadableError
        self._message = message

    def _take_block(self, said: dict[str, bytes]) -> None:
        if integer(said.get("index")) != len(self._blocks) or self._message is None:
            raise UnreadableError
        self._blocks.append(_Block(members(said.get("content_block", NULL))))

    def _take_delta(self, said: dict[str, bytes]) -> None:
        block = self._block(said)
        delta = members(said.get("delta", NULL))
        row = _DELTAS.get(string(delta.get("type")) or "")
        if row is None or block.kind not in row.blocks or row.name not in delta:
            self._lock(delta)
            return
        self._lock({name: value for name, value in delta.items() if name not in {"type", row.name}})
        block.add(row, delta[row.name])

    def _block(self, said: dict[str, bytes]) -> "_Block":
        """The block that an event names, which must be open."""
        index = integer(said.get("index"))
        if index is None or not 0 <= index < len(self._blocks) or not self._blocks[index].open:
            raise UnreadableError
        return self._blocks[index]

    def _take_ending(self, said: dict[str, bytes]) -> None:
        if self._message is None:
            raise UnreadableError
        delta = members(said.get("delta", NULL))
        self._lock({name: value for name, value in delta.items() if name not in ENDING})
        # SDKs take every one of these as it is, but leave a container in its place.
        told = {name: delta[name] for name in ENDING if name in delta}
        self._ending |= {name: value for name, value in told.items() if (name, value) != ("container", NULL)}
        if "context_management" in said:
            self._ending["context_management"] = said["context_management"]

    def problem(self) -> str | None:
        """Reason word why this is no storable stream (`error-body`, `bad-json`, `choices`, `incomplete`)."""
        whole = self.done and self._message is not None and not any(block.open for block in self._blocks)
        return self._problem if whole or self._problem == "error-body" else "incomplete"

    def answer(self) -> bytes:
        """The JSON answer."""
        said = dict(self._message or {})
        said["content"] = b"[%b]" % b",".join([block.text() for block in self._blocks])
        said |= self._ending
        if self.usage:
            said["usage"] = write(self.usage)
        return write(said)


def ends(event: Event) -> bool:
    """Whether this is the `message_stop` that closes a whole stream."""
    if event.data is None or _STOP not in event.data:
        return False
    return string(members_or_none(event.data).get("type")) == _STOP.decode()


def is_done_word(event: Event) -> bool:
    """Whether this is the `[DONE]` that some routers send behind every stream; here it means nothing."""
    return event.data == b"[DONE]" and not event.name


def assemble(events: Sequence[Event]) -> Assembly:
    """All of a stream."""
    assembly = Assembly()
    for event in events:
        assembly.add(event)
    return assembly


def usage_said(said: dict[str, bytes]) -> dict[str, bytes]:
    """Members of the usage that an event or a whole answer states; null says nothing."""
    usage = members_or_none(said.get("usage")) or members_or_none(
        members_or_none(said.get("message")).get("usage")
    )
    return {name: value for name, value in usage.items() if value != NULL}


class _Block:
    """What a content block has said so far. Raises UnreadableError where a value has not its rule's type."""

    __slots__ = ("_deltas", "_start", "kind", "open")

    def __init__(self, start: dict[str, bytes]) -> None:
        kind = string(start.get("type"))
        if kind is None:
            raise UnreadableError
        self.kind = kind
        self.open = True
        self._start = start
        self._deltas: dict[Delta, list[bytes]] = {}

    def add(self, row: Delta, value: bytes) -> None:
        if row.rule is not Rule.APPEND and not is_string(value):
            raise UnreadableError
        self._deltas.setdefault(row, []).append(value)

    def text(self) -> bytes:
        """The block as a whole answer has it."""
        combined = {
            row.target: _COMBINE[row.rule](self._start.get(row.target, NULL), values)
            for row, values in self._deltas.items()
        }
        return write(self._start | combined)


def _join(own: bytes, values: list[bytes]) -> bytes:
    return concatenate([*([own] if is_string(own) else []), *values])


def _last(_: bytes, values: list[bytes]) -> bytes:
    return values[-1]


def _append(own: bytes, values: list[bytes]) -> bytes:
    return extend([*([] if own == NULL else [own]), *[b"[%b]" % value for value in values]])


def _parse(own: bytes, values: list[bytes]) -> bytes:
    """The JSON text that the strings are, verbatim; null where they are none, which nobody can call with."""
    text = (string(concatenate(values)) or "").encode()
    if not text:
        return own
    return text if parses(text) else NULL


_COMBINE = {Rule.JOIN: _join, Rule.LAST: _last, Rule.APPEND: _append, Rule.PARSE: _parse}
