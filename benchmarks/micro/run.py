"""Run every micro benchmark, each in a process of its own: `python -m benchmarks.micro.run [--rounds N]`."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPTS = tuple(f"benchmarks.micro.{file.stem}" for file in sorted(Path(__file__).parent.glob("bench_*.py")))


def main(argv: Sequence[str] | None = None) -> int:
    passed_on = list(sys.argv[1:] if argv is None else argv)
    codes = [subprocess.call([sys.executable, "-m", script, *passed_on]) for script in SCRIPTS]
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
