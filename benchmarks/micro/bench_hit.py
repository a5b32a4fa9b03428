"""What an L1 hit costs in the process: raw request bytes and headers in, response bytes and headers out."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat

from benchmarks.micro import calls, timing
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.engine.config import CacheConfig, MemoryConfig
from tiered_cache.tiers.memory import MemoryTier

_CONFIG = CacheConfig(secret=calls.SECRET, memory=MemoryConfig(capacity_bytes=None))


async def _measure(rounds: int) -> tuple[timing.Timing, ...]:
    small, tools, large = calls.chat(2048), calls.chat(2048, tools=3), calls.chat(32_768)
    bodies: dict[str, Iterator[bytes]] = {
        "hit, 2 KB, the same bytes again": repeat(calls.compact(small)),
        "hit, 2 KB, same bytes, as events": repeat(calls.compact(small | {"stream": True})),
        "hit, 2 KB, new bytes": calls.unseen(calls.compact(small)),
        "hit, 2 KB, new bytes, other spelling": calls.unseen(calls.spelled(small)),
        "hit, 2 KB and 3 tools, new bytes": calls.unseen(calls.compact(tools)),
        "hit, 32 KB, new bytes": calls.unseen(calls.compact(large)),
    }
    async with Cache.open(_CONFIG) as cache:
        cases: dict[str, Callable[[], object]] = {"L1 lookup by key": _lookup(calls.compact(small))}
        for name, each in bodies.items():
            await _fill(cache, next(each))
            cases[name] = _hit(cache, each)
        return timing.measure(cases, rounds)


async def _fill(cache: Cache, body: bytes) -> None:
    response = await cache.serve(cache.request(calls.ENDPOINT, body, headers=calls.HEADERS), calls.origin)
    if not isinstance(response.body, bytes):
        async for _ in response.body:
            pass


def _hit(cache: Cache, bodies: Iterator[bytes]) -> Callable[[], object]:
    def once() -> object:
        response = cache.peek(cache.request(calls.ENDPOINT, next(bodies), headers=calls.HEADERS))
        if response is None:
            raise RuntimeError("not a hit: the benchmark measures something else")
        return response

    return once


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
    notes = ("request with 12 SDK headers in, 4 KB JSON answer with its headers out",)
    return timing.publish(timing.report("l1_hit", timings, notes=notes), options)


if __name__ == "__main__":
    raise SystemExit(main())
