"""What every dialect shares: the router's own object."""

from typing import Final

from tiered_cache.core.canonical.tables import ARRAY, BOOLEAN, OBJECT, TEXT, Drop, Elision, Field

PROMPT_CACHING: Final = "Anthropic guide, Prompt caching: no effect on output"
_REQUESTY = "Requesty docs, request metadata: analytics only"

REQUESTY_FIELDS: Final = (
    Field("auto_cache", BOOLEAN, null="value"),
    Field("user_id", TEXT, null="value"),
    Field("trace_id", TEXT, null="value"),
    Field("tags", ARRAY, null="value"),
    Field("extra", OBJECT, null="value"),
)

REQUESTY_DROPS: Final = (
    Drop("requesty.auto_cache", "transport", "Requesty docs, Auto caching: provider prompt caching only"),
    Drop("requesty.user_id", "identity", _REQUESTY),
    Drop("requesty.trace_id", "identity", _REQUESTY),
    Drop("requesty.tags", "identity", _REQUESTY),
    Drop("requesty.extra", "identity", _REQUESTY),
)

REQUESTY_EMPTY: Final = Elision(
    "requesty", {}, f"{_REQUESTY}; an object without more than these says nothing"
)
"""After the drops of the object's own members."""
