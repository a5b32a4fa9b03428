"""Weighs the text that an event of a stream adds to an answer, in bytes of UTF-8.

Types made from the assembly tables read an event in one pass; one that is not of its types weighs nothing.
"""

from collections.abc import Callable
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from tiered_cache.core import messages_fields
from tiered_cache.core.chat_fields import Rule, Table
from tiered_cache.core.sse import Event

_UNDECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

_MessageDelta = msgspec.defstruct(
    "_MessageDelta",
    [
        (row.name, str, "")
        for row in messages_fields.DELTAS
        if row.rule in {messages_fields.Rule.JOIN, messages_fields.Rule.PARSE}
    ],
)


class _MessageEvent(Struct):
    delta: _MessageDelta | None = None  # type: ignore[valid-type]  # mypy does not follow defstruct


class _ResponseEvent(Struct):
    delta: str = ""


def spoken_by(kind: Any) -> Callable[[Event], int]:
    """A scale for events whose texts are the strings of `kind`, a type that says where they stand."""
    decode = msgspec.json.Decoder(kind).decode

    def spoken(event: Event) -> int:
        if event.data is None:
            return 0
        try:
            return _size(decode(event.data))
        except _UNDECODABLE:
            return 0

    return spoken


def spoken_chunks(table: Table) -> Callable[[Event], int]:
    """A scale for chunks: content, reasoning, arguments of calls, and whatever else assembly concatenates."""
    return spoken_by(_texts_of(table))


def _texts_of(table: Table) -> type[Struct]:
    """A type of what a table concatenates, at any depth."""
    fields: list[tuple[str, Any, Any]] = []
    for row in table.by_name.values():
        if row.rule is Rule.JOIN:
            fields.append((row.name, str | None, None))
        elif row.table is not None:
            inner: Any = _texts_of(row.table)
            fields.append((row.name, (list[inner] if row.rule is Rule.INDEXED else inner) | None, None))
    return msgspec.defstruct("_Texts", fields)


def _size(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Struct):
        return sum([_size(part) for part in astuple(value) if part])
    if isinstance(value, list):
        return sum([_size(part) for part in cast("list[object]", value)])
    return 0


spoken_messages = spoken_by(_MessageEvent)
"""Of a messages stream: the deltas of text, thinking and tool input."""

spoken_responses = spoken_by(_ResponseEvent)
"""Of a Responses stream: the `delta` of every event that has a string there."""
