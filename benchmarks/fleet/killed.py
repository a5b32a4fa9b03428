"""The leader's process is killed: who asks the origin again, and how soon?"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct

from benchmarks.fleet.callers import Caller, answered, ask, request, warm
from benchmarks.fleet.figure import Figure
from benchmarks.fleet.holding import WriteHolder
from benchmarks.fleet.origin import WORDS, ClockOrigin, Manner
from benchmarks.fleet.stack import Fleet, fleet
from tiered_cache.simulation.valkey import EmbeddedValkey

SLACK_S = 0.1
CALLERS = 3
"""Of each process."""
_SETTLES_S = 0.3
_PACE_S = 0.01
_PATIENCE_S = 20.0


class Stage(Struct, frozen=True):
    """What a killing needs. The leader, number 0, reaches Valkey over `holder`."""

    running: Fleet
    origin: ClockOrigin
    holder: WriteHolder


class Outcome(Struct, frozen=True):
    """What came of it.

    Attributes:
        calls: that the origin got in all.
        successor_s: from the killing until the second of them; 0 without one.
        whole, ended: of the followers, those with a whole answer, and those whose stream ended in an error.
    """

    calls: int
    successor_s: float
    whole: int
    ended: int


Killing: TypeAlias = Callable[[Stage, str], Awaitable[Outcome]]


async def before_its_first_event(stage: Stage, question: str) -> Outcome:
    """Nobody has got anything: one successor answers all."""
    following, _ = await _begun(stage, question, Manner(held_at=0), (False, False, False))
    killed_s = _kill(stage)
    return await _outcome(stage, following, killed_s, calls=2)


async def in_mid_stream(stage: Stage, question: str) -> Outcome:
    """Who read tokens gets an error event; the others, who wait for JSON, one successor."""
    manner = Manner(held_at=WORDS // 2, pace_s=_PACE_S)
    following, _ = await _begun(stage, question, manner, (True, False, False))
    async with asyncio.timeout(_PATIENCE_S):
        while any(len(each.stamps_s) < WORDS // 2 for each in following[:CALLERS]):  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
    killed_s = _kill(stage)
    return await _outcome(stage, following, killed_s, calls=2)


async def between_end_and_store(stage: Stage, question: str) -> Outcome:
    """The followers have all of it, the shared tier does not: nobody asks again."""
    stage.holder.held.clear()
    stage.holder.holding = True
    manner = Manner(held_at=WORDS // 2, pace_s=_PACE_S)
    following, leading = await _begun(stage, question, manner, (True, False, False))
    stage.origin.go.set()
    await answered([*leading, *following], _PATIENCE_S)
    async with asyncio.timeout(_PATIENCE_S):
        await stage.holder.held.wait()
    killed_s = _kill(stage)
    stage.holder.holding = False
    sent = request(question, stream=False)
    later = [each for port in stage.running.ports[1:] for each in await ask(port, sent)]
    await answered(later, _PATIENCE_S)
    if not all(caller.whole for caller in later):
        raise RuntimeError("who asked later got no answer")
    return await _outcome(stage, following, killed_s, calls=1)


KILLINGS: dict[str, Killing] = {
    "before its first event": before_its_first_event,
    "in mid-stream": in_mid_stream,
    "between end and store": between_end_and_store,
}
_CALLS = {"before its first event": 2, "in mid-stream": 2, "between end and store": 1}


async def killed(valkey: EmbeddedValkey, lease_s: float, times: int) -> list[Figure]:
    """Each so many times."""
    origin, holder = ClockOrigin(), WriteHolder(valkey.port or 0)
    await origin.start()
    ports = {0: await holder.start()}
    try:
        async with fleet(origin.url, valkey, f"lease_s = {lease_s}", ports=ports) as running:
            stage = Stage(running, origin, holder)
            figures: list[Figure] = []
            for point, kill in KILLINGS.items():
                outcomes: list[Outcome] = []
                for number in range(times):
                    origin.begin(Manner())
                    await warm(running.ports)
                    outcomes.append(await kill(stage, f"killed {point}, {number}"))
                    await running.restart(0)
                figures += _figures(point, outcomes, lease_s)
            return figures
    finally:
        await holder.stop()
        await origin.stop()


def _figures(point: str, outcomes: list[Outcome], lease_s: float) -> list[Figure]:
    told = f"leader killed {point}, {len(outcomes)} times"
    calls = max(each.calls for each in outcomes)
    figures = [Figure(name=f"upstream calls in all, {told} (most)", value=calls, exactly=_CALLS[point])]
    left = min(each.whole + each.ended for each in outcomes)
    figures.append(Figure(name=f"callers answered, {told} (fewest)", value=left, exactly=3 * CALLERS))
    if _CALLS[point] > 1:
        latest_s = max(each.successor_s for each in outcomes)
        most_ms = round((lease_s + SLACK_S) * 1000)
        name = f"until the successor's call, {told} (longest)"
        figures.append(Figure(name=name, unit="ms", value=round(latest_s * 1000), most=most_ms))
    return figures


async def _begun(
    stage: Stage, question: str, manner: Manner, streams: tuple[bool, ...]
) -> tuple[list[Caller], list[Caller]]:
    """A leader that is asking, and its followers in the other processes."""
    stage.origin.begin(manner)
    streaming = any(streams)
    leading = await ask(stage.running.ports[0], request(question, stream=streaming))
    async with asyncio.timeout(_PATIENCE_S):
        await stage.origin.called(1)
    following: list[Caller] = []
    for port, stream in zip(stage.running.ports[1:], streams, strict=True):
        following += await ask(port, request(question, stream=stream), CALLERS)
    await asyncio.sleep(_SETTLES_S)
    return following, leading


def _kill(stage: Stage) -> float:
    killed_s = time.monotonic()
    stage.running.gateways[0].kill()
    return killed_s


async def _outcome(stage: Stage, following: list[Caller], killed_s: float, calls: int) -> Outcome:
    successor_s = 0.0
    if calls > 1:
        async with asyncio.timeout(_PATIENCE_S):
            successor_s = await stage.origin.called(calls) - killed_s
    await answered(following, _PATIENCE_S)
    whole = sum(caller.whole for caller in following)
    ended = sum(b'data: {"error"' in caller.raw and not caller.whole for caller in following)
    return Outcome(len(stage.origin.calls_s), successor_s, whole, ended)
