"""The speech dialect: which bodies ask for the same recording."""

from typing import Any, Final

from tiered_cache.core.canonical.flat import Flat, flat_dialect, names_urls, texts_of, why_never
from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.core.canonical.tables import ARRAY, NUMBER, OBJECT, TEXT, TEXT_OR_OBJECT, Field
from tiered_cache.core.vocabulary import Call, Determinism

ENDPOINT: Final = "audio/speech"

FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("input", TEXT),
    Field("voice", TEXT_OR_OBJECT, null="value"),
    Field("instructions", TEXT, null="value"),
    Field("response_format", TEXT, null="value"),
    Field("speed", NUMBER, null="value"),
    Field("stream_format", TEXT, null="value"),
    Field("models", ARRAY, null="value"),
    Field("requesty", OBJECT, null="value"),
)
"""No default is left out: none is documented for every provider."""

_TEXTS: Final = frozenset({"input", "instructions"})
"""Members in which a URL is something to say; in others, a sample of the voice for example, it is fetched."""

EVENT_FORMATS: Final = frozenset({"sse"})
"""Values of `stream_format` that ask for events instead of a recording; such a call is forwarded."""


def _read(body: dict[str, Any], model: str) -> Call:
    if body.get("input") is None:
        raise UnsafeBodyError("field-type")
    return Call(
        endpoint=ENDPOINT,
        model=model,
        stream=True,
        binary=True,
        determinism=Determinism.DETERMINISTIC,
        remote_urls=names_urls({name: value for name, value in body.items() if name not in _TEXTS}),
        bypass=why_never(model) or _bypass(body),
        fallback_models=texts_of(body.get("models")),
    )


def _bypass(body: dict[str, Any]) -> str | None:
    return "stream" if body.get("stream_format") in EVENT_FORMATS else None


canonical_speech: Final = flat_dialect(Flat(fields=FIELDS, read=_read))
