"""Turns one text into another by a single cut: what is left out, and what comes there instead."""

from typing import Self

from msgspec import Struct

_MOST_NEW_BYTES = 256


class Cut(Struct, frozen=True, array_like=True):
    """How an entry's body becomes a rendering in the form that the origin wrote, found at the fill.

    Attributes:
        shape: of that rendering, for a caller who pays nothing.
        start, end: the bytes from `start` up to `end` are left out.
        new: what comes there instead.
        etag: entity tag of the result.
    """

    shape: str
    start: int
    end: int
    new: bytes
    etag: bytes

    @classmethod
    def between(cls, shape: str, old: bytes, new: bytes, etag: bytes) -> Self | None:
        """The cut that makes `new` of `old`; None where more than a short place differs."""
        start = _common(old, new)
        tail = _common(old[start:][::-1], new[start:][::-1])
        put = new[start : len(new) - tail]
        return cls(shape, start, len(old) - tail, put, etag) if len(put) <= _MOST_NEW_BYTES else None

    def of(self, body: bytes) -> bytes:
        """The rendering; `body` itself where nothing differs."""
        if self.start == self.end and not self.new:
            return body
        return b"".join((body[: self.start], self.new, body[self.end :]))


def _common(one: bytes, other: bytes) -> int:
    """Length of the longest common beginning, by bisection."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
