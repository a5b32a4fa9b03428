"""Writes a JSON chat answer as a stream: role, content, tool calls, finish, usage, [DONE]."""

from tiered_cache.core.chat_fields import CHOICE, CHUNK, DELTA, Field, Rule, Table
from tiered_cache.core.raw_json import (
    NULL,
    is_list,
    is_object,
    is_string,
    items,
    members,
    write,
)
from tiered_cache.core.sse import on_one_line, write_event

DONE = b"data: [DONE]\n\n"
_NOTHING = frozenset({NULL, b'""', b"[]", b"{}"})
_SAID_ONCE = ("moderation", "prompt_filter_results")


def fits(answer: dict[str, bytes], table: Table = CHUNK) -> bool:
    """Whether chunks can say all that this answer says: its fields are in the table and have its types.

    Raises:
        UnreadableError: a list or object of the answer is none.
    """
    return _fits(table, answer)


def _fits(table: Table, said: dict[str, bytes]) -> bool:
    return all(
        name in table.by_json_name and _value_fits(table.by_json_name[name], value)
        for name, value in said.items()
    )


def _value_fits(field: Field, value: bytes) -> bool:
    if value == NULL:
        return True
    if field.table is None:
        return _TYPES.get(field.rule, _is_anything)(value)
    if field.rule is Rule.INDEXED:
        table = field.table
        return all(_fits(table, members(item)) for item in items(value))
    return is_object(value) and _fits(field.table, members(value))


def _is_anything(value: bytes) -> bool:
    return bool(value)


def _is_null(value: bytes) -> bool:
    return value == NULL


_TYPES = {Rule.JOIN: is_string, Rule.EXTEND: is_list, Rule.LOCK: _is_null}


def synthesise(answer: dict[str, bytes], include_usage: bool) -> bytes:
    """The answer as an event stream; it must fit. Values keep their raw text.

    Args:
        answer: members of the JSON answer.
        include_usage: end with the usage chunk, which the answer must then have.

    Raises:
        UnreadableError: choices are missing or of the wrong type.
    """
    head = repeated(answer, CHUNK, b'"chat.completion.chunk"', _SAID_ONCE)
    once = {name: answer[name] for name in _SAID_ONCE if name in answer}
    bodies: list[dict[str, bytes]] = []
    for choice in by_index(answer.get("choices", NULL)):
        bodies += [{"choices": b"[%b]" % part} for part in _choice(choice)]
    if bodies:
        bodies[0] = bodies[0] | once
    if include_usage:
        bodies.append({"choices": b"[]", "usage": answer["usage"]})
    return b"".join([write_event(on_one_line(write(head | body))) for body in bodies]) + DONE


def repeated(
    answer: dict[str, bytes], table: Table, kind: bytes, once: tuple[str, ...] = ()
) -> dict[str, bytes]:
    """What every chunk repeats.

    Args:
        answer: members of the JSON answer.
        table: rows of a chunk.
        kind: text of a chunk's `object`.
        once: fields that only the first chunk has.
    """
    head = {"id": answer.get("id", b'""'), "object": kind}
    for name, field in table.by_name.items():
        fixed = field.rule in {Rule.FIRST, Rule.ONCE, Rule.LAST} and name not in {"usage", *once}
        if fixed and name in answer:
            head[name] = answer[name]
    return head


def by_index(choices: bytes) -> list[dict[str, bytes]]:
    """Members of each choice, in the order of a stream: its readers expect choice 0 before choice 1.

    Raises:
        UnreadableError: no list of objects.
    """
    return sorted(map(members, items(choices)), key=_index)


def _index(choice: dict[str, bytes]) -> int:
    index = choice.get("index", b"0")
    return int(index) if index.isdigit() else 0


def _choice(choice: dict[str, bytes]) -> list[bytes]:
    """The parts of one choice, each as an item of a chunk's `choices`."""
    index = choice.get("index", b"0")
    message = members(choice.get("message", NULL))
    logprobs = choice.get("logprobs")
    parts = [_part(index, delta) for delta in _deltas(message)]
    content = next((at for at, delta in enumerate(_deltas(message)) if at and "content" in delta), None)
    last = {name: choice[name] for name in CHOICE.by_name if name in choice and name not in _PLACED}
    if logprobs is not None and content is not None:
        parts[content] = _part(index, _deltas(message)[content], logprobs)
    elif logprobs is not None:
        last["logprobs"] = logprobs
    end = {"index": index, "delta": b"{}", **last}
    return [*parts, write(end)]


_PLACED = frozenset({"index", "delta", "logprobs", "error"})


def _part(index: bytes, delta: dict[str, bytes], logprobs: bytes | None = None) -> bytes:
    said = {"index": index, "delta": write(delta)}
    if logprobs is not None:
        said["logprobs"] = logprobs
    return write(said | {"finish_reason": NULL})


def _deltas(message: dict[str, bytes]) -> list[dict[str, bytes]]:
    """Role and what is empty first, then each field, then each tool call."""
    first = {"role": message.get("role", b'"assistant"')}
    rest: list[dict[str, bytes]] = []
    for name in DELTA.by_name:
        value = message.get(name)
        if value is None or name == "role":
            continue
        if value in _NOTHING:
            first[name] = value
        elif name == "tool_calls":
            rest += _tool_calls(value)
        else:
            rest.append({name: value})
    if is_string(message.get("content", NULL)):
        first["content"] = b'""'
    return [first, *rest]


def _tool_calls(calls: bytes) -> list[dict[str, bytes]]:
    deltas: list[dict[str, bytes]] = []
    for place, call in enumerate(items(calls)):
        said = {name: value for name, value in members(call).items() if name != "index"}
        deltas.append({"tool_calls": b"[%b]" % write({"index": b"%d" % place, **said})})
    return deltas
