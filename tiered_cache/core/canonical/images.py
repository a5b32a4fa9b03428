"""The images/generations dialect: which bodies ask for the same pictures."""

from typing import Any, Final

from tiered_cache.core.canonical.facts import (
    bypass_of,
    bypass_told,
    choices_of,
    fallbacks_of,
    field_searches,
    model_searches,
)
from tiered_cache.core.canonical.flat import names_urls
from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.images_tables import BODY_FIELDS, DROPS, ELISIONS, NEVER_FIELDS
from tiered_cache.core.canonical.origin_tables import STATE_FIELDS
from tiered_cache.core.canonical.tabled import Tabled, tabled_dialect
from tiered_cache.core.vocabulary import Call, Determinism

ENDPOINT: Final = "images/generations"
_STATE_FIELDS: Final = STATE_FIELDS | NEVER_FIELDS


def _read(body: dict[str, Any], model: str) -> Call:
    if body.get("prompt") is None:
        raise UnsafeBodyError("field-type")
    fallbacks = fallbacks_of(body)
    return Call(
        endpoint=ENDPOINT,
        model=model,
        determinism=_determinism(body.get("seed"), choices_of(body)),
        choices=choices_of(body),
        web_search=model_searches(model) or field_searches(body, fallbacks),
        remote_urls=names_urls({name: value for name, value in body.items() if name != "prompt"}),
        bypass=_bypass(body, model),
        fallback_models=fallbacks,
    )


def _determinism(seed: int | None, choices: int) -> Determinism:
    """Without a seed every picture is another; 0 and negative seeds ask for a random one at many origins.

    Several pictures of one call are samples whatever the seed.
    """
    sampled = seed is None or seed <= 0 or choices > 1
    return Determinism.SAMPLED if sampled else Determinism.DETERMINISTIC


def _bypass(body: dict[str, Any], model: str) -> str | None:
    word = bypass_of(model, by_origin=False) or bypass_told(body, _STATE_FIELDS)
    return word or ("stream" if body.get("stream") is True else None)


canonical_images: Final = tabled_dialect(
    Tabled(fields=BODY_FIELDS, drops=DROPS, elisions=ELISIONS, read=_read)
)
"""Canonicalises an images/generations body."""
