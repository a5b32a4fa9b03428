"""How long it takes from the leader's process to the followers': of a whole answer, and of each token."""

import asyncio
import sys
import time

import msgspec

from benchmarks.fleet.callers import Caller, answered, ask, request, warm
from benchmarks.fleet.figure import Figure, milliseconds
from benchmarks.fleet.node import PERIOD_S, Round
from benchmarks.fleet.origin import ClockOrigin, Manner
from benchmarks.fleet.stack import NODES, fleet
from tiered_cache.simulation.valkey import EmbeddedValkey

PUBLISH_MOST_MS = 15
TOKEN_MOST_MS = 25
CALLERS = 10
"""Of each process."""
_STARTING_S = 6.0
_WARM_ROUNDS = 5
_TOKENS_PER_S = 80


async def publish(valkey: EmbeddedValkey, rounds: int, deadline_s: float) -> list[Figure]:
    """Engines without HTTP in processes of their own, on one clock."""
    begins_s = time.monotonic() + _STARTING_S
    numbers = (CALLERS, rounds + _WARM_ROUNDS, begins_s, deadline_s)
    command = ["-m", "benchmarks.fleet.node", valkey.url, *map(str, numbers)]
    nodes = [
        await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        for _ in range(NODES)
    ]
    try:
        async with asyncio.timeout(_STARTING_S + (rounds + _WARM_ROUNDS) * PERIOD_S + 30):
            told = [(await node.communicate())[0] for node in nodes]
    finally:
        for node in nodes:
            if node.returncode is None:
                node.kill()
                await node.wait()
    return _published([msgspec.json.decode(each, type=list[Round])[_WARM_ROUNDS:] for each in told])


def _published(seen: list[list[Round]]) -> list[Figure]:
    followed: list[float] = []
    led: list[float] = []
    calls = 0
    for turn in zip(*seen, strict=True):
        published = [each.published_s for each in turn if each.published_s is not None]
        calls += len(published)
        for each in turn:
            took = led if each.published_s is not None else followed
            took += [answered_s - min(published) for answered_s in each.answered_s]
    told = f"from the answer in the leader's engine, {NODES * CALLERS} callers"
    return [
        Figure(name=f"upstream calls, {len(seen[0])} rounds", value=calls, exactly=len(seen[0])),
        milliseconds(f"{told}, to its own callers (p99)", led, 0.99),
        milliseconds(f"{told}, to those of other processes (p50)", followed, 0.5),
        milliseconds(f"{told}, to those of other processes (p99)", followed, 0.99, PUBLISH_MOST_MS),
    ]


async def tokens(valkey: EmbeddedValkey, redis: str, streams: int, words: int) -> list[Figure]:
    """Gateways; the origin stamps each event with the instant at which it says it."""
    origin = ClockOrigin()
    await origin.start()
    try:
        async with fleet(origin.url, valkey, redis) as running:
            await warm(running.ports)
            leaders: list[float] = []
            followers: list[float] = []
            calls = 0
            for number in range(streams):
                origin.begin(Manner(words=words, pace_s=1 / _TOKENS_PER_S))
                sent = request(f"stream {number}", stream=True)
                leading = await ask(running.ports[0], sent)
                await origin.called(1)
                leading += await ask(running.ports[0], sent, CALLERS - 1)
                following = [each for port in running.ports[1:] for each in await ask(port, sent, CALLERS)]
                asked_s = time.monotonic()
                await answered([*leading, *following])
                if not all(caller.whole for caller in (*leading, *following)):
                    raise RuntimeError("a stream was not whole")
                calls += len(origin.calls_s)
                leaders += _lags(leading, asked_s)
                followers += _lags(following, asked_s)
    finally:
        await origin.stop()
    told = f"token lag, {_TOKENS_PER_S} tokens/s, {NODES * CALLERS} callers"
    return [
        Figure(name=f"upstream calls, {streams} streams", value=calls, exactly=streams),
        milliseconds(f"{told}, leader's process (p99)", leaders, 0.99),
        milliseconds(f"{told}, other processes (p50)", followers, 0.5),
        milliseconds(f"{told}, other processes (p99)", followers, 0.99, TOKEN_MOST_MS),
    ]


def _lags(callers: list[Caller], since_s: float) -> list[float]:
    """Of the tokens that were said when all had asked."""
    return [came_s - said_s for each in callers for said_s, came_s in each.stamps_s if said_s > since_s]
