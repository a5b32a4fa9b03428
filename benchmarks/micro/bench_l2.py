"""What an L2 hit costs beside a bare redis-py GET of the same bytes: a real Valkey, alone and 64 at once."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeAlias

import uvloop
from redis.asyncio import Redis

from benchmarks.micro import calls, timing
from tiered_cache.core.vocabulary import CacheKey, Request, Response
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig, MemoryConfig, RedisConfig
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.tiers.redis import RedisTier

Call: TypeAlias = Callable[[], Awaitable[object]]

_AT_ONCE = 64
_WRITTEN_WITHIN_S = 0.5


async def _measure(url: str, rounds: int) -> tuple[tuple[timing.Timing, ...], tuple[timing.Timing, ...]]:
    # No memory: every lookup goes to Redis.
    config = CacheConfig(
        secret=calls.SECRET,
        memory=MemoryConfig(capacity_bytes=0),
        redis=RedisConfig(url=url, read_deadline_s=5.0),
    )
    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(Cache.open(config))
        bare = Redis.from_url(url, driver_info=None)
        stack.push_async_callback(bare.aclose)
        tier = RedisTier(url, prefix="bench")
        stack.push_async_callback(tier.close)
        cases = await _cases(cache, bare, tier)
        alone = await timing.measure_async({name: each[0] for name, each in cases.items()}, rounds)
        together = {f"{name}, {_AT_ONCE} at once": _at_once(each) for name, each in cases.items()}
        crowd = await timing.measure_async(together, max(1, rounds // _AT_ONCE), _AT_ONCE)
        return alone, crowd


async def _cases(cache: Cache, bare: Redis, tier: RedisTier) -> dict[str, list[Call]]:
    """What is compared, each with so many keys of its own."""
    bodies = [calls.compact(calls.chat(2048, seed=number)) for number in range(_AT_ONCE)]
    keys = [await _stored(bare, tier, body) for body in bodies]
    for body in bodies:
        await cache.serve(cache.request(calls.ENDPOINT, body, headers=calls.HEADERS), calls.origin)
    await asyncio.sleep(_WRITTEN_WITHIN_S)

    async def serve(body: bytes) -> Response:
        response = await cache.serve(cache.request(calls.ENDPOINT, body, headers=calls.HEADERS), _no_origin)
        if response.outcome is None or response.outcome.tier != "L2":
            raise RuntimeError(f"not an L2 hit: {response.outcome}")
        return response

    return {
        "bare redis-py GET": [partial(bare.get, bytes(key)) for key in keys],
        "L2 tier": [partial(tier.get, key) for key in keys],
        "L2 hit, 2 KB call, 4 KB answer": [partial(serve, body) for body in bodies],
    }


async def _stored(bare: Redis, tier: RedisTier, body: bytes) -> CacheKey:
    key, sealed = calls.stored(body, 4096)
    await tier.put(key, sealed)
    await bare.set(bytes(key), sealed.payload)
    return key


async def _no_origin(_request: Request) -> Response:
    raise RuntimeError("the benchmark's call was not found in L2")


def _at_once(each: Sequence[Call]) -> Call:
    async def crowd() -> object:
        return await asyncio.gather(*[call() for call in each])

    return crowd


def _run(
    rounds: int, own: set[int], other: set[int]
) -> tuple[tuple[timing.Timing, ...], tuple[timing.Timing, ...]]:
    """Measure on a core, with Valkey on that one or another."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, other)
        with EmbeddedValkey() as valkey, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            os.sched_setaffinity(0, own)
            return runner.run(_measure(valkey.url, rounds))
    finally:
        os.sched_setaffinity(0, before)


def _cores() -> tuple[set[int], set[int]]:
    """Two of the cores there are; the same one where there is no other."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, {usable[-1]}


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options(__doc__, argv)
    own, other = _cores()
    alone, crowd = _run(options.rounds, own, other)
    sharing, _ = _run(options.rounds, own, own)
    figures: dict[str, float | int] = {f"{each.name}: calls/s": round(1e6 / each.p50_us) for each in crowd}
    pool = crowd[0].p50_us
    figures |= {f"{each.name}: times redis-py's pool": round(pool / each.p50_us, 2) for each in crowd[1:]}
    for each in sharing[1:]:
        figures[f"{each.name}, Valkey on the same core: times a bare GET"] = round(
            each.p50_us / sharing[0].p50_us, 2
        )
    report = timing.report(
        "l2_hit",
        (*alone, *crowd),
        baseline=alone[0].name,
        figures=figures,
        notes=(
            "Valkey on a Unix socket, uvloop, redis-py with hiredis; no L1; µs per call",
            "Valkey has a core of its own, which is woken for each question, unless a figure says otherwise",
        ),
    )
    return timing.publish(report, options)


if __name__ == "__main__":
    raise SystemExit(main())
