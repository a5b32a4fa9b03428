"""The database below the disk tier: bytes by key in one SQLite file, rebuilt by itself when it is damaged."""

import os
import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import diskcache  # pyright: ignore[reportMissingTypeStubs] (ships no types)
from msgspec import Struct

from tiered_cache.errors import CorruptEntryError, TierUnavailableError

BUSY_TIMEOUT_S = 1
"""How long a write waits for another process that writes."""
_LONGEST_EXPIRY_S = 10 * 365 * 86_400.0
_DATABASE_FILE = "cache.db"
# In the order of deletion: a journal must not outlive its database, the next one would be rolled back by it.
_FILES = ("cache.db-journal", "cache.db-wal", "cache.db-shm", _DATABASE_FILE)
# Our statements are fixed, so that SQLite's plain "error" means a schema that is not ours.
_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)
# What diskcache raises when its own settings rows hold garbage.
_GARBAGE = (TypeError, ValueError, AttributeError, KeyError, OverflowError)


class Write(Struct, frozen=True):
    """Keep `stamp + payload` under `key`; `payload` None forgets the key.

    Attributes:
        expire_s: when the row may be dropped, from now.
    """

    key: bytes
    stamp: bytes = b""
    payload: bytes | None = None
    expire_s: float = 0.0


class RawDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """Bytes in, bytes out, all in the database: no stored row can name code to run or a file to open."""

    def put(self, key: bytes) -> Any:
        """Key as a database value."""
        return sqlite3.Binary(key), True

    def get(self, key: bytes, raw: object) -> Any:  # noqa: ARG002 (diskcache's signature)
        """Key from a database value."""
        return bytes(key)

    def store(self, value: bytes, read: object, key: object = None) -> Any:  # noqa: ARG002 (diskcache's signature)
        """Value as a database value; never a file."""
        return 0, diskcache.core.MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: int, filename: object, value: object, read: object) -> bytes:  # noqa: ARG002 (same)
        """Value from a row. Raises CorruptEntryError for what `store` never writes."""
        if mode != diskcache.core.MODE_RAW or not isinstance(value, bytes):
            raise CorruptEntryError("row")
        return value

    def filename(self, key: object = None, value: object = None) -> Any:  # noqa: ARG002 (same)
        """Refuse: values are never files."""
        raise CorruptEntryError("row")

    def remove(self, file_path: object) -> None:
        """Leave the file alone: no row of ours names one."""


class DiskStore:
    """Blocking reads and batched writes, each from a thread of its own. Opens at first use.

    Args:
        directory: made with mode 0700; the database lies in a folder of its own in it.
        capacity_bytes: what the database may weigh after a batch of writes.
    """

    def __init__(self, directory: str, capacity_bytes: int) -> None:
        self._base = Path(os.path.expandvars(directory)).expanduser()
        self._folder = self._base / "entries"
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._cache: Any = None
        self._inode = 0
        self._local = threading.local()

    def open_early(self) -> None:
        """Open the database for this thread before it is needed; failures wait for the first use."""
        with suppress(CorruptEntryError, TierUnavailableError), self._opened():
            pass

    def read(self, key: bytes) -> bytes | None:
        """Stamp and payload, or None. Raises CorruptEntryError, TierUnavailableError."""
        with self._opened() as cache:
            value: bytes | None = cache.get(key)
            return value

    def apply(self, writes: Sequence[Write]) -> None:
        """Perform all writes in one transaction. Raises CorruptEntryError, TierUnavailableError."""
        self._leave_if_replaced()
        with self._opened() as cache:
            with cache.transact():
                for write in writes:
                    _apply(cache, write)
            if cache.volume() > self._capacity_bytes:
                cache.cull()

    def clear(self) -> None:
        """Forget every row. Raises CorruptEntryError, TierUnavailableError."""
        with self._opened() as cache:
            cache.clear()

    def volume_bytes(self) -> int:
        """What the database weighs. Raises CorruptEntryError, TierUnavailableError."""
        with self._opened() as cache:
            return int(cache.volume())

    def close_thread(self) -> None:
        """Close the calling thread's connection."""
        cache, self._local.cache = getattr(self._local, "cache", None), None
        if cache is not None:
            with suppress(sqlite3.Error):
                cache.close()

    @contextmanager
    def _opened(self) -> Generator[Any]:
        cache = None
        try:
            cache = self._of_this_thread()
            yield cache
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise TierUnavailableError("database") from error
            self._discard(cache)
            raise CorruptEntryError("database") from error
        except _GARBAGE as error:
            self._discard(cache)
            raise CorruptEntryError("database") from error
        except diskcache.Timeout as error:
            raise TierUnavailableError("busy") from error
        except OSError as error:
            raise TierUnavailableError(type(error).__name__) from error

    def _of_this_thread(self) -> Any:
        with self._lock:
            if self._cache is None:
                self._cache = self._open()
            cache = self._cache
        if getattr(self._local, "cache", None) is not cache:
            self.close_thread()
            self._local.cache = cache
        return cache

    def _leave_if_replaced(self) -> None:
        """Go over to the database that another process has put in the place of a damaged one.

        Journals are found by name: one written for the old database would be taken for the new one's.
        """
        with self._lock:
            if self._cache is not None and self._inode_now() != self._inode:
                self._cache = None

    def _open(self) -> Any:
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._folder.chmod(0o700)
        cache = diskcache.Cache(
            str(self._folder),
            timeout=BUSY_TIMEOUT_S,
            disk=RawDisk,
            eviction_policy="least-recently-stored",  # with "used", each read would be a write
            size_limit=self._capacity_bytes,
            cull_limit=0,  # culled after the batch, down to the capacity
            statistics=0,
            tag_index=0,
            disk_min_file_size=0,
            # No file is mapped into memory, neither database nor index of a write-ahead log: where one is
            # cut by somebody else, a fault below the mapping would be a signal (SIGBUS), not an error.
            sqlite_mmap_size=0,
            sqlite_journal_mode="truncate",
        )
        self._inode = self._inode_now()
        return cache

    def _discard(self, cache: Any) -> None:
        """Drop a damaged database, unless another process has replaced it already."""
        with self._lock:
            if self._cache is not cache:
                return
            self._cache = None
            self.close_thread()
            if cache is None or self._inode_now() == self._inode:
                for name in _FILES:
                    with suppress(OSError):
                        (self._folder / name).unlink()

    def _inode_now(self) -> int:
        try:
            return (self._folder / _DATABASE_FILE).stat().st_ino
        except OSError:
            return 0


def _apply(cache: Any, write: Write) -> None:
    if write.payload is None:
        cache.delete(write.key)
    else:
        cache.set(write.key, write.stamp + write.payload, expire=min(write.expire_s, _LONGEST_EXPIRY_S))


def _code(error: sqlite3.DatabaseError) -> int:
    """SQLite's primary result code of the first failure: the rollback after it may have failed as well."""
    first, earlier = error, error.__context__
    while earlier is not None:
        if isinstance(earlier, sqlite3.DatabaseError):
            first = earlier
        earlier = earlier.__context__
    return getattr(first, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
