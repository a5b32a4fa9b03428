"""The tools of a messages body: schemas settled, and who executes them."""

from typing import Any

from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.messages_tables import CLIENT_TOOLS, CUSTOM, DROPS, SEARCH_TOOLS
from tiered_cache.core.canonical.tables import Executor
from tiered_cache.core.canonical.tool_memo import ToolFacts, settle_each
from tiered_cache.core.canonical.walk import object_of

_CACHE_CONTROL = next(drop.note for drop in DROPS if drop.path == "tools[].cache_control")


def settle_tools(tools: list[Any]) -> ToolFacts:
    """Bring `tools` into canonical form, in place.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    return settle_each(tools, _CACHE_CONTROL, _executor)


def _executor(tool: dict[str, Any]) -> Executor:
    kind = _tool_type(tool)
    if kind == CUSTOM:
        _check_custom(tool)
        return "client"
    if kind.startswith(SEARCH_TOOLS):
        return "search"
    return "client" if kind in CLIENT_TOOLS else "origin"


def _tool_type(tool: dict[str, Any]) -> str:
    kind = tool.get("type")
    if kind is None:
        return CUSTOM
    if type(kind) is not str:
        raise UnsafeBodyError("field-type")
    return kind


def _check_custom(tool: dict[str, Any]) -> None:
    object_of(tool.get("input_schema"))
    if type(tool.get("name")) is not str:
        raise UnsafeBodyError("field-type")
