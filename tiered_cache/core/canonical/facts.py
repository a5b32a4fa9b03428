"""What a body of any dialect says of the model, of searches and of state kept elsewhere."""

from collections.abc import Mapping
from typing import Any

from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.router_tables import SEARCH_FIELDS, SEARCH_MODELS


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
