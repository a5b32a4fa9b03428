"""Mutations of the tables that no call can tell, each with its reason; one that is noticed may not stand here."""

CHAT, COMPLETIONS, IMAGES = "chat/completions", "completions", "images/generations"
MESSAGES, RESPONSES = "messages", "responses"
FLAT = ("audio/speech", "embeddings", "moderations", "rerank")
GENERATING = (CHAT, COMPLETIONS, IMAGES, MESSAGES, RESPONSES)

NOT_APPLIED = {
    (MESSAGES, "KEYED_AS_IS"): "a list of what the SDK has, held against it by a test",
    (MESSAGES, "ORIGIN_TOOLS"): "the same: a type in no table is taken for the origin's",
    (RESPONSES, "KEYED_AS_THEY_STAND"): "the same",
    ("audio/transcriptions", "KNOWN_NAMES"): "the same",
    **{
        (dialect, "REQUESTY_EMPTY"): "its note alone: an object with nothing in it is left out"
        for dialect in FLAT
    },
}
"""Tables that are not applied to a body, by dialect and name."""

_CHECKED = "every body's model is checked before the table is asked"
_WALKED = "is walked by code of its own, which checks its type first"
_TEXTS = "it holds texts alone"
_REFUSED = "it is refused by what is checked of it besides"
_EXACT = "numbers of these dialects are exact in schemas alone"
_MARKS = "marks have no identity rows: no switch is read"
_STATED = "REQUESTY_EMPTY says it already"
_MODEL = ("without model", *(f"model: with {kind}" for kind in ("bool", "int", "float", "list", "dict")))
_NULLS = ("null refused -> value", "null refused -> absent")

_BY_REASON: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (_CHECKED, GENERATING, tuple(f"BODY_FIELDS {what}" for what in _MODEL)),
    (_CHECKED, FLAT, tuple(f"FIELDS {what}" for what in _MODEL)),
    (_CHECKED, (CHAT,), ("MESSAGE_FIELDS without role", *(f"MESSAGE_FIELDS role: {null}" for null in _NULLS))),
    (_CHECKED, (CHAT,), tuple(f"MESSAGE_FIELDS role: with {kind}" for kind in ("bool", "int", "float", "list", "dict"))),
    (_WALKED, (CHAT, MESSAGES), tuple(f"BODY_FIELDS messages: {null}" for null in _NULLS)),
    (_WALKED, (CHAT, MESSAGES), ("BODY_FIELDS messages: with str", "BODY_FIELDS messages: exact False -> True")),
    (_WALKED, (CHAT, MESSAGES, RESPONSES), ("BODY_FIELDS tools: with str", "BODY_FIELDS tools: exact True -> False")),
    (_WALKED, GENERATING, ("BODY_FIELDS requesty: exact False -> True",)),
    (_WALKED, (CHAT,), ("MESSAGE_FIELDS content: exact False -> True",)),
    (_WALKED, (CHAT,), ("IMAGE_DETAIL messages[].content[].image_url.detail: with_tools",)),
    (_WALKED, (MESSAGES,), ("BODY_FIELDS system: exact False -> True",)),
    (_WALKED, (RESPONSES,), ("BODY_FIELDS input: exact False -> True",)),
    (_WALKED, (RESPONSES,), ("MESSAGE_TYPE input[].type: another value", "MESSAGE_TYPE input[].type: with_tools")),
    (_TEXTS, GENERATING, ("BODY_FIELDS models: exact False -> True",)),
    (_TEXTS, (CHAT, COMPLETIONS), ("BODY_FIELDS stop: exact False -> True",)),
    (_TEXTS, (MESSAGES,), ("BODY_FIELDS stop_sequences: exact False -> True",)),
    (_REFUSED, (MESSAGES,), tuple(f"BODY_FIELDS output_format: with {kind}" for kind in ("str", "bool", "int", "float", "list"))),
    (_REFUSED, (MESSAGES,), ("ELISIONS with output_format",)),
    (_REFUSED, (COMPLETIONS,), ("ELISIONS with response_format",)),
    (_REFUSED, (IMAGES,), tuple(f"BODY_FIELDS prompt: {null}" for null in _NULLS)),
    (_REFUSED, ("audio/speech", "embeddings", "moderations"), tuple(f"FIELDS input: {null}" for null in _NULLS)),
    (_REFUSED, ("rerank",), tuple(f"FIELDS {name}: {null}" for name in ("query", "documents") for null in _NULLS)),
    (_EXACT, FLAT, ("FIELDS models: exact False -> True", "FIELDS requesty: exact False -> True")),
    (_EXACT, FLAT, ("REQUESTY_FIELDS tags: exact False -> True", "REQUESTY_FIELDS extra: exact False -> True")),
    (_EXACT, ("audio/speech",), ("FIELDS voice: exact False -> True",)),
    (_EXACT, ("embeddings", "moderations"), ("FIELDS input: exact False -> True",)),
    (_EXACT, ("rerank",), ("FIELDS query: exact False -> True", "FIELDS documents: exact False -> True")),
    (_MARKS, (CHAT, MESSAGES), ("DROPS tools[].cache_control: another kind", "DROPS messages[].content[].cache_control: another kind")),
    (_MARKS, (MESSAGES,), ("DROPS system[].cache_control: another kind",)),
    (_MARKS, (MESSAGES,), ("DROPS messages[].content[].content[].cache_control: another kind",)),
    (_STATED, (CHAT, COMPLETIONS, IMAGES, MESSAGES), ("ELISIONS with requesty",)),
    (_STATED, (RESPONSES,), ("ELISIONS without requesty", "ELISIONS requesty: another value")),
    (_STATED, (RESPONSES,), ("ELISIONS requesty: with_tools", "ELISIONS requesty: one provider")),
)  # fmt: skip

EQUIVALENT = {
    (dialect, what): reason for reason, dialects, told in _BY_REASON for dialect in dialects for what in told
}
"""(dialect, mutation) -> why no call can tell."""
