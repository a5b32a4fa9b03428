"""What a checked Responses body says about itself: the facts that policy and rendering need."""

from typing import Any

from tiered_cache.core.canonical.facts import (
    bypass_of,
    bypass_told,
    fallbacks_of,
    field_searches,
    has_tools,
    model_searches,
)
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.origin_tables import STATE_FIELDS
from tiered_cache.core.canonical.responses_input import InputFacts
from tiered_cache.core.canonical.responses_tables import PROMPT_CACHE_STATE
from tiered_cache.core.canonical.tool_memo import ToolFacts
from tiered_cache.core.canonical.walk import names_url
from tiered_cache.core.vocabulary import Call, Determinism

ENDPOINT = "responses"
_JSON_FORMATS = frozenset({"json_object", "json_schema"})


def read_call(body: dict[str, Any], model: str, said: InputFacts, tools: ToolFacts) -> Call:
    """The facts of a body whose known fields have their types, before anything is dropped from it.

    Raises:
        UnsafeBodyError: `field-type`, for a member that only the facts read.
    """
    fallbacks = fallbacks_of(body)
    all_tools = ToolFacts(
        by_origin=tools.by_origin or said.by_origin, web_search=tools.web_search or said.web_search
    )
    return Call(
        endpoint=ENDPOINT,
        model=model,
        stream=body.get("stream") is True,
        service_tier=body.get("service_tier"),
        determinism=_determinism(body),
        json_output=_json_output(body),
        web_search=all_tools.web_search or model_searches(model) or field_searches(body, fallbacks),
        remote_urls=said.remote_urls or _prompt_urls(body),
        bypass=bypass_of(model, by_origin=all_tools.by_origin)
        or bypass_told(body, STATE_FIELDS)
        or _side_effect(body, said),
        fallback_models=fallbacks,
        tools=has_tools(body),
    )


def _determinism(body: dict[str, Any]) -> Determinism:
    """The API has no seed and one answer a call: temperature alone speaks."""
    temperature = body.get("temperature")
    if temperature is None:
        return Determinism.UNSTATED
    return Determinism.DETERMINISTIC if temperature == 0 else Determinism.SAMPLED


def _json_output(body: dict[str, Any]) -> bool:
    """Whether JSON was asked for."""
    wanted: Any = _object(body, "text").get("format")
    if wanted is None:
        return False
    if kind_of(wanted) is not dict or type(wanted.get("type")) is not str:
        raise UnsafeBodyError("field-type")
    return wanted["type"] in _JSON_FORMATS


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    """The object at `name`, empty where there is none."""
    found: dict[str, Any] | None = body.get(name)
    return {} if found is None else found


def _prompt_urls(body: dict[str, Any]) -> bool:
    """Whether a variable of the prompt template names something to fetch; a text there is only read."""
    variables: Any = _object(body, "prompt").get("variables")
    if kind_of(variables) is not dict:
        return False
    return any(type(value) is not str and names_url(value) for value in variables.values())


def _side_effect(body: dict[str, Any], said: InputFacts) -> str | None:
    """The reason word where the call stores something, or depends on what is stored, as this API does it."""
    # Absent and null mean true on this API.
    if body.get("store") is not False or said.refers or body.get("background") is True:
        return "side-effect"
    prompt = body.get("prompt")
    if prompt is not None and type(prompt.get("version")) is not str:
        return "side-effect"  # without a version it is whichever is published at the time
    caching = _object(body, "prompt_cache_options")
    asked = any(caching.get(name) not in (None, False) for name in PROMPT_CACHE_STATE)
    return "side-effect" if asked else None
