"""What a body of any dialect says of the model, of searches and of state kept elsewhere."""

from collections.abc import Mapping
from typing import Any

from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.origin_tables import SEARCH_FIELDS, SEARCH_MODELS
from tiered_cache.core.vocabulary import Determinism

_JSON_FORMATS = frozenset({"json_object", "json_schema"})
_JSON_MEMBERS = ("json", "json_object")
"""Of `structured_outputs`; its other members ask for other languages."""


def fallbacks_of(body: dict[str, Any]) -> tuple[str, ...]:
    """The `models` list, in order.

    Raises:
        UnsafeBodyError: `field-type`.
    """
    models = body.get("models")
    if not models:
        return ()
    if any(type(model) is not str for model in models):
        raise UnsafeBodyError("field-type")
    return tuple(models)


def has_tools(body: dict[str, Any]) -> bool:
    """Whether the call brings tools, by their old name too."""
    # A settled list is a written text that stands for at least one tool.
    return bool(body.get("tools") or body.get("functions"))


def field_searches(body: dict[str, Any], fallbacks: tuple[str, ...]) -> bool:
    """Whether a field or a fallback model lets the origin search the web."""
    asked = (body.get(name) not in (None, False) for name in SEARCH_FIELDS)
    return any(asked) or any(map(model_searches, fallbacks))


def model_searches(model: str) -> bool:
    """Whether this model searches the web by itself."""
    lower = model.lower()
    for part in SEARCH_MODELS:  # noqa: SIM110  # on the hit path: a generator would double its cost
        if part in lower:
            return True
    return False


def bypass_of(model: str, *, by_origin: bool) -> str | None:
    """Why a call of this model is never cached, or None; `by_origin` as in `ToolFacts`."""
    if not model:
        return "no-model"
    return "origin-tool" if by_origin else None


def bypass_told(body: dict[str, Any], state_fields: Mapping[str, str]) -> str | None:
    """Why what else the body says forbids caching, or None.

    Args:
        body: the body, before anything is dropped from it.
        state_fields: of the dialect, each with the reason word.
    """
    if body.get("store") is True:
        return "side-effect"
    return next((word for name, word in state_fields.items() if body.get(name) is not None), None)


def choices_of(body: dict[str, Any]) -> int:
    """How many answers `n` asks for. Raises UnsafeBodyError `field-type`."""
    choices = body.get("n")
    if choices is None:
        return 1
    if choices < 1:
        raise UnsafeBodyError("field-type")
    return int(choices)


def wants_usage(body: dict[str, Any]) -> bool:
    """Whether `stream_options` asks for the usage chunk. Raises UnsafeBodyError `field-type`."""
    options = body.get("stream_options")
    asked = None if options is None else options.get("include_usage")
    if asked is not None and type(asked) is not bool:
        raise UnsafeBodyError("field-type")
    return asked is True


def determinism_of(body: dict[str, Any], choices: int) -> Determinism:
    """SEMANTICS' first column: several choices are samples whatever the seed, unless temperature is 0."""
    temperature = body.get("temperature")
    if temperature is not None and temperature == 0:
        return Determinism.DETERMINISTIC
    if choices > 1:
        return Determinism.SAMPLED
    if body.get("seed") is not None or body.get("top_k") == 1:
        return Determinism.DETERMINISTIC
    return Determinism.UNSTATED if temperature is None else Determinism.SAMPLED


def wants_json(body: dict[str, Any]) -> bool:
    """Whether JSON was asked for: by OpenAI's field, or by one of vLLM's.

    Raises:
        UnsafeBodyError: `field-type`.
    """
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
