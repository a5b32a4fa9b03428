"""Writes a stored Responses answer in the shape a caller asks for, and an event as a live caller gets it."""

from tiered_cache.core.free import other_form, without_cost
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    check,
    is_object,
    members,
    members_or_none,
    with_member,
)
from tiered_cache.core.responses_fields import ECHOES
from tiered_cache.core.responses_stream import told
from tiered_cache.core.responses_synthesis import fits, synthesise
from tiered_cache.core.sse import Event, read_events, with_data
from tiered_cache.core.vocabulary import Entry, Shape


def render_responses(entry: Entry, shape: Shape, free: bool) -> bytes | None:
    """The entry's bytes in `shape`. Usage is in the last event, whoever asks."""
    if (shape == "json") != (entry.form == "json"):
        return other_form(entry, shape, _told_whole, _synthesised, free=free, freed=for_another)
    try:
        return _same_form(entry, free=free)
    except UnreadableError:
        return None


def live_responses(event: Event, include_usage: bool) -> bytes:
    """What a live caller gets of an event: all of it, as usage is a part of the answer on this API."""
    del include_usage
    return event.raw


def for_another(answer: bytes) -> bytes:
    """A response object for a caller who did not ask the origin: it cost nothing, and repeats nobody's names.

    Raises:
        UnreadableError: it is no object.
    """
    answer = without_cost(answer)
    said = members(answer)
    for name, nothing in ECHOES.items():
        if said.get(name, nothing) not in (nothing, NULL):
            answer = with_member(answer, name, nothing)
    return answer


def _same_form(entry: Entry, *, free: bool) -> bytes:
    if not free:
        return entry.body
    if entry.form == "json":
        return for_another(entry.body)
    events, rest = read_events(entry.body)
    return b"".join([*map(free_responses_event, events), rest])


def free_responses_event(event: Event) -> bytes:
    """The event's bytes for a caller who did not ask the origin.

    Only events that hold a response object say what it cost or whom it was for.
    """
    if event.data is None or b'"response"' not in event.data:
        return event.raw
    response = members_or_none(event.data).get("response", NULL)
    if not is_object(response):
        return event.raw
    freed = for_another(response)
    return event.raw if freed == response else with_data(event, with_member(event.data, "response", freed))


def _told_whole(body: bytes) -> bytes | None:
    """The response object in which a stream ends, if the stream is whole and says no more than that."""
    stream = told(read_events(body)[0])
    if stream.problem is not None or stream.response is None:
        return None
    return None if stream.is_locked(members(stream.response)) else stream.response


def _synthesised(body: bytes, _: Shape) -> bytes | None:
    check(body)
    answer = members(body)
    return synthesise(answer) if fits(answer) and answer.get("error", NULL) == NULL else None
