"""The tools of a chat body: schemas settled, and who executes them."""

from typing import Any

from tiered_cache.core.canonical.chat_tables import CLIENT_TOOLS, DROPS
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle
from tiered_cache.core.canonical.router_tables import SEARCH_TOOL_PREFIXES
from tiered_cache.core.canonical.tool_memo import ToolFacts
from tiered_cache.core.canonical.walk import drop_cache_control, object_of

_CACHE_CONTROL = next(drop.note for drop in DROPS if drop.path == "tools[].cache_control")
_DEPTH = 3
"""Level of one tool: body 1, tools 2."""


def settle_tools(tools: list[Any]) -> ToolFacts:
    """Bring `tools` into canonical form, in place.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    by_origin = web_search = False
    dropped: tuple[str, ...] = ()
    for tool in tools:
        members = object_of(tool)
        settle(members, _DEPTH, exact=True)
        if drop_cache_control(members):
            dropped = (_CACHE_CONTROL,)
        kind = _tool_type(members)
        if kind in CLIENT_TOOLS:
            _check_client_tool(members, kind)
        elif kind.startswith(SEARCH_TOOL_PREFIXES):
            web_search = True
        else:
            by_origin = True
    return ToolFacts(by_origin, web_search, dropped)


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
