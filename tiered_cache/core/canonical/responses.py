"""The Responses dialect: a body in, its canonical bytes and its facts out."""

from typing import Any

from tiered_cache.core.canonical.form import Canonical, KeyOptions
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.canonical.members import (
    Requesty,
    json_dialect,
    plans,
    provider_of,
    says_nothing,
    settle_members,
)
from tiered_cache.core.canonical.responses_facts import read_call
from tiered_cache.core.canonical.responses_input import settle_input
from tiered_cache.core.canonical.responses_tables import BODY_FIELDS, DROPS, ELISIONS, EMPTY_TEXT, TEXT_FORMAT
from tiered_cache.core.canonical.responses_tools import settle_tools
from tiered_cache.core.canonical.tables import Tables
from tiered_cache.core.canonical.tool_memo import NO_TOOLS, ToolMemo, settle_remembered

_TABLES = Tables(drops=DROPS, elisions=ELISIONS, own_walk=frozenset({"input", "tools", "requesty"}))
_BODY = plans(BODY_FIELDS, _TABLES)
_REQUESTY = Requesty(_TABLES)


def _canonical(
    body: dict[str, Any], model: str, options: KeyOptions, seen_tools: ToolMemo | None
) -> Canonical:
    provider = _provider(body, model)
    gone, notes = settle_members(body, _BODY[options.identity_fields], provider, 2)
    said = settle_input(body, provider)
    tools = settle_remembered(settle_tools, body, seen_tools) if body.get("tools") else NO_TOOLS
    call = read_call(body, model, said, tools)
    for name in gone:
        del body[name]
    if body.get("text") is not None:
        notes += _settle_text(body, provider)
    notes += _REQUESTY.settle(body, options)
    return Canonical(call, write_canonical(body), (*notes, *said.dropped))


def _provider(body: dict[str, Any], model: str) -> str:
    """The model id where it alone says what is left unsaid; empty beside fallbacks or a template."""
    return "" if body.get("prompt") is not None else provider_of(body, model)


def _settle_text(body: dict[str, Any], provider: str) -> list[str]:
    """Leave out the default format, then the object if that was all. Gives the table rows applied."""
    notes: list[str] = []
    text: dict[str, Any] = body["text"]
    if says_nothing(TEXT_FORMAT, text.get("format"), body, provider):
        del text["format"]
        notes.append(TEXT_FORMAT.note)
    if says_nothing(EMPTY_TEXT, text, body, provider):
        del body["text"]
        notes.append(EMPTY_TEXT.note)
    return notes


canonical_responses = json_dialect(_canonical)
"""Canonicalises a body of the Responses API."""
