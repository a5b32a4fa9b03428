"""Reads Structured Fields as far as caching needs: is it whole, of which type is a member (RFC 8941 §4.2)."""

import re
from typing import NamedTuple

_KEY = re.compile(rb"[a-z*][a-z0-9_\-.*]*")
_BARE = re.compile(
    rb"(?P<decimal>-?[0-9]{1,12}\.[0-9]{1,3})(?![0-9.])"
    rb"|(?P<integer>-?[0-9]{1,15})(?![0-9.])"
    rb'|"(?P<string>(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"'
    rb"|(?P<token>[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/\-]*)"
    rb"|:(?P<binary>[A-Za-z0-9+/=]*):"
    rb"|\?(?P<boolean>[01])"
)
_PARAMETER = re.compile(rb"; *")
_COMMA = re.compile(rb"[ \t]*,[ \t]*")
_BLANK = re.compile(rb"[ \t]*")


class Bare(NamedTuple):
    """A bare item, or an inner list (whose text is empty).

    Attributes:
        kind: `decimal`, `integer`, `string`, `token`, `binary`, `boolean` or `list`.
        text: as written, without the delimiters of its type.
    """

    kind: str
    text: bytes


TRUE = Bare("boolean", b"1")


class _BadFieldError(ValueError):
    """The field does not parse, so the whole of it is ignored (RFC 8941 §4.2)."""


def parse_dictionary(value: bytes) -> dict[bytes, Bare] | None:
    """Members of a Dictionary by key (of a repeated one the last), without parameters; None if it is none."""
    try:
        return _dictionary(value.strip(b" "))
    except _BadFieldError:
        return None


def is_list(value: bytes) -> bool:
    """Whether `value` is a List that a recipient can read, so that another member may be appended to it."""
    return parse_list(value) is not None


def parse_list(value: bytes) -> list[Bare] | None:
    """Members of a List, without parameters; None if it is none."""
    value = value.strip(b" ")
    members: list[Bare] = []
    at = 0
    try:
        while at < len(value):
            member, at = _member(value, at)
            members.append(member)
            at = _next_member(value, at)
    except _BadFieldError:
        return None
    return members


def _dictionary(value: bytes) -> dict[bytes, Bare]:
    """RFC 8941 §4.2.2."""
    members: dict[bytes, Bare] = {}
    at = 0
    while at < len(value):
        key, at = _key(value, at)
        if value[at : at + 1] == b"=":
            members[key], at = _member(value, at + 1)
        else:
            members[key], at = TRUE, _parameters(value, at)
        at = _next_member(value, at)
    return members


def _next_member(value: bytes, at: int) -> int:
    """Where the next member begins; the end of the value when there is none. A trailing comma is an error."""
    if _BLANK.fullmatch(value, at):
        return len(value)
    comma = _COMMA.match(value, at)
    if comma is None or comma.end() == len(value):
        raise _BadFieldError
    return comma.end()


def _key(value: bytes, at: int) -> tuple[bytes, int]:
    found = _KEY.match(value, at)
    if found is None:
        raise _BadFieldError
    return found[0], found.end()


def _member(value: bytes, at: int) -> tuple[Bare, int]:
    """An item or an inner list, with its parameters."""
    bare, at = _inner_list(value, at + 1) if value[at : at + 1] == b"(" else _bare(value, at)
    return bare, _parameters(value, at)


def _inner_list(value: bytes, at: int) -> tuple[Bare, int]:
    """RFC 8941 §4.2.1.2, from behind the opening parenthesis."""
    while True:
        apart = at
        while value[at : at + 1] == b" ":
            at += 1
        if value[at : at + 1] == b")":
            return Bare("list", b""), at + 1
        if apart == at and value[at - 1 : at] != b"(":
            raise _BadFieldError
        _, at = _bare(value, at)
        at = _parameters(value, at)


def _parameters(value: bytes, at: int) -> int:
    while found := _PARAMETER.match(value, at):
        _, at = _key(value, found.end())
        if value[at : at + 1] == b"=":
            _, at = _bare(value, at + 1)
    return at


def _bare(value: bytes, at: int) -> tuple[Bare, int]:
    found = _BARE.match(value, at)
    if found is None or found.lastgroup is None:
        raise _BadFieldError
    return Bare(found.lastgroup, found[found.lastgroup]), found.end()
