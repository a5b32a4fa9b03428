"""Runs a part of the simulation as a process: `python -m tiered_cache.simulation requesty --port 0`."""

import argparse
import os
import sys

import msgspec

from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve. Exit code 2 when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m tiered_cache.simulation", description=__doc__)
    parts = parser.add_subparsers(required=True)
    requesty = parts.add_parser("requesty", help="an HTTP server that behaves as Requesty does")
    requesty.add_argument("--port", type=int, default=0, help="0 takes a free port and prints it")
    for field in msgspec.structs.fields(Settings):
        flag = "--" + field.name.replace("_", "-")
        requesty.add_argument(flag, type=field.type, default=field.default)
    asked = vars(parser.parse_args(arguments))
    port = asked.pop("port")
    try:
        serve(port, Settings(**asked))
    except OSError as error:
        print(f"cannot listen on port {port}: {os.strerror(error.errno or 0)}", file=sys.stderr)  # noqa: T201  # a command
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
