"""What every dialect shares: the router's own object, who searches the web, where state is kept elsewhere."""

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

SEARCH_TOOL_PREFIXES: Final = ("web_search", "google_search")
"""Tool types, or names of untyped tools, by which the origin searches the web: short-lived. Every other type
is executed by the origin and bypasses."""

SEARCH_FIELDS: Final = ("web_search_options", "search_parameters", "enable_search", "plugins")
"""Top-level fields that let the origin search; any value but null and false counts."""

SEARCH_MODELS: Final = (
    "-search-preview",
    "-search-api",
    "deep-research",
    "perplexity/",
    "sonar",
    ":online",
    "compound",
)
"""Parts of model ids, lower case, that search by themselves. Too long a table only shortens lifetimes."""

STATE_FIELDS: Final = {
    "previous_response_id": "side-effect",
    "conversation": "side-effect",
    "container": "side-effect",
    "mcp_servers": "origin-tool",
}
"""Fields of sibling dialects that routers pass through: the answer depends on or changes state elsewhere."""
