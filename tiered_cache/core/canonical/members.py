"""What the tables say of the members of an object: types checked, numbers settled, the silent left out."""

from types import NoneType
from typing import Any

from msgspec import Struct

from tiered_cache.core.canonical.form import KeyOptions, UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle_member, settle_number
from tiered_cache.core.canonical.tables import Drop, Elision, Field, Rows


class Plan(Struct, frozen=True):
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


def make_plans(rows: Rows, own_walk: frozenset[str], prefix: str = "") -> dict[str, dict[str, Plan]]:
    """The plans of an object's members, for each way to treat identity fields.

    Args:
        rows: the tables.
        own_walk: names of members that their dialect settles by itself.
        prefix: path of the object with its dot; empty for the body.
    """
    every = (KeyOptions(identity_fields="drop"), KeyOptions(identity_fields="key"))
    return {
        options.identity_fields: {
            field.name: _plan(field, prefix + field.name, rows, options, own_walk) for field in rows.fields
        }
        for options in every
    }


def _plan(field: Field, path: str, rows: Rows, options: KeyOptions, own_walk: frozenset[str]) -> Plan:
    kinds_dropped = {"transport", "identity"} if options.identity_fields == "drop" else {"transport"}
    elision = next((row for row in rows.elisions if row.path == path), None)
    walked = frozenset[type]() if path in own_walk else frozenset({dict, list})
    return Plan(
        plain=frozenset() if elision is not None else field.kinds - walked - {int, float},
        kinds=field.kinds,
        null=field.null,
        numeric=int in field.kinds,
        walked=not field.kinds.isdisjoint(walked),
        exact=field.exact,
        drop=next((drop.note for drop in rows.drops if _applies(drop, path, kinds_dropped)), None),
        elision=elision,
    )


def _applies(drop: Drop, path: str, kinds_dropped: set[str]) -> bool:
    return drop.path == path and drop.kind in kinds_dropped


def read_model(body: dict[str, Any]) -> str:
    """The model as the caller wrote it, empty where there is none.

    Raises:
        UnsafeBodyError: `field-type`.
    """
    model = body.get("model")
    if model is None:
        return ""
    if type(model) is not str:
        raise UnsafeBodyError("field-type")
    return model


def settle_members(
    members: dict[str, Any], plans: dict[str, Plan], provider: str, depth: int
) -> tuple[list[str], list[str]]:
    """Check and settle every member in place.

    Args:
        members: the object.
        plans: by the names of the known members; every other one is settled as it stands.
        provider: the model id where it alone decides who answers; elisions go by its prefix.
        depth: level of the members' own values.

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
        note = plan.drop if type(value) in plan.plain else _settle_known(members, name, plan, provider, depth)
        if note is not None:
            gone.append(name)
            notes.append(note)
    return gone, notes


def _settle_known(members: dict[str, Any], name: str, plan: Plan, provider: str, depth: int) -> str | None:
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
    if plan.elision is not None and says_nothing(plan.elision, value, members, provider):
        return plan.elision.note
    return plan.drop


def says_nothing(row: Elision, value: Any, body: dict[str, Any], provider: str) -> bool:
    """Whether `value` is the default of `row`, documented for this provider. True is not 1."""
    return (
        type(value) is type(row.value)
        and value == row.value
        and (not row.prefixes or provider.startswith(row.prefixes))
        and (not row.with_tools or bool(body.get("tools")))
    )
