"""Names of what is kept for a CacheKey, all in one slot of a cluster."""

import binascii

from tiered_cache.core.vocabulary import CacheKey

FLIGHTS = b":flights"
_FAST_HASH_END = 34
"""A CacheKey in hex is its version (2 digits), the fast hash (32) and the keyed digest."""


def entry_name(prefix: bytes, key: CacheKey) -> bytes:
    """`<prefix>:<key version>:{<fast hash>}:<digest>`; the fast hash is the Cluster hash tag."""
    digits = binascii.hexlify(key)
    return b"%b:%b:{%b}:%b" % (prefix, digits[:2], digits[2:_FAST_HASH_END], digits[_FAST_HASH_END:])


def flights_name(prefix: bytes, key: CacheKey) -> bytes:
    """The name of its flights."""
    return entry_name(prefix, key) + FLIGHTS
