"""The rerank dialect (Cohere's, also of Jina, Voyage and routers): which bodies ask for the same ranking."""

from typing import Any, Final

from tiered_cache.core.canonical.flat import Flat, flat_dialect, names_urls, texts_of, why_never
from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.tables import ARRAY, INTEGER, OBJECT, TEXT, TEXT_OR_OBJECT, Field
from tiered_cache.core.vocabulary import Call, Determinism

ENDPOINT: Final = "rerank"

FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("query", TEXT_OR_OBJECT),
    Field("documents", ARRAY),
    Field("top_n", INTEGER, null="value"),
    Field("top_k", INTEGER, null="value"),
    Field("models", ARRAY, null="value"),
    Field("requesty", OBJECT, null="value"),
)
"""`top_k` is Voyage's name of `top_n`. All other members are keyed as they stand."""


def _read(body: dict[str, Any], model: str) -> Call:
    documents, query = body.get("documents"), body.get("query")
    if not documents or query is None:
        raise UnsafeBodyError("field-type")
    fallbacks = texts_of(body.get("models"))
    return Call(
        endpoint=ENDPOINT,
        model=model,
        determinism=Determinism.DETERMINISTIC,
        choices=min(len(documents), _most(body)),
        remote_urls=names_urls([query, documents]),
        bypass=why_never(model),
        fallback_models=fallbacks,
    )


def _most(body: dict[str, Any]) -> int:
    """How many results are asked for at most; all documents where that is not said."""
    asked: list[int] = [body[name] for name in ("top_n", "top_k") if body.get(name) is not None]
    if any(most < 1 for most in asked):
        raise UnsafeBodyError("field-type")
    return min(asked, default=len(body["documents"]))


canonical_rerank: Final = flat_dialect(Flat(fields=FIELDS, read=_read))
