"""The members of a body or of an object in it: checked, settled and left out by the tables of a dialect."""

from collections.abc import Callable
from types import NoneType
from typing import Any, TypeAlias

from msgspec import Struct

from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle_member, settle_number
from tiered_cache.core.canonical.reading import has_more_values, read_object
from tiered_cache.core.canonical.router_tables import REQUESTY_EMPTY, REQUESTY_FIELDS
from tiered_cache.core.canonical.tables import Elision, Field, Tables, leaves_out
from tiered_cache.core.canonical.tool_memo import ToolMemo

Settle: TypeAlias = Callable[[dict[str, Any], str, KeyOptions, ToolMemo | None], Canonical]
"""Brings a decoded body, in place, into the canonical form of its dialect; the text is the model it names."""

Dialect: TypeAlias = Callable[[bytes, KeyOptions, ToolMemo | None], Canonical]
"""A body in, its canonical form out; the memory for tool lists changes the cost alone. Raises RequestError
where no JSON parser reads it and UnsafeBodyError where it is not keyed."""


def json_dialect(settle: Settle) -> Dialect:
    """The dialect of bodies that are JSON objects."""

    def canonical(raw: bytes, options: KeyOptions, seen_tools: ToolMemo | None) -> Canonical:
        body = read_body(raw, options)
        if options.default_model and _leaves_model_open(body):
            body["model"] = options.default_model
        model = body.get("model")
        if model is None:
            model = ""
        elif type(model) is not str:
            raise UnsafeBodyError("field-type")
        try:
            return settle(body, model, options, seen_tools)
        except UnsafeBodyError as error:
            error.model = model
            raise

    return canonical


def read_body(raw: bytes, options: KeyOptions) -> dict[str, Any]:
    """The object in `raw`, as `read_object` gives it, unless it holds more values than are parsed.

    Raises:
        RequestError: `raw` is empty, or no JSON parser reads it.
        UnsafeBodyError: it is not keyed.
    """
    if has_more_values(raw, options.max_values):
        raise UnsafeBodyError("too-many-values")
    return read_object(raw)


def _leaves_model_open(body: dict[str, Any]) -> bool:
    """Whether nothing in a body says who is to answer: no model, no list of them, no template with one."""
    return "model" not in body and "models" not in body and kind_of(body.get("prompt")) is not dict


class Plan(Struct, frozen=True):
    """All that the tables say about one member, looked up once per member.

    Attributes:
        plain: kinds of value that need no more than `drop`: no walk, no number, no default.
        numeric_only: a float needs no more than its one spelling.
    """

    plain: frozenset[type]
    kinds: frozenset[type]
    null: str
    numeric: bool
    walked: bool
    exact: bool
    drop: str | None
    elision: Elision | None
    numeric_only: bool


def plans(fields: tuple[Field, ...], tables: Tables, prefix: str = "") -> dict[str, dict[str, Plan]]:
    """What `tables` say about each of `fields`, by what `KeyOptions.identity_fields` may be.

    Args:
        fields: the known members of one object.
        tables: of the dialect.
        prefix: path of that object with its dot; empty for the body.
    """
    return {
        identity: {field.name: _plan(field, tables, prefix, identity) for field in fields}
        for identity in ("drop", "key", "sticky")
    }


def _plan(field: Field, tables: Tables, prefix: str, identity: str) -> Plan:
    path = prefix + field.name
    elision = next((row for row in tables.elisions if row.path == path), None)
    walked = frozenset[type]() if path in tables.own_walk else frozenset({dict, list})
    rows = (row.note for row in tables.drops if row.path == path and leaves_out(row, identity))
    drop = next(rows, None)
    return Plan(
        plain=frozenset() if elision is not None else field.kinds - walked - {int, float},
        kinds=field.kinds,
        null=field.null,
        numeric=int in field.kinds,
        walked=not field.kinds.isdisjoint(walked),
        exact=field.exact,
        drop=drop,
        elision=elision,
        numeric_only=float in field.kinds and drop is None and elision is None,
    )


def settle_members(
    members: dict[str, Any], plans: dict[str, Plan], model: str, depth: int
) -> tuple[list[str], list[str]]:
    """Check and settle every member in place.

    Args:
        members: the body, or an object in it.
        plans: of its dialect, under the operator's choice.
        model: the model id, for defaults that only some providers document.
        depth: the level of the members' own values; the body is on level 1.

    Returns:
        the names to leave out of the canonical form, and the table rows that say so.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    gone: list[str] = []
    notes: list[str] = []
    for name, value in members.items():
        plan = plans.get(name)
        if plan is None:
            if type(value) is not str:
                settle_member(members, name, depth, exact=False)
            continue
        if type(value) in plan.plain:
            note = plan.drop
        elif type(value) is float and plan.numeric_only:
            members[name] = settle_number(value, exact=False)
            continue
        else:
            note = _settle_known(members, name, plan, model, depth)
        if note is not None:
            gone.append(name)
            notes.append(note)
    return gone, notes


def _settle_known(members: dict[str, Any], name: str, plan: Plan, model: str, depth: int) -> str | None:
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
    if plan.elision is not None and says_nothing(plan.elision, value, members, model):
        return plan.elision.note
    return plan.drop


def says_nothing(row: Elision, value: Any, body: dict[str, Any], model: str) -> bool:
    """Whether `value` is the default of `row`, documented for this model. True is not 1."""
    return (
        type(value) is type(row.value)
        and value == row.value
        and (not row.prefixes or provider_of(body, model).startswith(row.prefixes))
        and (not row.with_tools or bool(body.get("tools")))
    )


def provider_of(body: dict[str, Any], model: str) -> str:
    """The model id where it alone decides who answers; empty beside a list of fallbacks."""
    return "" if "models" in body else model


def settle_stop(body: dict[str, Any]) -> None:
    """A single stop text is a list of one. Raises UnsafeBodyError `field-type`."""
    stop = body.get("stop")
    if type(stop) is str:
        body["stop"] = [stop]
    elif stop is not None and any(type(text) is not str for text in stop):
        raise UnsafeBodyError("field-type")


class Requesty:
    """The router's own object; where nothing of it can change the answer it is as good as absent.

    Args:
        tables: of the dialect.
    """

    __slots__ = ("_plans",)

    def __init__(self, tables: Tables) -> None:
        self._plans = plans(REQUESTY_FIELDS, tables, "requesty.")

    def settle(self, body: dict[str, Any], options: KeyOptions) -> list[str]:
        """Settle `body["requesty"]`, if there is one; the notes of the rows applied.

        Raises:
            UnsafeBodyError: `field-type`, `nesting` or `number`.
        """
        requesty = body.get("requesty")
        if requesty is None:
            return []
        gone, notes = settle_members(requesty, self._plans[options.identity_fields], "", 3)
        for name in gone:
            del requesty[name]
        if says_nothing(REQUESTY_EMPTY, requesty, body, ""):
            del body["requesty"]
            notes.append(REQUESTY_EMPTY.note)
        return notes
