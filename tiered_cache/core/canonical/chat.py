"""The chat/completions dialect: a body in, its canonical bytes and its facts out."""

from types import NoneType
from typing import Any

from msgspec import Struct

from tiered_cache.core.canonical.chat_facts import read_call
from tiered_cache.core.canonical.chat_messages import settle_messages
from tiered_cache.core.canonical.chat_tables import (
    BODY_FIELDS,
    DROPS,
    ELISIONS,
    REQUESTY_FIELDS,
)
from tiered_cache.core.canonical.chat_tools import NO_TOOLS, ToolFacts, ToolMemo, settle_tools
from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle_member, settle_number, write_canonical
from tiered_cache.core.canonical.reading import read_object
from tiered_cache.core.canonical.tables import Elision, Field

_OWN_WALK = frozenset({"messages", "tools", "requesty"})


class _Plan(Struct, frozen=True):
    """All that the tables say about one member, looked up once per member.

    Attributes:
        plain: kinds of value that need no more than `drop`: no walk, no number, no default.
    """

    plain: frozenset[type]
    kinds: frozenset[type]
    null: str
    numeric: bool
    walked: bool
    exact: bool
    drop: str | None
    elision: Elision | None


def _plan(field: Field, prefix: str, options: KeyOptions) -> _Plan:
    path = prefix + field.name
    kinds_dropped = {"transport", "identity"} if options.identity_fields == "drop" else {"transport"}
    elision = next((row for row in ELISIONS if row.path == path), None)
    walked = frozenset[type]() if path in _OWN_WALK else frozenset({dict, list})
    return _Plan(
        plain=frozenset() if elision is not None else field.kinds - walked - {int, float},
        kinds=field.kinds,
        null=field.null,
        numeric=int in field.kinds,
        walked=not field.kinds.isdisjoint(walked),
        exact=field.exact,
        drop=next((drop.note for drop in DROPS if drop.path == path and drop.kind in kinds_dropped), None),
        elision=elision,
    )


def _plans(fields: tuple[Field, ...], prefix: str) -> dict[str, dict[str, _Plan]]:
    every = (KeyOptions(identity_fields="drop"), KeyOptions(identity_fields="key"))
    return {
        options.identity_fields: {field.name: _plan(field, prefix, options) for field in fields}
        for options in every
    }


_BODY = _plans(BODY_FIELDS, "")
_REQUESTY = _plans(REQUESTY_FIELDS, "requesty.")


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
    model = body.get("model")
    if model is None:
        model = ""
    elif type(model) is not str:
        raise UnsafeBodyError("field-type")
    try:
        return _canonical(body, model, options, seen_tools)
    except UnsafeBodyError as error:
        error.model = model
        raise


def _canonical(
    body: dict[str, Any], model: str, options: KeyOptions, seen_tools: ToolMemo | None
) -> Canonical:
    gone, notes = _settle_members(body, _BODY[options.identity_fields], model, 2)
    messages = body.get("messages")
    if messages is None:
        raise UnsafeBodyError("field-type")
    message_facts = settle_messages(messages, _provider(body, model))
    tool_facts = _settle_tools(body, seen_tools) if body.get("tools") else NO_TOOLS
    if "stop" in body:
        _settle_stop(body)
    call = read_call(body, model, message_facts, tool_facts)
    for name in gone:
        del body[name]
    if body.get("requesty") is not None:
        notes += _settle_requesty(body, body["requesty"], options)
    dropped = (*notes, *message_facts.dropped, *tool_facts.dropped)
    return Canonical(call, write_canonical(body), dropped)


def _settle_tools(body: dict[str, Any], seen_tools: ToolMemo | None) -> ToolFacts:
    if seen_tools is None:
        return settle_tools(body["tools"])
    settled = seen_tools.settled(body["tools"])
    body["tools"] = settled.text
    return settled.facts


def _settle_members(
    members: dict[str, Any], plans: dict[str, _Plan], model: str, depth: int
) -> tuple[list[str], list[str]]:
    """Check and settle every member in place.

    Returns:
        the names to leave out of the canonical form, and the table rows that say so.
    """
    gone: list[str] = []
    notes: list[str] = []
    for name, value in members.items():
        plan = plans.get(name)
        if plan is None:
            if type(value) is not str:
                settle_member(members, name, depth, exact=False)
            continue
        note = plan.drop if type(value) in plan.plain else _settle_known(members, name, plan, model, depth)
        if note is not None:
            gone.append(name)
            notes.append(note)
    return gone, notes


def _settle_known(members: dict[str, Any], name: str, plan: _Plan, model: str, depth: int) -> str | None:
    """Settle one known member; the note of the row that leaves it out, or None."""
    value: Any = members[name]
    kind = kind_of(value)
    if kind is NoneType and plan.null != "refused":
        return plan.drop or (f"{name}: null is absent" if plan.null == "absent" else None)
    if plan.numeric and (kind is int or kind is float):
        value = members[name] = settle_number(value, exact=False)
        kind = kind_of(value)
    if kind not in plan.kinds:
        raise UnsafeBodyError("field-type")
    if plan.walked:
        settle_member(members, name, depth, exact=plan.exact)
    if plan.elision is not None and _says_nothing(plan.elision, value, members, model):
        return plan.elision.note
    return plan.drop


def _says_nothing(row: Elision, value: Any, body: dict[str, Any], model: str) -> bool:
    """Whether `value` is the default of `row`, documented for this model. True is not 1."""
    return (
        type(value) is type(row.value)
        and value == row.value
        and (not row.prefixes or _provider(body, model).startswith(row.prefixes))
        and (not row.with_tools or bool(body.get("tools")))
    )


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


def _settle_requesty(body: dict[str, Any], requesty: dict[str, Any], options: KeyOptions) -> list[str]:
    """The router's own object; where nothing of it can change the answer it is as good as absent."""
    gone, notes = _settle_members(requesty, _REQUESTY[options.identity_fields], "", 3)
    for name in gone:
        del requesty[name]
    row = _BODY[options.identity_fields]["requesty"].elision
    if row is not None and _says_nothing(row, requesty, body, ""):
        del body["requesty"]
        notes.append(row.note)
    return notes
