"""Callers with the OpenAI SDK, each answer compared with the one that the simulation would give."""

import asyncio
import itertools
import random
import time
from typing import Any

from msgspec import Struct
from openai import APIError, AsyncOpenAI, OpenAIError

from benchmarks.chaos.faults import Scenario
from benchmarks.chaos.stack import Stack
from tiered_cache.simulation.answers import is_answer_to

QUESTIONS = 60
"""Different questions that are asked again and again in a scenario."""
_NEW = 0.05
"""Share of calls that nobody asks again: something is written at all times."""
_PAUSE_S = 0.03
_WRITTEN_WITHIN_S = 0.03
_FULL_SERVICE_WITHIN_S = 30.0
_KEY = "rqy_chaos"
_CUT = "origin_cut"


class CutError(Exception):
    """A stream that another process led ended in the error event that the page on the fleet names."""


class Call(Struct, frozen=True):
    """One call as its caller saw it, in seconds of the monotonic clock.

    Attributes:
        cut: it followed a stream in the other process, had a part of it, and lost contact with Redis.
    """

    began_s: float
    took_s: float
    failed: bool
    wrong: bool
    cut: bool = False


class Load:
    """Callers that ask until they are stopped.

    Attributes:
        calls: what they saw.
        errors: what those said that failed.

    Args:
        stack: whose gateways they ask, at random.
        name: of the scenario: its questions are its own.
        scenario: what they ask for.
    """

    def __init__(self, stack: Stack, name: str, scenario: Scenario) -> None:
        self.calls: list[Call] = []
        self.errors: list[str] = []
        self._name = name
        self._words, self._streams = scenario.words, scenario.streams
        self._stopped = False
        self._numbers = itertools.count()
        self._clients = [
            AsyncOpenAI(base_url=gateway.url, api_key=_KEY, max_retries=0, timeout=30.0)
            for gateway in stack.gateways
        ]

    async def run(self, callers: int) -> None:
        """So many ask until `stop`."""
        await asyncio.gather(*(self._ask_on(random.Random(number)) for number in range(callers)))

    def stop(self) -> None:
        """Let every caller end with its call."""
        self._stopped = True

    def ended_since(self, since_s: float) -> int:
        """How many calls have begun and ended since then."""
        return sum(call.began_s >= since_s for call in self.calls)

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients:
            await client.close()

    async def full_service_s(self, since_s: float) -> float:
        """Seconds until each gateway has found in L2 what the other one wrote."""
        tried, (one, other) = 0, self._clients
        while (now_s := time.monotonic()) < since_s + _FULL_SERVICE_WITHIN_S:
            both = (self._crosses(one, other, f"a{tried}"), self._crosses(other, one, f"b{tried}"))
            if all(await asyncio.gather(*both)):
                return now_s - since_s
            tried += 1
        return float("inf")

    async def _crosses(self, writer: AsyncOpenAI, reader: AsyncOpenAI, mark: str) -> bool:
        body = self._body(f"recovery {mark}")
        await self._call(writer, body, stream=False)
        await asyncio.sleep(_WRITTEN_WITHIN_S)
        try:
            answer = await reader.chat.completions.with_raw_response.create(**body)
        except OpenAIError:
            return False
        status = answer.headers.get("cache-status", "")
        return "; hit" in status and "detail=L2" in status

    async def _ask_on(self, dice: random.Random) -> None:
        while not self._stopped:
            new = dice.random() < _NEW
            body = self._body(f"new {next(self._numbers)}" if new else str(dice.randrange(QUESTIONS)))
            await self._call(dice.choice(self._clients), body, stream=dice.random() < self._streams)
            await asyncio.sleep(_PAUSE_S)

    def _body(self, mark: str) -> dict[str, Any]:
        question = f"{self._name} {mark}: say it in about {self._words} words"
        messages = [{"role": "user", "content": question}]
        return {"model": "openai/gpt-4o-mini", "messages": messages, "temperature": 0}

    async def _call(self, client: AsyncOpenAI, body: dict[str, Any], *, stream: bool) -> None:
        began_s = time.monotonic()
        failed = wrong = cut = False
        try:
            text = await (_streamed if stream else _whole)(client, body)
            wrong = not is_answer_to(text, body)
        except CutError:
            cut = True
        except OpenAIError as error:
            failed = True
            self.errors.append(f"{'stream' if stream else 'whole'}: {error!r} from {error.__cause__!r}")
        self.calls.append(Call(began_s, time.monotonic() - began_s, failed, wrong, cut))


async def _whole(client: AsyncOpenAI, body: dict[str, Any]) -> str:
    answer = await client.chat.completions.create(**body)
    return str(answer.choices[0].message.content)


async def _streamed(client: AsyncOpenAI, body: dict[str, Any]) -> str:
    pieces: list[str] = []
    async with await client.chat.completions.create(**body, stream=True) as chunks:
        followed = "collapsed" in chunks.response.headers.get("cache-status", "")
        try:
            async for chunk in chunks:
                pieces += [choice.delta.content or "" for choice in chunk.choices]
        except APIError as error:
            if followed and error.code == _CUT:
                raise CutError from error
            raise
    return "".join(pieces)
