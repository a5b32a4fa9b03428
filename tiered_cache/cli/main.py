"""The `tiered-cache` command: finds the verb, and says in one line what the operator has to mend."""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from tiered_cache.errors import ConfigError

VERBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "serve": ("tiered_cache.cli.serve", "run the caching gateway in front of an LLM API"),
        "demo": ("tiered_cache.cli.demo", "watch two gateways at work, without network or accounts"),
        "explain": (
            "tiered_cache.cli.explain",
            "show the key of a request and why, or why two requests differ",
        ),
        "purge": ("tiered_cache.cli.purge", "have all nodes of a running gateway forget answers"),
        "replay": ("tiered_cache.cli.replay", "replay a trace of LLM calls in virtual time"),
    }
)
"""Module and summary by verb; a module is loaded only when its verb is typed."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read on; exit code 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """Prints the version; looking it up takes longer than all the rest, so only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print and exit."""
        from importlib.metadata import version  # noqa: PLC0415

        print(f"tiered-cache {version('tiered-cache')}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb in `argv`; returns the exit code.

    0 done, 2 the operator has something to mend, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    args, unknown = _parser(words).parse_known_args(words)
    if unknown:
        name = f"tiered-cache {args.verb}"
        print(f"{name}: unknown argument {unknown[0]} (see {name} --help)", file=sys.stderr)
        return 2
    try:
        code: int = args.run(args)
    except ConfigError as error:
        print(f"tiered-cache {args.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the flags of the verb in `words` and the mere names of the others."""
    parser = _Parser(
        prog="tiered-cache",
        description="The two-tier response cache for LLM calls: pay once for equal calls.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    typed = next((word for word in words if not word.startswith("-")), None)
    for verb, (module, summary) in VERBS.items():
        if verb == typed:
            importlib.import_module(module).register(subparsers)
        else:
            subparsers.add_parser(verb, help=summary)
    return parser


if __name__ == "__main__":
    sys.exit(main())
