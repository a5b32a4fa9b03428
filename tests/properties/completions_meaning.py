"""What a completions body means, written a second time and slowly: the oracle of its canonical form.

It shares no code and no table with the library; what is the same in every dialect is in `meaning`.
"""

from tests.properties.meaning import anything, is_one, is_zero, member

NULLABLE = [
    *("suffix", "echo", "best_of", "n", "stop", "temperature", "top_p", "seed", "max_tokens"),
    *("frequency_penalty", "presence_penalty", "logit_bias", "logprobs"),
]
EXACT = ("response_format", "guided_json", "structured_outputs")


def says_nothing(name, value, body):
    openai = "models" not in body and (body.get("model") or "").startswith(("openai/", "azure/"))
    match name:
        case "n":
            return is_one(value)
        case "echo":
            return value is False
        case "logit_bias":
            return value == {}
        case "frequency_penalty" | "presence_penalty":
            return openai and is_zero(value)
    return False


def meaning(body, identity="drop"):
    """The meaning of a decoded body (see `meaning.parse`) whose fields have their types."""
    out = set()
    for name, value in body.items():
        if name in ("stream", "stream_options") or (name == "user" and identity == "drop"):
            continue
        if (value is None and name in NULLABLE) or says_nothing(name, value, body):
            continue
        if name == "stop" and isinstance(value, str):
            out.add((name, anything([value])))
        elif name == "requesty" and value is not None:
            gone = ["auto_cache", *(["user_id", "trace_id", "tags", "extra"] if identity == "drop" else [])]
            rest = frozenset(member(k, v) for k, v in value.items() if k not in gone)
            out |= {(name, rest)} if rest else set()
        else:
            out.add(member(name, value, exact=name in EXACT))
    return frozenset(out)
