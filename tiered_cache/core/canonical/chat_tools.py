"""The tools of a chat body: schemas settled, and who executes them."""

from types import NoneType
from typing import Any

from tiered_cache.core.canonical.chat_tables import CLIENT_TOOLS, DROPS, SEARCH_TOOL_PREFIXES
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle
from tiered_cache.core.canonical.tools import ToolFacts, tool_type

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
        if kind_of(tool) is not dict:
            raise UnsafeBodyError("field-type")
        settle(tool, _DEPTH, exact=True)
        if "cache_control" in tool:
            _drop_cache_control(tool)
            dropped = (_CACHE_CONTROL,)
        kind = tool_type(tool)
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


def _check_client_tool(tool: dict[str, Any], kind: str) -> None:
    body: Any = tool.get(kind)
    if kind_of(body) is not dict or type(body.get("name")) is not str:
        raise UnsafeBodyError("field-type")
