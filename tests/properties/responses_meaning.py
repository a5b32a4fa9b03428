"""What a Responses body means, written a second time and slowly: the oracle of its canonical form.

It shares no code and no table with the library; what is the same in every dialect is in `meaning`.
"""

from tests.properties.meaning import anything, member

NULLABLE = [
    "background",
    "context_management",
    "conversation",
    "include",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "safety_identifier",
    "temperature",
    "top_logprobs",
    "top_p",
    "truncation",
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
OPENAI = ("openai/", "azure/")


def is_text(value, text):
    return type(value) is str and value == text


def content_meaning(content, role):
    if not isinstance(content, list):
        return anything(content)
    if len(content) == 1 and role != "assistant":
        part = content[0]
        if sorted(part) == ["text", "type"] and is_text(part["type"], "input_text"):
            return ("text", part["text"])
    return ("list", *(("object", frozenset(member(*one) for one in part.items())) for part in content))


def item_meaning(item, openai):
    if "role" not in item or not is_text(item.get("type", "message"), "message"):
        return anything(item, exact=True)
    bare = openai and sorted(item) == ["content", "role", "type"]
    return frozenset(
        ("content", content_meaning(value, item["role"])) if name == "content" else member(name, value)
        for name, value in item.items()
        if not (bare and name == "type")
    )


def input_meaning(given, openai):
    if isinstance(given, str):
        return (frozenset({("role", ("text", "user")), ("content", ("text", given))}),)
    return tuple(item_meaning(item, openai) for item in given)


def text_meaning(text, openai):
    """None where it says nothing."""
    left = {k: v for k, v in text.items() if not (openai and k == "format" and v == {"type": "text"})}
    return None if openai and not left else anything(left, exact=True)


def says_nothing(name, value, body, openai):
    match name:
        case "parallel_tool_calls":
            return openai and value is True
        case "truncation":
            return openai and is_text(value, "disabled")
        case "tool_choice":
            return openai and bool(body.get("tools")) and is_text(value, "auto")
    return False


def requesty_meaning(requesty, identity):
    gone = ["auto_cache", *(["user_id", "trace_id", "tags", "extra"] if identity == "drop" else [])]
    return frozenset(member(k, v) for k, v in requesty.items() if k not in gone)


def meaning(body, identity="drop"):
    """The meaning of a decoded body (see `meaning.parse`) whose fields have their types."""
    alone = "models" not in body and body.get("prompt") is None
    openai = alone and (body.get("model") or "").startswith(OPENAI)
    out = set()
    for name, value in body.items():
        if name in TRANSPORT or (identity == "drop" and name in IDENTITY):
            continue
        if (value is None and name in NULLABLE) or says_nothing(name, value, body, openai):
            continue
        if name == "input":
            out.add((name, input_meaning(value, openai)))
        elif name == "tools":
            out.add((name, anything(value, exact=True)))
        elif name == "text" and value is not None:
            out.add((name, text_meaning(value, openai)))
        elif name == "requesty" and value is not None:
            out.add((name, requesty_meaning(value, identity) or None))
        else:
            out.add(member(name, value))
    return frozenset(one for one in out if one not in {("text", None), ("requesty", None)})
