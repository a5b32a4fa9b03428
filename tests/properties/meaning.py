"""What a chat body means, written a second time and slowly: the oracle that the canonicaliser is held against.

It shares no code and no table with the library. `meaning(body)` is a hashable value, equal for two decoded
bodies exactly when SEMANTICS says that they are the same call.
"""

import json
from fractions import Fraction

ORDERED = ("properties", "patternProperties", "$defs", "definitions")
NULLABLE = [
    "audio",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "modalities",
    "n",
    "prediction",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "stop",
    "temperature",
    "top_logprobs",
    "top_p",
    "verbosity",
]
TRANSPORT = [
    "stream",
    "stream_options",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
]
IDENTITY = ["user", "safety_identifier", "metadata"]
SCHEMAS = ["tools", "functions", "response_format", "guided_json", "structured_outputs"]
ZERO_PENALTY = ("openai/", "azure/", "anthropic/", "google/", "vertex/", "mistral/")


class Number(str):
    """A number's own text, so that nothing is lost before it is judged."""

    __slots__ = ()


class DuplicateKeyError(ValueError):
    pass


def parse(raw: bytes):
    """Decode strictly; numbers keep their text.

    Raises:
        ValueError: not JSON, or a duplicate key.
    """

    def pairs(members):
        if len({name for name, _ in members}) != len(members):
            raise DuplicateKeyError
        return dict(members)

    def constant(name):
        raise ValueError(name)

    return json.loads(
        raw.decode(), object_pairs_hook=pairs, parse_int=Number, parse_float=Number, parse_constant=constant
    )


def number(text: str, exact: bool):
    """A double is its exact fraction; an integer spelling is itself; whole doubles up to 2**53 are integers."""
    if not any(c in text for c in ".eE"):
        return ("int", int(text))
    value = float(text)
    if exact:
        return ("float", repr(value))
    if value == int(value) and abs(value) <= 2**53:
        return ("int", int(value))
    return ("float", Fraction(value))


def anything(value, exact=False, ordered=False):
    """The meaning of a value that no table knows."""
    if isinstance(value, Number):
        return number(value, exact)
    if isinstance(value, bool) or value is None:
        return ("const", str(value))
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, list):
        return ("list", *(anything(item, exact) for item in value))
    exact = exact or any(name in value for name in ORDERED)
    members = [
        (name, anything(item, exact or name in ORDERED, name in ORDERED)) for name, item in value.items()
    ]
    return ("map", tuple(members)) if ordered else ("object", frozenset(members))


def member(name, value, exact=False):
    return (name, anything(value, exact or name in ORDERED, name in ORDERED))


def is_one(value):
    return isinstance(value, Number) and number(value, False) == ("int", 1)


def is_zero(value):
    return isinstance(value, Number) and number(value, False) == ("int", 0)


def says_nothing(name, value, body):
    """A default that the documentation of this model's provider states."""
    lone = "" if "models" in body else (body.get("model") or "")
    with_tools = bool(body.get("tools"))
    match name:
        case "n":
            return is_one(value)
        case "logprobs" | "store":
            return value is False
        case "logit_bias":
            return value == {}
        case "response_format":
            return value == {"type": "text"}
        case "tool_choice":
            return with_tools and type(value) is str and value == "auto"
        case "frequency_penalty" | "presence_penalty":
            return is_zero(value) and lone.startswith(ZERO_PENALTY)
        case "parallel_tool_calls":
            return value is True and with_tools and lone.startswith(("openai/", "azure/"))
    return False


def part_meaning(part, openai):
    known = {}
    for name, value in part.items():
        if name == "cache_control":
            continue
        if name == "image_url" and part["type"] == "image_url" and openai:
            image = {k: v for k, v in value.items() if (k, v) != ("detail", "auto")}
            known[name] = member(name, image)
        else:
            known[name] = member(name, value, exact=name == "input")
    return ("object", frozenset(known.values()))


def content_meaning(content, openai):
    if not isinstance(content, list):
        return anything(content)
    parts = tuple(part_meaning(part, openai) for part in content)
    if len(parts) == 1 and content[0]["type"] == "text":
        text = ("object", frozenset({member("type", "text"), member("text", content[0]["text"])}))
        if parts[0] == text:
            return ("text", content[0]["text"])
    return ("list", *parts)


def message_meaning(message, openai):
    return frozenset(
        ("content", content_meaning(value, openai))
        if name == "content"
        else member(name, value, exact=name in ("tool_calls", "function_call"))
        for name, value in message.items()
    )


def meaning(body, identity="drop"):
    """The meaning of a decoded chat body (see `parse`) whose fields have their types."""
    lone = "" if "models" in body else (body.get("model") or "")
    openai = lone.startswith(("openai/", "azure/"))
    out = set()
    for name, value in body.items():
        if name in TRANSPORT or (identity == "drop" and name in IDENTITY):
            continue
        if value is None and name in (*NULLABLE, "safety_identifier", "metadata"):
            continue
        if says_nothing(name, value, body):
            continue
        match name:
            case "messages":
                out.add((name, tuple(message_meaning(message, openai) for message in value)))
            case "tools" if value:
                tools = [{k: v for k, v in tool.items() if k != "cache_control"} for tool in value]
                out.add((name, anything(tools, exact=True)))
            case "stop" if isinstance(value, str):
                out.add((name, anything([value])))
            case "requesty" if value is not None:
                gone = [
                    "auto_cache",
                    *(["user_id", "trace_id", "tags", "extra"] if identity == "drop" else []),
                ]
                rest = frozenset(member(k, v) for k, v in value.items() if k not in gone)
                if rest:
                    out.add((name, rest))
            case _:
                out.add(member(name, value, exact=name in SCHEMAS))
    return frozenset(out)
