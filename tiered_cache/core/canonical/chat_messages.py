"""The messages of a chat body: types checked, equal spellings made one, remote URLs noticed."""

from types import NoneType
from typing import Any

from tiered_cache.core.canonical.chat_tables import DROPS, IMAGE_DETAIL, MESSAGE_FIELDS
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle_member
from tiered_cache.core.canonical.tables import Elision
from tiered_cache.core.canonical.walk import drop_cache_control, names_url, object_of

_FIELDS = {field.name: field for field in MESSAGE_FIELDS}
_PLAIN = frozenset(field.name for field in MESSAGE_FIELDS if str in field.kinds)
_CACHE_CONTROL = next(drop.note for drop in DROPS if drop.path == "messages[].content[].cache_control")
_TEXT_PART = {"type", "text"}
_DEPTH = 4
"""Level of a message's own values: body 1, messages 2, message 3."""
_VERBATIM = (("function", "arguments"), ("custom", "input"))
"""Where a tool call holds the text that the model wrote."""


class MessageFacts:
    """What the walk over the messages found.

    Attributes:
        remote_urls: some content part names something to fetch.
        dropped: notes of the table rows applied.
        image_detail: the row that applies to images, or None.
    """

    __slots__ = ("dropped", "image_detail", "remote_urls")

    def __init__(self, image_detail: Elision | None) -> None:
        self.image_detail = image_detail
        self.remote_urls = False
        self.dropped: tuple[str, ...] = ()


NOTHING_FOUND = MessageFacts(None)
"""What the walk found in messages of a role and a text each."""


def settle_messages(messages: list[Any], provider: str) -> MessageFacts:
    """Bring `messages` into canonical form, in place.

    Args:
        messages: the decoded `messages` array.
        provider: the model id where it alone decides who answers; elisions go by its prefix.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    facts: MessageFacts | None = None
    for message in messages:
        members = object_of(message)
        if type(members.get("role")) is not str:
            raise UnsafeBodyError("field-type")
        if len(members) == 2 and type(members.get("content")) is str:
            continue  # a role and a text, as most messages are: nothing to settle, nothing to find
        if facts is None:
            documented = provider.startswith(IMAGE_DETAIL.prefixes)
            facts = MessageFacts(IMAGE_DETAIL if documented else None)
        for name, value in members.items():
            if type(value) is not str or name not in _PLAIN:
                _settle_member(members, name, value, facts)
    return NOTHING_FOUND if facts is None else facts


def _settle_member(message: dict[str, Any], name: str, value: Any, facts: MessageFacts) -> None:
    field, kind = _FIELDS.get(name), kind_of(value)
    if field is None:
        facts.remote_urls = facts.remote_urls or names_url(value)
        settle_member(message, name, _DEPTH, exact=False)
    elif kind is NoneType and field.null == "value":
        return
    elif kind not in field.kinds:
        raise UnsafeBodyError("field-type")
    elif name == "content":
        message[name] = _settle_content(value, facts)
    else:
        if name == "tool_calls":
            _check_tool_calls(value)
        settle_member(message, name, _DEPTH, exact=field.exact)


def _settle_content(parts: list[Any], facts: MessageFacts) -> Any:
    """The parts in canonical form; a single text part becomes its text."""
    for part in parts:
        _settle_part(object_of(part), facts)
    if len(parts) == 1 and parts[0].keys() == _TEXT_PART and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts


def _settle_part(part: dict[str, Any], facts: MessageFacts) -> None:
    kind = part.get("type")
    if type(kind) is not str or (kind == "text" and type(part.get("text")) is not str):
        raise UnsafeBodyError("field-type")
    if kind == "text" and len(part) == len(_TEXT_PART):
        return
    facts.remote_urls = facts.remote_urls or any(
        names_url(value) for name, value in part.items() if name != "text"
    )
    for name, value in part.items():
        if type(value) is not str:
            # `input` is what a tool was called with, in dialects that routers translate.
            settle_member(part, name, _DEPTH + 2, exact=name == "input")
    if drop_cache_control(part):
        facts.dropped += (_CACHE_CONTROL,)
    if kind == "image_url":
        _settle_image(part, facts)


def _settle_image(part: dict[str, Any], facts: MessageFacts) -> None:
    image = object_of(part.get("image_url"))
    if type(image.get("url")) is not str:
        raise UnsafeBodyError("field-type")
    row = facts.image_detail
    if row is not None and image.get("detail") == row.value:
        del image["detail"]
        facts.dropped += (row.note,)


def _check_tool_calls(calls: list[Any]) -> None:
    """Each call is an object whose function arguments or custom input are text, which is kept verbatim."""
    for call in calls:
        members = object_of(call)
        for kind, verbatim in _VERBATIM:
            named = members.get(kind)
            if named is not None and type(object_of(named).get(verbatim)) is not str:
                raise UnsafeBodyError("field-type")
