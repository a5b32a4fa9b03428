"""Requesty's own object in a body of any dialect: who asks, which must not change what is answered."""

from typing import Any, Final

from tiered_cache.core.canonical.form import KeyOptions
from tiered_cache.core.canonical.members import make_plans, says_nothing, settle_members
from tiered_cache.core.canonical.tables import ARRAY, BOOLEAN, OBJECT, TEXT, Drop, Elision, Field, Rows

_METADATA = "Requesty docs, request metadata: analytics only"

FIELD: Final = Field("requesty", OBJECT, null="value")
"""The object itself, among the fields of a body."""

DROPS: Final = (
    Drop("requesty.auto_cache", "transport", "Requesty docs, Auto caching: provider prompt caching only"),
    Drop("requesty.user_id", "identity", _METADATA),
    Drop("requesty.trace_id", "identity", _METADATA),
    Drop("requesty.tags", "identity", _METADATA),
    Drop("requesty.extra", "identity", _METADATA),
)

ELISION: Final = Elision("requesty", {}, f"{_METADATA}; an object without more than these says nothing")
"""After the object's own drops."""

FIELDS: Final = (
    Field("auto_cache", BOOLEAN, null="value"),
    Field("user_id", TEXT, null="value"),
    Field("trace_id", TEXT, null="value"),
    Field("tags", ARRAY, null="value"),
    Field("extra", OBJECT, null="value"),
)
_PLANS = make_plans(Rows(FIELDS, DROPS), frozenset(), "requesty.")


def settle_requesty(body: dict[str, Any], options: KeyOptions) -> list[str]:
    """Settle `body["requesty"]`, an object; where nothing of it can change the answer it goes.

    Returns:
        the table rows applied.

    Raises:
        UnsafeBodyError: `field-type`, `nesting` or `number`.
    """
    requesty: dict[str, Any] = body["requesty"]
    gone, notes = settle_members(requesty, _PLANS[options.identity_fields], "", 3)
    for name in gone:
        del requesty[name]
    if says_nothing(ELISION, requesty, body, ""):
        del body["requesty"]
        notes.append(ELISION.note)
    return notes
