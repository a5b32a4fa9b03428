"""Judges whole answers of any dialect, once it has read them."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tiered_cache.core.content import classify
from tiered_cache.core.raw_json import NULL, UnreadableError, check, members, without_member
from tiered_cache.core.reading import Reading
from tiered_cache.core.sse import (
    Event,
    is_plain,
    read_event,
    read_events,
    says_something,
    with_data,
    without_comments,
    write_event,
)
from tiered_cache.core.storable import is_short_lived, why_not
from tiered_cache.core.vocabulary import Answer, Call, Form, Refusal, Usage

# In valid JSON these last tokens are the event's own last member: each quote opens or closes a string.
_LAST_OBFUSCATION = re.compile(rb',"obfuscation":"[0-9A-Za-z]*"\}\Z')

_Read = TypeVar("_Read", bound=Reading)


def judge_json(
    call: Call,
    body: bytes,
    read: Callable[[dict[str, bytes]], _Read],
    read_usage: Callable[[bytes | None], Usage],
    why: Callable[[Call, _Read], str | None] = why_not,
) -> Answer | Refusal:
    """Judge a whole JSON answer; it is stored byte for byte.

    Refused with `bad-json` (no JSON object, or JSON was asked for and is none), `error-body`, `choices`,
    `refusal`, `finish-reason`, `empty`, `bad-arguments`.

    Args:
        call: what was asked.
        body: the whole answer.
        read: reads its members; raises UnreadableError where their types are wrong.
        read_usage: reads its `usage`.
        why: the reason word why what was read is not stored, or None.
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
        reading = read(answer)
    except UnreadableError:
        return Refusal("choices", usage)
    return judged(call, "json", body, reading, locked=not reading.fits, why=why)


def judged(
    call: Call,
    form: Form,
    body: bytes,
    reading: _Read,
    *,
    locked: bool,
    why: Callable[[Call, _Read], str | None] = why_not,
) -> Answer | Refusal:
    """What becomes of an answer that was read: `body` is what is stored of it."""
    detail = why(call, reading)
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


def kept_events(events: Iterable[Event]) -> list[Event]:
    """The events of a stream that say something: no comments, no pings."""
    return [event for event in events if says_something(event)]


def stored_body(events: Iterable[Event]) -> bytes | None:
    """The events to keep, joined; None if a reader of that would read anything else than of the origin's."""
    kept: Sequence[Event] = [*events]
    body = b"".join([without_comments(event) for event in kept])
    if all(map(is_plain, kept)):
        return body
    read = [(event.name, event.data) for event in read_events(body)[0]]
    return body if read == [(event.name, event.data) for event in kept] else None


def unpadded(event: Event) -> Event:
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
