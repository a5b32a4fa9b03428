"""Judges what an origin answered that can come in chunks, and gives it in every shape."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec.json import encode

from tiered_cache.core.chat_assembly import Assembly, assemble, ends
from tiered_cache.core.chat_reading import read_chat, read_usage
from tiered_cache.core.chat_rendering import CHAT_CHUNKS, Chunks, live_chunk, render_chunked
from tiered_cache.core.chat_synthesis import DONE
from tiered_cache.core.dialect import AnswerDialect
from tiered_cache.core.judging import judge_json, judged, kept_events, stored_body, unpadded
from tiered_cache.core.preamble import opens_chat
from tiered_cache.core.raw_json import UnreadableError, members, members_or_none
from tiered_cache.core.reading import Reading
from tiered_cache.core.spoken import spoken_chunks
from tiered_cache.core.sse import Event, write_event
from tiered_cache.core.storable import why_not
from tiered_cache.core.vocabulary import Answer, Call, Refusal, Usage

Read: TypeAlias = Callable[[dict[str, bytes], Sequence[tuple[str, bytes]]], Reading]
"""What the members of an answer say; beside them what a stream said that the assembled answer lacks. Raises
UnreadableError."""

Why: TypeAlias = Callable[[Call, Reading], str | None]
"""The reason word why what was read is not stored, or None."""


def in_chunks(chunks: Chunks, read: Read, why: Why = why_not) -> AnswerDialect:
    """A dialect whose streams are unnamed chunks that `[DONE]` ends."""

    def read_stream(call: Call, events: Sequence[Event]) -> Answer | Refusal:
        return _read_stream(call, assemble(events, chunks.table), events, read, why)

    return AnswerDialect(
        read_json=lambda call, body: judge_json(call, body, lambda said: read(said, ()), read_usage, why),
        read_stream=read_stream,
        ends_stream=ends,
        render=lambda entry, shape, free: render_chunked(chunks, entry, shape, free=free),
        spoken=spoken_chunks(chunks.table),
        live=live_chunk,
        usage_of=_usage_of,
        error_event=_error_event,
        write_chunk=_write_chunk,
        is_chunk=_is_chunk,
        closing=DONE,
        opens=opens_chat,
    )


def _read_stream(
    call: Call, assembly: Assembly, events: Sequence[Event], read: Read, why: Why
) -> Answer | Refusal:
    """Judge a whole stream; it is stored as the origin's events without comments, pings and obfuscation.

    Refused as a JSON answer is, and with `incomplete` unless `[DONE]` ends it.
    """
    usage = read_usage(assembly.usage)
    problem = _problem(assembly)
    if problem is not None:
        return Refusal(problem, usage)
    text, locked = assembly.answer()
    try:
        reading = read(members(text), assembly.aside())
    except UnreadableError:
        return Refusal("choices", usage)
    body = stored_body(map(unpadded, kept_events(events)))
    if body is None:
        return Refusal("incomplete", usage)
    return judged(call, "sse", body, reading, locked=locked, why=why)


def _usage_of(texts: Sequence[bytes]) -> Usage:
    """The last statement counts, never the sum."""
    return read_usage(members_or_none(texts[-1]).get("usage")) if texts else Usage()


def _problem(assembly: Assembly) -> str | None:
    """An error says more than that the stream broke off behind it."""
    if assembly.problem == "error-body" or assembly.done:
        return assembly.problem
    return "incomplete"


def _error_event(message: str, code: str) -> bytes:
    error = {"message": message, "type": "server_error", "code": code, "param": None}
    return write_event(encode({"error": error}))


def _write_chunk(text: bytes, _: bool) -> bytes:
    return write_event(text)


def _is_chunk(event: Event) -> bool:
    return event.data is not None and not ends(event)


CHAT_ANSWERS = in_chunks(CHAT_CHUNKS, read_chat)
"""The answers of chat/completions."""
