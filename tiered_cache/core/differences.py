"""Walks two JSON values side by side and names the places where they differ."""

from typing import Any

from msgspec import UNSET, Struct, json

from tiered_cache.core.canonical.form import kind_of

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$")


class Difference(Struct, frozen=True):
    """One place at which two calls differ.

    Attributes:
        path: a place in the canonical form of the body, e.g. `messages[0].content`; or, with a space in it,
            something beside the body: `header anthropic-beta`, `partition tenant`, `reason word`.
        a, b: JSON text of what stands there; None where nothing does.
    """

    path: str
    a: str | None
    b: str | None


def differences(first: Any, second: Any) -> tuple[Difference, ...]:
    """Where two values differ, by type and value: 1, 1.0 and true are three things; UNSET is nothing."""
    found: list[Difference] = []
    _walk("", first, second, found)
    return tuple(found)


def text_of(value: Any) -> str | None:
    """The value as JSON text, which tells types apart; None for UNSET."""
    return None if value is UNSET else json.encode(value).decode()


def _walk(path: str, a: Any, b: Any, found: list[Difference]) -> None:
    kinds = kind_of(a), kind_of(b)
    if kinds == (dict, dict):
        for name in (*a, *(name for name in b if name not in a)):
            _walk(_joined(path, name), a.get(name, UNSET), b.get(name, UNSET), found)
    elif kinds == (list, list):
        for index in range(max(len(a), len(b))):
            one, other = (each[index] if index < len(each) else UNSET for each in (a, b))
            _walk(f"{path}[{index}]", one, other, found)
    else:
        here, there = text_of(a), text_of(b)
        if here != there:
            found.append(Difference(path, here, there))


def _joined(path: str, name: str) -> str:
    """Names that would be mistaken for more of a path stand in quotes."""
    if not name or not _PLAIN.issuperset(name):
        return f"{path}[{json.encode(name).decode()}]"
    return f"{path}.{name}" if path else name
