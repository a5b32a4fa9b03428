"""zstd by Python's own module (3.14) or its backport, where one of them is installed."""

import importlib
from typing import Any

LEVEL = 1
"""Higher ones cost more time than they save bytes of answers."""


def zstd_module() -> Any:
    """The module, or None."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


ZSTD: Any = zstd_module()


def compress(data: bytes) -> bytes:
    """`data` as one zstd frame. Needs `ZSTD`."""
    packed: bytes = ZSTD.compress(data, LEVEL)
    return packed


def decompress(packed: bytes, limit_bytes: int) -> bytes:
    """What one frame holds. Needs `ZSTD`. Raises ValueError: broken, cut, followed by more, too large."""
    unpacker = ZSTD.ZstdDecompressor()
    try:
        data: bytes = unpacker.decompress(packed, limit_bytes)
    except ZSTD.ZstdError:
        raise ValueError("no frame") from None
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("no whole frame")
    return data
