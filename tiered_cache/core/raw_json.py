"""Takes JSON text apart and puts it together again without touching the text of its values."""

import re

import msgspec

NULL = b"null"
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_INTEGER = msgspec.json.Decoder(int)
_TEXT = msgspec.json.Decoder(str)
_ANY = msgspec.json.Decoder()
_ENCODE = msgspec.json.Encoder().encode
_COLON = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_SPACE = b" \t\r\n"
_UNDECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class UnreadableError(ValueError):
    """The text is not JSON, or not of the JSON type that was asked for. Carries no text."""


def check(text: bytes | str) -> None:
    """Raise UnreadableError unless `text` is one JSON value that every strict parser reads alike.

    No NaN, no number beyond a double, no lone surrogate, no invalid UTF-8, no nesting beyond the parser's.
    """
    try:
        _ANY.decode(text)
    except _UNDECODABLE:
        error = UnreadableError()
    else:
        return
    # Outside of the handler: no text of an answer may hang on a raised error as its context.
    raise error


def parses(text: bytes | str) -> bool:
    """Whether `text` is one JSON value."""
    try:
        check(text)
    except UnreadableError:
        return False
    return True


def members(text: bytes) -> dict[str, bytes]:
    """Members of the object by name, each value as its text; the last of a repeated name, as SDKs read it.

    Raises:
        UnreadableError: `text` is no object.
    """
    try:
        return {name: bytes(value) for name, value in _OBJECT.decode(text).items()}
    except _UNDECODABLE:
        error = UnreadableError()
    raise error


def members_or_none(text: bytes | None) -> dict[str, bytes]:
    """As `members`; nothing where there is no object."""
    try:
        return {} if text is None else members(text)
    except UnreadableError:
        return {}


def items(text: bytes) -> list[bytes]:
    """Items of the list, each as its text. Raises UnreadableError: `text` is no list."""
    try:
        return [bytes(value) for value in _LIST.decode(text)]
    except _UNDECODABLE:
        error = UnreadableError()
    raise error


def objects(text: bytes) -> list[dict[str, bytes]]:
    """Members of each object of the list, read in one pass. Raises UnreadableError: it is no such list."""
    try:
        return [{name: bytes(value) for name, value in each.items()} for each in _OBJECTS.decode(text)]
    except _UNDECODABLE:
        error = UnreadableError()
    raise error


def integer(text: bytes | None) -> int | None:
    """The integer, None for anything else."""
    try:
        return None if text is None else _INTEGER.decode(text)
    except _UNDECODABLE:
        return None


def string(text: bytes | None) -> str | None:
    """The string, None for anything else."""
    try:
        return None if text is None else _TEXT.decode(text)
    except _UNDECODABLE:
        return None


def quoted(text: bytes) -> bytes:
    """The string that says this UTF-8 text."""
    return _ENCODE(text.decode())


def is_string(text: bytes) -> bool:
    """Whether this text of a JSON value is a string."""
    return text.startswith(b'"')


def is_list(text: bytes) -> bool:
    """Whether this text of a JSON value is a list."""
    return text.startswith(b"[")


def is_object(text: bytes) -> bool:
    """Whether this text of a JSON value is an object."""
    return text.startswith(b"{")


def concatenate(strings: list[bytes]) -> bytes:
    """One string of several: their texts between the quotes, one behind the other."""
    return b'"%b"' % b"".join([text[1:-1] for text in strings])


def extend(lists: list[bytes]) -> bytes:
    """One list of several, the text of each item kept."""
    inner = [text[1:-1].strip(_SPACE) for text in lists]
    return b"[%b]" % b",".join([text for text in inner if text])


def write(parts: dict[str, bytes]) -> bytes:
    """An object of these members, values as they are."""
    return b"{%b}" % b",".join([member(name, value) for name, value in parts.items()])


def member(name: str, value: bytes) -> bytes:
    """One member of an object."""
    return b"%b:%b" % (_ENCODE(name), value)


def with_member(text: bytes, name: str, value: bytes) -> bytes:
    """The object with another value at `name`, which it has; every other byte is kept where that is possible.

    Where the name cannot be found for certain, the object is written anew: spaces go, values keep their text.
    """
    old = members(text)
    wanted = {**old, name: value}
    span = _span(text, name, old[name])
    if span is not None:
        edited = text[: span[1] - len(old[name])] + value + text[span[1] :]
        if _says(edited, wanted):
            return edited
    return write(wanted)


def without_member(text: bytes, name: str) -> bytes:
    """The object without `name`, which it has; every other byte but one comma is kept where possible."""
    old = members(text)
    wanted = {key: value for key, value in old.items() if key != name}
    span = _span(text, name, old[name])
    if span is not None:
        before, after = text[: span[0]], text[span[1] :]
        if before.rstrip(_SPACE).endswith(b","):
            before = before.rstrip(_SPACE)[:-1]
        else:
            after = after.lstrip(_SPACE).removeprefix(b",")
        if _says(before + after, wanted):
            return before + after
    return write(wanted)


def _span(text: bytes, name: str, value: bytes) -> tuple[int, int] | None:
    """A place where `name` and this `value` stand; the last one, which need not be the object's own."""
    key = _ENCODE(name)
    at = text.rfind(key)
    colon = None if at < 0 else _COLON.match(text, at + len(key))
    if colon is None or not text.startswith(value, colon.end()):
        return None
    return at, colon.end() + len(value)


def _says(text: bytes, wanted: dict[str, bytes]) -> bool:
    """Whether an edit did just what it should: the name may have stood deeper, or in another spelling."""
    try:
        return members(text) == wanted
    except UnreadableError:
        return False
