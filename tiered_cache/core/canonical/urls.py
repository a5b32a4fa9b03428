"""Finds texts that name something to fetch."""

from typing import Any

from tiered_cache.core.canonical.form import kind_of


def names_url(value: Any) -> bool:
    """Whether some text in `value` begins like `https://…`: the answer depends on what is there."""
    kind = kind_of(value)
    if kind is str:
        return "://" in value[:24]
    if kind is dict:
        return any(map(names_url, value.values()))
    return kind is list and any(map(names_url, value))
