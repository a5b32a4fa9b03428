"""The moderations dialect: which bodies ask for the same verdict."""

from typing import Any, Final

from tiered_cache.core.canonical.flat import Flat, flat_dialect, names_urls, texts_of, why_never
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.tables import ARRAY, OBJECT, TEXT, TEXT_OR_ARRAY, Field
from tiered_cache.core.vocabulary import Call, Determinism

ENDPOINT: Final = "moderations"

FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("input", TEXT_OR_ARRAY),
    Field("models", ARRAY, null="value"),
    Field("requesty", OBJECT, null="value"),
)
"""All other members are keyed as they stand; a text and a list of it are two calls."""


def _read(body: dict[str, Any], model: str) -> Call:
    given = body.get("input")
    if given is None or given == []:
        raise UnsafeBodyError("field-type")
    fallbacks = texts_of(body.get("models"))
    return Call(
        endpoint=ENDPOINT,
        model=model,
        determinism=Determinism.DETERMINISTIC,
        choices=len(given) if _are_texts(given) else 1,
        remote_urls=names_urls(given),
        bypass=why_never(model),
        fallback_models=fallbacks,
    )


def _are_texts(given: Any) -> bool:
    """Whether it is a list of texts, each with a result; a list of parts (OpenAI's omni models) has one."""
    return kind_of(given) is list and all(kind_of(text) is str for text in given)


canonical_moderations: Final = flat_dialect(Flat(fields=FIELDS, read=_read))
