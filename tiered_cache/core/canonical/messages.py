"""The Anthropic messages dialect: a body in, its canonical bytes and its facts out."""

from typing import Any

from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.canonical.members import Requesty, json_dialect, plans, settle_members
from tiered_cache.core.canonical.messages_blocks import settle_conversation
from tiered_cache.core.canonical.messages_facts import read_call
from tiered_cache.core.canonical.messages_tables import BODY_FIELDS, DROPS, ELISIONS
from tiered_cache.core.canonical.messages_tools import settle_tools
from tiered_cache.core.canonical.tables import Tables
from tiered_cache.core.canonical.tool_memo import NO_TOOLS, ToolMemo, settle_remembered

_OWN_WALK = frozenset({"system", "messages", "tools", "requesty"})
_TABLES = Tables(drops=DROPS, elisions=ELISIONS, own_walk=_OWN_WALK)
_BODY = plans(BODY_FIELDS, _TABLES)
_REQUESTY = Requesty(_TABLES)


def _canonical(
    body: dict[str, Any], model: str, options: KeyOptions, seen_tools: ToolMemo | None
) -> Canonical:
    gone, notes = settle_members(body, _BODY[options.identity_fields], model, 2)
    blocks = settle_conversation(body)
    tools = settle_remembered(settle_tools, body, seen_tools) if body.get("tools") else NO_TOOLS
    stops = body.get("stop_sequences") or ()
    if any(type(text) is not str for text in stops):
        raise UnsafeBodyError("field-type")
    call = read_call(body, model, blocks, tools)
    for name in gone:
        del body[name]
    notes += _REQUESTY.settle(body, options)
    return Canonical(call, write_canonical(body), (*notes, *blocks.dropped, *tools.dropped))


canonical_messages = json_dialect(_canonical)
"""Canonicalises a messages body."""
