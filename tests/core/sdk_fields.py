"""What the request types of an SDK hold."""

from typing import Any, Literal, get_args, get_origin, get_type_hints


def fields_of(params: Any) -> set[str]:
    """Names of the members of a TypedDict, inherited ones too."""
    return set(params.__required_keys__) | set(params.__optional_keys__)


def kinds_of(union: Any) -> set[str]:
    """Every `type` that the members of a union of TypedDicts may have."""
    return set().union(*(_literals(get_type_hints(member)["type"]) for member in get_args(union)))


def _literals(hint: Any) -> set[str]:
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return set().union(*map(_literals, get_args(hint)))
