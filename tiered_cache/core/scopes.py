"""Names what a purge reaches: everything, a tenant, a model, a tag or a key, as digests that tell nothing."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from tiered_cache.core.epochs import SCOPE_BYTES
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.errors import RequestError

Digest = Callable[..., bytes]
"""Keyed digest of a kind and its texts, `SCOPE_BYTES` long."""

_EVERYTHING, _TENANT, _MODEL, _TAG = "everything", "tenant", "model", "tag"


class Selector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be purged: one of key, tag, model and everything, or a whole tenant.

    Attributes:
        key: as text, as `explain` gives it.
        tag: of a rule, of a caller's `x-tiered-cache-tags`, or of the origin.
        model: as callers write it, or as answers name it.
        tenant: alone: all of it; beside a tag or a model: only there.
        everything: all tenants, all models.
    """

    key: str | None = None
    tag: str | None = None
    model: str | None = None
    tenant: str | None = None
    everything: bool = False


def selected(digest: Digest, selector: Selector) -> bytes:
    """The scope that a selector names.

    Raises:
        RequestError: it names nothing, or two things; the key is none.
    """
    named = [name for name in ("key", "tag", "model") if getattr(selector, name) is not None]
    named += ["everything"] if selector.everything else []
    alone = selector.tenant is not None and not named
    if len(named) + alone != 1 or (selector.tenant is not None and named[:1] in (["key"], ["everything"])):
        raise RequestError(
            "Name one of key, tag, model or everything, or a tenant: a tag or model may have one."
        )
    if selector.key is not None:
        return key_scope(_key(selector.key))
    if selector.tag is not None:
        return digest(_TAG, *_within(selector.tenant), selector.tag)
    if selector.model is not None:
        return digest(_MODEL, *_within(selector.tenant), selector.model)
    return digest(_EVERYTHING) if selector.tenant is None else digest(_TENANT, selector.tenant)


def scopes_of(digest: Digest, tenant: str, models: Iterable[str], tags: Iterable[str]) -> tuple[bytes, ...]:
    """By which scopes but its keys an entry is reached.

    Args:
        digest: names them.
        tenant: whose entry it is.
        models: as the call and the answer write them.
        tags: from rule, caller and origin.
    """
    scopes = [digest(_EVERYTHING), digest(_TENANT, tenant)]
    for kind, words in ((_MODEL, models), (_TAG, tags)):
        for word in dict.fromkeys(words):
            scopes += (digest(kind, word), digest(kind, tenant, word))
    return tuple(scopes)


def key_scope(key: CacheKey) -> bytes:
    """The scope of one entry: the end of its keyed digest."""
    return key[-SCOPE_BYTES:]


def _within(tenant: str | None) -> tuple[str, ...]:
    return () if tenant is None else (tenant,)


def _key(text: str) -> CacheKey:
    """The key that `key_text` wrote. Raises RequestError."""
    version, _, rest = text.partition("-")
    try:
        key = bytes([int(version)]) + bytes.fromhex(rest.replace("-", ""))
    except ValueError:
        key = b""
    if len(key) <= SCOPE_BYTES:
        raise RequestError("The key is none: write it as explain and Cache-Status do.")
    return CacheKey(key)
