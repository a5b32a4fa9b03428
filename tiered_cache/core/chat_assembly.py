"""Assembles the chunks of a stream into one JSON answer, by a table; values keep their raw text."""

from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec import Raw

from tiered_cache.core.chat_fields import CHUNK, Field, Rule, Table
from tiered_cache.core.chat_plain import PlainChunk, read_plain
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    check,
    concatenate,
    extend,
    integer,
    is_list,
    is_string,
    items,
    member,
    members,
)
from tiered_cache.core.sse import Event

_EMPTY = frozenset({NULL, b'""', b"{}", b"[]", b"0"})
"""Values that fill a place: the first chunk of some origins has an empty id and model."""


class Assembly:
    """One stream, chunk by chunk. Nothing raises: what is wrong is noted, and the usage is read all the same.

    Args:
        table: rows of a chunk.

    Attributes:
        problem: reason word why this is no storable stream (`error-body`, `bad-json`, `choices`), or None.
        done: `[DONE]` was seen, and nothing that belongs before it came after.
        unknown: an event was named in a way that chat streams do not know.
        usage: text of the last usage that was not null.
    """

    __slots__ = ("_head", "_root", "done", "problem", "unknown", "usage")

    def __init__(self, table: Table = CHUNK) -> None:
        self._root = _Object(table)
        self._head: tuple[Raw, ...] | None = None
        self.problem: str | None = None
        self.done = False
        self.unknown = False
        self.usage: bytes | None = None

    def add(self, event: Event) -> None:
        """Take in one event."""
        if event.data is None or event.name == b"ping":
            return
        if ends(event):
            self.done = True
            return
        self.done = False
        # A plain chunk has a delta, which only chunks of chat have.
        plain = None if event.name else read_plain(event.data)
        if plain is not None and self._add_plain(plain):
            return
        if event.name == b"error":
            self._note("error-body")
        elif event.name not in {b"", b"message"}:
            self.unknown = True
        try:
            check(event.data)
            chunk = members(event.data)
        except UnreadableError:
            self._note("bad-json")
            return
        self._add_chunk(chunk)
        if plain is not None:
            self._head = plain.head()

    def _add_plain(self, plain: PlainChunk) -> bool:
        """Take in a chunk that differs from the last one before it only in its delta, as nearly all do."""
        delta = self._root.delta(plain.choices[0].index) if plain.head() == self._head else None
        if delta is None:
            return False
        try:
            delta.add(members(bytes(plain.choices[0].delta)))
        except UnreadableError:
            self._note("choices")
        return True

    def _add_chunk(self, chunk: dict[str, bytes]) -> None:
        if chunk.get("usage", NULL) != NULL:
            self.usage = chunk["usage"]
        try:
            if _is_error(chunk):
                self._note("error-body")
            self._root.add(chunk)
        except UnreadableError:
            self._note("choices")

    def _note(self, problem: str) -> None:
        """Keep the first problem; but an error is what the stream is about."""
        if self.problem is None or problem == "error-body":
            self.problem = problem

    def answer(self) -> tuple[bytes, bool]:
        """The JSON answer, and whether it lacks something that the stream said."""
        text = self._root.text()
        return text, self.unknown or self._root.is_locked()

    def aside(self) -> list[tuple[str, bytes]]:
        """What chunks said that the answer lacks, by the name of its field; final once that is written."""
        return self._root.aside()


def ends(event: Event) -> bool:
    """Whether this is the `[DONE]` that closes a whole stream."""
    return event.data is not None and event.data.strip() == b"[DONE]"


def assemble(events: Sequence[Event], table: Table = CHUNK) -> Assembly:
    """All of a stream."""
    assembly = Assembly(table)
    for event in events:
        assembly.add(event)
    return assembly


def _is_error(chunk: dict[str, bytes]) -> bool:
    if chunk.get("error", NULL) != NULL:
        return True
    choices = chunk.get("choices", NULL)
    return choices != NULL and any(members(choice).get("error", NULL) != NULL for choice in items(choices))


