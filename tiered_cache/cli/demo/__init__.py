"""`tiered-cache demo`: real traffic through two gateway nodes, without network and without accounts."""

import argparse
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from tiered_cache.errors import MissingExtraError

if TYPE_CHECKING:
    from tiered_cache.cli.demo.interrupts import Interrupts


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it
) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "demo",
        help="watch two gateways at work, without network or accounts",
        description=(
            "Start a simulated Requesty, an embedded Valkey and two gateway nodes on this machine, send them "
            "traffic with the OpenAI SDK, and show what was answered from where and what it saved. "
            "Nothing leaves this machine; everything ends with the command."
        ),
    )
    parser.add_argument(
        "--seconds", type=_positive(float), default=20.0, metavar="S", help="of traffic (default: 20)"
    )
    parser.add_argument("--requests", type=_positive(int), metavar="N", help="stop the traffic after N calls")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another workload (default: 0)")
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="send the calls of this trace (CSV, .gz too) instead"
    )
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write the figures here (- for standard output)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the demonstration. Raises ConfigError.

    Exit codes: 0 shown, 1 a figure did not add up or an answer was wrong, 128 + n ended by signal n.
    """
    from tiered_cache.cli.demo.interrupts import Interrupted, Interrupts  # noqa: PLC0415  # only what runs

    with Interrupts() as interrupts:
        try:
            code = _shown(args, interrupts)
            interrupts.check()
        except Interrupted as interrupted:
            print("Interrupted: everything that was started has ended.", file=sys.stderr)
            return 128 + interrupted.signal
        return code


def _positive(kind: type[float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value < inf:
            raise ValueError(text)
        return value

    return read


def _shown(args: argparse.Namespace, interrupts: "Interrupts") -> int:
    try:
        from tiered_cache.cli.demo.options import Options  # noqa: PLC0415  # only what runs
        from tiered_cache.cli.demo.show import show  # noqa: PLC0415  # rich is heavy and optional
    except ImportError as error:
        raise MissingExtraError("the demonstration", "demo") from error
    return show(Options(args.seconds, args.requests, args.seed, args.trace, args.json), interrupts)
