"""What a checked chat body says about itself: the facts that policy and rendering need."""

from typing import Any

from tiered_cache.core.canonical.chat_messages import MessageFacts
from tiered_cache.core.canonical.facts import (
    bypass_of,
    bypass_told,
    choices_of,
    determinism_of,
    fallbacks_of,
    field_searches,
    has_tools,
    model_searches,
    wants_json,
    wants_usage,
)
from tiered_cache.core.canonical.origin_tables import SEARCH_FIELDS, STATE_FIELDS
from tiered_cache.core.canonical.tool_memo import NO_TOOLS, PlainFacts, ToolFacts, ToolMemo
from tiered_cache.core.vocabulary import Call

ENDPOINT = "chat/completions"
_TELLING = {
    *SEARCH_FIELDS,
    *STATE_FIELDS,
    *("n", "models", "stream_options", "store", "functions"),
    *("response_format", "guided_json", "structured_outputs"),
}
"""Members without which the facts read from them have their defaults."""


def read_call(
    body: dict[str, Any], model: str, messages: MessageFacts, tools: ToolFacts, seen: ToolMemo | None
) -> Call:
    """The facts of a chat body whose known fields have their types, before anything is dropped from it.

    Args:
        body: the body.
        model: that it names.
        messages: what the walk over them found.
        tools: likewise.
        seen: where facts are remembered, or None; it changes the cost alone.

    Raises:
        UnsafeBodyError: `field-type`, for a member that only the facts read.
    """
    stream, tier = body.get("stream") is True, body.get("service_tier")
    if _TELLING.isdisjoint(body):  # most calls say nothing but model, temperature and stream
        determinism, remote_urls = determinism_of(body, 1), messages.remote_urls
        brings = tools is not NO_TOOLS
        told = (model, stream, tier, determinism, tools.web_search, tools.by_origin, remote_urls, brings)
        return _plain_call(told) if seen is None else seen.call(told, _plain_call)
    choices = choices_of(body)
    fallbacks = fallbacks_of(body)
    return Call(
        endpoint=ENDPOINT,
        model=model,
        stream=stream,
        include_usage=wants_usage(body),
        service_tier=tier,
        determinism=determinism_of(body, choices),
        choices=choices,
        json_output=wants_json(body),
        web_search=tools.web_search or model_searches(model) or field_searches(body, fallbacks),
        remote_urls=messages.remote_urls,
        bypass=bypass_of(model, by_origin=tools.by_origin) or bypass_told(body, STATE_FIELDS),
        fallback_models=fallbacks,
        tools=has_tools(body),
    )


def _plain_call(told: PlainFacts) -> Call:
    """The facts of a call that says nothing more."""
    model, stream, tier, determinism, searches, by_origin, remote_urls, brings = told
    return Call(
        endpoint=ENDPOINT,
        model=model,
        stream=stream,
        service_tier=tier,
        determinism=determinism,
        web_search=searches or model_searches(model),
        remote_urls=remote_urls,
        bypass=bypass_of(model, by_origin=by_origin),
        tools=brings,
    )
