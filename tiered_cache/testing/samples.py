"""Entries and keys to fill tiers with."""

from tiered_cache.core.codec import seal
from tiered_cache.core.sealed import Sealed
from tiered_cache.core.vocabulary import CacheKey, Entry, Lifetime, Usage

_FAST_HASH_BYTES = 16
_DIGEST_BYTES = 32


def sample_key(number: int, *, fast_hash: int | None = None) -> CacheKey:
    """A key of its own for each number; with the same `fast_hash` they collide in the fast hash alone."""
    fast = number if fast_hash is None else fast_hash
    return CacheKey(b"\x01" + fast.to_bytes(_FAST_HASH_BYTES, "big") + number.to_bytes(_DIGEST_BYTES, "big"))


def sample_entry(
    body: bytes = b'{"choices":[]}',
    *,
    fresh_s: float = 3600.0,
    stale_while_revalidate_s: float = 0.0,
    stale_if_error_s: float = 0.0,
) -> Entry:
    """A complete entry with this body and these windows."""
    return Entry(
        endpoint="chat/completions",
        form="json",
        status=200,
        headers=((b"content-type", b"application/json"), (b"x-sample", b"\x80\xff")),
        body=body,
        locked=False,
        has_usage=True,
        content_class="chat",
        model="sample/model",
        usage=Usage(prompt_tokens=12, completion_tokens=34, cached_tokens=5, cost_picousd=6_700_000),
        lifetime=Lifetime(fresh_s, stale_while_revalidate_s, stale_if_error_s, "sample"),
        origin_s=1.25,
        origin_request_id=b"req-sample",
    )


def sample_sealed(key: CacheKey, body: bytes = b'{"choices":[]}', *, fresh_s: float = 3600.0) -> Sealed:
    """`sample_entry` encoded for a key."""
    return seal(key, sample_entry(body, fresh_s=fresh_s))
