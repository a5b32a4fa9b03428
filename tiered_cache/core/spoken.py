"""Weighs the text that an event of a stream adds to an answer, in bytes of its JSON strings."""

from collections.abc import Mapping

from tiered_cache.core import chat_fields, messages_fields
from tiered_cache.core.chat_fields import CHUNK, Table
from tiered_cache.core.raw_json import UnreadableError, is_string, items, members, string
from tiered_cache.core.sse import Event

_JOINED: Mapping[str | None, str] = {
    row.kind: row.name
    for row in messages_fields.DELTAS
    if row.rule in {messages_fields.Rule.JOIN, messages_fields.Rule.PARSE}
}


def spoken_chunk(event: Event, table: Table = CHUNK) -> int:
    """Every field of a chunk that assembly concatenates: content, reasoning, arguments of calls."""
    try:
        return 0 if event.data is None or b'"choices"' not in event.data else _joined(table, event.data)
    except UnreadableError:
        return 0


def _joined(table: Table, text: bytes) -> int:
    size = 0
    for name, value in members(text).items():
        row = table.by_name.get(name)
        if row is None:
            continue
        if row.rule is chat_fields.Rule.JOIN:
            size += _size(value)
        elif row.table is not None and value.startswith((b"{", b"[")):
            parts = items(value) if row.rule is chat_fields.Rule.INDEXED else [value]
            size += sum(_joined(row.table, part) for part in parts)
    return size


def spoken_messages(event: Event) -> int:
    """The deltas of text, thinking and tool input."""
    try:
        if event.data is None or b'"delta"' not in event.data:
            return 0
        delta = members(members(event.data).get("delta", b"{}"))
        name = _JOINED.get(string(delta.get("type")))
        return 0 if name is None else _size(delta.get(name))
    except UnreadableError:
        return 0


def spoken_responses(event: Event) -> int:
    """The `delta` of every event that has a string there."""
    try:
        if event.data is None or b'"delta"' not in event.data:
            return 0
        return _size(members(event.data).get("delta"))
    except UnreadableError:
        return 0


def _size(value: bytes | None) -> int:
    """Bytes between the quotes; what is no string weighs nothing."""
    return len(value) - 2 if value is not None and is_string(value) else 0
