"""What naming one call costs, body bytes to key, beside the floor: decode, ordered encode, one SHA-256."""

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence

import msgspec

from benchmarks.micro import timing
from benchmarks.micro.calls import ENDPOINT, SECRET, again, chat, compact, spelled, unseen
from tiered_cache.core.keys import Keyer
from tiered_cache.core.vocabulary import Request, Scope

SCOPE = Scope("0" * 64, "https://router.requesty.ai:443/v1")
BODIES = {
    "2 KB": compact(chat(2048)),
    "2 KB, other spelling": spelled(chat(2048)),
    "3 tools": compact(chat(1024, tools=3)),
    "32 KB": compact(chat(32 * 1024)),
    "256 KB": compact(chat(256 * 1024)),
}
_ordered = msgspec.json.Encoder(order="deterministic").encode


def floor(raw: bytes) -> bytes:
    """The least that a key by content can cost."""
    return hashlib.sha256(_ordered(msgspec.json.decode(raw))).digest()


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options("What naming one call costs", argv)
    first = _ask(Keyer(SECRET.encode(), memo_bytes=0))
    ask = _ask(Keyer(SECRET.encode()))
    cases: dict[str, tuple[Callable[[bytes], object], Iterator[bytes]]] = {}
    for name, raw in BODIES.items():
        cases[f"floor {name}"] = floor, again(raw)
        cases[name] = ask, unseen(raw)
        cases[f"{name}, byte-identical repeat"] = ask, again(raw)
    cases["3 tools, never seen"] = first, again(BODIES["3 tools"])
    timings = timing.measure({}, options.rounds, fed=cases)
    medians = {each.name: each.p50_us for each in timings}
    figures = {f"{name} / its floor": round(medians[name] / medians[f"floor {name}"], 2) for name in BODIES}
    notes = (
        f"Body bytes: {', '.join(f'{name} {len(raw)}' for name, raw in BODIES.items())}.",
        "Every body is new to the keyer but for the repeats; of tool lists only those never seen are.",
        "Budgets p50: repeat 3, 2 KB 11, other spelling 16, 3 tools 40, 32 KB 80, 256 KB 600 µs.",
    )
    result = timing.report("key", timings, baseline="floor 2 KB", figures=figures, notes=notes)
    return timing.publish(result, options)


def _ask(keyer: Keyer) -> Callable[[bytes], object]:
    return lambda body: keyer.key(Request(ENDPOINT, body, SCOPE))


if __name__ == "__main__":
    sys.exit(main())
