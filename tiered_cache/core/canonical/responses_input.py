"""The input of a Responses body: types checked, equal spellings made one, what it reaches for noticed."""

from typing import Any

from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle_member
from tiered_cache.core.canonical.responses_tables import MESSAGE_TYPE, TOOL_ITEMS, UNFETCHED
from tiered_cache.core.canonical.responses_tools import judge_tools
from tiered_cache.core.canonical.walk import names_url, object_of

_DEPTH = 4
"""Level of an item's own values: body 1, input 2, item 3."""
_BARE_MESSAGE = {"type", "role", "content"}
_BARE_PART = {"type", "text"}
_TEXT_PARTS = ("input_text", "output_text")
_VERBATIM = {"function_call": "arguments", "custom_tool_call": "input"}
"""Where a tool call holds the text that the model wrote."""
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})


class InputFacts:
    """What the walk over the input found.

    Attributes:
        remote_urls: some part names something to fetch.
        refers: an item stands for what the origin has stored.
        by_origin, web_search: tools that came with the input, as in `ToolFacts`.
        dropped: notes of the table rows applied.
    """

    __slots__ = ("by_origin", "dropped", "is_default_type", "refers", "remote_urls", "web_search")

    def __init__(self, *, is_default_type: bool) -> None:
        self.is_default_type = is_default_type
        self.remote_urls = False
        self.refers = False
        self.by_origin = False
        self.web_search = False
        self.dropped: tuple[str, ...] = ()


def settle_input(body: dict[str, Any], provider: str) -> InputFacts:
    """Bring `body["input"]` into canonical form, in place; a text becomes the message that it stands for.

    Args:
        body: with an `input` that is a text or a list, or without one.
        provider: the model id where it alone decides who answers; elisions go by its prefix.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    facts = InputFacts(is_default_type=provider.startswith(MESSAGE_TYPE.prefixes))
    said: Any = body.get("input", [])
    if type(said) is str:
        body["input"] = [{"role": "user", "content": said}]
        return facts
    for item in said:
        members = object_of(item)
        if "role" in members and members.get("type", "message") == "message":
            _settle_message(members, facts)
        else:
            _settle_item(members, facts)
    return facts


def _settle_message(message: dict[str, Any], facts: InputFacts) -> None:
    role: Any = message["role"]
    content: Any = message.get("content")
    if type(role) is not str:
        raise UnsafeBodyError("field-type")
    if kind_of(content) is list:
        message["content"] = _settle_parts(content, role, facts)
    elif type(content) is not str:
        raise UnsafeBodyError("field-type")
    for name, value in message.items():
        if type(value) is not str and name != "content":
            facts.remote_urls = facts.remote_urls or names_url(value)
            settle_member(message, name, _DEPTH, exact=False)
    if facts.is_default_type and message.keys() == _BARE_MESSAGE:
        del message["type"]
        facts.dropped = (MESSAGE_TYPE.note,)


def _settle_parts(parts: list[Any], role: str, facts: InputFacts) -> Any:
    """The parts in canonical form; a single text that was given to the model becomes its text."""
    for part in parts:
        _settle_part(object_of(part), facts)
    if role == "assistant" or len(parts) != 1:
        return parts
    only = parts[0]
    return only["text"] if only.keys() == _BARE_PART and only["type"] == "input_text" else parts


def _settle_part(part: dict[str, Any], facts: InputFacts) -> None:
    kind = part.get("type")
    if type(kind) is not str or (kind in _TEXT_PARTS and type(part.get("text")) is not str):
        raise UnsafeBodyError("field-type")
    for name, value in part.items():
        if name not in UNFETCHED and names_url(value):
            facts.remote_urls = True
        if type(value) is not str:
            settle_member(part, name, _DEPTH + 2, exact=False)


def _settle_item(item: dict[str, Any], facts: InputFacts) -> None:
    """An item that is no message: calls of tools, what they gave, reasoning. Its numbers stay as they are."""
    kind = item.get("type")
    if kind is not None and type(kind) is not str:
        raise UnsafeBodyError("field-type")
    # An item that says no more than an id stands for one that is stored.
    if kind == "item_reference" or kind is None:
        facts.refers = True
    _check_item(item, kind)
    for name, value in item.items():
        if type(value) is not str:
            facts.remote_urls = facts.remote_urls or (name not in UNFETCHED and names_url(value))
            settle_member(item, name, _DEPTH, exact=True)
    if kind in TOOL_ITEMS:
        _note_tools(item.get("tools"), facts)


def _check_item(item: dict[str, Any], kind: str | None) -> None:
    verbatim = _VERBATIM.get(kind or "")
    if verbatim is not None and type(item.get(verbatim)) is not str:
        raise UnsafeBodyError("field-type")
    if kind in _OUTPUTS and kind_of(item.get("output")) not in {str, list}:
        raise UnsafeBodyError("field-type")


def _note_tools(tools: Any, facts: InputFacts) -> None:
    if kind_of(tools) is not list:
        raise UnsafeBodyError("field-type")
    found = judge_tools(tools)
    facts.by_origin = facts.by_origin or found.by_origin
    facts.web_search = facts.web_search or found.web_search
