"""Writes a stored messages answer in the shape a caller asks for."""

from tiered_cache.core.free import free_event, other_form, without_cost
from tiered_cache.core.messages_assembly import assemble
from tiered_cache.core.messages_synthesis import fits, synthesise
from tiered_cache.core.raw_json import NULL, UnreadableError, check, is_object, members, with_member
from tiered_cache.core.sse import Event, read_events
from tiered_cache.core.vocabulary import Entry, Shape


def render_messages(entry: Entry, shape: Shape, free: bool) -> bytes | None:
    """The entry's bytes in `shape`; every stream has its token counts, so both stream shapes are one."""
    if (shape == "json") != (entry.form == "json"):
        return other_form(entry, shape, _assembled, _synthesised, free=free)
    if shape == "json":
        return without_cost(entry.body) if free else entry.body
    events, rest = read_events(entry.body)
    return b"".join([*[free_messages_event(event) if free else event.raw for event in events], rest])


def free_messages_event(event: Event) -> bytes:
    """The event's bytes with a cost of 0."""
    return free_event(event, without_event_cost)


def without_event_cost(data: bytes) -> bytes:
    """An event's data with a cost of 0, in its own usage and in that of the message that it holds."""
    data = without_cost(data)
    try:
        message = members(data).get("message", NULL)
        if not is_object(message):
            return data
        priceless = without_cost(message)
        return data if priceless == message else with_member(data, "message", priceless)
    except UnreadableError:
        return data


def _assembled(body: bytes) -> bytes | None:
    """The JSON answer that a stream says, if it is whole and says no more than that."""
    assembly = assemble(read_events(body)[0])
    whole = assembly.problem() is None and not assembly.locked
    return assembly.answer() if whole and assembly.usage else None


def _synthesised(body: bytes, _: Shape) -> bytes | None:
    check(body)
    answer = members(body)
    if not fits(answer) or answer.get("error", NULL) != NULL:
        return None
    return synthesise(answer)
