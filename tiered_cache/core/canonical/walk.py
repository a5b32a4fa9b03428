"""What the walks over messages and tools have in common, whatever the dialect."""

from types import NoneType
from typing import Any, cast

from tiered_cache.core.canonical.form import UnsafeBodyError, kind_of


def object_of(value: Any) -> dict[str, Any]:
    """`value`, which must be a JSON object.

    Raises:
        UnsafeBodyError: `field-type`.
    """
    if type(value) is not dict:
        raise UnsafeBodyError("field-type")
    return cast("dict[str, Any]", value)


def drop_cache_control(owner: dict[str, Any]) -> bool:
    """Take the mark of the provider's prompt cache off a block or tool; whether there was one.

    Raises:
        UnsafeBodyError: `field-type`, it is neither an object nor null.
    """
    if "cache_control" not in owner:
        return False
    if kind_of(owner.pop("cache_control")) not in {dict, NoneType}:
        raise UnsafeBodyError("field-type")
    return True


def names_url(value: Any) -> bool:
    """Whether some text in `value` begins like `https://…`: the answer depends on what is there."""
    kind = kind_of(value)
    if kind is str:
        return "://" in value[:24]
    if kind is dict:
        return any(map(names_url, value.values()))
    return kind is list and any(map(names_url, value))
