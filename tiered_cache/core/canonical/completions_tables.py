"""The completions dialect as tables: known fields, drops, elided defaults, what is never cached."""

from typing import Final

from tiered_cache.core.canonical.router_tables import REQUESTY_DROPS
from tiered_cache.core.canonical.tables import (
    ARRAY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_ARRAY,
    TEXT_OR_OBJECT,
    Drop,
    Elision,
    Field,
)

_OPENAI = "OpenAI API reference, Create completion"

BODY_FIELDS: Final = (
    Field("model", TEXT, null="value"),
    Field("prompt", TEXT_OR_ARRAY, null="value"),
    Field("models", ARRAY, null="value"),
    Field("response_format", OBJECT, null="value", exact=True),
    Field("guided_json", TEXT_OR_OBJECT, null="value", exact=True),
    Field("structured_outputs", OBJECT, null="value", exact=True),
    Field("suffix", TEXT, null="absent"),
    Field("echo", BOOLEAN, null="absent"),
    Field("best_of", INTEGER, null="absent"),
    Field("n", INTEGER, null="absent"),
    Field("stop", TEXT_OR_ARRAY, null="absent"),
    Field("temperature", NUMBER, null="absent"),
    Field("top_p", NUMBER, null="absent"),
    Field("top_k", INTEGER, null="value"),
    Field("seed", INTEGER, null="absent"),
    Field("max_tokens", INTEGER, null="absent"),
    Field("frequency_penalty", NUMBER, null="absent"),
    Field("presence_penalty", NUMBER, null="absent"),
    Field("logit_bias", OBJECT, null="absent"),
    Field("logprobs", INTEGER, null="absent"),
    Field("stream", BOOLEAN, null="absent"),
    Field("stream_options", OBJECT, null="absent"),
    Field("user", TEXT, null="value"),
    Field("requesty", OBJECT, null="value"),
)
"""Top-level fields with a type of their own. `null="absent"` where OpenAI documents the field as nullable.
`logprobs` is a number here: 0 asks for those of the chosen tokens. All others are keyed as they stand."""

DROPS: Final = (
    Drop("stream", "transport", f"{_OPENAI}: how the answer is delivered"),
    Drop("stream_options", "transport", f"{_OPENAI}: how the stream is framed"),
    Drop("user", "identity", f"{_OPENAI}: end-user identifier"),
    *REQUESTY_DROPS,
)

_OPENAI_PREFIXES = ("openai/", "azure/")

ELISIONS: Final = (
    Elision("n", 1, f"{_OPENAI}: defaults to 1"),
    Elision("echo", False, f"{_OPENAI}: defaults to false"),
    Elision("logit_bias", {}, f"{_OPENAI}: an empty map changes no logit"),
    Elision("frequency_penalty", 0, f"{_OPENAI}: defaults to 0", prefixes=_OPENAI_PREFIXES),
    Elision("presence_penalty", 0, f"{_OPENAI}: defaults to 0", prefixes=_OPENAI_PREFIXES),
)
"""`best_of` has no row: beside `n` its default is another one at every origin."""

NEVER_FIELDS: Final = {"functions": "origin-tool", "tools": "origin-tool"}
"""Tools have no place here: an origin that takes them all the same executes them."""
