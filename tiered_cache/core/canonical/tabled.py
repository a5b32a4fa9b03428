"""The dialects of which tables say all but the facts: bodies of members, without messages and tools."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tiered_cache.core.canonical.form import Canonical, KeyOptions
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.canonical.members import Dialect, Requesty, json_dialect, plans, settle_members
from tiered_cache.core.canonical.tables import Drop, Elision, Field, Tables
from tiered_cache.core.canonical.tool_memo import ToolMemo
from tiered_cache.core.vocabulary import Call


class Tabled(Struct, frozen=True, kw_only=True):
    """One such dialect.

    Attributes:
        fields: known members; all others are keyed as they stand.
        drops, elisions: what is left out.
        read: the facts of a body whose known members have their types, before anything is left out; may put
            a member into its one spelling. Raises UnsafeBodyError `field-type`.
    """

    fields: tuple[Field, ...]
    drops: tuple[Drop, ...]
    elisions: tuple[Elision, ...]
    read: Callable[[dict[str, Any], str], Call]


def tabled_dialect(tabled: Tabled) -> Dialect:
    """The dialect that `tabled` describes."""
    tables = Tables(drops=tabled.drops, elisions=tabled.elisions, own_walk=frozenset({"requesty"}))
    body_plans, requesty = plans(tabled.fields, tables), Requesty(tables)

    def settle(body: dict[str, Any], model: str, options: KeyOptions, _tools: ToolMemo | None) -> Canonical:
        gone, notes = settle_members(body, body_plans[options.identity_fields], model, 2)
        call = tabled.read(body, model)
        for name in gone:
            del body[name]
        notes += requesty.settle(body, options)
        return Canonical(call, write_canonical(body), tuple(notes))

    return json_dialect(settle)
