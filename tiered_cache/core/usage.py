"""Reads what an answer cost, and writes that it cost nothing."""

import re

from msgspec import Struct

from tiered_cache.core.accounting import picousd
from tiered_cache.core.raw_json import NULL, UnreadableError, integer, is_object, members, with_member
from tiered_cache.core.vocabulary import Usage

_MOST_TOKENS = 2**53
_NUMBER = re.compile(rb"-?[0-9]")


class UsageNames(Struct, frozen=True):
    """Names of the token counts in a dialect's `usage` object."""

    read: str
    written: str
    details: str


def read_usage(text: bytes | None, names: UsageNames) -> Usage:
    """Tokens and cost of a `usage` object; zero and unpriced where it does not say, whatever it is."""
    usage = members_or_none(text)
    details = members_or_none(usage.get(names.details))
    return Usage(
        prompt_tokens=_tokens(usage.get(names.read)),
        completion_tokens=_tokens(usage.get(names.written)),
        cached_tokens=_tokens(details.get("cached_tokens")),
        cost_picousd=picousd(usage.get("cost")),
    )


def members_or_none(text: bytes | None) -> dict[str, bytes]:
    """Members of the object by name; none where there is no object."""
    try:
        return {} if text is None else members(text)
    except UnreadableError:
        return {}


def _tokens(text: bytes | None) -> int:
    count = integer(text)
    return count if count is not None and 0 <= count < _MOST_TOKENS else 0


def without_cost(answer: bytes) -> bytes:
    """A JSON answer or event with `usage.cost` 0; every other byte is kept where that is possible."""
    if b'"cost"' not in answer:
        return answer
    try:
        usage = members(answer).get("usage", NULL)
        cost = members(usage).get("cost", NULL) if is_object(usage) else NULL
        if _NUMBER.match(cost) is None:
            return answer
        return with_member(answer, "usage", with_member(usage, "cost", b"0"))
    except UnreadableError:
        return answer
