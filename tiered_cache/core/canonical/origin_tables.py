"""By what a call of a generating dialect lets the origin search the web, or use what it keeps elsewhere."""

from typing import Final

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
