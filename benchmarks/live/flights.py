"""What joining a running generation costs: `python -m benchmarks.live.flights [--short] [--out DIR]`.

Ratios are of one run, their two sides taken in turns. `--short` leaves out long upstreams and most flights.
"""

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from benchmarks.micro import calls, timing
from tiered_cache.core.vocabulary import Request, Response
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig
from tiered_cache.engine.recording import Cursor, Recording

CALLERS = 1000
FOLLOWERS = 200
WORDS = 500
PACE_S = 0.002
_EVENTS = (b"content-type", b"text/event-stream")
_JSON = (b"content-type", b"application/json")
_ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hi"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"cost":0.1}}'
)
Figures = dict[str, float | int]


def chunk(delta: str, end: str = "null") -> bytes:
    """One event of a chat stream."""
    return (
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
        f'"delta":{delta},"finish_reason":{end}}}]}}\n\n'
    ).encode()


class Upstream:
    """Answers after `seconds`: JSON at once, a stream over that time.

    Attributes:
        calls: how many it got.
    """

    def __init__(self, seconds: float, words: int = 20) -> None:
        self.calls = 0
        self._seconds = seconds
        self._words = words

    async def __call__(self, request: Request) -> Response:
        """One call."""
        self.calls += 1
        if b'"stream":true' in request.body:
            return Response(200, (_EVENTS,), self._stream())
        await asyncio.sleep(self._seconds)
        return Response(200, (_JSON,), _ANSWER)

    async def _stream(self) -> AsyncIterator[bytes]:
        yield chunk('{"role":"assistant","content":""}')
        for number in range(self._words):
            await asyncio.sleep(self._seconds / self._words)
            yield chunk(f'{{"content":" word{number}"}}')
        yield chunk("{}", '"stop"')
        yield b"data: [DONE]\n\n"


def request(cache: Cache, number: int, *, stream: bool) -> Request:
    """A call that is equal to others of its number."""
    body = calls.chat(2048) | {"seed": number} | ({"stream": True} if stream else {})
    return cache.request(calls.ENDPOINT, calls.compact(body), headers=calls.HEADERS)


async def read(cache: Cache, asked: Request, origin: Upstream) -> bytes:
    """The whole answer."""
    response = await cache.serve(asked, origin)
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])


async def one_key(seconds: float) -> Figures:
    """A thousand callers on one key, in each shape: calls to the origin, which should be one."""
    figures: Figures = {}
    for shape in ("JSON", "stream"):
        origin = Upstream(seconds)
        async with Cache.open(CacheConfig()) as cache:
            asked = request(cache, 0, stream=shape == "stream")
            bodies = await asyncio.gather(*[read(cache, asked, origin) for _ in range(CALLERS)])
        if len({body.replace(b'"cost":0.1', b'"cost":0') for body in bodies}) != 1:
            raise RuntimeError("callers of one key got different answers")
        figures[f"upstream calls, {CALLERS} callers, {shape}, {seconds:g} s"] = origin.calls
    return figures


async def late_joiner() -> Figures:
    """From a late joiner's request to its first piece, which holds all that was said, in milliseconds."""
    origin, took_ms = Upstream(WORDS * PACE_S, WORDS), list[float]()
    async with Cache.open(CacheConfig()) as cache:
        asked = request(cache, 1, stream=True)
        leader = asyncio.ensure_future(read(cache, asked, origin))
        await asyncio.sleep(WORDS * PACE_S / 3)
        for _ in range(100):
            began_s = time.perf_counter()
            response = await cache.serve(asked, origin)
            body = response.body
            if isinstance(body, bytes):
                break
            await anext(body)
            took_ms.append((time.perf_counter() - began_s) * 1000)
            await body.aclose()  # type: ignore[attr-defined]  # bodies of ours all have it
            await asyncio.sleep(0)
        await leader
    took_ms.sort()
    return {
        "late joiner's prefix, p50 ms": round(statistics.median(took_ms), 3),
        "late joiner's prefix, p99 ms": round(took_ms[int(len(took_ms) * 0.99)], 3),
    }


async def _leader_takes(number: int, *, stalled: bool) -> float:
    """Seconds until the leader has its end, beside followers of whom one reads nothing if `stalled`."""
    origin = Upstream(WORDS * PACE_S, WORDS)
    async with Cache.open(CacheConfig()) as cache:
        asked = request(cache, number, stream=True)
        began_s = time.perf_counter()
        leader = asyncio.ensure_future(read(cache, asked, origin))
        await asyncio.sleep(0)
        followers = [await cache.serve(asked, origin) for _ in range(FOLLOWERS)]
        reading = followers[1:] if stalled else followers
        tails = [asyncio.ensure_future(_rest(each)) for each in reading]
        await leader
        took_s = time.perf_counter() - began_s
        await asyncio.gather(*tails)
        if stalled:
            await _rest(followers[0])
    return took_s


async def _rest(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])


async def stalled_follower(turns: int) -> Figures:
    """The leader's throughput beside a stalled follower, as a share of that beside none, in turns."""
    shares = list[float]()
    for turn in range(turns):
        without_s = await _leader_takes(2 * turn, stalled=False)
        shares.append(without_s / await _leader_takes(2 * turn + 1, stalled=True))
    name = f"leader's throughput, {FOLLOWERS} followers, one stalled: share of none stalled (median of turns)"
    return {name: round(statistics.median(shares), 3)}


async def many_flights(count: int) -> Figures:
    """What is left after so many flights: tasks, recordings and places in them."""
    origin = Upstream(0, words=2)
    async with Cache.open(CacheConfig()) as cache:
        for start in range(0, count, 100):
            asked = [request(cache, start + place, stream=True) for place in range(100)]
            await asyncio.gather(*[read(cache, each, origin) for each in asked for _ in range(2)])
        await asyncio.sleep(0.01)
        under_way = cache.traffic().flights
        gc.collect()
        held = sum(isinstance(each, (Recording, Cursor)) for each in gc.get_objects())
    tasks = len(asyncio.all_tasks()) - 1
    flown = f"after {count} flights"
    return {f"flights {flown}": under_way, f"tasks {flown}": tasks, f"buffers {flown}": held}


def main() -> int:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    options = parser.parse_args()
    upstreams = (0.01,) if options.short else (0.01, 2.0, 30.0)
    parts: list[Callable[[], Awaitable[Figures]]] = [
        *[lambda seconds=seconds: one_key(seconds) for seconds in upstreams],
        late_joiner,
        lambda: stalled_follower(1 if options.short else 5),
        lambda: many_flights(1000 if options.short else 100_000),
    ]
    figures: Figures = {}
    for part in parts:
        found = asyncio.run(part())  # type: ignore[arg-type]  # each is a coroutine
        for name, value in found.items():
            print(f"{name}: {value}", flush=True)
        figures |= found
    written = {"benchmark": "live", "machine": timing.machine(), "figures": figures}
    text = msgspec.json.format(msgspec.json.encode(written), indent=2)
    (options.out / "live.json").write_bytes(text + b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
