"""The chat/completions dialect: a body in, its canonical bytes and its facts out."""

from typing import Any

from tiered_cache.core.canonical.chat_facts import read_call
from tiered_cache.core.canonical.chat_messages import settle_messages
from tiered_cache.core.canonical.chat_tables import BODY_FIELDS, DROPS, ELISIONS
from tiered_cache.core.canonical.chat_tools import settle_tools
from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.canonical.members import (
    Requesty,
    json_dialect,
    plans,
    provider_of,
    settle_members,
    settle_stop,
)
from tiered_cache.core.canonical.tables import Tables
from tiered_cache.core.canonical.tool_memo import NO_TOOLS, ToolMemo, settle_remembered

_TABLES = Tables(drops=DROPS, elisions=ELISIONS, own_walk=frozenset({"messages", "tools", "requesty"}))
_BODY = plans(BODY_FIELDS, _TABLES)
_REQUESTY = Requesty(_TABLES)


def _canonical(
    body: dict[str, Any], model: str, options: KeyOptions, seen_tools: ToolMemo | None
) -> Canonical:
    gone, notes = settle_members(body, _BODY[options.identity_fields], model, 2)
    messages = body.get("messages")
    if messages is None:
        raise UnsafeBodyError("field-type")
    message_facts = settle_messages(messages, provider_of(body, model))
    tool_facts = settle_remembered(settle_tools, body, seen_tools) if body.get("tools") else NO_TOOLS
    if "stop" in body:
        settle_stop(body)
    call = read_call(body, model, message_facts, tool_facts, seen_tools)
    for name in gone:
        del body[name]
    if "requesty" in body:
        notes += _REQUESTY.settle(body, options)
    dropped = (*notes, *message_facts.dropped, *tool_facts.dropped)
    return Canonical(call, write_canonical(body), dropped)


canonical_chat = json_dialect(_canonical)
"""Canonicalises a chat/completions body."""
