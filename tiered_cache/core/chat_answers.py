"""Judges what an origin answered to a chat call, and gives it in every shape."""

import re
from collections.abc import Sequence

from msgspec.json import encode

from tiered_cache.core.chat_assembly import Assembly, assemble, ends
from tiered_cache.core.chat_reading import read_chat, read_usage
from tiered_cache.core.chat_rendering import live_chat, render_chat
from tiered_cache.core.chat_synthesis import DONE
from tiered_cache.core.dialect import AnswerDialect
from tiered_cache.core.judging import judge_json, judged, kept_events, stored_body
from tiered_cache.core.raw_json import UnreadableError, members, members_or_none, without_member
from tiered_cache.core.sse import (
    Event,
    is_plain,
    read_event,
    with_data,
    write_event,
)
from tiered_cache.core.vocabulary import Answer, Call, Refusal, Usage

# In valid JSON these last tokens are the chunk's own last member: each quote opens or closes a string.
_LAST_OBFUSCATION = re.compile(rb',"obfuscation":"[0-9A-Za-z]*"\}\Z')


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
    body = stored_body(map(_kept_event, kept_events(events)))
    return Refusal("incomplete", usage) if body is None else judged(call, "sse", body, reading, locked=locked)


def _usage_of(texts: Sequence[bytes]) -> Usage:
    """The last statement counts, never the sum."""
    return read_usage(members_or_none(texts[-1]).get("usage")) if texts else Usage()


def _problem(assembly: Assembly) -> str | None:
    """An error says more than that the stream broke off behind it."""
    if assembly.problem == "error-body" or assembly.done:
        return assembly.problem
    return "incomplete"


def _kept_event(event: Event) -> Event:
    """The event without its padding against eavesdroppers, which is made anew for every connection."""
    data = event.data
    if data is None or b'"obfuscation"' not in data:
        return event
    found = _LAST_OBFUSCATION.search(data)
    if found is not None:
        data = data[: found.start()] + b"}"
    elif "obfuscation" in members(data):
        data = without_member(data, "obfuscation")
    return Event(write_event(data), data, b"") if is_plain(event) else read_event(with_data(event, data))


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
    live=live_chat,
    usage_of=_usage_of,
    error_event=_error_event,
    write_chunk=_write_chunk,
    is_chunk=_is_chunk,
    closing=DONE,
)
"""The answers of chat/completions."""
