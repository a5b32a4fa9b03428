"""What a checked messages body says about itself: the facts that policy and rendering need."""

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
from tiered_cache.core.canonical.messages_blocks import BlockFacts
from tiered_cache.core.canonical.messages_tables import MESSAGES_STATE_FIELDS
from tiered_cache.core.canonical.tool_memo import ToolFacts
from tiered_cache.core.vocabulary import Call, Determinism

ENDPOINT = "messages"


def read_call(body: dict[str, Any], model: str, blocks: BlockFacts, tools: ToolFacts) -> Call:
    """The facts of a messages body whose known fields have their types, before anything is dropped from it.

    Raises:
        UnsafeBodyError: `field-type`, for a member that only the facts read.
    """
    fallbacks = _fallbacks(body, model)
    return Call(
        endpoint=ENDPOINT,
        model=model,
        stream=body.get("stream") is True,
        service_tier=body.get("service_tier"),
        determinism=_determinism(body),
        json_output=_json_output(body),
        web_search=tools.web_search or model_searches(model) or field_searches(body, fallbacks),
        remote_urls=blocks.remote_urls,
        bypass=bypass_of(model, by_origin=tools.by_origin) or bypass_told(body, MESSAGES_STATE_FIELDS),
        fallback_models=fallbacks,
        tools=has_tools(body),
    )


def _fallbacks(body: dict[str, Any], model: str) -> tuple[str, ...]:
    """Models that may answer, the preferred one first: Requesty's list, or Anthropic's own `fallbacks`."""
    models = fallbacks_of(body)
    return models or ((model,) if body.get("fallbacks") else ())


def _determinism(body: dict[str, Any]) -> Determinism:
    """There is no seed and one answer only."""
    temperature = body.get("temperature")
    if (temperature is not None and temperature == 0) or body.get("top_k") == 1:
        return Determinism.DETERMINISTIC
    return Determinism.UNSTATED if temperature is None else Determinism.SAMPLED


def _json_output(body: dict[str, Any]) -> bool:
    """Whether JSON was asked for: by `output_config.format`, or by its beta name."""
    config: dict[str, Any] = body.get("output_config") or {}
    return any(_is_schema(asked) for asked in (config.get("format"), body.get("output_format")))


def _is_schema(asked: Any) -> bool:
    if asked is None:
        return False
    if kind_of(asked) is not dict or type(asked.get("type")) is not str:
        raise UnsafeBodyError("field-type")
    return bool(asked["type"] == "json_schema")
