"""One process of the figure "publish": an engine that asks at agreed instants and says when it was answered.

`python -m benchmarks.fleet.node URL CALLERS ROUNDS BEGINS_AT DEADLINE`, seconds of the monotonic clock.
"""

import asyncio
import sys
import time

import msgspec
import uvloop
from msgspec import Struct

from benchmarks.micro import calls
from tiered_cache.core.vocabulary import Request, Response
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig, RedisConfig

PERIOD_S = 0.12
_UPSTREAM_S = 0.05
_JSON = (b"content-type", b"application/json")
_ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hi"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"cost":0.1}}'
)


class Round(Struct, frozen=True):
    """What one process saw of one round.

    Attributes:
        published_s: when its origin call had the answer; None where it made none.
        answered_s: when each of its callers had it.
    """

    published_s: float | None
    answered_s: list[float]


async def rounds(redis: RedisConfig, callers: int, number: int, begins_s: float) -> list[Round]:
    """Ask in rounds, all processes on the same key in the same moment."""
    seen: list[Round] = []
    config = CacheConfig(secret=calls.SECRET, redis=redis)
    async with Cache.open(config) as cache:
        for turn in range(number):
            await asyncio.sleep(begins_s + turn * PERIOD_S - time.monotonic())
            seen.append(await _round(cache, turn, callers))
    return seen


async def _round(cache: Cache, turn: int, callers: int) -> Round:
    published: list[float] = []

    async def origin(request: Request) -> Response:
        _ = request
        await asyncio.sleep(_UPSTREAM_S)
        published.append(time.monotonic())
        return Response(200, (_JSON,), _ANSWER)

    async def ask() -> float:
        body = calls.compact(calls.chat(2048, seed=turn))
        await cache.serve(cache.request(calls.ENDPOINT, body, headers=calls.HEADERS), origin)
        return time.monotonic()

    answered = await asyncio.gather(*(ask() for _ in range(callers)))
    return Round(published[0] if published else None, list(answered))


def main() -> int:
    url, callers, number, begins_s, deadline_s = sys.argv[1:]
    redis = RedisConfig(url=url, read_deadline_s=float(deadline_s))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seen = runner.run(rounds(redis, int(callers), int(number), float(begins_s)))
    print(msgspec.json.encode(seen).decode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
