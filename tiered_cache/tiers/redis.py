"""L2: entries shared by processes and machines, in Redis or Valkey."""

import asyncio
import math
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from tiered_cache.core.codec import packed, unseal
from tiered_cache.core.sealed import Found, Sealed
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.errors import CorruptEntryError, TierUnavailableError
from tiered_cache.tiers.flight_scripts import FENCED_PUT
from tiered_cache.tiers.redis_lookups import MAX_VALUE_BYTES
from tiered_cache.tiers.redis_names import FLIGHTS, entry_name, flights_name
from tiered_cache.tiers.redis_node import Node, Script
from tiered_cache.tiers.redis_places import PlaceOptions, node_for, open_place
from tiered_cache.tiers.redis_replies import Reply, ReplyError

WRITERS = 4
"""Writes that may be under way at a time."""
_CLEAR_BATCH = 500
_OFF_THE_LOOP_BYTES = 2**18
"""Larger values are decoded, and compressed, in a thread: the event loop is held up for less than 1 ms."""
_LONGEST_EXPIRY_MS = 10**14

# The instant of birth in microseconds of the server's clock, and what is missing from it to 2^53: the
# checksum of the payload does not cover it.
_STAMP = struct.Struct(">QQ")
_STAMP_SUM = 2**53
_PUT = Script("""
local now = redis.call('TIME')
local born = math.max(0, now[1] * 1000000 + now[2] - ARGV[2])
local stamp = struct.pack('>I8I8', born, 9007199254740992 - born)
return redis.call('SET', KEYS[1], stamp .. ARGV[1], 'PX', ARGV[3])
""")


class RedisTier:
    """Entries named `<prefix>:<key version>:{<fast hash>}:<digest>`, aged by the server's clock.

    Reads of many callers share a round trip; each server has a handful of connections, and nothing is
    retried: the guard decides what a failure means.

    Args:
        url: of a server, of Sentinels or of a cluster.
        prefix: first word of every key.
        options: how to connect.
        max_value_bytes: a larger entry is not put, and what the key held before is removed.
        compress_above_bytes: larger entries are compressed if that saves an eighth; None compresses none.

    Attributes:
        part_of: for `GuardedTier`: which node of a cluster holds a key; None where there is one server.

    Raises:
        ConfigError: the URL or the CA file cannot be used.
    """

    name = "L2"
    part_of: Callable[[CacheKey], object | None] | None

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "tc",
        options: PlaceOptions = PlaceOptions(),  # noqa: B008  # a frozen Struct
        max_value_bytes: int = MAX_VALUE_BYTES,
        compress_above_bytes: int | None = None,
    ) -> None:
        self._prefix = prefix.encode()
        self._max_value_bytes = min(max_value_bytes, MAX_VALUE_BYTES) - _STAMP.size
        self._compress_above_bytes = compress_above_bytes
        self._write_timeout_s = options.write_timeout_s
        self._place = open_place(url, options)
        self.part_of = self._part_of if self._place.divided else None
        self._writers = asyncio.Semaphore(WRITERS)
        self._closed = False

    async def get(self, key: CacheKey) -> Found | None:
        """Look `key` up. Raises CorruptEntryError, TierUnavailableError."""
        if self._closed:
            raise TierUnavailableError("closed")
        name = self.key_name(key)
        node = self._place.node_of(name)
        if node is None:
            node = await self._place.find(name)
        reading = await node.read(name)
        if reading is None:
            return None
        value, now_us = reading
        payload = value[_STAMP.size :]
        if len(payload) < _OFF_THE_LOOP_BYTES:
            sealed = unseal(key, payload)
        else:
            sealed = await asyncio.to_thread(unseal, key, payload)
        age_s = (now_us - _born_us(value)) / 1e6
        return Found(sealed, age_s) if 0.0 <= age_s < sealed.entry.lifetime.retention_s else None

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """Keep an entry that is `age_s` old, unless a later fence wrote. Raises TierUnavailableError."""
        left_s = sealed.entry.lifetime.retention_s - age_s
        if left_s <= 0.0:
            return
        payload = await self._packed(key, sealed.payload)
        if len(payload) > self._max_value_bytes:
            if not sealed.fence:
                await self.remove(key)
                return
            payload = b""
        expiry_ms = math.ceil(min(left_s * 1000.0, _LONGEST_EXPIRY_MS))
        name = self.key_name(key)
        written = (payload, round(age_s * 1e6), expiry_ms)
        async with self._writing():
            node = await node_for(self._place, name)
            if sealed.fence:
                await node.run(FENCED_PUT, name, flights_name(self._prefix, key), *written, sealed.fence)
            else:
                await node.run(_PUT, name, *written)

    async def remove(self, key: CacheKey) -> None:
        """Forget `key`. Raises TierUnavailableError."""
        name = self.key_name(key)
        async with self._writing():
            await (await node_for(self._place, name)).command(b"UNLINK", name)

    async def clear(self) -> None:
        """Forget every entry under this prefix, and no other key. Raises TierUnavailableError."""
        async with self._writing():
            nodes = await self._place.nodes()
        for node in nodes:
            await self._clear(node)

    async def ping(self) -> None:
        """Ask every server for a sign of life. Raises TierUnavailableError."""
        async with self._writing():
            for node in await self._place.nodes():
                await node.command(b"PING")

    async def close(self) -> None:
        """Close the connections; what is under way fails."""
        if not self._closed:
            self._closed = True
            await self._place.close()

    def key_name(self, key: CacheKey) -> bytes:
        """The Redis key of a CacheKey."""
        return entry_name(self._prefix, key)

    def _part_of(self, key: CacheKey) -> object | None:
        node = self._place.node_of(self.key_name(key))
        return None if node is None else node.part

    async def _packed(self, key: CacheKey, payload: bytes) -> bytes:
        above = self._compress_above_bytes
        if above is None or len(payload) <= above:
            return payload
        if len(payload) < _OFF_THE_LOOP_BYTES:
            return packed(key, payload)
        return await asyncio.to_thread(packed, key, payload)

    async def _clear(self, node: Node) -> None:
        pattern = b"%b:??:{*}:*" % _glob_literal(self._prefix)
        cursor = b"0"
        while True:
            async with self._writing():
                cursor, names = await node.command(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _CLEAR_BATCH)
                entries = [name for name in names if not name.endswith(FLIGHTS)]
                # One by one: in a cluster they are of many slots.
                _demand(await node.ask([(b"UNLINK", name) for name in entries]) if entries else [])
            if int(cursor) == 0:
                return

    @asynccontextmanager
    async def _writing(self) -> AsyncGenerator[None]:
        if self._closed:
            raise TierUnavailableError("closed")
        try:
            async with asyncio.timeout(self._write_timeout_s), self._writers:
                yield
        except TimeoutError as error:
            raise TierUnavailableError("timeout") from error


def _demand(replies: list[Reply]) -> None:
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise TierUnavailableError(reply.word)


def _born_us(value: bytes) -> int:
    born_us, rest_us = _STAMP.unpack_from(value)
    if born_us + rest_us != _STAMP_SUM:
        raise CorruptEntryError("stamp")
    return int(born_us)


def _glob_literal(text: bytes) -> bytes:
    return b"".join(b"\\%c" % letter if letter in b"*?[]\\" else b"%c" % letter for letter in text)
