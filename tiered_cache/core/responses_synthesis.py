"""Writes a response object as the stream of events in which the origin would have told it."""

from collections.abc import Callable

from msgspec.json import encode

from tiered_cache.core.raw_json import NULL, is_list, is_string, items, members, string, write
from tiered_cache.core.responses_fields import ENDS
from tiered_cache.core.sse import on_one_line, write_event

_BEGUN = b'"in_progress"'
_SAID_LATER = {"content": b"[]", "summary": b"[]", "arguments": b'""', "input": b'""'}
"""What an item does not say yet when it is added."""
_KNOWN_LATER = ("usage", "completed_at")
_PARTS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text", "summary_text": "text"}
"""The member of a part that comes in pieces."""
_CALLS = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}
_SEARCHING = ("in_progress", "searching", "completed")


def fits(answer: dict[str, bytes]) -> bool:
    """Whether events can tell all of this answer: it is whole, and every item and part of it is known.

    Fields need not be: the events that end a part, an item and the stream repeat them in full.

    Raises:
        UnreadableError: a list or object of the answer is none.
    """
    if string(answer.get("status")) not in ENDS or not is_string(answer.get("id", NULL)):
        return False
    return all(_item_fits(members(item)) for item in items(answer.get("output", NULL)))


def _item_fits(item: dict[str, bytes]) -> bool:
    kind = string(item.get("type")) or ""
    if kind not in _WRITERS or not is_string(item.get("id", NULL)):
        return False
    if kind in _CALLS:
        return is_string(item.get(_CALLS[kind][0], NULL))
    if kind == "message":
        return _parts_fit(item.get("content", NULL), {"output_text", "refusal"})
    if kind == "reasoning":
        summary, content = item.get("summary", b"[]"), item.get("content", NULL)
        return _parts_fit(summary, {"summary_text"}) and (
            content == NULL or _parts_fit(content, {"reasoning_text"})
        )
    return True


def _parts_fit(parts: bytes, kinds: set[str]) -> bool:
    return is_list(parts) and all(_part_fits(members(part), kinds) for part in items(parts))


def _part_fits(part: dict[str, bytes], kinds: set[str]) -> bool:
    kind = string(part.get("type")) or ""
    annotations = part.get("annotations", b"[]")
    return kind in kinds and is_string(part.get(_PARTS[kind], NULL)) and is_list(annotations)


def synthesise(answer: dict[str, bytes]) -> bytes:
    """The answer as an event stream; it must fit. Values keep their raw text.

    Raises:
        UnreadableError: as `fits`.
    """
    script = _Script()
    begun = {**answer, "status": _BEGUN, "output": b"[]"}
    begun |= {name: NULL for name in _KNOWN_LATER if name in answer}
    script.say("response.created", {"response": write(begun)})
    script.say("response.in_progress", {"response": write(begun)})
    for place, text in enumerate(items(answer["output"])):
        item = members(text)
        at = {"item_id": item["id"], "output_index": b"%d" % place}
        index = {"output_index": at["output_index"]}
        script.say("response.output_item.added", {**index, "item": write(_begun(item))})
        _WRITERS[string(item["type"]) or ""](script, at, item)
        script.say("response.output_item.done", {**index, "item": text})
    script.say(ENDS[string(answer["status"]) or ""], {"response": write(answer)})
    return b"".join(script.events)


class _Script:
    """Events in their order, each with its number."""

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def say(self, kind: str, said: dict[str, bytes]) -> None:
        head = {"type": encode(kind), "sequence_number": b"%d" % len(self.events)}
        self.events.append(write_event(on_one_line(write(head | said)), kind.encode()))


def _begun(item: dict[str, bytes]) -> dict[str, bytes]:
    """The item as it is when it is added."""
    later = {name: empty for name, empty in _SAID_LATER.items() if item.get(name, NULL) != NULL}
    return {**item, **later, **({"status": _BEGUN} if item.get("status", NULL) != NULL else {})}


def _message(script: _Script, at: dict[str, bytes], item: dict[str, bytes]) -> None:
    for place, text in enumerate(items(item["content"])):
        _content_part(script, {**at, "content_index": b"%d" % place}, text)


def _content_part(script: _Script, at: dict[str, bytes], text: bytes) -> None:
    part = members(text)
    kind = string(part["type"]) or ""
    name = _PARTS[kind]
    empty = {"annotations": b"[]", "logprobs": b"[]", name: b'""'}
    later = {member: value for member, value in empty.items() if part.get(member, NULL) != NULL}
    begun = {**part, **later}
    script.say("response.content_part.added", {**at, "part": write(begun)})
    with_logprobs = {"logprobs": _listed(part, "logprobs")} if kind == "output_text" else {}
    _text(script, f"response.{kind}", at, {name: part[name], **with_logprobs})
    for place, annotation in enumerate(items(_listed(part, "annotations"))):
        said = {**at, "annotation_index": b"%d" % place, "annotation": annotation}
        script.say("response.output_text.annotation.added", said)
    script.say("response.content_part.done", {**at, "part": text})


def _listed(part: dict[str, bytes], name: str) -> bytes:
    value = part.get(name, NULL)
    return b"[]" if value == NULL else value


def _text(script: _Script, event: str, at: dict[str, bytes], said: dict[str, bytes]) -> None:
    """The first of `said` in one piece, unless it is empty, then all of it."""
    (name, whole), *rest = said.items()
    if whole != b'""':
        script.say(f"{event}.delta", {**at, "delta": whole, **dict(rest)})
    script.say(f"{event}.done", {**at, name: whole, **dict(rest)})


def _reasoning(script: _Script, at: dict[str, bytes], item: dict[str, bytes]) -> None:
    for place, text in enumerate(items(_listed(item, "summary"))):
        here = {**at, "summary_index": b"%d" % place}
        part = members(text)
        begun = write({**part, "text": b'""'})
        script.say("response.reasoning_summary_part.added", {**here, "part": begun})
        _text(script, "response.reasoning_summary_text", here, {"text": part["text"]})
        script.say("response.reasoning_summary_part.done", {**here, "part": text})
    for place, text in enumerate(items(_listed(item, "content"))):
        _content_part(script, {**at, "content_index": b"%d" % place}, text)


def _call(script: _Script, at: dict[str, bytes], item: dict[str, bytes]) -> None:
    name, event = _CALLS[string(item["type"]) or ""]
    _text(script, event, at, {name: item[name]})


def _search(script: _Script, at: dict[str, bytes], item: dict[str, bytes]) -> None:
    del item
    for state in _SEARCHING:
        script.say(f"response.web_search_call.{state}", at)


def _nothing(script: _Script, at: dict[str, bytes], item: dict[str, bytes]) -> None:
    """An item without events of its own: it is added whole."""
    del script, at, item


_WRITERS: dict[str, Callable[[_Script, dict[str, bytes], dict[str, bytes]], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _call,
    "custom_tool_call": _call,
    "web_search_call": _search,
    "computer_call": _nothing,
    "local_shell_call": _nothing,
}
"""Items that can be told in events. Any other one locks the entry to JSON."""
