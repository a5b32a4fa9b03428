"""The tools of a messages body: schemas settled, and who executes them."""

from typing import Any

from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.json_form import settle
from tiered_cache.core.canonical.messages_tables import CLIENT_TOOLS, CUSTOM, DROPS, SEARCH_TOOLS
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
        if kind == CUSTOM:
            _check_custom(members)
        elif kind.startswith(SEARCH_TOOLS):
            web_search = True
        elif kind not in CLIENT_TOOLS:
            by_origin = True
    return ToolFacts(by_origin, web_search, dropped)


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
