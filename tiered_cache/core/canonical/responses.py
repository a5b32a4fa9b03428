"""The Responses dialect: a body in, its canonical bytes and its facts out."""

from typing import Any

from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.canonical.members import make_plans, read_model, says_nothing, settle_members
from tiered_cache.core.canonical.reading import read_object
from tiered_cache.core.canonical.requesty import settle_requesty
from tiered_cache.core.canonical.responses_facts import read_call
from tiered_cache.core.canonical.responses_input import settle_input
from tiered_cache.core.canonical.responses_tables import BODY_FIELDS, DROPS, ELISIONS, EMPTY_TEXT, TEXT_FORMAT
from tiered_cache.core.canonical.responses_tools import settle_tools
from tiered_cache.core.canonical.tables import Rows
from tiered_cache.core.canonical.tools import ToolMemo, settle_member_tools

_PLANS = make_plans(Rows(BODY_FIELDS, DROPS, ELISIONS), frozenset({"input", "tools", "requesty"}))


def canonical_responses(raw: bytes, options: KeyOptions, seen_tools: ToolMemo | None) -> Canonical:
    """Canonicalise a body of the Responses API.

    Args:
        raw: the body.
        options: what the operator chose.
        seen_tools: where tool lists are remembered, or None; it changes the cost alone.

    Raises:
        RequestError: no JSON parser reads it.
        UnsafeBodyError: it is not keyed; the reason word tells why.
    """
    body = read_object(raw)
    model = read_model(body)
    try:
        return _canonical(body, model, options, seen_tools)
    except UnsafeBodyError as error:
        error.model = model
        raise


def _canonical(
    body: dict[str, Any], model: str, options: KeyOptions, seen_tools: ToolMemo | None
) -> Canonical:
    provider = _provider(body, model)
    gone, notes = settle_members(body, _PLANS[options.identity_fields], provider, 2)
    said = settle_input(body, provider)
    tools = settle_member_tools(body, settle_tools, seen_tools)
    call = read_call(body, model, said, tools)
    for name in gone:
        del body[name]
    if body.get("text") is not None:
        notes += _settle_text(body, provider)
    if body.get("requesty") is not None:
        notes += settle_requesty(body, options)
    return Canonical(call, write_canonical(body), (*notes, *said.dropped))


def _provider(body: dict[str, Any], model: str) -> str:
    """The model id where it alone says what is left unsaid; empty beside fallbacks or a template."""
    return "" if "models" in body or body.get("prompt") is not None else model


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
