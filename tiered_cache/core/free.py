"""Writes an entry in the form that the origin did not give, and free for who pays nothing: a cost of 0."""

import re
from collections.abc import Callable

from tiered_cache.core.raw_json import NULL, UnreadableError, is_object, members, with_member
from tiered_cache.core.sse import Event, with_data
from tiered_cache.core.vocabulary import Entry, Shape

_NUMBER = re.compile(rb"-?[0-9]")


def without_cost(answer: bytes) -> bytes:
    """A JSON answer or chunk with `usage.cost` 0; every other byte is kept where that is possible."""
    if b'"cost"' not in answer:
        return answer
    try:
        usage = members(answer).get("usage", NULL)
        cost = members(usage).get("cost", NULL) if is_object(usage) else NULL
        if _NUMBER.match(cost) is None:
            return answer
        return with_member(answer, "usage", with_member(usage, "cost", b"0"))
    except UnreadableError:
        return answer


def free_event(event: Event, free: Callable[[bytes], bytes]) -> bytes:
    """The event's bytes with what `free` makes of its data."""
    if event.data is None or b'"cost"' not in event.data:
        return event.raw
    data = free(event.data)
    return event.raw if data == event.data else with_data(event, data)


def other_form(
    entry: Entry,
    shape: Shape,
    assembled: Callable[[bytes], bytes | None],
    synthesised: Callable[[bytes, Shape], bytes | None],
    *,
    free: bool,
    freed: Callable[[bytes], bytes] = without_cost,
) -> bytes | None:
    """The entry in the form that the origin did not give; None where that would say less or something else.

    Args:
        entry: what is stored.
        shape: what the caller asked for.
        assembled: the JSON answer that a stream says.
        synthesised: the stream that a JSON answer says, in a shape.
        free: this caller pays nothing.
        freed: the JSON answer as such a caller gets it.
    """
    if entry.locked:
        return None
    try:
        if shape == "json":
            body = assembled(entry.body)
            return freed(body) if free and body is not None else body
        return synthesised(freed(entry.body) if free else entry.body, shape)
    except UnreadableError:
        return None
