"""Judges what an origin answered to a chat call, and gives it in every shape."""

from collections.abc import Sequence

from msgspec.json import encode

from tiered_cache.core.chat_assembly import Assembly, assemble, ends
from tiered_cache.core.chat_reading import read_chat, read_usage
from tiered_cache.core.chat_rendering import live_chat, render_chat
from tiered_cache.core.chat_synthesis import DONE
from tiered_cache.core.dialect import AnswerDialect
from tiered_cache.core.judging import judge_json, judged, kept_events, stored_body, unpadded
from tiered_cache.core.preamble import opens_chat
from tiered_cache.core.raw_json import UnreadableError, members, members_or_none
from tiered_cache.core.spoken import spoken_chat
from tiered_cache.core.sse import Event, write_event
from tiered_cache.core.vocabulary import Answer, Call, Refusal, Usage


def _read_json(call: Call, body: bytes) -> Answer | Refusal:
    """Judge a whole JSON answer."""
    return judge_json(call, body, read_chat, read_usage)


def _read_stream(call: Call, events: Sequence[Event]) -> Answer | Refusal:
    """Judge a whole stream; it is stored as the origin's events without comments, pings and obfuscation.

    Refused as a JSON answer is, and with `incomplete` unless `[DONE]` ends it.
    """
    assembly = assemble(events)
    usage = read_usage(assembly.usage)
    problem = _problem(assembly)
    if problem is not None:
        return Refusal(problem, usage)
    text, locked = assembly.answer()
    try:
        reading = read_chat(members(text), assembly.aside())
    except UnreadableError:
        return Refusal("choices", usage)
    body = stored_body(map(unpadded, kept_events(events)))
    return Refusal("incomplete", usage) if body is None else judged(call, "sse", body, reading, locked=locked)


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


CHAT_ANSWERS = AnswerDialect(
    read_json=_read_json,
    read_stream=_read_stream,
    ends_stream=ends,
    render=render_chat,
    spoken=spoken_chat,
    live=live_chat,
    usage_of=_usage_of,
    error_event=_error_event,
    write_chunk=_write_chunk,
    is_chunk=_is_chunk,
    closing=DONE,
    opens=opens_chat,
)
"""The answers of chat/completions."""
