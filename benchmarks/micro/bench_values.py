"""What bodies of many JSON values cost to key at the bound, and what deciding about those beyond it costs."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.micro import timing
from tiered_cache.core.canonical import KeyOptions, canonicalise
from tiered_cache.core.canonical.form import MAX_VALUES

ENDPOINT = "chat/completions"
PIECES = {
    "digits": b"1",
    "texts": b'"a"',
    "empty objects": b"{}",
    "objects": b'{"a":1}',
    "nested lists": b"[" * 100 + b"]" * 100,
}
WEIGHTS = {"digits": 1, "texts": 1, "empty objects": 2, "objects": 2, "nested lists": 101}
"""Commas and brackets that one more piece brings."""

_REST = 10
"""More than the rest of the body has."""


def body(piece: bytes, count: int) -> bytes:
    """A chat call with a member that lists `piece` so often."""
    return b'{"model":"a/b","messages":[],"x":[' + b",".join([piece] * count) + b"]}"


def prose(size_bytes: int) -> bytes:
    """A chat call with one long text."""
    text = b"The quick, brown fox jumps over the lazy dog, twice. " * (size_bytes // 53)
    return b'{"model":"a/b","messages":[{"role":"user","content":"' + text + b'"}]}'


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options("What bodies of many JSON values cost", argv)
    cases: dict[str, Callable[[], object]] = {"prose of 2 MiB": _keyed(prose(2 * 2**20))}
    for name, piece in PIECES.items():
        most = (MAX_VALUES - _REST) // WEIGHTS[name]
        cases[f"{name}, at the bound"] = _keyed(body(piece, most))
        cases[f"{name}, twice the bound"] = _keyed(body(piece, 2 * most))
    timings = timing.measure(cases, options.rounds)
    notes = (f"The bound is {MAX_VALUES} values. Beyond it a body is refused and not parsed.",)
    result = timing.report("values", timings, baseline="prose of 2 MiB", figures={}, notes=notes)
    return timing.publish(result, options)


def _keyed(raw: bytes) -> Callable[[], object]:
    return partial(canonicalise, ENDPOINT, raw, KeyOptions())


if __name__ == "__main__":
    sys.exit(main())
