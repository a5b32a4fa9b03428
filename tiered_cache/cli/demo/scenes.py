"""What the callers do on the stage: one question five times, fifty at once, five by and by, then traffic."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

from msgspec import Struct

from tiered_cache.cli.demo.callers import Callers, Seen
from tiered_cache.simulation.workload import PlannedCall

STAMPEDE = 50
JOINERS = 5
JOIN_EVERY_S = 0.4
_IN_FLIGHT = 128


def question(text: str) -> dict[str, Any]:
    """A chat call at temperature 0."""
    return {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
    }


class Line(Struct, frozen=True):
    """One asking of the first scene, in words."""

    node: str
    words: str
    call: PlannedCall


def one_question() -> tuple[Line, ...]:
    """The same question in other spellings, at both nodes; the last with another key."""
    body = question("Where can I eat crêpes in Zürich? Answer in about 40 words.")
    parts = [{"type": "text", "text": body["messages"][0]["content"]}]
    other = {**body, "messages": [{"role": "user", "content": parts}], "n": 1, "user": "somebody"}
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    return (
        Line("A", "as Python writes it", _call(body, "python")),
        Line("B", "Go: other order, n=1", _call(other, "go")),
        Line("B", "Node: wants a stream", _call(streamed, "node")),
        Line("A", "curl: indented", _call(other, "curl")),
        Line("A", "another API key", _call(body, "python", tenant=1)),
    )


def _call(body: dict[str, Any], sdk: str, tenant: int = 0) -> PlannedCall:
    return PlannedCall(0.0, tenant, body, sdk, repeat=False)


async def stampede(callers: Callers) -> list[Seen]:
    """Many callers ask one new question at the same moment, at one node."""
    call = _call(question("What is a stampede? Answer in about 40 words."), "python")
    return await asyncio.gather(*(callers.ask("A", call) for _ in range(STAMPEDE)))


async def joiners(callers: Callers, nodes: tuple[str, ...]) -> list[Seen]:
    """Callers ask for one stream, one after the other and the nodes in turn, while it is being written."""
    body = question("Where do two rivers become one? Answer in about 150 words.")
    call = _call({**body, "stream": True}, "python")

    async def join(place: int) -> Seen:
        await asyncio.sleep(place * JOIN_EVERY_S)
        return await callers.ask(nodes[place % len(nodes)], call)

    return await asyncio.gather(*map(join, range(JOINERS)))


class Traffic:
    """Planned calls, each at its time, at the nodes in turn.

    Args:
        calls: in order of time.
        seconds, requests: where the traffic stops; None for no such end.
        told: gets each call as it is answered.
    """

    def __init__(
        self,
        calls: Iterator[PlannedCall],
        seconds: float | None,
        requests: int | None,
        told: Callable[[Seen], None],
    ) -> None:
        self._calls = calls
        self._seconds = seconds
        self._requests = requests
        self._told = told

    async def run(self, callers: Callers, nodes: tuple[str, ...]) -> None:
        """Make the calls, wait for the last answer."""
        began_s = time.perf_counter()
        room = asyncio.Semaphore(_IN_FLIGHT)
        turns = cycle(nodes)
        async with asyncio.TaskGroup() as tasks:
            async for call in self._due(began_s):
                await room.acquire()
                tasks.create_task(self._ask(callers, next(turns), call, room))

    async def _due(self, began_s: float) -> AsyncIterator[PlannedCall]:
        for number, call in enumerate(self._calls):
            if self._requests is not None and number >= self._requests:
                return
            if self._seconds is not None and call.at_s >= self._seconds:
                return
            await asyncio.sleep(max(0.0, began_s + call.at_s - time.perf_counter()))
            yield call

    async def _ask(self, callers: Callers, node: str, call: PlannedCall, room: asyncio.Semaphore) -> None:
        try:
            self._told(await callers.ask(node, call))
        finally:
            room.release()


@asynccontextmanager
async def every(seconds: float, work: Callable[[], Any]) -> AsyncGenerator[None]:
    """Do asynchronous `work` again and again meanwhile."""

    async def repeat() -> None:
        while True:
            await work()
            await asyncio.sleep(seconds)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
