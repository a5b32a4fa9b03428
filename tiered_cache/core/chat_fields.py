"""How the fields of chat completion chunks become those of one answer: the assembly table, as data.

Sources: OpenAI's reference of the chat completion object and its chunks; Azure OpenAI (content filter
fields), DeepSeek and Requesty (`reasoning_content`, `reasoning_signature`), OpenRouter (`reasoning`,
`provider`, `native_finish_reason`), vLLM (`stop_reason`).
"""

from enum import Enum

from msgspec import Struct


class Rule(Enum):
    """What becomes of a field's values in the order of their coming; null yields to any other."""

    FIRST = "the first value that is not empty"
    ONCE = "one value, however often it is said; a contradiction locks"
    AGREE = "one value; a contradiction leaves null"
    LAST = "the last value that is not null"
    JOIN = "strings, concatenated"
    EXTEND = "lists, one behind the other"
    NESTED = "an object with a table of its own"
    INDEXED = "objects that are told apart by their `index`"
    FIXED = "written anew"
    DROP = "transport only"
    LOCK = "cannot be written in the other form"


class Field(Struct, frozen=True):
    """One row.

    Attributes:
        name: in a chunk.
        rule: how its values combine.
        table: rows of the object or objects in it.
        json_name: in a whole answer; empty where it is the same.
        default: text in a whole answer when no chunk has the field.
    """

    name: str
    rule: Rule
    table: "Table | None" = None
    json_name: str = ""
    default: bytes | None = None


class Table:
    """Rows by their name in a chunk and in a whole answer, in the order in which an answer has them."""

    __slots__ = ("by_json_name", "by_name")

    def __init__(self, *fields: Field) -> None:
        self.by_name = {field.name: field for field in fields}
        self.by_json_name = {field.json_name or field.name: field for field in fields}


_FUNCTION = Table(Field("name", Rule.ONCE), Field("arguments", Rule.JOIN))
_CUSTOM = Table(Field("name", Rule.ONCE), Field("input", Rule.JOIN))

_TOOL_CALL = Table(
    Field("index", Rule.DROP),
    Field("id", Rule.ONCE),
    Field("type", Rule.ONCE),
    Field("function", Rule.NESTED, _FUNCTION),
    Field("custom", Rule.NESTED, _CUSTOM),
)

DELTA = Table(
    Field("role", Rule.ONCE, default=b'"assistant"'),
    Field("reasoning_content", Rule.JOIN),
    Field("reasoning", Rule.JOIN),
    Field("reasoning_signature", Rule.ONCE),
    Field("content", Rule.JOIN, default=b"null"),
    Field("refusal", Rule.JOIN),
    Field("annotations", Rule.ONCE),
    Field("function_call", Rule.NESTED, _FUNCTION),
    Field("tool_calls", Rule.INDEXED, _TOOL_CALL),
    # Its id ends at expires_at, and its data comes in base64 pieces with padding.
    Field("audio", Rule.LOCK),
)

CHOICE = Table(
    Field("index", Rule.FIRST),
    Field("delta", Rule.NESTED, DELTA, json_name="message"),
    Field("logprobs", Rule.NESTED, Table(Field("content", Rule.EXTEND), Field("refusal", Rule.EXTEND))),
    Field("finish_reason", Rule.AGREE),
    Field("content_filter_results", Rule.ONCE),
    Field("stop_reason", Rule.ONCE),
    Field("native_finish_reason", Rule.ONCE),
    Field("error", Rule.DROP),
)

CHUNK = Table(
    Field("id", Rule.FIRST),
    Field("object", Rule.FIXED, default=b'"chat.completion"'),
    Field("created", Rule.FIRST),
    Field("model", Rule.ONCE),
    Field("provider", Rule.ONCE),
    Field("choices", Rule.INDEXED, CHOICE),
    Field("usage", Rule.LAST),
    Field("service_tier", Rule.LAST),
    Field("system_fingerprint", Rule.LAST),
    Field("moderation", Rule.LAST),
    Field("prompt_filter_results", Rule.ONCE),
    Field("obfuscation", Rule.DROP),
    Field("error", Rule.DROP),
)

USAGE_CHUNK = frozenset(
    {
        "id",
        "object",
        "created",
        "model",
        "provider",
        "choices",
        "usage",
        "service_tier",
        "system_fingerprint",
    },
) | {"obfuscation", "error"}
"""Fields of a chunk that says nothing but what the answer cost."""
