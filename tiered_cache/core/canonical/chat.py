"""The chat/completions dialect: a body in, its canonical bytes and its facts out."""

from typing import Any

from tiered_cache.core.canonical.chat_facts import read_call
from tiered_cache.core.canonical.chat_messages import settle_messages
from tiered_cache.core.canonical.chat_tables import BODY_FIELDS, DROPS, ELISIONS
from tiered_cache.core.canonical.chat_tools import settle_tools
from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.canonical.members import make_plans, read_model, settle_members
from tiered_cache.core.canonical.reading import read_object
from tiered_cache.core.canonical.requesty import settle_requesty
from tiered_cache.core.canonical.tables import Rows
from tiered_cache.core.canonical.tools import ToolMemo, settle_member_tools

_PLANS = make_plans(Rows(BODY_FIELDS, DROPS, ELISIONS), frozenset({"messages", "tools", "requesty"}))


def canonical_chat(raw: bytes, options: KeyOptions, seen_tools: ToolMemo | None) -> Canonical:
    """Canonicalise a chat/completions body.

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
    messages = body.get("messages")
    if messages is None:
        raise UnsafeBodyError("field-type")
    message_facts = settle_messages(messages, provider)
    tool_facts = settle_member_tools(body, settle_tools, seen_tools)
    if "stop" in body:
        _settle_stop(body)
    call = read_call(body, model, message_facts, tool_facts)
    for name in gone:
        del body[name]
    if body.get("requesty") is not None:
        notes += settle_requesty(body, options)
    dropped = (*notes, *message_facts.dropped, *tool_facts.dropped)
    return Canonical(call, write_canonical(body), dropped)


def _provider(body: dict[str, Any], model: str) -> str:
    """The model id where it alone decides who answers; empty beside a list of fallbacks."""
    return "" if "models" in body else model


def _settle_stop(body: dict[str, Any]) -> None:
    """A single stop text is a list of one."""
    stop = body.get("stop")
    if type(stop) is str:
        body["stop"] = [stop]
    elif stop is not None and any(type(text) is not str for text in stop):
        raise UnsafeBodyError("field-type")
