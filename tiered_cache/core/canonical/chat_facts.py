"""What a checked chat body says about itself: the facts that policy and rendering need."""

from typing import Any

from tiered_cache.core.canonical.chat_messages import MessageFacts
from tiered_cache.core.canonical.facts import (
    bypass_of,
    bypass_told,
    fallbacks_of,
    field_searches,
    has_tools,
    model_searches,
)
from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.router_tables import SEARCH_FIELDS, STATE_FIELDS
from tiered_cache.core.canonical.tool_memo import NO_TOOLS, PlainFacts, ToolFacts, ToolMemo
from tiered_cache.core.vocabulary import Call, Determinism

ENDPOINT = "chat/completions"
_JSON_FORMATS = frozenset({"json_object", "json_schema"})
_JSON_MEMBERS = ("json", "json_object")
"""Of `structured_outputs`; its other members ask for other languages."""
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
        determinism, remote_urls = _determinism(body, 1), messages.remote_urls
        brings = tools is not NO_TOOLS
        told = (model, stream, tier, determinism, tools.web_search, tools.by_origin, remote_urls, brings)
        return _plain_call(told) if seen is None else seen.call(told, _plain_call)
    choices = _choices(body)
    fallbacks = fallbacks_of(body)
    return Call(
        endpoint=ENDPOINT,
        model=model,
        stream=stream,
        include_usage=_include_usage(body),
        service_tier=tier,
        determinism=_determinism(body, choices),
        choices=choices,
        json_output=_json_output(body),
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


def _choices(body: dict[str, Any]) -> int:
    choices = body.get("n")
    if choices is None:
        return 1
    if choices < 1:
        raise UnsafeBodyError("field-type")
    return int(choices)


def _include_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    asked = None if options is None else options.get("include_usage")
    if asked is not None and type(asked) is not bool:
        raise UnsafeBodyError("field-type")
    return asked is True


def _determinism(body: dict[str, Any], choices: int) -> Determinism:
    """SEMANTICS' first column: several choices are samples whatever the seed, unless temperature is 0."""
    temperature = body.get("temperature")
    if temperature is not None and temperature == 0:
        return Determinism.DETERMINISTIC
    if choices > 1:
        return Determinism.SAMPLED
    if body.get("seed") is not None or body.get("top_k") == 1:
        return Determinism.DETERMINISTIC
    return Determinism.UNSTATED if temperature is None else Determinism.SAMPLED


def _json_output(body: dict[str, Any]) -> bool:
    """Whether JSON was asked for: by OpenAI's field, or by one of vLLM's."""
    wanted = body.get("response_format")
    kind = "text" if wanted is None else wanted.get("type")
    if type(kind) is not str:
        raise UnsafeBodyError("field-type")
    structured: dict[str, Any] = body.get("structured_outputs") or {}
    return (
        kind in _JSON_FORMATS
        or body.get("guided_json") is not None
        or any(structured.get(name) not in (None, False) for name in _JSON_MEMBERS)
    )
