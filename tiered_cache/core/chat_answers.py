"""Judges what an origin answered to a chat call, and gives it in every shape."""

import re
from collections.abc import Sequence

from tiered_cache.core.chat_assembly import Assembly, assemble, ends
from tiered_cache.core.chat_reading import read_chat, read_usage
from tiered_cache.core.chat_rendering import live_chat, render_chat
from tiered_cache.core.content import classify
from tiered_cache.core.dialect import AnswerDialect
from tiered_cache.core.raw_json import NULL, UnreadableError, check, members, without_member
from tiered_cache.core.reading import Reading
from tiered_cache.core.sse import (
    Event,
    is_plain,
    read_event,
    read_events,
    with_data,
    without_comments,
    write_event,
)
from tiered_cache.core.storable import is_short_lived, why_not
from tiered_cache.core.vocabulary import Answer, Call, Form, Refusal, Usage

# In valid JSON these last tokens are the chunk's own last member: each quote opens or closes a string.
_LAST_OBFUSCATION = re.compile(rb',"obfuscation":"[0-9A-Za-z]*"\}\Z')


def _read_json(call: Call, body: bytes) -> Answer | Refusal:
    """Judge a whole JSON answer; it is stored byte for byte.

    Refused with `bad-json` (no JSON object, or JSON was asked for and is none), `error-body`, `choices`,
    `refusal`, `finish-reason`, `empty`, `bad-arguments`.
    """
    try:
        check(body)
        answer = members(body)
    except UnreadableError:
        return Refusal("bad-json")
    usage = read_usage(answer.get("usage"))
    if answer.get("error", NULL) != NULL:
        return Refusal("error-body", usage)
    try:
        reading = read_chat(answer)
    except UnreadableError:
        return Refusal("choices", usage)
    return _judged(call, "json", body, reading, locked=not reading.fits)


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
    body = _stored_body(events)
    return (
        Refusal("incomplete", usage) if body is None else _judged(call, "sse", body, reading, locked=locked)
    )


def _usage_of(text: bytes) -> Usage:
    try:
        return read_usage(members(text).get("usage"))
    except UnreadableError:
        return Usage()


def _problem(assembly: Assembly) -> str | None:
    """An error says more than that the stream broke off behind it."""
    if assembly.problem == "error-body" or assembly.done:
        return assembly.problem
    return "incomplete"


def _judged(call: Call, form: Form, body: bytes, reading: Reading, *, locked: bool) -> Answer | Refusal:
    detail = why_not(call, reading)
    if detail is not None:
        return Refusal(detail, reading.usage)
    return Answer(
        form=form,
        body=body,
        locked=locked,
        has_usage=reading.has_usage,
        content_class=classify(call, reading),
        model=reading.model,
        usage=reading.usage,
        short_lived=is_short_lived(call, reading, locked=locked),
        searched=reading.cites,
        expires_at_s=reading.expires_at_s,
        result_urls=reading.result_urls,
    )


def _stored_body(events: Sequence[Event]) -> bytes | None:
    """The events to keep, joined; None if a reader of that would read anything else than of the origin's."""
    kept = [_kept_event(event) for event in events if event.data is not None and event.name != b"ping"]
    body = b"".join([without_comments(event) for event in kept])
    if all(map(is_plain, kept)):
        return body
    read = [(event.name, event.data) for event in read_events(body)[0]]
    return body if read == [(event.name, event.data) for event in kept] else None


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


CHAT_ANSWERS = AnswerDialect(
    read_json=_read_json,
    read_stream=_read_stream,
    ends_stream=ends,
    render=render_chat,
    live=live_chat,
    usage_of=_usage_of,
)
"""The answers of chat/completions."""
