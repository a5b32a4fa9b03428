"""What a list of tools says, and the memory for what calls of late had in common."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.json_form import settle, write_canonical
from tiered_cache.core.canonical.tables import Executor
from tiered_cache.core.canonical.walk import drop_cache_control, object_of
from tiered_cache.core.memo import RecentMap
from tiered_cache.core.vocabulary import Call, Determinism

_OVERHEAD_BYTES = 400
_CALLS_BYTES = 2**18
_DEPTH = 3
"""Level of one tool: body 1, tools 2."""
_ENCODE = msgspec.json.Encoder().encode


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
"""What is known of a call without tools."""

Settle: TypeAlias = Callable[[list[Any]], ToolFacts]
"""Brings a list of tools into its dialect's canonical form, in place."""


PlainFacts: TypeAlias = tuple[str, bool, str | None, Determinism, bool, bool, bool, bool]
"""All that a call without unusual members says: model, stream, service tier, determinism; whether a tool
searches the web or is executed by the origin; whether a message names a remote URL; whether there
are tools."""


class _PlainCall(Struct, frozen=True):
    """The facts of one such call."""

    call: Call
    weight: int


class _SettledTools(Struct, frozen=True):
    """A list of tools in canonical form, with what it says."""

    text: msgspec.Raw
    facts: ToolFacts
    weight: int


class ToolMemo:
    """What calls of late had in common.

    Agents send one tool list with every call, and most calls of a model say the same of themselves. A list is
    known by its dialect and by the whole list as it was decoded and written out again, which tells two lists
    apart wherever the walk would: types, numbers, and the order of members.

    Args:
        capacity_bytes: bound of what is remembered of tool lists; facts have a bound of their own.
    """

    __slots__ = ("_calls", "_seen")

    def __init__(self, capacity_bytes: int) -> None:
        self._seen: RecentMap[tuple[Settle, bytes], _SettledTools] = RecentMap(capacity_bytes)
        self._calls: RecentMap[PlainFacts, _PlainCall] = RecentMap(_CALLS_BYTES)

    def call(self, told: PlainFacts, make: Callable[[PlainFacts], Call]) -> Call:
        """What `make` gives for these facts."""
        known = self._calls.get(told)
        if known is None:
            texts_bytes = sum(len(text) for text in told if isinstance(text, str))
            known = _PlainCall(make(told), _OVERHEAD_BYTES + texts_bytes)
            self._calls.put(told, known)
        return known.call

    def settled(self, settling: Settle, tools: list[Any]) -> _SettledTools:
        """The canonical form that `settling` gives `tools`; the list itself may be changed.

        Raises:
            UnsafeBodyError: `field-type`, `nesting` or `number`.
        """
        spelled = _ENCODE(tools)
        known = self._seen.get((settling, spelled))
        if known is None:
            facts = settling(tools)
            text = write_canonical(tools)
            known = _SettledTools(msgspec.Raw(text), facts, len(spelled) + len(text) + _OVERHEAD_BYTES)
            self._seen.put((settling, spelled), known)
        return known


def settle_each(tools: list[Any], note: str, executor: Callable[[dict[str, Any]], Executor]) -> ToolFacts:
    """Bring `tools` into canonical form, in place.

    Args:
        tools: the list.
        note: the table row that drops the marks of the provider's prompt cache.
        executor: who executes one tool; raises UnsafeBodyError where its types are wrong.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    by_origin = web_search = False
    dropped: tuple[str, ...] = ()
    for tool in tools:
        members = object_of(tool)
        settle(members, _DEPTH, exact=True)
        if drop_cache_control(members):
            dropped = (note,)
        who = executor(members)
        web_search = web_search or who == "search"
        by_origin = by_origin or who == "origin"
    return ToolFacts(by_origin, web_search, dropped)


def tool_type(tool: dict[str, Any]) -> str:
    """The tool's type; for an untyped one the name of its only member (`function`, `google_search`).

    Raises:
        UnsafeBodyError: `field-type`, the type is no text.
    """
    if "type" not in tool:
        return next(iter(tool)) if len(tool) == 1 else ""
    kind = tool["type"]
    if type(kind) is not str:
        raise UnsafeBodyError("field-type")
    return kind


def settle_remembered(settling: Settle, body: dict[str, Any], seen_tools: ToolMemo | None) -> ToolFacts:
    """Bring `body["tools"]` into canonical form.

    Args:
        settling: the dialect's own way.
        body: the body; the member may become its canonical text.
        seen_tools: where lists are remembered, or None; it changes the cost alone.

    Raises:
        UnsafeBodyError: as `settling`.
    """
    if seen_tools is None:
        return settling(body["tools"])
    settled = seen_tools.settled(settling, body["tools"])
    body["tools"] = settled.text
    return settled.facts
