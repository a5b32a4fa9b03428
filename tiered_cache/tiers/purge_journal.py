"""The purges that a disk tier has to know of after a restart: a file of lines beside its entries."""

import contextlib
import os
from pathlib import Path

import msgspec

from tiered_cache.core.epochs import Epoch, Purge, PurgeLog
from tiered_cache.errors import TierUnavailableError

NAME = "purges"
_MODE = 0o600
_encode = msgspec.json.Encoder().encode


class _Head(msgspec.Struct, frozen=True):
    """The first line: which log this is, what of it was forgotten, and the tokens of what was not."""

    epoch: Epoch
    floor: int
    tokens: bytes


class PurgeJournal:
    """A log of purges in a directory that one process uses.

    A file that is missing, unreadable or damaged before its last line is replaced by a new incarnation, so
    that nothing on disk is used that a lost line might have reached.

    Args:
        directory: where the disk tier keeps its entries.
    """

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / NAME

    def load(self, new: PurgeLog) -> PurgeLog:
        """The log as it stands, or else `new`; blocks.

        Where that cannot be written, what is on disk is not used, and nothing can be put there.
        """
        log = self._read()
        if log is None:
            log = new
        with contextlib.suppress(OSError):
            self._write(log)
        return log

    def append(self, purge: Purge) -> None:
        """Keep a line for good; blocks.

        Raises:
            TierUnavailableError: it could not be written. The file is gone then, if even that could be done,
                so that the next start begins a new log.
        """
        try:
            with self._path.open("ab") as file:
                file.write(_encode(purge) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._path.unlink()
            raise TierUnavailableError("purge journal") from error

    def _read(self) -> PurgeLog | None:
        try:
            first, *lines = self._path.read_bytes().split(b"\n")
            head = msgspec.json.decode(first, type=_Head)
            purges = [msgspec.json.decode(line, type=Purge) for line in lines[:-1]]
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        # Behind the last line break is nothing, or a line whose purge never returned.
        log = PurgeLog(head.epoch)
        log.begin(head.epoch, head.floor, head.tokens)
        for purge in purges:
            log.note(purge)
        return log

    def _write(self, log: PurgeLog) -> None:
        """Replace the file by what is remembered, a line for each scope."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f"{NAME}.{os.getpid()}")
        head = _Head(log.epoch, log.floor, log.tokens())
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"".join(_encode(line) + b"\n" for line in (head, *log.lines())))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