class _Object:
    """What chunks have said of one object so far."""

    __slots__ = ("_aside", "_children", "_indexed", "_locked", "_table", "_values")

    def __init__(self, table: Table) -> None:
        self._table = table
        self._values: dict[str, list[bytes]] = {}
        self._children: dict[str, _Object] = {}
        self._indexed: dict[str, dict[int, _Object]] = {}
        self._locked = False
        self._aside: dict[tuple[str, bytes], None] = {}

    def add(self, said: dict[str, bytes]) -> None:
        """Raises UnreadableError: a nested value has not the type that its rule needs."""
        for name, value in said.items():
            field = self._table.by_name.get(name)
            if field is None:
                self._lock(name, value)
            elif field.table is None or value == NULL:
                self._values.setdefault(name, []).append(value)
            elif field.rule is Rule.INDEXED:
                self._add_indexed(name, field.table, value)
            else:
                self._children.setdefault(name, _Object(field.table)).add(members(value))

    def delta(self, index: int) -> "_Object | None":
        """The delta of the choice at `index`, once a chunk had one."""
        choice = self._indexed.get("choices", {}).get(index)
        return None if choice is None else choice._children.get("delta")  # noqa: SLF001  # of its own class

    def _add_indexed(self, name: str, table: Table, value: bytes) -> None:
        known = self._indexed.setdefault(name, {})
        for item in items(value):
            said = members(item)
            index = integer(said.get("index"))
            if index is None or index < 0:
                raise UnreadableError
            known.setdefault(index, _Object(table)).add(said)

    def is_locked(self) -> bool:
        """Whether something said cannot be written here; final once the text is written."""
        return self._locked or any(child.is_locked() for child in self._below())

    def aside(self) -> list[tuple[str, bytes]]:
        """What was said and is not written here, each value once; final once the text is written."""
        return [*self._aside, *(lost for child in self._below() for lost in child.aside())]

    def _below(self) -> "list[_Object]":
        below = [*self._children.values()]
        for known in self._indexed.values():
            below += known.values()
        return below

    def _lock(self, name: str, *values: bytes) -> None:
        """Note that `values` of a field are not written here."""
        self._locked = True
        self._aside |= {(name, value): None for value in values}

    def text(self) -> bytes:
        """The object as a whole answer has it."""
        parts: list[bytes] = []
        for field in self._table.by_name.values():
            value = self._value(field)
            if value is not None:
                parts.append(member(field.json_name or field.name, value))
        return b"{%b}" % b",".join(parts)

    def _value(self, field: Field) -> bytes | None:
        if field.name in self._children:
            return self._children[field.name].text()
        if known := self._indexed.get(field.name):
            return b"[%b]" % b",".join([known[index].text() for index in sorted(known)])
        values = self._values.get(field.name)
        return field.default if values is None else self._combined(field, values)

    def _combined(self, field: Field, values: list[bytes]) -> bytes | None:
        """One text of several values."""
        said = [value for value in values if value != NULL]
        match field.rule:
            case Rule.FIXED | Rule.DROP:
                return field.default
            case Rule.FIRST | Rule.ONCE | Rule.AGREE:
                return self._one(field, values)
            case Rule.JOIN:
                return self._joined(field, said, all(map(is_string, said)), concatenate)
            case Rule.EXTEND:
                return self._joined(field, said, all(map(is_list, said)), extend)
            case Rule.LOCK:
                if said:
                    self._lock(field.name, *said[:-1])
                return said[-1] if said else NULL
            case Rule.LAST | Rule.NESTED | Rule.INDEXED:
                return said[-1] if said else NULL
            case _:
                assert_never(field.rule)

    def _one(self, field: Field, values: list[bytes]) -> bytes:
        meant = [value for value in values if value not in _EMPTY]
        if not meant:
            return values[0]
        if field.rule is Rule.FIRST or all(value == meant[0] for value in meant):
            return meant[0]
        self._lock(field.name, *meant)
        return NULL if field.rule is Rule.AGREE else meant[0]

    def _joined(
        self, field: Field, said: list[bytes], fits: bool, join: Callable[[list[bytes]], bytes]
    ) -> bytes:
        if not said:
            return NULL
        if fits:
            return join(said)
        self._lock(field.name, *said[:-1])
        return said[-1]
