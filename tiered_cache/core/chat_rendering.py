"""Writes a stored answer of chunks in the shape a caller asks for, and an event as a live caller gets it."""

from collections.abc import Callable

from msgspec import Struct

from tiered_cache.core.chat_assembly import assemble
from tiered_cache.core.chat_fields import CHUNK, USAGE_CHUNK, Table
from tiered_cache.core.chat_synthesis import fits, synthesise
from tiered_cache.core.free import free_event, other_form, without_cost
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    check,
    is_object,
    members,
)
from tiered_cache.core.sse import Event, read_events
from tiered_cache.core.vocabulary import Entry, Shape

_NO_CHOICES = frozenset({NULL, b"[]"})


class Chunks(Struct, frozen=True):
    """How the chunks of a dialect and its whole answers say the same.

    Attributes:
        table: rows of a chunk.
        synthesise: the members of an answer that fits as an event stream; the flag asks for the usage chunk.
            Raises UnreadableError.
    """

    table: Table
    synthesise: Callable[[dict[str, bytes], bool], bytes]


CHAT_CHUNKS = Chunks(CHUNK, synthesise)


def render_chunked(chunks: Chunks, entry: Entry, shape: Shape, *, free: bool) -> bytes | None:
    """The entry's bytes in `shape`. Without usage there is no usage chunk, and no JSON from a stream."""
    if (shape == "json") == (entry.form == "json"):
        return _same_form(entry, shape, free=free)

    def assembled(body: bytes) -> bytes | None:
        return _assembled(body, chunks.table)

    def synthesised(body: bytes, shape: Shape) -> bytes | None:
        return _synthesised(body, shape, chunks)

    return other_form(entry, shape, assembled, synthesised, free=free)


def live_chunk(event: Event, include_usage: bool) -> bytes:
    """What a live caller gets of an event: b"" withholds the usage chunk from one who did not ask for it."""
    return b"" if not include_usage and _is_usage_chunk(event) else event.raw


def _same_form(entry: Entry, shape: Shape, *, free: bool) -> bytes | None:
    if shape == "json":
        return without_cost(entry.body) if free else entry.body
    if shape == "sse+usage" and not entry.has_usage:
        return None
    include_usage = shape == "sse+usage"
    events, rest = read_events(entry.body)
    given = [event for event in events if _given(event, include_usage)]
    pieces = [free_event(event, without_cost) if free else event.raw for event in given]
    return b"".join([*pieces, rest])


def _given(event: Event, include_usage: bool) -> bool:
    return include_usage or not _is_usage_chunk(event)


def _assembled(body: bytes, table: Table) -> bytes | None:
    """The JSON answer that a stream says, if it is whole and says no more than that."""
    assembly = assemble(read_events(body)[0], table)
    answer, locked = assembly.answer()
    whole = assembly.done and assembly.problem is None
    return answer if whole and not locked and is_object(assembly.usage or NULL) else None


def _synthesised(body: bytes, shape: Shape, chunks: Chunks) -> bytes | None:
    check(body)
    answer = members(body)
    include_usage = shape == "sse+usage"
    if not fits(answer, chunks.table) or answer.get("error", NULL) != NULL:
        return None
    if include_usage and not is_object(answer.get("usage", NULL)):
        return None
    return chunks.synthesise(answer, include_usage)


def _is_usage_chunk(event: Event) -> bool:
    """Whether it says nothing but token counts. One that says more, like sources, is for everyone."""
    data = event.data
    if data is None or data.count(b'"usage"') == data.count(b'"usage":null'):
        return False
    try:
        chunk = members(data)
    except UnreadableError:
        return False
    if chunk.get("usage", NULL) == NULL or chunk.get("choices", NULL) not in _NO_CHOICES:
        return False
    return all(name in USAGE_CHUNK or value == NULL for name, value in chunk.items())
