"""What a messages body means, written a second time and slowly, without code or tables of the library."""

from tests.properties.meaning import anything, member

NULLABLE = ("container", "thread", "inference_geo", "speed")
EXACT = ("tools", "output_config", "output_format")


def block_meaning(block, nested=False):
    known = set()
    for name, value in block.items():
        if name == "cache_control":
            continue
        if name == "content" and block["type"] == "tool_result" and not nested:
            known.add((name, blocks_meaning(value, nested=True)))
        else:
            known.add(member(name, value, exact=name == "input"))
    return ("object", frozenset(known))


def blocks_meaning(value, nested=False):
    if not isinstance(value, list):
        return anything(value)
    blocks = tuple(block_meaning(block, nested) for block in value)
    if len(value) == 1 and blocks[0] == block_meaning({"type": "text", "text": value[0].get("text")}):
        return ("text", value[0]["text"])
    return ("list", *blocks)


def message_meaning(message):
    return frozenset(
        (name, blocks_meaning(value)) if name == "content" else member(name, value)
        for name, value in message.items()
    )


def meaning(body, identity="drop"):
    """A hashable value, equal for two bodies exactly when SEMANTICS says that they are the same call."""
    out = set()
    for name, value in body.items():
        if name in ("stream", "service_tier") or (name == "metadata" and identity == "drop"):
            continue
        if value is None and name in NULLABLE:
            continue
        if name == "tool_choice" and value == {"type": "auto"} and body.get("tools"):
            continue
        match name:
            case "messages":
                out.add((name, tuple(map(message_meaning, value))))
            case "system" if isinstance(value, list):
                out.add((name, blocks_meaning(value)))
            case "tools" if value:
                tools = [{k: v for k, v in tool.items() if k != "cache_control"} for tool in value]
                out.add((name, anything(tools, exact=True)))
            case "requesty" if value is not None:
                identities = ["user_id", "trace_id", "tags", "extra"] if identity == "drop" else []
                rest = [member(k, v) for k, v in value.items() if k not in ("auto_cache", *identities)]
                if rest:
                    out.add((name, frozenset(rest)))
            case _:
                out.add(member(name, value, exact=name in EXACT))
    return frozenset(out)
