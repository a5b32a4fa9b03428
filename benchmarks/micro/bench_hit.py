"""What an L1 hit costs in the process: raw request bytes and headers in, response bytes and headers out."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.micro import calls, timing
from tiered_cache.core.vocabulary import Request, Response
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.engine.config import CacheConfig, MemoryConfig
from tiered_cache.tiers.memory import MemoryTier

_CONFIG = CacheConfig(secret=calls.SECRET, memory=MemoryConfig(capacity_bytes=None))


async def _measure(rounds: int) -> tuple[timing.Timing, ...]:
    small, tools, large = calls.chat(2048), calls.chat(2048, tools=3), calls.chat(32_768)
    stream = calls.compact(small | {"stream": True})
    bodies: dict[str, Callable[[], Iterator[bytes]]] = {
        "2 KB, the same bytes again": partial(calls.again, calls.compact(small)),
        "2 KB, same bytes, as events": partial(calls.again, stream),
        "2 KB, new bytes": partial(calls.unseen, calls.compact(small)),
        "2 KB, new bytes, other spelling": partial(calls.unseen, calls.spelled(small)),
        "2 KB and 3 tools, new bytes": partial(calls.unseen, calls.compact(tools)),
        "32 KB, new bytes": partial(calls.unseen, calls.compact(large)),
    }
    async with Cache.open(_CONFIG) as cache:
        lookup = {"L1 lookup by key": _lookup(calls.compact(small))}
        hits: dict[str, tuple[Callable[[bytes], object], Iterator[bytes]]] = {}
        for name, each in bodies.items():
            await _fill(cache, next(each()))
            hits[f"hit, {name}"] = _peek(cache), each()
            hits[f"hit, {name}, 12 fields read"] = _hit(cache), each()
        return timing.measure(lookup, rounds, fed=hits)


async def _fill(cache: Cache, body: bytes) -> None:
    response = await cache.serve(cache.request(calls.ENDPOINT, body, headers=calls.HEADERS), calls.origin)
    if not isinstance(response.body, bytes):
        async for _ in response.body:
            pass


def _hit(cache: Cache) -> Callable[[bytes], object]:
    return lambda body: _answered(cache, cache.request(calls.ENDPOINT, body, headers=calls.HEADERS))


def _peek(cache: Cache) -> Callable[[bytes], object]:
    """What the budgets name: body bytes in, no header field parsed."""
    first = cache.request(calls.ENDPOINT, b"", headers=calls.HEADERS)
    scope, ask = first.scope, first.ask
    return lambda body: _answered(cache, Request(calls.ENDPOINT, body, scope, calls.HEADERS, b"", ask))


def _answered(cache: Cache, request: Request) -> Response:
    response = cache.peek(request)
    if response is None:
        raise RuntimeError("not a hit: the benchmark measures something else")
    return response


def _lookup(body: bytes) -> Callable[[], object]:
    """The memory tier alone, asked for a key that it holds."""
    key, sealed = calls.stored(body, 4096)
    memory = MemoryTier(None, SYSTEM_CLOCK)
    if memory.keep(key, sealed) is None:
        raise RuntimeError("the entry was not kept: the benchmark measures something else")
    return lambda: memory.find(key)


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options(__doc__, argv)
    timings = asyncio.run(_measure(options.rounds))
    notes = (
        "Body bytes in, 4 KB JSON answer with its header fields out; where it says so, an SDK's 12 header",
        "fields are read as well. A quiet machine: the memo, the interpreter's caches and the core are warm.",
    )
    return timing.publish(timing.report("l1_hit", timings, notes=notes), options)


if __name__ == "__main__":
    raise SystemExit(main())
