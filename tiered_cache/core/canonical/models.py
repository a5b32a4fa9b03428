"""What the model that a body names, and those to fall back to, say about the call."""

from typing import Any, Final

from tiered_cache.core.canonical.form import UnsafeBodyError

SEARCH_MODELS: Final = (
    "-search-preview",
    "-search-api",
    "deep-research",
    "perplexity/",
    "sonar",
    ":online",
    "compound",
)
"""Parts of model ids, lower case, that search by themselves. Too long a table only shortens lifetimes."""

_POLICY = "policy/"


def read_fallbacks(body: dict[str, Any]) -> tuple[str, ...]:
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


def searches(model: str) -> bool:
    """Whether a model of this name searches the web without being told to."""
    lower = model.lower()
    for part in SEARCH_MODELS:  # noqa: SIM110  # on the hit path: a generator would double its cost
        if part in lower:
            return True
    return False


def is_policy(model: str) -> bool:
    """Whether the name stands for a rule of the router, which may choose another model each time."""
    return model.startswith(_POLICY)
