"""The chat/completions dialect as tables: known fields, drops, elided defaults, tools, searching models."""

from typing import Final

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

_OPENAI = "OpenAI API reference, Create chat completion"
_CACHING = "OpenAI guide, Prompt caching: lowers cost and latency, leaves the answer alone"

BODY_FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("messages", ARRAY),
    Field("models", ARRAY, null="value"),
    Field("tools", ARRAY, null="value", exact=True),
    Field("tool_choice", TEXT_OR_OBJECT, null="value"),
    Field("functions", ARRAY, null="value", exact=True),
    Field("function_call", TEXT_OR_OBJECT, null="value"),
    Field("response_format", OBJECT, null="value", exact=True),
    Field("guided_json", TEXT_OR_OBJECT, null="value", exact=True),
    Field("structured_outputs", OBJECT, null="value", exact=True),
    Field("stop", TEXT_OR_ARRAY, null="absent"),
    Field("temperature", NUMBER, null="absent"),
    Field("top_p", NUMBER, null="absent"),
    Field("top_k", INTEGER, null="value"),
    Field("seed", INTEGER, null="absent"),
    Field("n", INTEGER, null="absent"),
    Field("max_tokens", INTEGER, null="absent"),
    Field("max_completion_tokens", INTEGER, null="absent"),
    Field("frequency_penalty", NUMBER, null="absent"),
    Field("presence_penalty", NUMBER, null="absent"),
    Field("logit_bias", OBJECT, null="absent"),
    Field("logprobs", BOOLEAN, null="absent"),
    Field("top_logprobs", INTEGER, null="absent"),
    Field("modalities", ARRAY, null="absent"),
    Field("audio", OBJECT, null="absent"),
    Field("prediction", OBJECT, null="absent"),
    Field("reasoning_effort", TEXT, null="absent"),
    Field("verbosity", TEXT, null="absent"),
    Field("parallel_tool_calls", BOOLEAN, null="value"),
    Field("web_search_options", OBJECT, null="value"),
    Field("store", BOOLEAN, null="value"),
    Field("stream", BOOLEAN, null="absent"),
    Field("stream_options", OBJECT, null="absent"),
    Field("service_tier", TEXT, null="absent"),
    Field("prompt_cache_key", TEXT, null="absent"),
    Field("prompt_cache_options", OBJECT, null="absent"),
    Field("prompt_cache_retention", TEXT, null="absent"),
    Field("user", TEXT, null="value"),
    Field("safety_identifier", TEXT, null="absent"),
    Field("metadata", OBJECT, null="absent"),
    Field("requesty", OBJECT, null="value"),
)
"""Top-level fields with a type of their own. `null="absent"` where OpenAI documents the field as nullable,
never for tool_choice and store. Every field that is not here is keyed as it stands."""

MESSAGE_FIELDS: Final = (
    Field("role", TEXT),
    Field("content", TEXT_OR_ARRAY, null="value"),
    Field("name", TEXT, null="value"),
    Field("tool_call_id", TEXT, null="value"),
    Field("refusal", TEXT, null="value"),
    Field("reasoning_content", TEXT, null="value"),
    Field("reasoning_signature", TEXT, null="value"),
    Field("tool_calls", ARRAY, null="value", exact=True),
    Field("function_call", OBJECT, null="value", exact=True),
    Field("audio", OBJECT, null="value"),
)
"""Known members of a message; all others are keyed as they stand."""

DROPS: Final = (
    Drop("stream", "transport", f"{_OPENAI}: how the answer is delivered"),
    Drop("stream_options", "transport", f"{_OPENAI}: how the stream is framed"),
    Drop("service_tier", "transport", f"{_OPENAI}: processing tier, price and latency"),
    Drop("prompt_cache_key", "transport", _CACHING),
    Drop("prompt_cache_options", "transport", _CACHING),
    Drop("prompt_cache_retention", "transport", _CACHING),
    Drop("messages[].content[].cache_control", "transport", PROMPT_CACHING),
    Drop("tools[].cache_control", "transport", PROMPT_CACHING),
    Drop("user", "identity", f"{_OPENAI}: end-user identifier"),
    Drop("safety_identifier", "identity", f"{_OPENAI}: detects users who break usage policies"),
    Drop("metadata", "identity", f"{_OPENAI}: stored beside the object for queries"),
    *REQUESTY_DROPS,
)

_PENALTY_PREFIXES = ("openai/", "azure/", "anthropic/", "google/", "vertex/", "mistral/")
_OPENAI_PREFIXES = ("openai/", "azure/")

ELISIONS: Final = (
    Elision("n", 1, f"{_OPENAI}: defaults to 1"),
    Elision("logprobs", False, f"{_OPENAI}: defaults to false"),
    Elision("logit_bias", {}, f"{_OPENAI}: an empty map changes no logit"),
    Elision("store", False, f"{_OPENAI}: defaults to false"),
    Elision("response_format", {"type": "text"}, f"{_OPENAI}: default response format"),
    Elision("tool_choice", "auto", f"{_OPENAI}: the default if tools are present", with_tools=True),
    Elision("frequency_penalty", 0, f"{_OPENAI} and the named providers: 0", prefixes=_PENALTY_PREFIXES),
    Elision("presence_penalty", 0, f"{_OPENAI} and the named providers: 0", prefixes=_PENALTY_PREFIXES),
    Elision(
        "parallel_tool_calls",
        value=True,
        source=f"{_OPENAI}: defaults to true; others differ",
        prefixes=_OPENAI_PREFIXES,
        with_tools=True,
    ),
)
"""At the top level, `requesty` after its own drops. Policies, aliases, `models` lists and unknown prefixes
use the rows without prefixes."""

IMAGE_DETAIL: Final = Elision(
    "messages[].content[].image_url.detail",
    "auto",
    f"{_OPENAI}: defaults to auto",
    prefixes=_OPENAI_PREFIXES,
)

CLIENT_TOOLS: Final = frozenset({"function", "custom"})
"""Tool types that the caller executes; their answers are as cacheable as any."""

SEARCH_TOOL_PREFIXES: Final = ("web_search", "google_search")
"""Tool types, or names of untyped tools, by which the origin searches the web: short-lived. Every other type
is executed by the origin and bypasses."""
