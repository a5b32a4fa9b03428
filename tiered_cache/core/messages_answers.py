"""Judges what an origin answered to a messages call, and gives it in every shape."""

from collections.abc import Sequence

from tiered_cache.core.dialect import AnswerDialect
from tiered_cache.core.judging import judge_json, judged, kept_events, stored_body
from tiered_cache.core.messages_assembly import assemble, ends, is_done_word
from tiered_cache.core.messages_reading import read_message, read_usage, usage_of_members, usage_of_texts
from tiered_cache.core.messages_rendering import free_messages_event, render_messages
from tiered_cache.core.preamble import opens_messages
from tiered_cache.core.raw_json import UnreadableError, members, members_or_none, quoted, string, write
from tiered_cache.core.spoken import spoken_messages
from tiered_cache.core.sse import Event, write_event
from tiered_cache.core.vocabulary import Answer, Call, Refusal

_SPOILER = write_event(b"unencodable")
"""An event without a name and without JSON: SDKs pass over it, and no stream that holds it is stored."""

_PING = write_event(b'{"type":"ping"}', b"ping")
"""As the API fills its own silences."""

_NAMELESS = b"chunk"
"""The event of a value that does not say its type: its caller gets it all the same."""


def _read_json(call: Call, body: bytes) -> Answer | Refusal:
    """Judge a whole JSON answer."""
    return judge_json(call, body, read_message, read_usage)


def _read_stream(call: Call, events: Sequence[Event]) -> Answer | Refusal:
    """Judge a whole stream; it is stored as the origin's events without comments and pings.

    Refused as a JSON answer is, and with `incomplete` unless `message_stop` ends it.
    """
    assembly = assemble(events)
    usage = usage_of_members(assembly.usage)
    problem = assembly.problem()
    if problem is not None:
        return Refusal(problem, usage)
    try:
        reading = read_message(members(assembly.answer()), assembly.aside)
    except UnreadableError:
        return Refusal("choices", usage)
    body = stored_body(event for event in kept_events(events) if not is_done_word(event))
    if body is None:
        return Refusal("incomplete", usage)
    return judged(call, "sse", body, reading, locked=assembly.locked)


def _live(event: Event, _: bool) -> bytes:
    return event.raw


def _error_event(message: str, code: str) -> bytes:
    error = {"type": b'"api_error"', "message": quoted(message.encode()), "code": quoted(code.encode())}
    return write_event(write({"type": b'"error"', "error": write(error)}), b"error")


def _write_chunk(text: bytes, survives: bool) -> bytes:
    name = string(members_or_none(text).get("type")) or ""
    event = write_event(text, name.encode() if name.isidentifier() else _NAMELESS)
    return event if survives else _SPOILER + event


def _is_chunk(event: Event) -> bool:
    return event.data is not None and event.name not in {b"", b"ping"}


MESSAGES_ANSWERS = AnswerDialect(
    read_json=_read_json,
    read_stream=_read_stream,
    ends_stream=ends,
    render=render_messages,
    spoken=spoken_messages,
    live=_live,
    usage_of=usage_of_texts,
    error_event=_error_event,
    write_chunk=_write_chunk,
    is_chunk=_is_chunk,
    closing=b"",
    free=free_messages_event,
    opens=opens_messages,
    idle=_PING,
)
"""The answers of messages."""
