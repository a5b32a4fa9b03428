"""The Anthropic messages dialect as tables: known fields, drops, elided defaults, who executes which tool."""

from typing import Final

from tiered_cache.core.canonical.origin_tables import STATE_FIELDS
from tiered_cache.core.canonical.router_tables import PROMPT_CACHING, REQUESTY_DROPS
from tiered_cache.core.canonical.tables import (
    ARRAY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_ARRAY,
    TEXT_OR_OBJECT,
    Drop,
    Elision,
    Field,
)

_API = "Anthropic API reference, Create a message"
_CHOICE = "Anthropic cookbook, Tool choice"

BODY_FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("messages", ARRAY),
    Field("models", ARRAY, null="value"),
    Field("system", TEXT_OR_ARRAY, null="value"),
    Field("max_tokens", INTEGER, null="value"),
    Field("temperature", NUMBER, null="value"),
    Field("top_p", NUMBER, null="value"),
    Field("top_k", INTEGER, null="value"),
    Field("stop_sequences", ARRAY, null="value"),
    Field("tools", ARRAY, null="value", exact=True),
    Field("tool_choice", OBJECT, null="value"),
    Field("thinking", OBJECT, null="value"),
    Field("output_config", OBJECT, null="value", exact=True),
    Field("output_format", OBJECT, null="value", exact=True),
    Field("context_management", OBJECT, null="value"),
    Field("mcp_servers", ARRAY, null="value"),
    Field("container", TEXT_OR_OBJECT, null="absent"),
    Field("thread", OBJECT, null="absent"),
    Field("inference_geo", TEXT, null="absent"),
    Field("speed", TEXT, null="absent"),
    Field("stream", BOOLEAN, null="value"),
    Field("service_tier", TEXT, null="value"),
    Field("metadata", OBJECT, null="value"),
    Field("requesty", OBJECT, null="value"),
)
"""Top-level fields with a type of their own. `null="absent"` where Anthropic's schema has the field as
nullable. Every field that is not here is keyed as it stands."""

KEYED_AS_IS: Final = frozenset({"billing_policy", "cache_control", "compaction", "diagnostics"}) | {
    *("fallback_credit_token", "fallbacks"),
}
"""Fields of the SDK that are in the key as they stand, whatever they are; a test holds this list and the
table above against the SDK's own."""

DROPS: Final = (
    Drop("stream", "transport", f"{_API}: incremental delivery of the same response"),
    Drop("service_tier", "transport", f"{_API}: priority or standard capacity"),
    Drop("system[].cache_control", "transport", PROMPT_CACHING),
    Drop("messages[].content[].cache_control", "transport", PROMPT_CACHING),
    Drop("messages[].content[].content[].cache_control", "transport", PROMPT_CACHING),
    Drop("tools[].cache_control", "transport", PROMPT_CACHING),
    Drop("metadata", "identity", f"{_API}: an identifier of the user, to detect abuse"),
    *REQUESTY_DROPS,
)

ELISIONS: Final = (
    Elision(
        "tool_choice",
        {"type": "auto"},
        f"{_CHOICE}: the default behaviour when working with tools",
        with_tools=True,
    ),
)
"""At the top level. What a `system`, a message's or a tool result's `content` says as one text block without
more members, it says as that text."""

CUSTOM: Final = "custom"
"""The type of a tool that the caller defines; null or no type says the same (Anthropic API reference)."""

CLIENT_TOOLS: Final = frozenset(
    {
        *("bash_20241022", "bash_20250124"),
        *("text_editor_20241022", "text_editor_20250124", "text_editor_20250429", "text_editor_20250728"),
        *("computer_20241022", "computer_20250124", "computer_20251124"),
        *("computer_toolset_20260801", "browser_toolset_20260801"),
    }
)
"""Types that Anthropic defines and the caller executes (Anthropic guide, Tool reference). Exact names: a new
version is not known to be the caller's."""

ORIGIN_TOOLS: Final = (
    "code_execution_",
    "web_fetch_",
    "memory_",
    "tool_search_tool_",
    "mcp_toolset",
    "advisor_",
)
"""Beginnings of types that the origin executes, or whose answer depends on what is kept elsewhere. They
bypass, as every type does that is in no table; they are listed so that a test can tell what the SDK adds."""

SEARCH_TOOLS: Final = "web_search_"
"""Beginning of the types by which the origin searches the web: short-lived."""

FETCHED_BLOCKS: Final = frozenset({"document", "image"})
"""Block types whose `source` may be a URL that the origin fetches."""

QUIET_BLOCKS: Final = frozenset(
    {
        *("text", "thinking", "redacted_thinking", "search_result"),
        *("tool_use", "tool_result", "server_tool_use", "web_search_tool_result"),
    }
)
"""Block types in which a URL is only quoted. In blocks of other types any URL may be fetched."""

MESSAGES_STATE_FIELDS: Final = {**STATE_FIELDS, "thread": "side-effect"}
"""Fields by which the answer depends on or changes state at the origin, each with its reason word."""
