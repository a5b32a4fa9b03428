"""The Responses dialect as tables: known fields, drops, elided defaults, and who executes which tool."""

from typing import Final

from tiered_cache.core.canonical.router_tables import REQUESTY_DROPS, REQUESTY_EMPTY
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
    ExecutedBy,
    Field,
)

_OPENAI = "OpenAI API reference, Create a model response"
_CACHING = "OpenAI guide, Prompt caching: lowers cost and latency, leaves the answer alone"

BODY_FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("input", TEXT_OR_ARRAY),
    Field("instructions", TEXT, null="absent"),
    Field("models", ARRAY, null="value"),
    Field("tools", ARRAY, null="value", exact=True),
    Field("tool_choice", TEXT_OR_OBJECT, null="value"),
    Field("text", OBJECT, null="value", exact=True),
    Field("reasoning", OBJECT, null="absent"),
    Field("include", ARRAY, null="absent"),
    Field("temperature", NUMBER, null="absent"),
    Field("top_p", NUMBER, null="absent"),
    Field("top_logprobs", INTEGER, null="absent"),
    Field("max_output_tokens", INTEGER, null="absent"),
    Field("max_tool_calls", INTEGER, null="absent"),
    Field("parallel_tool_calls", BOOLEAN, null="absent"),
    Field("truncation", TEXT, null="absent"),
    Field("context_management", ARRAY, null="absent"),
    Field("moderation", OBJECT, null="absent"),
    Field("prompt", OBJECT, null="absent"),
    Field("conversation", TEXT_OR_OBJECT, null="absent"),
    Field("previous_response_id", TEXT, null="absent"),
    Field("background", BOOLEAN, null="absent"),
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

KEYED_AS_THEY_STAND: Final = ("access_programs", "background_options", "image")
"""Documented fields without a row: nothing of them is checked, dropped or left out."""

DROPS: Final = (
    Drop("stream", "transport", f"{_OPENAI}: how the answer is delivered"),
    Drop("stream_options", "transport", f"{_OPENAI}: padding of the events of a stream"),
    Drop("service_tier", "transport", f"{_OPENAI}: processing tier, price and latency"),
    Drop("prompt_cache_key", "transport", _CACHING),
    Drop("prompt_cache_options", "transport", f"{_CACHING}; two of its members bypass"),
    Drop("prompt_cache_retention", "transport", _CACHING),
    Drop("user", "identity", f"{_OPENAI}: end-user identifier"),
    Drop("safety_identifier", "identity", f"{_OPENAI}: detects users who break usage policies"),
    Drop("metadata", "identity", f"{_OPENAI}: stored beside the object for queries"),
    *REQUESTY_DROPS,
)

_OPENAI_PREFIXES = ("openai/", "azure/")

ELISIONS: Final = (
    Elision(
        "parallel_tool_calls", value=True, source=f"{_OPENAI}: defaults to true", prefixes=_OPENAI_PREFIXES
    ),
    Elision("truncation", "disabled", f"{_OPENAI}: `disabled` (default)", prefixes=_OPENAI_PREFIXES),
    Elision(
        "tool_choice",
        "auto",
        "OpenAI guide, Function calling, Tool choice: auto is the default",
        prefixes=_OPENAI_PREFIXES,
        with_tools=True,
    ),
    REQUESTY_EMPTY,
)
"""At the top level. Beside `models` no row with prefixes applies, as another provider may answer; beside
`prompt` neither, as the template says what is left unsaid."""

TEXT_FORMAT: Final = Elision(
    "text.format",
    {"type": "text"},
    f'{_OPENAI}: the default format is {{"type": "text"}}',
    prefixes=_OPENAI_PREFIXES,
)
EMPTY_TEXT: Final = Elision("text", {}, f"{_OPENAI}: all its members are optional", prefixes=_OPENAI_PREFIXES)
"""After the row above."""

MESSAGE_TYPE: Final = Elision(
    "input[].type",
    "message",
    f"{_OPENAI}, input message: the type is optional and always `message`",
    prefixes=_OPENAI_PREFIXES,
)
"""Of items that have nothing else than a role and content."""

PROMPT_CACHE_STATE: Final = ("prewarm", "comparison_response_id")
"""Members of `prompt_cache_options` that do more than cache a prompt: nothing is generated, or the answer
tells of another response. Any value but null and false counts."""


_TOOLS = "OpenAI guide, "

TOOLS: Final = (
    ExecutedBy("function", "client", f"{_TOOLS}Function calling: your code runs the function"),
    ExecutedBy("custom", "client", f"{_TOOLS}Function calling, Custom tools: your code gets the input"),
    ExecutedBy("local_shell", "client", f"{_TOOLS}Local shell: you execute the commands"),
    ExecutedBy("apply_patch", "client", f"{_TOOLS}Apply patch: your integration applies the patch"),
    ExecutedBy("computer", "client", f"{_TOOLS}Computer use: your code executes the actions"),
    ExecutedBy("computer_use_preview", "client", f"{_TOOLS}Computer use: your code executes the actions"),
    ExecutedBy("web_search", "search", f"{_TOOLS}Web search: hosted, reads the web"),
    ExecutedBy("web_search_2025_08_26", "search", f"{_TOOLS}Web search: the same, dated"),
    ExecutedBy("web_search_preview", "search", f"{_TOOLS}Web search: the same, earlier"),
    ExecutedBy("web_search_preview_2025_03_11", "search", f"{_TOOLS}Web search: the same, earlier, dated"),
    ExecutedBy("mcp", "origin", f"{_TOOLS}MCP and connectors: the API calls the server"),
    ExecutedBy("code_interpreter", "origin", f"{_TOOLS}Code interpreter: runs in a hosted container"),
    ExecutedBy("file_search", "origin", f"{_TOOLS}File search: reads a hosted vector store"),
    ExecutedBy("image_generation", "origin", f"{_TOOLS}Image generation: hosted"),
    ExecutedBy("programmatic_tool_calling", "origin", f"{_TOOLS}Programmatic tool calling: runs programs"),
    ExecutedBy("shell", "origin", f"{_TOOLS}Shell: in a hosted container unless the environment is local"),
)
"""A `namespace` is what the tools in it are, `tool_search` is the client's where its `execution` says so.
Every other type is taken for the origin's."""

SEARCH_TOOL_PREFIX: Final = "web_search"
"""Types that begin so search, those that are not in the table yet among them."""

TOOL_ITEMS: Final = frozenset({"additional_tools", "tool_search_output"})
"""Items of the input that bring tools in."""

UNFETCHED: Final = frozenset({"text", "annotations", "logprobs", "action", "results", "summary", "tools"})
"""Members of items and parts in which a URL is only read, not fetched."""
