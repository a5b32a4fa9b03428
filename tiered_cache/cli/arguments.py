"""Values that several verbs read from the command line."""

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tiered_cache.errors import ConfigError

_PREFIXES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_UNITS = {"": 1, "b": 1} | {name + end: size for name, size in _PREFIXES.items() for end in ("", "b", "ib")}


def size_bytes(text: str) -> int | None:
    """A size such as `512MiB`, `2g` or `1048576`; None for `unlimited`. Units are powers of 1024.

    Raises:
        ArgumentTypeError: not a size.
    """
    word = text.strip().lower()
    if word == "unlimited":
        return None
    unit = word.lstrip("0123456789")
    number = word[: len(word) - len(unit)]
    factor = _UNITS.get(unit.strip())
    if not number or factor is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size: write for example 512MiB, 2GiB or unlimited"
        )
    return int(number) * factor


@contextmanager
def deep_nesting_refused(file: Path) -> Generator[None]:
    """The parser of TOML overflows the stack on text nested a thousand deep. Raises ConfigError."""
    try:
        yield
    except RecursionError:
        raise ConfigError(f"{file}: its values are nested too deeply") from None


def seconds(text: str) -> int:
    """Whole seconds, zero included. Raises ArgumentTypeError."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of whole seconds")
    return int(text)
