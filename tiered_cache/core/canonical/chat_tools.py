"""The tools of a chat body: schemas settled, and who executes them."""

from types import NoneType
from typing import Any

import msgspec
from msgspec import Struct

from tiered_cache.core.canonical.chat_tables import CLIENT_TOOLS, DROPS, SEARCH_TOOL_PREFIXES
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle, write_canonical
from tiered_cache.core.memo import RecentMap

_CACHE_CONTROL = next(drop.note for drop in DROPS if drop.path == "tools[].cache_control")
_OVERHEAD_BYTES = 400
_DEPTH = 3
"""Level of one tool: body 1, tools 2."""


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
_ENCODE = msgspec.json.Encoder().encode


class SettledTools(Struct, frozen=True):
    """A list of tools in canonical form, with what it says."""

    text: msgspec.Raw
    facts: ToolFacts
    weight: int


class ToolMemo:
    """Canonical forms of the tool lists seen lately: agents send the same one with every call.

    Known by the whole list as it was decoded and written out again, which tells two lists apart wherever
    the walk would: types, numbers, and the order of members.

    Args:
        capacity_bytes: bound of what is remembered.
    """

    __slots__ = ("_seen",)

    def __init__(self, capacity_bytes: int) -> None:
        self._seen: RecentMap[bytes, SettledTools] = RecentMap(capacity_bytes)

    def settled(self, tools: list[Any]) -> SettledTools:
        """The canonical form of `tools`; the list itself may be changed.

        Raises:
            UnsafeBodyError: `field-type`, `nesting` or `number`.
        """
        spelled = _ENCODE(tools)
        known = self._seen.get(spelled)
        if known is None:
            facts = settle_tools(tools)
            text = write_canonical(tools)
            known = SettledTools(msgspec.Raw(text), facts, len(spelled) + len(text) + _OVERHEAD_BYTES)
            self._seen.put(spelled, known)
        return known


def settle_tools(tools: list[Any]) -> ToolFacts:
    """Bring `tools` into canonical form, in place.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    by_origin = web_search = False
    dropped: tuple[str, ...] = ()
    for tool in tools:
        if kind_of(tool) is not dict:
            raise UnsafeBodyError("field-type")
        settle(tool, _DEPTH, exact=True)
        if "cache_control" in tool:
            _drop_cache_control(tool)
            dropped = (_CACHE_CONTROL,)
        kind = _tool_type(tool)
        if kind in CLIENT_TOOLS:
            _check_client_tool(tool, kind)
        elif kind.startswith(SEARCH_TOOL_PREFIXES):
            web_search = True
        else:
            by_origin = True
    return ToolFacts(by_origin, web_search, dropped)


def _drop_cache_control(tool: dict[str, Any]) -> None:
    if type(tool.pop("cache_control")) not in (dict, NoneType):
        raise UnsafeBodyError("field-type")


def _tool_type(tool: dict[str, Any]) -> str:
    """The tool's type; for an untyped one the name of its only member (`function`, `google_search`)."""
    if "type" not in tool:
        return next(iter(tool)) if len(tool) == 1 else ""
    kind = tool["type"]
    if type(kind) is not str:
        raise UnsafeBodyError("field-type")
    return kind


def _check_client_tool(tool: dict[str, Any], kind: str) -> None:
    body: Any = tool.get(kind)
    if kind_of(body) is not dict or type(body.get("name")) is not str:
        raise UnsafeBodyError("field-type")
