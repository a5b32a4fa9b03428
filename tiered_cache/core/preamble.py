"""Tells the events that open a stream from those that deliver something of an answer (SEMANTICS §5).

What is not known here delivers: a caller that had it is never given another generation.
"""

from tiered_cache.core.raw_json import NULL, UnreadableError, members, objects, string
from tiered_cache.core.responses_fields import KEEPALIVES
from tiered_cache.core.sse import Event

_EMPTY = frozenset({NULL, b'""', b"[]", b"{}"})
_ROLE = frozenset({"role"})
_OPENING = frozenset({"response.created", "response.queued", "response.in_progress"}) | KEEPALIVES
_ADDED = {
    "response.output_item.added": "item",
    "response.content_part.added": "part",
    "response.reasoning_summary_part.added": "part",
}
_SAID_EMPTY = frozenset({"message", "reasoning", "output_text", "summary_text", "text", "thinking"})
"""Parts of an answer that begin with nothing in them; others name a tool when they begin."""

_NAMES = frozenset({"id", "type", "status", "role"})


def opens_chat(event: Event) -> bool:
    """A comment, a ping, or a chunk that says no more than a role: of completions, one without text."""
    if event.data is None or event.name == b"ping":
        return True
    try:
        chunk = members(event.data)
        silent = all(map(_is_silent, objects(chunk.get("choices", NULL))))
    except UnreadableError:
        return False
    return silent and chunk.get("error", NULL) == NULL


def opens_messages(event: Event) -> bool:
    """A comment, a ping, the message's begin without content, or that of a block of text or thinking."""
    if event.data is None or event.name == b"ping":
        return True
    try:
        said = members(event.data)
        kind = string(said.get("type"))
        if kind == "message_start":
            return members(said.get("message", NULL)).get("content", b"[]") == b"[]"
        return kind == "ping" or (kind == "content_block_start" and _is_empty(said["content_block"]))
    except (UnreadableError, KeyError):
        return False


def opens_responses(event: Event) -> bool:
    """A comment, a keep-alive, the response's begin, or that of an item or part with nothing in it."""
    if event.data is None:
        return True
    try:
        said = members(event.data)
        kind = string(said.get("type")) or event.name.decode("utf-8", "replace")
        return kind in _OPENING or (kind in _ADDED and _is_empty(said[_ADDED[kind]]))
    except (UnreadableError, KeyError):
        return False


def _is_silent(choice: dict[str, bytes]) -> bool:
    rest = {name: value for name, value in choice.items() if name not in {"index", "delta"}}
    return _holds_nothing(rest, frozenset()) and _holds_nothing(_delta(choice), _ROLE)


def _delta(choice: dict[str, bytes]) -> dict[str, bytes]:
    delta = choice.get("delta", NULL)
    return {} if delta == NULL else members(delta)


def _is_empty(text: bytes) -> bool:
    """Whether an item, a part or a block has begun with nothing in it."""
    part = members(text)
    return string(part.get("type")) in _SAID_EMPTY and _holds_nothing(part, _NAMES)


def _holds_nothing(said: dict[str, bytes], apart: frozenset[str]) -> bool:
    return all(name in apart or value in _EMPTY for name, value in said.items())
