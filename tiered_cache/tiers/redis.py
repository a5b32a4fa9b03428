"""L2: entries shared by processes and machines, in Redis or Valkey."""

import asyncio
import math
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tiered_cache.core.codec import unseal
from tiered_cache.core.vocabulary import CacheKey, Found, Sealed
from tiered_cache.errors import ConfigError, CorruptEntryError, TierUnavailableError
from tiered_cache.tiers.redis_lookups import LANES, MAX_VALUE_BYTES, Lookups

WRITERS = 4
"""Connections for everything but reads."""
_CLEAR_BATCH = 500
_LONGEST_EXPIRY_MS = 10**14
_FAST_HASH_END = 17
"""A CacheKey is its version (1 byte), the fast hash (16 bytes) and the keyed digest."""

# The instant of birth in microseconds of the server's clock, and what is missing from it to 2^53: the
# checksum of the payload does not cover it.
_STAMP = struct.Struct(">QQ")
_STAMP_SUM = 2**53
_PUT = """
local now = redis.call('TIME')
local born = math.max(0, now[1] * 1000000 + now[2] - ARGV[2])
local stamp = struct.pack('>I8I8', born, 9007199254740992 - born)
return redis.call('SET', KEYS[1], stamp .. ARGV[1], 'PX', ARGV[3])
"""


class RedisTier:
    """Entries named `<prefix>:<key version>:{<fast hash>}:<digest>`, aged by the server's clock.

    Reads of many callers share a round trip; connections are bounded by `LANES` and `WRITERS`, and nothing is
    retried: the guard decides what a failure means.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: first word of every key.
        read_timeout_s: what a round trip of lookups may take.
        write_timeout_s: what a put, a remove or one step of a clear may take.

    Raises:
        ConfigError: the URL cannot be read.
    """

    name = "L2"

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "tc",
        read_timeout_s: float = 0.025,
        write_timeout_s: float = 1.0,
    ) -> None:
        self._prefix = prefix
        self._write_timeout_s = write_timeout_s
        self._client = _client(url, max(read_timeout_s, write_timeout_s))
        self._put = self._client.register_script(_PUT)
        self._lookups = Lookups(self._client.connection_pool, read_timeout_s)
        self._writers = asyncio.Semaphore(WRITERS)
        self._closed = False

    async def get(self, key: CacheKey) -> Found | None:
        """Look `key` up. Raises CorruptEntryError, TierUnavailableError."""
        self._demand_open()
        reading = await self._lookups.read(self.key_name(key))
        if reading is None:
            return None
        value, now_us = reading
        sealed = unseal(key, value[_STAMP.size :])
        age_s = (now_us - _born_us(value)) / 1e6
        return Found(sealed, age_s) if 0.0 <= age_s < sealed.entry.lifetime.retention_s else None

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """Keep an entry that is `age_s` old. Raises TierUnavailableError."""
        left_s = sealed.entry.lifetime.retention_s - age_s
        if left_s <= 0.0:
            return
        if len(sealed.payload) > MAX_VALUE_BYTES - _STAMP.size:
            await self.remove(key)
            return
        expiry_ms = math.ceil(min(left_s * 1000.0, _LONGEST_EXPIRY_MS))
        async with self._writing():
            await self._put(
                keys=[self.key_name(key)],
                args=[sealed.payload, round(age_s * 1e6), expiry_ms],
            )

    async def remove(self, key: CacheKey) -> None:
        """Forget `key`. Raises TierUnavailableError."""
        async with self._writing():
            await self._client.unlink(self.key_name(key))

    async def clear(self) -> None:
        """Forget every entry under this prefix, and no other key. Raises TierUnavailableError."""
        pattern = f"{_glob_literal(self._prefix)}:??:{{*}}:*"
        cursor = 0
        while True:
            async with self._writing():
                cursor, names = await self._client.scan(cursor, match=pattern, count=_CLEAR_BATCH)
                if names:
                    await self._client.unlink(*names)
            if cursor == 0:
                return

    async def ping(self) -> None:
        """Ask for a sign of life. Raises TierUnavailableError."""
        async with self._writing():
            await self._client.ping()

    async def close(self) -> None:
        """Close the connections; lookups under way fail."""
        if self._closed:
            return
        self._closed = True
        await self._lookups.close()
        with suppress(RedisError, OSError):
            await self._client.aclose()

    def key_name(self, key: CacheKey) -> str:
        """The Redis key of a CacheKey. The fast hash is the Cluster hash tag."""
        fast = key[1:_FAST_HASH_END].hex()
        return f"{self._prefix}:{key[:1].hex()}:{{{fast}}}:{key[_FAST_HASH_END:].hex()}"

    def _demand_open(self) -> None:
        if self._closed:
            raise TierUnavailableError("closed")

    @asynccontextmanager
    async def _writing(self) -> AsyncGenerator[None]:
        self._demand_open()
        try:
            async with asyncio.timeout(self._write_timeout_s), self._writers:
                yield
        except (RedisError, OSError) as error:
            raise TierUnavailableError(type(error).__name__) from error


def _client(url: str, timeout_s: float) -> Any:
    try:
        return cast("Any", Redis).from_url(  # its types are partial
            url,
            driver_info=None,  # redis-py would read package metadata from disk
            max_connections=LANES + WRITERS,
            protocol=2,  # no greeting: a new connection costs no round trip of a caller's budget
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=timeout_s,
            socket_timeout=None,  # each round trip has one deadline of its own
        )
    except ValueError as error:
        # The URL may hold a password: it is not repeated.
        raise ConfigError(
            "the Redis URL cannot be read: write redis://HOST:PORT/DB or unix://PATH"
        ) from error


def _born_us(value: bytes) -> int:
    born_us, rest_us = _STAMP.unpack_from(value)
    if born_us + rest_us != _STAMP_SUM:
        raise CorruptEntryError("stamp")
    return int(born_us)


def _glob_literal(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in text)
