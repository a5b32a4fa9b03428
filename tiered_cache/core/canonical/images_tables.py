"""The images/generations dialect as tables: known fields, drops, elided defaults."""

from typing import Final

from tiered_cache.core.canonical.completions_tables import NEVER_FIELDS
from tiered_cache.core.canonical.router_tables import REQUESTY_DROPS
from tiered_cache.core.canonical.tables import ARRAY, BOOLEAN, INTEGER, OBJECT, TEXT, Drop, Elision, Field

__all__ = ["BODY_FIELDS", "DROPS", "ELISIONS", "NEVER_FIELDS"]

_OPENAI: Final = "OpenAI API reference, Create image"

BODY_FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("prompt", TEXT),
    Field("models", ARRAY, null="value"),
    Field("n", INTEGER, null="absent"),
    Field("seed", INTEGER, null="value"),
    Field("size", TEXT, null="absent"),
    Field("quality", TEXT, null="absent"),
    Field("style", TEXT, null="absent"),
    Field("complexity", TEXT, null="absent"),
    Field("background", TEXT, null="absent"),
    Field("moderation", TEXT, null="absent"),
    Field("response_format", TEXT, null="absent"),
    Field("output_format", TEXT, null="absent"),
    Field("output_compression", INTEGER, null="absent"),
    Field("frame_count", INTEGER, null="absent"),
    Field("frame_duration_ms", INTEGER, null="absent"),
    Field("svg", OBJECT, null="absent"),
    Field("stream", BOOLEAN, null="absent"),
    Field("partial_images", INTEGER, null="absent"),
    Field("user", TEXT, null="value"),
    Field("safety_identifier", TEXT, null="absent"),
    Field("requesty", OBJECT, null="value"),
)
"""`null="absent"` where OpenAI documents the field as nullable. All other members are keyed as they stand."""

DROPS: Final = (
    Drop("stream", "transport", f"{_OPENAI}: how the answer is delivered; true is never cached"),
    Drop("user", "identity", f"{_OPENAI}: end-user identifier"),
    Drop("safety_identifier", "identity", f"{_OPENAI}: safety monitoring and abuse detection"),
    *REQUESTY_DROPS,
)

_OPENAI_PREFIXES: Final = ("openai/", "azure/")

ELISIONS: Final = (
    Elision("n", 1, f"{_OPENAI}: the number of images, defaults to 1"),
    Elision("background", "auto", f"{_OPENAI}: auto (default value)", prefixes=_OPENAI_PREFIXES),
    Elision("moderation", "auto", f"{_OPENAI}: auto (default value)", prefixes=_OPENAI_PREFIXES),
    Elision("quality", "auto", f"{_OPENAI}: auto (default value)", prefixes=_OPENAI_PREFIXES),
)
