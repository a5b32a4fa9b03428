"""The completions dialect (text in, text out, before there was chat): which bodies ask for the same texts."""

from typing import Any, Final

from tiered_cache.core.canonical.completions_tables import BODY_FIELDS, DROPS, ELISIONS, NEVER_FIELDS
from tiered_cache.core.canonical.facts import (
    bypass_of,
    bypass_told,
    choices_of,
    determinism_of,
    fallbacks_of,
    field_searches,
    model_searches,
    wants_json,
    wants_usage,
)
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.members import settle_stop
from tiered_cache.core.canonical.origin_tables import STATE_FIELDS
from tiered_cache.core.canonical.tabled import Tabled, tabled_dialect
from tiered_cache.core.vocabulary import Call

ENDPOINT: Final = "completions"

_STATE_FIELDS = STATE_FIELDS | NEVER_FIELDS
_PROMPTS: Final = frozenset({str, list})


def _read(body: dict[str, Any], model: str) -> Call:
    if "stop" in body:
        settle_stop(body)
    choices, fallbacks = choices_of(body), fallbacks_of(body)
    return Call(
        endpoint=ENDPOINT,
        model=model,
        stream=body.get("stream") is True,
        include_usage=wants_usage(body),
        determinism=determinism_of(body, choices),
        choices=choices * _prompts(body.get("prompt")),
        json_output=wants_json(body),
        web_search=model_searches(model) or field_searches(body, fallbacks),
        bypass=bypass_of(model, by_origin=False) or bypass_told(body, _STATE_FIELDS),
        fallback_models=fallbacks,
    )


def _prompts(prompt: Any) -> int:
    """How many prompts there are, each of which gets its own answers; a list of tokens is one.

    Raises:
        UnsafeBodyError: `field-type`.
    """
    if kind_of(prompt) is not list:
        return 1
    if not prompt:
        raise UnsafeBodyError("field-type")
    if all(kind_of(token) is int for token in prompt):
        return 1
    if not all(kind_of(one) in _PROMPTS for one in prompt):
        raise UnsafeBodyError("field-type")
    return len(prompt)


canonical_completions: Final = tabled_dialect(
    Tabled(fields=BODY_FIELDS, drops=DROPS, elisions=ELISIONS, read=_read)
)
"""Canonicalises a completions body."""
