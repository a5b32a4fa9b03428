"""The tools of a Responses body: schemas settled, and who executes them."""

from typing import Any

from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle
from tiered_cache.core.canonical.responses_tables import SEARCH_TOOL_PREFIX, TOOLS
from tiered_cache.core.canonical.tables import Executor
from tiered_cache.core.canonical.tool_memo import ToolFacts, tool_type

_DEPTH = 3
"""Level of one tool: body 1, tools 2."""
_CLIENTS = frozenset(row.kind for row in TOOLS if row.by == "client")
_NAMED = frozenset({"function", "custom"})


def settle_tools(tools: list[Any]) -> ToolFacts:
    """Bring `tools` into canonical form, in place.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    for tool in tools:
        settle(tool, _DEPTH, exact=True)
    return judge_tools(tools)


def judge_tools(tools: list[Any]) -> ToolFacts:
    """Who executes them.

    Raises:
        UnsafeBodyError: `field-type`.
    """
    doers = {_executor(tool) for tool in tools}
    return ToolFacts(by_origin="origin" in doers, web_search="search" in doers)


def _executor(tool: Any) -> Executor:
    """Who executes it; in doubt the origin."""
    if kind_of(tool) is not dict:
        raise UnsafeBodyError("field-type")
    kind = tool_type(tool)
    if kind in _NAMED and type(tool.get("name")) is not str:
        raise UnsafeBodyError("field-type")
    if kind == "namespace":
        return _namespace(tool)
    if kind == "tool_search":
        return "client" if tool.get("execution") == "client" else "origin"
    if kind in _CLIENTS:
        return "client"
    return "search" if kind.startswith(SEARCH_TOOL_PREFIX) else "origin"


def _namespace(tool: dict[str, Any]) -> Executor:
    inner: Any = tool.get("tools")
    if kind_of(inner) is not list:
        raise UnsafeBodyError("field-type")
    doers = {_executor(each) for each in inner}
    return "client" if doers <= {"client"} else "origin"
