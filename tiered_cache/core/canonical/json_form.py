"""The generic part of the canonical form: numbers, nesting, and objects whose order steers the answer.

The canonical text is compact JSON, UTF-8, members sorted by the bytes of their names, except that an object
which is the value of `properties`, `patternProperties`, `$defs` or `definitions` is written as one flat array
name, value, name, value … in its own order. An array that stood there literally is written as an object with
the one empty name, so no two different values have one text.
"""

from typing import Any

import msgspec

from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of
from tiered_cache.core.canonical.reading import MAX_DIGITS

MAX_DEPTH = 128
"""Levels of nesting that are keyed; the body's own braces are the first."""

KEPT_IN_ORDER = frozenset({"properties", "patternProperties", "$defs", "definitions"})
"""Members of an object under these names keep their order: it is the order in which a model fills them."""

_INTEGER_END = 10**MAX_DIGITS
_WHOLE_END = 2.0**53

write_canonical = msgspec.json.Encoder(order="deterministic").encode
"""Settled value -> canonical bytes."""


def settle(value: Any, depth: int, *, exact: bool) -> Any:
    """`value` in canonical form; containers are changed in place.

    Args:
        value: a decoded JSON value.
        depth: the level it is on if it is a container; the body is on level 1.
        exact: inside a schema or a tool input, where 1 and 1.0 stay different.

    Raises:
        UnsafeBodyError: `nesting` or `number`.
    """
    kind = kind_of(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is dict:
        return _settle_object(value, depth, exact=exact)
    if kind is list:
        return _settle_array(value, depth, exact=exact)
    return settle_number(value, exact=exact)


def settle_number(value: float, *, exact: bool) -> float:
    """One spelling per number: an integral double up to 2**53 becomes that integer unless `exact`.

    Raises:
        UnsafeBodyError: `number`, an integer of more than 40 digits.
    """
    if type(value) is int:
        if -_INTEGER_END < value < _INTEGER_END:
            return value
        raise UnsafeBodyError("number")
    if exact or not value.is_integer() or not -_WHOLE_END <= value <= _WHOLE_END:
        return value
    return int(value)


def settle_member(owner: dict[str, Any], name: str, depth: int, *, exact: bool) -> None:
    """Settle one member of `owner` in place; `depth` is the level of the member's own value.

    Raises:
        UnsafeBodyError: `nesting` or `number`.
    """
    value = settle(owner[name], depth, exact=exact or name in KEPT_IN_ORDER)
    owner[name] = _in_order(value) if name in KEPT_IN_ORDER else value


def _settle_array(values: list[Any], depth: int, *, exact: bool) -> list[Any]:
    if depth > MAX_DEPTH:
        raise UnsafeBodyError("nesting")
    for index, value in enumerate(values):
        if type(value) is not str:
            values[index] = settle(value, depth + 1, exact=exact)
    return values


def _settle_object(members: dict[str, Any], depth: int, *, exact: bool) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise UnsafeBodyError("nesting")
    if not KEPT_IN_ORDER.isdisjoint(members):
        return _settle_schema(members, depth)
    for name, value in members.items():
        if type(value) is not str:
            # Only values change, never names, so the iteration stays valid.
            members[name] = settle(value, depth + 1, exact=exact)
    return members


def _settle_schema(members: dict[str, Any], depth: int) -> dict[str, Any]:
    """An object with a member whose order counts is a schema wherever it stands, so its numbers are exact."""
    for name, value in members.items():
        if type(value) is not str:
            settled = settle(value, depth + 1, exact=True)
            members[name] = _in_order(settled) if name in KEPT_IN_ORDER else settled
    return members


def _in_order(value: Any) -> Any:
    kind = kind_of(value)
    if kind is dict:
        flat: list[Any] = []
        for member in value.items():
            flat += member
        return flat
    return {"": value} if kind is list else value
