"""Reads a stream of Responses events for what its last one says, and for whether the others add to that."""

from collections.abc import Sequence

from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    check,
    is_object,
    items,
    members,
    members_or_none,
    string,
)
from tiered_cache.core.responses_fields import (
    COMPLETED,
    ENDS,
    EVENTS,
    FAILED,
    KEEPALIVES,
    LAST_EVENTS,
)
from tiered_cache.core.sse import Event

_LAST_BYTES = tuple(name.encode() for name in LAST_EVENTS)
_ITEM_DONE = "response.output_item.done"


class Told:
    """One stream, event by event. Nothing raises: what is wrong is noted, and the usage is read all the same.

    Attributes:
        problem: reason word why this is no storable stream (`error-body`, `bad-json`), or None.
        response: text of the response object in the last event, where that is a whole answer.
        usage: text of the last usage that was not null.
        kept: the events up to the last one, those of one connection apart.
    """

    __slots__ = ("_items", "_unknown", "kept", "problem", "response", "usage")

    def __init__(self) -> None:
        self.problem: str | None = None
        self.response: bytes | None = None
        self.usage: bytes | None = None
        self.kept: list[Event] = []
        self._items = 0
        self._unknown = False

    def add(self, event: Event) -> None:
        """Take in one event; what follows the last one is no part of the stream."""
        if event.data is None or self.response is not None or not is_told(event):
            return
        try:
            check(event.data)
            said = members(event.data)
        except UnreadableError:
            self.problem = self.problem or "bad-json"
            return
        kind = string(said.get("type")) or event.name.decode("utf-8", "replace")
        if kind in KEEPALIVES:
            return
        self.kept.append(event)
        self._add(event, kind, said)

    def _add(self, event: Event, kind: str, said: dict[str, bytes]) -> None:
        response = said.get("response", NULL)
        usage = members_or_none(response).get("usage", NULL)
        if usage != NULL:
            self.usage = usage
        if _is_error(event, kind, said):
            self.problem = "error-body"
        self._items += kind == _ITEM_DONE
        self._unknown = self._unknown or kind not in EVENTS or event.name not in {b"", kind.encode()}
        if kind in ENDS.values() and is_object(response):
            self.response = response

    def is_locked(self, answer: dict[str, bytes]) -> bool:
        """Whether the events said something that `answer`, their last word, does not.

        Raises:
            UnreadableError: it has no list of output.
        """
        return self._unknown or self._items != len(items(answer.get("output", NULL)))


def told(events: Sequence[Event]) -> Told:
    """All of a stream."""
    stream = Told()
    for event in events:
        stream.add(event)
    return stream


def ends(event: Event) -> bool:
    """Whether nothing of the answer can follow this event."""
    data = event.data
    if data is None or not any(name in data or name == event.name for name in _LAST_BYTES):
        return False
    try:
        said = members(data)
    except UnreadableError:
        return False
    kind = string(said.get("type")) or event.name.decode("utf-8", "replace")
    return kind == COMPLETED or kind in LAST_EVENTS or said.get("error", NULL) != NULL


def is_told(event: Event) -> bool:
    """Whether this is a value of the stream: no comment, nor the `[DONE]` that some routers always say."""
    return event.data is not None and event.data.strip() != b"[DONE]"


def _is_error(event: Event, kind: str, said: dict[str, bytes]) -> bool:
    return kind in {FAILED, "error"} or event.name == b"error" or said.get("error", NULL) != NULL
