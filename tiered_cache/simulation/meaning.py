"""A second, plain reading of what matters in a chat body: what answers of the simulation are made of.

Written apart from the keyer on purpose and without regard to speed: a mistake in one shows against the other.
"""

import json
from collections.abc import Callable
from typing import Any, cast

_DROPPED = frozenset({"stream", "stream_options", "service_tier", "user", "safety_identifier", "metadata"})
_DROPPED_PREFIX = "prompt_cache_"
_REQUESTY_DROPPED = frozenset({"auto_cache", "user_id", "trace_id", "tags", "extra"})
_NULLABLE = """
    audio frequency_penalty logit_bias logprobs max_completion_tokens max_tokens modalities n prediction
    presence_penalty reasoning_effort seed stop temperature top_logprobs top_p verbosity
"""
_NULL_IS_ABSENT = frozenset(_NULLABLE.split())
_PENALTY_PROVIDERS = ("openai/", "azure/", "anthropic/", "google/", "vertex/", "mistral/")
_OPENAI = ("openai/", "azure/")
_CACHE_MARKS = frozenset({"cache_control", "prompt_cache_breakpoint"})
_ORDERED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_SCHEMAS = frozenset({"parameters", "schema", "input_schema"})
_EXACT_FLOAT = 2**53


def meaning(body: dict[str, Any]) -> str:
    """Equal texts for calls that must share an answer, other texts for calls that must not."""
    kept = {name: value for name, value in body.items() if not _is_dropped(name, value)}
    _fold_requesty(kept)
    if isinstance(kept.get("messages"), list):
        model = str(kept.get("model", ""))
        kept["messages"] = [_message(message, model) for message in kept["messages"]]
    if isinstance(kept.get("tools"), list):
        kept["tools"] = [_unmarked(tool) for tool in kept["tools"]]
    if isinstance(kept.get("stop"), str):
        kept["stop"] = [kept["stop"]]
    for name in [name for name in kept if _is_default(name, kept)]:
        del kept[name]
    return json.dumps(_plain(kept, in_schema=False), sort_keys=True)


def is_sampled(body: dict[str, Any]) -> bool:
    """Asking twice may give two answers: temperature > 0 without a seed, or several choices above 0."""
    temperature = body.get("temperature")
    if temperature == 0 or body.get("top_k") == 1:
        return False
    if body.get("n") not in (None, 1):
        return True
    return temperature is not None and body.get("seed") is None


def _is_dropped(name: str, value: Any) -> bool:
    if name in _DROPPED or name.startswith(_DROPPED_PREFIX):
        return True
    return value is None and name in _NULL_IS_ABSENT


def _fold_requesty(kept: dict[str, Any]) -> None:
    """The router's own object only names who asks and how prompts are cached; anything else in it counts."""
    extra = kept.get("requesty")
    if isinstance(extra, dict):
        fields = cast("dict[str, Any]", extra)
        kept["requesty"] = {name: value for name, value in fields.items() if name not in _REQUESTY_DROPPED}
        if not kept["requesty"]:
            del kept["requesty"]


def _is(wanted: object) -> Callable[[object], bool]:
    """Equal in type and value, save that 1.0 is 1: true is not 1."""
    numeric = isinstance(wanted, int) and not isinstance(wanted, bool)

    def check(value: object) -> bool:
        if numeric:
            return isinstance(value, int | float) and not isinstance(value, bool) and value == wanted
        return type(value) is type(wanted) and value == wanted

    return check


_DEFAULTS: dict[str, tuple[Callable[[object], bool], tuple[str, ...]]] = {
    "n": (_is(1), ("",)),
    "logprobs": (_is(False), ("",)),
    "logit_bias": (_is({}), ("",)),
    "store": (_is(False), ("",)),
    "response_format": (_is({"type": "text"}), ("",)),
    "frequency_penalty": (_is(0), _PENALTY_PROVIDERS),
    "presence_penalty": (_is(0), _PENALTY_PROVIDERS),
}
_DEFAULTS_WITH_TOOLS: dict[str, tuple[Callable[[object], bool], tuple[str, ...]]] = {
    "tool_choice": (_is("auto"), ("",)),
    "parallel_tool_calls": (_is(True), _OPENAI),
}


def _is_default(name: str, body: dict[str, Any]) -> bool:
    tables = [_DEFAULTS, _DEFAULTS_WITH_TOOLS] if body.get("tools") else [_DEFAULTS]
    for table in tables:
        if name in table:
            same, providers = table[name]
            single = "models" not in body or providers == ("",)
            return same(body[name]) and single and str(body.get("model", "")).startswith(providers)
    return False


def _message(message: Any, model: str) -> Any:
    match message:
        case {"content": [*parts]}:
            content = [_part(_unmarked(part), model) for part in parts]
            return {**cast("dict[str, Any]", message), "content": _joined(content)}
        case _:
            return message


def _joined(parts: list[Any]) -> Any:
    """One text part says what its text alone says."""
    match parts:
        case [{"type": "text", "text": str(text), **rest}] if not rest:
            return text
        case _:
            return parts


def _part(part: Any, model: str) -> Any:
    match part:
        case {"type": "image_url", "image_url": {"detail": "auto", **image}} if model.startswith(_OPENAI):
            return {**cast("dict[str, Any]", part), "image_url": image}
        case _:
            return part


def _unmarked(value: Any) -> Any:
    """Marks for the provider's prompt cache change the price alone."""
    match value:
        case {**members}:
            return {name: member for name, member in members.items() if name not in _CACHE_MARKS}
        case _:
            return value


def _plain(value: Any, *, in_schema: bool) -> Any:
    """One value per meaning: integral floats as integers outside schemas, ordered members as a flat list."""
    match value:
        case {**members}:
            return {
                str(name): _member(str(name), member, in_schema=in_schema) for name, member in members.items()
            }
        case [*items]:
            return [_plain(item, in_schema=in_schema) for item in items]
        case float() if in_schema:
            return {"float": repr(value)}
        case float() if value.is_integer() and abs(value) <= _EXACT_FLOAT:
            return int(value)
        case _:
            return value


def _member(name: str, value: Any, *, in_schema: bool) -> Any:
    inside = in_schema or name in _SCHEMAS
    match value:
        case {**members} if name in _ORDERED:
            return ["in order", *([key, _plain(member, in_schema=inside)] for key, member in members.items())]
        case _:
            return _plain(value, in_schema=inside)
