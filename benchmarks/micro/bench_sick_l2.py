"""What a sick L2 costs a call: Redis refused, hung, left alone; and how soon it is used again."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import uvloop

from benchmarks.micro import timing
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.engine.config import CacheConfig, RedisConfig
from tiered_cache.simulation.topologies import EmbeddedCluster
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.testing import TcpProxy, sample_key, sample_sealed
from tiered_cache.tiers.breaker import Breaker, BreakerConfig
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.redis import RedisTier

_KEY = sample_key(1)
_SEALED = sample_sealed(_KEY, b"x" * 4096)
_KEYS = [sample_key(number) for number in range(60)]
_REPEATS = 5
_CLUSTERS = 3
_DOWN_S = 2.0
"""Long enough for the cool-down to have reached its longest."""
_POLL_S = 0.005


@asynccontextmanager
async def _guarded(proxy: TcpProxy, breaker: Breaker | None = None) -> AsyncGenerator[GuardedTier]:
    tier = GuardedTier(RedisTier(_url(proxy)), breaker=breaker, clock=SYSTEM_CLOCK)
    try:
        yield tier
    finally:
        await tier.close()


def _url(proxy: TcpProxy) -> str:
    return f"redis://{proxy.host}:{proxy.port}/0"


async def _lookups(proxy: TcpProxy, rounds: int) -> tuple[timing.Timing, ...]:
    never = BreakerConfig(failures=2, window=1, timeouts=10**9)
    async with _guarded(proxy, Breaker(never)) as asked, _guarded(proxy) as left_alone:
        await proxy.refuse()
        while left_alone.health().state == "closed":
            await left_alone.get(_KEY)
        cases = {
            "lookup, refused": lambda: asked.get(_KEY),
            "lookup, breaker open": lambda: left_alone.get(_KEY),
        }
        timings = await timing.measure_async(cases, rounds)
        await proxy.start()
    return timings


async def _hung_ms(proxy: TcpProxy) -> float:
    """What callers one after the other lose until the breaker opens."""
    async with _guarded(proxy) as tier:
        await tier.put(_KEY, _SEALED)
        proxy.hang()
        began_s = time.perf_counter()
        while tier.health().state == "closed":
            await tier.get(_KEY)
        lost_ms = (time.perf_counter() - began_s) * 1000
        proxy.flow()
    return lost_ms


async def _constructor_ms(proxy: TcpProxy) -> float:
    config = CacheConfig(secret="a secret for benchmarks", redis=RedisConfig(url=_url(proxy)))
    began_s = time.perf_counter()
    async with Cache.open(config):
        return (time.perf_counter() - began_s) * 1000


async def _recovery_s(proxy: TcpProxy) -> float:
    """Until an entry put after Redis was back is found."""
    async with _guarded(proxy) as tier:
        await proxy.refuse()
        ends_s = time.perf_counter() + _DOWN_S
        while time.perf_counter() < ends_s:
            await tier.get(_KEY)
            await tier.put(_KEY, _SEALED)
            await asyncio.sleep(_POLL_S)
        await proxy.start()
        began_s = time.perf_counter()
        while await tier.get(_KEY) is None:
            await tier.put(_KEY, _SEALED)
            await asyncio.sleep(_POLL_S)
        took_s = time.perf_counter() - began_s
        await tier.clear()
    return took_s


@asynccontextmanager
async def _on_cluster(cluster: EmbeddedCluster) -> AsyncGenerator[GuardedTier]:
    inner = RedisTier(cluster.url)
    tier = GuardedTier(inner, part_of=inner.part_of, clock=SYSTEM_CLOCK)
    try:
        await _all_found_s(tier)
        yield tier
    finally:
        await tier.close()


async def _share_found(tier: GuardedTier) -> float:
    """How many of the entries that are put now are found."""
    await asyncio.gather(*(tier.put(key, sample_sealed(key)) for key in _KEYS))
    found = await asyncio.gather(*(tier.get(key) for key in _KEYS))
    return sum(entry is not None for entry in found) / len(_KEYS)


async def _all_found_s(tier: GuardedTier) -> float:
    """Until all of them are."""
    began_s = time.perf_counter()
    while True:
        if await _share_found(tier) == 1.0:
            return time.perf_counter() - began_s
        await asyncio.sleep(_POLL_S)


async def _failover(cluster: EmbeddedCluster) -> tuple[float, float]:
    """A node is killed: from when all know its successor until all is found, and the least found before."""
    async with _on_cluster(cluster) as tier:
        cluster.servers[0].kill()
        shares: list[float] = []
        while not await asyncio.to_thread(cluster.has_failed_over, 0):
            shares.append(await _share_found(tier))
        return await _all_found_s(tier), round(min(shares), 2)


async def _restart_s(cluster: EmbeddedCluster) -> float:
    """A node without a replica comes back: from when the cluster says ok until all is found."""
    async with _on_cluster(cluster) as tier:
        cluster.servers[3].kill()
        cluster.servers[0].kill()
        ends_s = time.perf_counter() + _DOWN_S
        while time.perf_counter() < ends_s:
            await _share_found(tier)
        await asyncio.to_thread(cluster.servers[0].start)
        while not await asyncio.to_thread(cluster.is_whole):
            await _share_found(tier)
        return await _all_found_s(tier)


def _clusters(runner: asyncio.Runner, repeats: int) -> dict[str, float]:
    failovers: list[tuple[float, float]] = []
    restarts: list[float] = []
    for _ in range(repeats):
        with EmbeddedCluster() as cluster:
            failovers.append(runner.run(_failover(cluster)))
        with EmbeddedCluster() as cluster:
            restarts.append(runner.run(_restart_s(cluster)))
    return {
        "cluster: all entries found after a failover (worst, s)": round(max(failovers)[0], 2),
        "cluster: share found while one node of three is gone (least)": min(share for _, share in failovers),
        "cluster: all entries found after a node's restart (worst, s)": round(max(restarts), 2),
    }


async def _measure(path: str, rounds: int) -> tuple[tuple[timing.Timing, ...], dict[str, float]]:
    repeats = min(rounds, _REPEATS)
    async with TcpProxy(path) as proxy:
        timings = await _lookups(proxy, rounds)
        hung = [await _hung_ms(proxy) for _ in range(repeats)]
        recovery = [await _recovery_s(proxy) for _ in range(repeats)]
        proxy.hang()
        opened = [await _constructor_ms(proxy) for _ in range(repeats)]
        proxy.flow()
        await proxy.refuse()
        opened += [await _constructor_ms(proxy) for _ in range(repeats)]
    refused, left_alone = timings
    return timings, {
        "refused: added per lookup (p50, ms)": round(refused.p50_us / 1000, 3),
        "hung: lost until the breaker opens (worst, ms)": round(max(hung), 1),
        "open: added per lookup (p99, ms)": round(left_alone.p99_us / 1000, 4),
        "constructor, hung or refused (worst, ms)": round(max(opened), 1),
        "recovery to writes and hits (worst, s)": round(max(recovery), 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options(__doc__, argv)
    with EmbeddedValkey() as valkey, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        path = valkey.url.removeprefix("unix://")
        timings, figures = runner.run(_measure(path, options.rounds))
        figures |= _clusters(runner, max(1, min(options.rounds // _REPEATS, _CLUSTERS)))
    notes = ("Valkey behind a proxy in this process; uvloop; deadline 25 ms; the modules are imported",)
    return timing.publish(timing.report("sick_l2", timings, figures=figures, notes=notes), options)


if __name__ == "__main__":
    raise SystemExit(main())
