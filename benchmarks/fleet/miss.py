"""What the fleet costs: a call that nobody else asks for, with leases and without, and commands on Redis."""

import asyncio
import time
from collections import Counter
from typing import Self

from redis.asyncio import Redis

from benchmarks.fleet.callers import Caller, answered, ask, request, warm
from benchmarks.fleet.figure import Figure, rank
from benchmarks.fleet.origin import ClockOrigin, Manner
from benchmarks.fleet.stack import NODES, Fleet, fleet, user
from tiered_cache.simulation.valkey import EmbeddedValkey

ADDED_MOST_MS = 1
COMMANDS_MOST = 2
WAITING_MOST = 6
_SHARED = 5
"""Keys that all processes ask for at the same time."""
_UPSTREAM_S = 0.3
_QUIET_S = 0.3
_WARM = 30
_OF_CALLS = "tc:01:"
"""What names of entries and flights begin with."""


async def miss(valkey: EmbeddedValkey, calls: int) -> list[Figure]:
    """Two gateways, one of which lets every process ask for itself; each is asked in turn."""
    origin = ClockOrigin()
    await origin.start()
    try:
        async with fleet(origin.url, valkey, "lease_s = 3.0", "lease_s = 0", nodes=2) as running:
            took_s: tuple[list[float], list[float]] = ([], [])
            for number in range(calls + _WARM):
                for place, port in enumerate(running.ports):
                    took_s[place].append(await _took_s(port, f"call {number} of {place}"))
            commands = await _commands(running, calls // 10)
    finally:
        await origin.stop()
    leased, alone = ([1000 * each for each in samples[_WARM:]] for samples in took_s)
    added_ms = rank(leased, 0.5) - rank(alone, 0.5)
    return [
        Figure(name="uncontended miss without leases (p50)", unit="ms", value=round(rank(alone, 0.5), 3)),
        Figure(
            name="uncontended miss, added by leases (p50)",
            unit="ms",
            value=round(added_ms, 3),
            most=ADDED_MOST_MS,
        ),
        Figure(
            name="Redis commands of an uncontended miss, added by leases",
            value=round(commands[0] - commands[1], 2),
            most=COMMANDS_MOST,
        ),
    ]


async def _took_s(port: int, question: str) -> float:
    (caller,) = await ask(port, request(question, stream=False))
    began_s = time.monotonic()
    await answered([caller])
    if not caller.whole:
        raise RuntimeError("a call failed")
    return caller.arrivals[-1][0] - began_s


async def _commands(running: Fleet, calls: int) -> list[float]:
    """Of each gateway, for one such call."""
    counts: list[float] = []
    for place, port in enumerate(running.ports):
        async with Monitor(running) as monitor:
            for number in range(calls):
                await _took_s(port, f"counted call {number} of {place}")
            await asyncio.sleep(_QUIET_S)
        counts.append(monitor.counted[user(place)] / calls)
    return counts


async def waiting(valkey: EmbeddedValkey, redis: str) -> list[Figure]:
    """All processes wait for the same answer; one of them asks."""
    origin = ClockOrigin()
    await origin.start()
    try:
        async with fleet(origin.url, valkey, redis) as running:
            await warm(running.ports)
            spent: list[int] = []
            for shape in ("JSON", "stream"):
                spent += [await _spent(running, origin, f"{shape} {number}") for number in range(_SHARED)]
    finally:
        await origin.stop()
    name = f"Redis commands of a process that waits, beside its callers' lookups, {NODES} processes (most)"
    return [Figure(name=name, value=max(spent), most=WAITING_MOST)]


async def _spent(running: Fleet, origin: ClockOrigin, question: str) -> int:
    """The most of a process other than the leader, which is the first one asked."""
    origin.begin(Manner(pace_s=_UPSTREAM_S if question.startswith("JSON") else _UPSTREAM_S / 20))
    sent = request(question, stream=question.startswith("stream"))
    async with Monitor(running) as monitor:
        callers: list[Caller] = await ask(running.ports[0], sent)
        await origin.called(1)
        callers += [each for port in running.ports[1:] for each in await ask(port, sent, 5)]
        await answered(callers)
        await asyncio.sleep(_QUIET_S)
    if len(origin.calls_s) != 1 or not all(caller.whole for caller in callers):
        raise RuntimeError("the call was not shared")
    others = range(1, len(running.ports))
    return max(monitor.counted[user(number)] - monitor.lookups[user(number)] for number in others)


class Monitor:
    """Counts the commands on calls, entries and flights, by the gateway that sent them.

    Attributes:
        counted: what came while the block lasted.
        lookups: those of them that look for an answer, one for each caller.
    """

    def __init__(self, running: Fleet) -> None:
        self._running = running
        self.counted: Counter[str] = Counter()
        self.lookups: Counter[str] = Counter()
        self._seen: list[tuple[str, str]] = []

    async def __aenter__(self) -> Self:
        self._client: Redis = self._running.client()
        self._reading = asyncio.get_running_loop().create_task(self._read())
        await asyncio.sleep(_QUIET_S / 3)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        users = {str(each["addr"]): str(each["user"]) for each in await self._client.client_list()}
        await self._client.aclose()
        for address, command in self._seen:
            self.counted[users.get(address, "gone")] += 1
            self.lookups[users.get(address, "gone")] += command.startswith("GETRANGE ")

    async def _read(self) -> None:
        """The heartbeat on the log of purges, which there is in any case, is no command of a call."""
        async with self._client.monitor() as monitor:
            async for line in monitor.listen():
                if line["client_type"] != "lua" and _OF_CALLS in line["command"]:
                    address = f"{line['client_address']}:{line['client_port']}"
                    self._seen.append((address, line["command"]))
