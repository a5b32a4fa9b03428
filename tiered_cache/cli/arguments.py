"""Values that several verbs read from the command line."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tiered_cache.errors import ConfigError

if TYPE_CHECKING:
    from tiered_cache.gateway.config import GatewayConfig

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


def config_file(path: Path) -> "GatewayConfig":
    """The configuration in a TOML file, not yet checked. Raises ConfigError."""
    from tiered_cache.gateway.config import read_config  # noqa: PLC0415  # only where a file is named

    try:
        return read_config(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError:
        # The parser of TOML overflows the stack on text nested a thousand deep.
        raise ConfigError(f"{path}: its values are nested too deeply") from None


def seconds(text: str) -> int:
    """Whole seconds, zero included. Raises ArgumentTypeError."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of whole seconds")
    return int(text)
