"""What a list of tools comes to in any dialect, and the memory of those seen lately."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.memo import RecentMap

_OVERHEAD_BYTES = 400


class ToolFacts(Struct, frozen=True):
    """Who executes the tools.

    Attributes:
        by_origin: the origin executes one that is not web search.
        web_search: the origin searches the web with one.
        dropped: notes of the table rows applied.
    """

    by_origin: bool = False
    web_search: bool = False
    dropped: tuple[str, ...] = ()


NO_TOOLS = ToolFacts()
Settle: TypeAlias = Callable[[list[Any]], ToolFacts]
_ENCODE = msgspec.json.Encoder().encode


class SettledTools(Struct, frozen=True):
    """A list of tools in canonical form, with what it says."""

    text: msgspec.Raw
    facts: ToolFacts
    weight: int


class ToolMemo:
    """Canonical forms of the tool lists seen lately: agents send the same one with every call.

    Known by the dialect and the whole list as it was decoded and written out again, which tells two lists
    apart wherever the walk would: types, numbers, and the order of members.

    Args:
        capacity_bytes: bound of what is remembered.
    """

    __slots__ = ("_seen",)

    def __init__(self, capacity_bytes: int) -> None:
        self._seen: RecentMap[tuple[Settle, bytes], SettledTools] = RecentMap(capacity_bytes)

    def settled(self, tools: list[Any], settle: Settle) -> SettledTools:
        """The canonical form of `tools`; the list itself may be changed.

        Args:
            tools: a decoded list.
            settle: brings a list of the dialect into canonical form, in place.

        Raises:
            UnsafeBodyError: `field-type`, `nesting` or `number`.
        """
        spelled = _ENCODE(tools)
        known = self._seen.get((settle, spelled))
        if known is None:
            facts = settle(tools)
            text = write_canonical(tools)
            known = SettledTools(msgspec.Raw(text), facts, len(spelled) + len(text) + _OVERHEAD_BYTES)
            self._seen.put((settle, spelled), known)
        return known


def settle_member_tools(body: dict[str, Any], settle: Settle, seen_tools: ToolMemo | None) -> ToolFacts:
    """Settle `body["tools"]`, as far as there are any, by memory where there is one.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    if not body.get("tools"):
        return NO_TOOLS
    if seen_tools is None:
        return settle(body["tools"])
    settled = seen_tools.settled(body["tools"], settle)
    body["tools"] = settled.text
    return settled.facts


def tool_type(tool: dict[str, Any]) -> str:
    """The tool's type; for an untyped one the name of its only member (`function`, `google_search`).

    Raises:
        UnsafeBodyError: `field-type`, where the type is no text.
    """
    if "type" not in tool:
        return next(iter(tool)) if len(tool) == 1 else ""
    kind = tool["type"]
    if type(kind) is not str:
        raise UnsafeBodyError("field-type")
    return kind
