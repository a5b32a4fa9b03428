"""L1 on disk: entries of this machine that outlive the process."""

import asyncio
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tiered_cache.core.codec import unseal
from tiered_cache.core.sealed import Found, Sealed
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.errors import CorruptEntryError, TierUnavailableError
from tiered_cache.tiers.base import Clock
from tiered_cache.tiers.disk_store import DiskStore, Write

BATCH_WRITES = 100
BATCH_BYTES = 16 * 2**20
LARGEST_SHARE = 4
"""One entry may take this part of the capacity."""

_STAMP = struct.Struct(">dI")


class DiskTier:
    """Entries in one SQLite file, read by one thread and written in batches by another.

    The instant of birth is stamped by the wall clock, since the monotonic one ends with the machine's uptime.
    A wall clock set back while we run does not make entries younger; a stamp in the future is a miss.

    Args:
        directory: made with mode 0700.
        capacity_bytes: what the database may weigh; one entry may take a quarter of it.
        clock: where time comes from.
    """

    name = "disk"

    def __init__(self, directory: str, capacity_bytes: int, clock: Clock) -> None:
        self._store = DiskStore(directory, capacity_bytes)
        self._largest_bytes = capacity_bytes // LARGEST_SHARE
        self._now = _NeverBack(clock)
        self._reader = ThreadPoolExecutor(1, "tiered-cache-disk-read")
        self._writer = ThreadPoolExecutor(1, "tiered-cache-disk-write")
        self._pending: list[tuple[Write, asyncio.Future[None]]] = []
        self._writing = False
        self._closed = False

    def begin(self) -> None:
        """Begin to open the database, which may take longer than a lookup may.

        What is wrong with the place, the first lookup says.
        """
        self._reader.submit(self._store.open_early)

    async def get(self, key: CacheKey) -> Found | None:
        """Look `key` up. Raises CorruptEntryError, TierUnavailableError."""
        self._demand_open()
        read = await asyncio.get_running_loop().run_in_executor(self._reader, self._read, key)
        if read is None:
            return None
        sealed, born_s = read
        age_s = self._now() - born_s
        return Found(sealed, age_s) if 0.0 <= age_s < sealed.entry.lifetime.retention_s else None

    async def put(self, key: CacheKey, sealed: Sealed, age_s: float = 0.0) -> None:
        """Keep an entry that is `age_s` old; returns once it is written. Raises TierUnavailableError."""
        left_s = sealed.entry.lifetime.retention_s - age_s
        if left_s <= 0.0:
            return
        if len(sealed.payload) > self._largest_bytes:
            await self.remove(key)
            return
        stamp = _stamp(key, self._now() - age_s)
        await self._write(Write(key, stamp, sealed.payload, left_s))

    async def remove(self, key: CacheKey) -> None:
        """Forget `key`. Raises TierUnavailableError."""
        await self._write(Write(key))

    async def clear(self) -> None:
        """Forget every entry. Raises TierUnavailableError."""
        self._demand_open()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._writer, self._store.clear)
        except CorruptEntryError:
            # A damaged database has just been dropped whole.
            return

    async def close(self) -> None:
        """Finish the batch under way, fail what waits behind it, end the threads."""
        if self._closed:
            return
        self._closed = True
        self._fail(self._pending, TierUnavailableError("closed"))
        self._pending = []
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._store.close_thread)
        await loop.run_in_executor(self._reader, self._store.close_thread)
        self._writer.shutdown(wait=False)
        self._reader.shutdown(wait=False)

    def _demand_open(self) -> None:
        if self._closed:
            raise TierUnavailableError("closed")

    def _read(self, key: CacheKey) -> tuple[Sealed, float] | None:
        value = self._store.read(key)
        if value is None:
            return None
        return unseal(key, value[_STAMP.size :]), _born_s(key, value)

    async def _write(self, write: Write) -> None:
        self._demand_open()
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((write, written))
        if not self._writing:
            self._start_batch()
        await written

    def _start_batch(self) -> None:
        self._writing = True
        size = _batch_size([write for write, _ in self._pending])
        batch, self._pending = self._pending[:size], self._pending[size:]
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._writer, self._store.apply, [write for write, _ in batch])
        done.add_done_callback(lambda future: self._end_batch(batch, future))

    def _end_batch(
        self, batch: Sequence[tuple[Write, asyncio.Future[None]]], done: asyncio.Future[None]
    ) -> None:
        self._writing = False
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            for _, written in batch:
                if not written.done():
                    written.set_result(None)
        else:
            self._fail(batch, error)
        if self._pending and not self._closed:
            self._start_batch()

    def _fail(self, batch: Sequence[tuple[Write, asyncio.Future[None]]], error: BaseException) -> None:
        for _, written in batch:
            if not written.done():
                written.set_exception(TierUnavailableError(str(error)))


class _NeverBack:
    """Wall time that goes on by the monotonic clock when the wall clock is set back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall_s = clock.wall()
        self._monotonic_s = clock.monotonic()

    def __call__(self) -> float:
        monotonic_s = self._clock.monotonic()
        self._wall_s = max(self._clock.wall(), self._wall_s + monotonic_s - self._monotonic_s)
        self._monotonic_s = monotonic_s
        return self._wall_s


def _stamp(key: CacheKey, born_s: float) -> bytes:
    """Instant of birth with a check of its own, since the payload's does not cover it."""
    born = struct.pack(">d", born_s)
    return born + zlib.crc32(born + key).to_bytes(4, "big")


def _born_s(key: CacheKey, value: bytes) -> float:
    born_s, check = _STAMP.unpack_from(value)
    if zlib.crc32(value[:8] + key) != check:
        raise CorruptEntryError("stamp")
    return float(born_s)


def _batch_size(writes: Sequence[Write]) -> int:
    total_bytes = 0
    for count, write in enumerate(writes[:BATCH_WRITES]):
        total_bytes += 0 if write.payload is None else len(write.payload)
        if total_bytes > BATCH_BYTES and count > 0:
            return count
    return min(len(writes), BATCH_WRITES)
