"""What sealing and unsealing one entry costs, beside the floor: MessagePack and the checksum alone."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from xxhash import xxh3_64_digest

from benchmarks.micro import timing
from tiered_cache.core.codec import seal, unseal
from tiered_cache.core.vocabulary import CacheKey, Entry, Lifetime, Usage

KEY = CacheKey(bytes(range(33)))
SIZES = {"1 KB": 2**10, "4 KB": 2**12, "64 KB": 2**16}


def entry(body_bytes: int) -> Entry:
    """A chat answer with a body of so many bytes and the header fields that are usually kept."""
    return Entry(
        endpoint="chat/completions",
        form="json",
        status=200,
        headers=((b"content-type", b"application/json"), (b"openai-version", b"2020-10-01")),
        body=b"x" * body_bytes,
        locked=False,
        has_usage=True,
        content_class="chat",
        model="openai/gpt-4o",
        usage=Usage(1200, 340, 500, 210_000_000),
        lifetime=Lifetime(600.0, 0.0, 3600.0, "unstated"),
        origin_s=1.25,
        origin_request_id=b"req-0123456789abcdef",
    )


def floor(payload: bytes, decoder: msgspec.msgpack.Decoder[Entry]) -> Entry:
    """The least that reading can cost: the checksum and the decoder, nothing compared."""
    xxh3_64_digest(payload)
    return decoder.decode(payload)


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options("What sealing and unsealing one entry costs", argv)
    decoder = msgspec.msgpack.Decoder(Entry)
    bodies = {name: entry(size) for name, size in SIZES.items()}
    cases: dict[str, Callable[[], object]] = {
        "floor 4 KB": partial(floor, msgspec.msgpack.encode(bodies["4 KB"]), decoder)
    }
    for name, each in bodies.items():
        cases[f"seal {name}"] = partial(seal, KEY, each)
        cases[f"unseal {name}"] = partial(unseal, KEY, seal(KEY, each).payload)
    timings = timing.measure(cases, options.rounds)
    notes = ("Body size as named; budget: unseal 4 KB at most 5 µs.",)
    return timing.publish(timing.report("codec", timings, baseline="floor 4 KB", notes=notes), options)


if __name__ == "__main__":
    sys.exit(main())
