"""What a purge costs: until 4 nodes obey, over a million entries, and for a hit with or without tags."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from time import perf_counter_ns
from typing import Any

import uvloop
from redis.asyncio import Redis

from benchmarks.micro import calls, timing
from tiered_cache.core.keys import Keyer
from tiered_cache.core.vocabulary import CacheKey, Headers, Keyed, Request
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig, MemoryConfig, RedisConfig
from tiered_cache.engine.purging import Selector
from tiered_cache.simulation.valkey import EmbeddedValkey

_NODES = 4
_MOST_PURGES = 1000
_MOST_ENTRIES = 1_000_000
_ENTRIES_PER_ROUND = 1000
_RARELY_S = 600.0
_TAGS: Headers = ((b"x-tiered-cache-tags", b"bench,t1,t2,t3,t4,t5,t6,t7"),)
_BENCH = Selector(tag="bench")


def _config(url: str, heartbeat_s: float = 0.5) -> CacheConfig:
    redis = RedisConfig(url=url, read_deadline_s=5.0, heartbeat_s=heartbeat_s)
    return CacheConfig(secret=calls.SECRET, memory=MemoryConfig(capacity_bytes=None), redis=redis)


def _request(cache: Cache, size_bytes: int, headers: Headers = ()) -> Request:
    body = calls.compact(calls.chat(size_bytes))
    return cache.request(calls.ENDPOINT, body, headers=calls.HEADERS + headers)


async def _spread(url: str, purges: int) -> tuple[timing.Timing, ...]:
    """Each node in turn purges what all of them hold in memory."""
    took_ns: list[float] = []
    obeyed_ns: list[float] = []
    async with AsyncExitStack() as stack:
        caches = [await stack.enter_async_context(Cache.open(_config(url))) for _ in range(_NODES)]
        requests = [_request(cache, 2048) for cache in caches]
        for number in range(purges):
            for cache in caches:
                await _held(cache)
            began_ns = perf_counter_ns()
            if not (await caches[number % _NODES].purge(_BENCH)).complete:
                raise RuntimeError("the purge was put off: the benchmark measures something else")
            returned_ns = perf_counter_ns()
            for cache, request in zip(caches, requests, strict=True):
                while cache.peek(request) is not None:  # noqa: ASYNC110  # a node tells nobody
                    await asyncio.sleep(0)
            took_ns.append(returned_ns - began_ns)
            obeyed_ns.append(perf_counter_ns() - returned_ns)
    return (
        timing.timing("purge of a tag, until it returns", took_ns),
        timing.timing(f"and from then until all of {_NODES} nodes obey", obeyed_ns),
    )


async def _held(cache: Cache) -> None:
    """Have the answer in this node's memory; one that was stamped in a log since left is asked for again."""
    request = _request(cache, 2048, _TAGS)
    while cache.peek(request) is None:
        await cache.serve(request, calls.origin)


async def _many(url: str, entries: int, purges: int) -> tuple[timing.Timing, dict[str, Any]]:
    """One node whose memory is full of entries with the tag; a heartbeat would count as a command."""
    took_ns: list[float] = []
    async with Cache.open(_config(url, _RARELY_S)) as cache, Redis.from_url(url, driver_info=None) as bare:
        await _held(cache)
        await _fill(cache, entries)
        await cache.purge(Selector(tag="other"))  # the first use of a script is two commands
        before = await _scripts(bare)
        for _ in range(purges):
            began_ns = perf_counter_ns()
            await cache.purge(_BENCH)
            took_ns.append(perf_counter_ns() - began_ns)
        commands = (await _scripts(bare) - before) / purges
        if cache.peek(_request(cache, 2048)) is not None:
            raise RuntimeError("the entries were not purged: the benchmark measures something else")
    figures = {"resident entries with the tag": entries, "commands of a purge": commands}
    return timing.timing("purge of a tag that all resident entries have", took_ns), figures


async def _fill(cache: Cache, entries: int) -> None:
    """Keep the entry of the benchmark's call under many keys."""
    keyed = Keyer(calls.SECRET.encode()).key(_request(cache, 2048))
    found = await cache.memory.get(keyed.key) if isinstance(keyed, Keyed) else None
    if found is None:
        raise RuntimeError("the call's entry was not found: the benchmark measures something else")
    for number in range(entries - 1):
        cache.memory.keep(CacheKey(number.to_bytes(len(keyed.key), "big")), found.sealed)


async def _scripts(bare: Redis) -> int:
    """Scripts that the server has run so far."""
    stats: Any = await bare.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))


async def _hits(rounds: int) -> tuple[timing.Timing, ...]:
    """Hits of entries without tags and with 8, before and after a thousand purges of other tags."""
    config = CacheConfig(secret=calls.SECRET, memory=MemoryConfig(capacity_bytes=None))
    async with Cache.open(config) as cache, Cache.open(config) as purged:
        for each in (cache, purged):
            await each.serve(_request(each, 2048), calls.origin)
            await each.serve(_request(each, 2049, _TAGS), calls.origin)
        for number in range(1000):
            await purged.purge(Selector(tag=f"other-{number}"))
        return timing.measure(
            {},
            rounds,
            fed={
                "hit, no tags": _peeks(cache, 2048),
                "hit, 8 tags": _peeks(cache, 2049),
                "hit, no tags, 1,000 purges later": _peeks(purged, 2048),
                "hit, 8 tags, 1,000 purges later": _peeks(purged, 2049),
            },
        )


def _peeks(cache: Cache, size_bytes: int) -> tuple[Any, Iterator[bytes]]:
    first = _request(cache, size_bytes)

    def peek(body: bytes) -> None:
        if cache.peek(Request(calls.ENDPOINT, body, first.scope, calls.HEADERS, b"", first.ask)) is None:
            raise RuntimeError("not a hit: the benchmark measures something else")

    return peek, calls.again(first.body)


def main(argv: Sequence[str] | None = None) -> int:
    options = timing.options(__doc__, argv)
    purges = min(_MOST_PURGES, options.rounds)
    entries = min(_MOST_ENTRIES, _ENTRIES_PER_ROUND * options.rounds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        with EmbeddedValkey() as valkey:
            spread = runner.run(_spread(valkey.url, purges))
        with EmbeddedValkey() as valkey:
            many, figures = runner.run(_many(valkey.url, entries, purges))
        hits = runner.run(_hits(options.rounds))
    report = timing.report(
        "purge",
        (*hits, *spread, many),
        baseline=hits[0].name,
        figures=figures,
        notes=("Valkey on a Unix socket, uvloop, all nodes in one process; hits: the same 2 KB body again",),
    )
    return timing.publish(report, options)


if __name__ == "__main__":
    raise SystemExit(main())
