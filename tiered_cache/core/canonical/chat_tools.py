"""The tools of a chat body: schemas settled, and who executes them."""

from typing import Any

from tiered_cache.core.canonical.chat_tables import CLIENT_TOOLS, DROPS, SEARCH_TOOL_PREFIXES
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.tables import Executor
from tiered_cache.core.canonical.tool_memo import ToolFacts, settle_each, tool_type

_CACHE_CONTROL = next(drop.note for drop in DROPS if drop.path == "tools[].cache_control")


def settle_tools(tools: list[Any]) -> ToolFacts:
    """Bring `tools` into canonical form, in place.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    return settle_each(tools, _CACHE_CONTROL, _executor)


def _executor(tool: dict[str, Any]) -> Executor:
    kind = tool_type(tool)
    if kind in CLIENT_TOOLS:
        _check_client_tool(tool, kind)
        return "client"
    return "search" if kind.startswith(SEARCH_TOOL_PREFIXES) else "origin"


def _check_client_tool(tool: dict[str, Any], kind: str) -> None:
    body: Any = tool.get(kind)
    if kind_of(body) is not dict or type(body.get("name")) is not str:
        raise UnsafeBodyError("field-type")
