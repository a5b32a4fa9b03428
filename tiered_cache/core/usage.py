"""Reads what an answer cost, in dialects that say it in one object."""

from msgspec import Struct

from tiered_cache.core.accounting import picousd, token_count
from tiered_cache.core.raw_json import members_or_none
from tiered_cache.core.vocabulary import Usage


class UsageNames(Struct, frozen=True):
    """Names of the token counts in a dialect's `usage` object."""

    read: str
    written: str
    details: str


def usage_named(text: bytes | None, names: UsageNames) -> Usage:
    """Tokens and cost of a `usage` object; zero and unpriced where it does not say, whatever it is."""
    usage = members_or_none(text)
    details = members_or_none(usage.get(names.details))
    return Usage(
        prompt_tokens=token_count(usage.get(names.read)),
        completion_tokens=token_count(usage.get(names.written)),
        cached_tokens=token_count(details.get("cached_tokens")),
        cost_picousd=picousd(usage.get("cost")),
    )
