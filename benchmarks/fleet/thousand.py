"""A thousand callers of four processes on one key: how often is the origin asked?"""

import asyncio
import time

from benchmarks.fleet.callers import answered, answers, connect, request, warm
from benchmarks.fleet.figure import Figure, milliseconds
from benchmarks.fleet.stack import fleet
from tiered_cache.simulation.process import SimulatedRequesty
from tiered_cache.simulation.valkey import EmbeddedValkey

_TOKENS = 26
"""About as many as an answer of twenty words takes."""


async def thousand(
    valkey: EmbeddedValkey, redis: str, upstreams_s: tuple[float, ...], callers: int
) -> list[Figure]:
    """Each length of upstream, as JSON and as a stream, each on a key of its own."""
    with SimulatedRequesty() as origin:
        async with fleet(origin.url, valkey, redis) as running:
            await warm(running.ports)
            figures: list[Figure] = []
            for seconds in upstreams_s:
                for shape in ("JSON", "stream"):
                    figures += await _one_key(origin, running.ports, shape, seconds, callers)
            return figures


async def _one_key(
    origin: SimulatedRequesty, ports: list[int], shape: str, seconds: float, callers: int
) -> list[Figure]:
    script = f"first-token-s={seconds / 2}, per-token-s={seconds / 2 / _TOKENS}"
    question = f"{shape} of {seconds:g} s, in about 20 words"
    sent = request(question, stream=shape == "stream", script=script)
    before = await asyncio.to_thread(origin.stats)
    asking = [each for port in ports for each in await connect(port, callers // len(ports))]
    began_s = time.monotonic()
    for turn in range(callers // len(ports)):  # the processes are asked in turn
        for number in range(len(ports)):
            asking[number * (callers // len(ports)) + turn].send(sent)
    await answered(asking, seconds + 60)
    calls = (await asyncio.to_thread(origin.stats)).chat_calls - before.chat_calls
    whole = sum(caller.whole for caller in asking)
    if whole != len(asking) or len(answers(asking)) > calls:
        raise RuntimeError(f"{question}: {whole} whole answers, {len(answers(asking))} of {calls} calls")
    told = f"{callers:,} callers, {shape}, upstream of {seconds:g} s"
    return [
        Figure(name=f"upstream calls, {told}", value=calls, exactly=1),
        milliseconds(f"all answered after, {told}", [each.arrivals[-1][0] - began_s for each in asking], 1),
    ]
