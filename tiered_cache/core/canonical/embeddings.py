"""The embeddings dialect: which bodies ask for the same vectors, and which are batches of single calls."""

from typing import Any, Final

import msgspec

from tiered_cache.core.canonical.flat import Flat, flat_dialect, names_urls, texts_of, why_never
from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.canonical.tables import ARRAY, INTEGER, OBJECT, TEXT, TEXT_OR_ARRAY, Drop, Field
from tiered_cache.core.vocabulary import Call, Determinism, Vectors

ENDPOINT: Final = "embeddings"
_OPENAI = "OpenAI API reference, Create embeddings"

FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("input", TEXT_OR_ARRAY),
    Field("dimensions", INTEGER, null="value"),
    Field("user", TEXT, null="value"),
    Field("encoding_format", TEXT, null="value"),
    Field("input_type", TEXT, null="value"),
    Field("task", TEXT, null="value"),
    Field("models", ARRAY, null="value"),
    Field("requesty", OBJECT, null="value"),
)
"""`input_type` and `task` are those of Cohere, Voyage and Jina; all other members are keyed as they stand."""

DROPS: Final = (
    Drop("encoding_format", "transport", f"{_OPENAI}: the format to return the embeddings in"),
    Drop("user", "identity", f"{_OPENAI}: end-user identifier"),
)

SPLIT_FIELDS: Final = frozenset(
    {"model", "input", "dimensions", "user", "encoding_format", "input_type", "task"}
)
"""Beside any other field the whole batch is one call: contextual models embed the concatenation."""

_PLAIN_FIELDS = SPLIT_FIELDS | {"models", "requesty"}
"""Beside any other field (`output_dtype` …) base64 need not be of float32: the format stays in the key."""

_FORMATS: Final[dict[str, Vectors]] = {"float": "float", "base64": "base64"}
_encode = msgspec.json.Encoder().encode


def _read(body: dict[str, Any], model: str) -> Call:
    inputs = _settle_input(body)
    fallbacks = texts_of(body.get("models"))
    return Call(
        endpoint=ENDPOINT,
        model=model,
        determinism=Determinism.DETERMINISTIC,
        choices=inputs,
        remote_urls=names_urls(body["input"]),
        bypass=why_never(model),
        fallback_models=fallbacks,
        vectors=_vectors(body),
    )


def _settle_input(body: dict[str, Any]) -> int:
    """How many inputs there are. A single text is a list of one; a flat list of tokens is one input."""
    value = body.get("input")
    if type(value) is str:
        body["input"] = [value]
        return 1
    if not value:
        raise UnsafeBodyError("field-type")
    return 1 if _is_tokens(value) else len(value)


def _vectors(body: dict[str, Any]) -> Vectors:
    if not body.keys() <= _PLAIN_FIELDS:
        return "other"
    return _FORMATS.get(body["encoding_format"], "other") if "encoding_format" in body else "float"


def _kept(body: dict[str, Any]) -> frozenset[str]:
    return frozenset({"encoding_format"}) if _vectors(body) == "other" else frozenset()


def _is_tokens(value: Any) -> bool:
    return kind_of(value) is list and bool(value) and all(kind_of(token) is int for token in value)


def _elements(body: dict[str, Any]) -> tuple[bytes, ...]:
    """Of a batch of texts or of token arrays, the canonical text of the call for each of them alone."""
    inputs = body["input"]
    flat = all(type(each) is str for each in inputs) or all(map(_is_tokens, inputs))
    # A form of vectors that is still there is one that is keyed, so neither float nor base64.
    if len(inputs) < 2 or not flat or not body.keys() <= SPLIT_FIELDS - {"encoding_format"}:
        return ()
    # Members are sorted by name: `input` has those before it and, with `model`, one behind it at least.
    before = write_canonical({name: value for name, value in body.items() if name < "input"})[:-1]
    after = write_canonical({name: value for name, value in body.items() if name > "input"})[1:]
    if len(before) > 1:
        before += b","
    return tuple([b'%b"input":[%b],%b' % (before, _encode(each), after) for each in inputs])


canonical_embeddings: Final = flat_dialect(
    Flat(fields=FIELDS, drops=DROPS, read=_read, kept=_kept, elements=_elements)
)
