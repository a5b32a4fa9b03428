"""Which events of a stream are kept with its entry, and how."""

import re
from collections.abc import Sequence

from tiered_cache.core.raw_json import members, without_member
from tiered_cache.core.sse import (
    Event,
    is_plain,
    read_event,
    read_events,
    with_data,
    without_comments,
    write_event,
)

# In valid JSON these last tokens are the event's own last member: each quote opens or closes a string.
_LAST_OBFUSCATION = re.compile(rb',"obfuscation":"[0-9A-Za-z]*"\}\Z')


def stored_body(events: Sequence[Event]) -> bytes | None:
    """The events to keep, joined: without comments, pings and obfuscation.

    None if a reader of that would read anything else than of the origin's.
    """
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
