"""Writes a JSON messages answer as a stream: start, each block with its deltas, ending, stop."""

from tiered_cache.core.messages_fields import AT_END_ONLY, CUMULATIVE, DELTAS, ENDING, Delta, Rule
from tiered_cache.core.raw_json import (
    NULL,
    integer,
    is_list,
    is_object,
    is_string,
    items,
    members,
    members_or_none,
    quoted,
    string,
    write,
)
from tiered_cache.core.sse import on_one_line, write_event

_EMPTY = {Rule.JOIN: b'""', Rule.LAST: b'""', Rule.APPEND: b"[]", Rule.PARSE: b"{}"}
_TYPES = {Rule.JOIN: is_string, Rule.LAST: is_string, Rule.APPEND: is_list, Rule.PARSE: is_object}


def fits(answer: dict[str, bytes]) -> bool:
    """Whether events can say all that this answer says: what comes in deltas has their types.

    Raises:
        UnreadableError: content or one of its blocks is missing or of the wrong type.
    """
    return all(
        value == NULL or _TYPES[row.rule](value)
        for block in map(members, items(answer.get("content", NULL)))
        for row, value in _in_deltas(block)
    )


def synthesise(answer: dict[str, bytes]) -> bytes | None:
    """The answer as an event stream; it must fit. Values keep their raw text. None without token counts.

    Raises:
        UnreadableError: content or one of its blocks is missing or of the wrong type.
    """
    usage = members_or_none(answer.get("usage"))
    if integer(usage.get("output_tokens")) is None:
        return None
    pieces = [_event("message_start", message=write(_start(answer, usage)))]
    for index, block in enumerate(items(answer.get("content", NULL))):
        pieces += _block(b"%d" % index, members(block))
    delta = {"stop_reason": NULL, "stop_sequence": NULL}
    delta |= {name: answer[name] for name in ENDING if name in answer}
    ending = {name: usage[name] for name in CUMULATIVE if usage.get(name, NULL) != NULL}
    pieces += [_event("message_delta", delta=write(delta), usage=write(ending)), _event("message_stop")]
    return b"".join(pieces)


def _start(answer: dict[str, bytes], usage: dict[str, bytes]) -> dict[str, bytes]:
    """The message before any content; the last event has the rest."""
    begun = {name: value for name, value in usage.items() if name not in AT_END_ONLY or value == NULL}
    said = answer | {"content": b"[]", "usage": write(begun | {"output_tokens": b"0"})}
    return (
        said
        | {name: NULL for name in ENDING if name in answer}
        | {"stop_reason": NULL, "stop_sequence": NULL}
    )


def _block(index: bytes, block: dict[str, bytes]) -> list[bytes]:
    told = [(row, value) for row, value in _in_deltas(block) if value != NULL]
    start = block | {row.target: _EMPTY[row.rule] for row, _ in told}
    pieces = [_event("content_block_start", index=index, content_block=write(start))]
    for row, value in told:
        pieces += [_event("content_block_delta", index=index, delta=delta) for delta in _deltas(row, value)]
    return [*pieces, _event("content_block_stop", index=index)]


def _in_deltas(block: dict[str, bytes]) -> list[tuple[Delta, bytes]]:
    """What of a block comes in deltas."""
    kind = string(block.get("type"))
    return [(row, block[row.target]) for row in DELTAS if kind in row.blocks and row.target in block]


def _deltas(row: Delta, value: bytes) -> list[bytes]:
    if row.rule is Rule.PARSE:
        value = quoted(value)
    values = items(value) if row.rule is Rule.APPEND else [] if value == b'""' else [value]
    return [write({"type": quoted(row.kind.encode()), row.name: each}) for each in values]


def _event(name: str, **parts: bytes) -> bytes:
    """An event of this type; line ends between tokens of pretty-printed values would end its data line."""
    said = write({"type": quoted(name.encode()), **parts})
    return write_event(on_one_line(said), name.encode())
