"""Reads the tags by which answers can be purged: a caller's, and the origin's (RFC 9875 `Cache-Groups`)."""

import re

from tiered_cache.core.structured import parse_list
from tiered_cache.core.vocabulary import Headers

MAX_TAGS = 128
MAX_TAG_LETTERS = 128
"""Of one entry and of one tag, as RFC 9875 §2.1 asks caches to support of groups."""

_TAG = re.compile(rf"[!-+\--~]{{1,{MAX_TAG_LETTERS}}}")
"""Visible ASCII without the comma that parts them."""

_LISTS = frozenset({b"cache-tag", b"cache-tags"})


def read_tags(value: bytes) -> tuple[str, ...] | None:
    """The tags of a list such as `team-a, release-7`; None for one that is not honoured whole."""
    tags = [word.strip() for word in value.decode("latin-1").split(",")]
    if len(tags) > MAX_TAGS or not all(map(_TAG.fullmatch, tags)):
        return None
    return tuple(dict.fromkeys(tags))


def origin_tags(headers: Headers) -> tuple[str, ...]:
    """The tags that an origin gave; what is not understood is passed over, as more tags purge more."""
    found: list[str] = []
    for name, value in headers:
        if name in _LISTS:
            found += map(str.strip, value.decode("latin-1").split(","))
        elif name == b"cache-groups":
            members = parse_list(value)
            found += [text.decode() for kind, text in members or () if kind == "string"]
    return tuple(dict.fromkeys(filter(_TAG.fullmatch, found)))[:MAX_TAGS]
