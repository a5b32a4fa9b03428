"""What the user of the demonstration asked for."""

from pathlib import Path

from msgspec import Struct


class Options(Struct, frozen=True):
    """The command line.

    Attributes:
        seconds: of traffic; without effect when `requests` is given.
        requests: the traffic ends after so many calls.
        trace: sends the calls of this file instead of generated ones.
        json: where the figures go; `-` is the standard output.
    """

    seconds: float = 20.0
    requests: int | None = None
    seed: int = 0
    trace: Path | None = None
    json: Path | None = None
