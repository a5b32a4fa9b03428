"""Looser profiles of the canonical form, as an operator's rule wants them: more calls are one call.

They work on the canonical text and touch the texts of messages and the ids of tool calls, nothing else.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from unicodedata import normalize

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from tiered_cache.core.canonical.form import Canonical, KeyOptions
from tiered_cache.core.rules import LOOSER, Looser

_ASCII_SPACE: Final = " \t\n\r"
_SPEAKERS: Final = frozenset({"system", "developer", "user", "assistant"})
"""Roles whose text is language; what a tool gave is data."""

_Members = dict[str, Raw]
_BODY = msgspec.json.Decoder(_Members)
_OBJECTS = msgspec.json.Decoder(list[_Members])
_TEXT = msgspec.json.Decoder(str)
_ENCODE = msgspec.json.Encoder().encode


class Places(Struct, frozen=True):
    """Where a dialect has texts of messages and ids of tool calls.

    Attributes:
        texts: members of the body.
        messages: the member that lists them.
        parts: types of the parts whose `text` is meant.
        ids: members of a message that are the id of a tool call.
        id_lists: members of a message that list objects with such ids, each with the ids' name by the
            object's type; the empty type stands for every one.
    """

    texts: tuple[str, ...]
    messages: str
    parts: frozenset[str]
    ids: tuple[str, ...]
    id_lists: Mapping[str, Mapping[str, str]]


PLACES: Final[Mapping[str, Places]] = MappingProxyType(
    {
        "chat/completions": Places(
            (), "messages", frozenset({"text"}), ("tool_call_id",), {"tool_calls": {"": "id"}}
        ),
        "messages": Places(
            ("system",),
            "messages",
            frozenset({"text"}),
            (),
            {"content": {"tool_use": "id", "tool_result": "tool_use_id"}},
        ),
        "responses": Places(
            ("instructions",), "input", frozenset({"input_text", "output_text"}), ("call_id",), {}
        ),
    }
)
"""The dialects that have messages, by endpoint."""


def looser(form: Canonical, options: KeyOptions) -> Canonical:
    """The form as the first rule that covers the call wants it; as it is where that wants nothing."""
    call = form.call
    rule = next((rule for rule in options.rules if rule.covers(call, options.tenant, None)), None)
    places = PLACES.get(call.endpoint)
    if rule is None or not rule.gives.looser or places is None:
        return form
    words: tuple[Looser, ...] = tuple([word for word in LOOSER if word in rule.gives.looser])
    return replace(form, text=_loosened(form.text, places, words), looser=words)


def overlooking(text: str, words: tuple[Looser, ...]) -> str:
    """A text as `words` see it; doing it again changes nothing."""
    if "trim" in words:
        text = text.strip(_ASCII_SPACE)
    if "nfc" in words:
        text = normalize("NFC", text)
    if "fold" in words:
        # Folding takes composed letters apart, so they are composed once more.
        text = normalize("NFC", text.casefold()) if "nfc" in words else text.casefold()
    return text


def _loosened(text: bytes, places: Places, words: tuple[Looser, ...]) -> bytes:
    body = _BODY.decode(text)
    for name in places.texts:
        if name in body:
            body[name] = _in_content(body[name], places, words)
    if places.messages in body:
        messages = _OBJECTS.decode(body[places.messages])
        for message in messages:
            _loosen_text(message, places, words)
        if "tool-call-ids" in words:
            _number_ids(messages, places)
        body[places.messages] = Raw(_ENCODE(messages))
    return _ENCODE(body)


def _loosen_text(message: _Members, places: Places, words: tuple[Looser, ...]) -> None:
    role = message.get("role")
    if role is not None and "content" in message and _read(role) in _SPEAKERS:
        message["content"] = _in_content(message["content"], places, words)


def _in_content(content: Raw, places: Places, words: tuple[Looser, ...]) -> Raw:
    """Content that is a text, or a list of parts; anything else is left as it is."""
    text = _read(content)
    if text is not None:
        return Raw(_ENCODE(overlooking(text, words)))
    parts = _objects(content)
    if parts is None:
        return content
    for part in parts:
        if "text" in part and _read(part.get("type")) in places.parts:
            part["text"] = _in_content(part["text"], places, words)
    return Raw(_ENCODE(parts))


def _number_ids(messages: list[_Members], places: Places) -> None:
    """Each id becomes its number by first occurrence, in place: which call a result belongs to is kept."""
    numbers: dict[str, int] = {}
    for message in messages:
        for name in places.ids:
            _number(message, name, numbers)
        for name, ids in places.id_lists.items():
            listed = _objects(message.get(name))
            if listed is None:
                continue
            for each in listed:
                kind = "" if "" in ids else _read(each.get("type"))
                _number(each, ids.get(kind or "", ""), numbers)
            message[name] = Raw(_ENCODE(listed))


def _number(members: _Members, name: str, numbers: dict[str, int]) -> None:
    text = _read(members.get(name))
    if text is not None:
        members[name] = Raw(_ENCODE(numbers.setdefault(text, len(numbers))))


def _read(value: Raw | None) -> str | None:
    """The text that a member is, or None."""
    if value is None or bytes(value)[:1] != b'"':
        return None
    return _TEXT.decode(value)


def _objects(value: Raw | None) -> list[_Members] | None:
    """The objects that a member lists, or None."""
    if value is None or bytes(value)[:1] != b"[":
        return None
    try:
        return _OBJECTS.decode(value)
    except msgspec.ValidationError:
        return None
