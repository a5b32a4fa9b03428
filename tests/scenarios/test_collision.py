"""With the fast hash replaced by a constant nobody ever gets another call's answer (SEMANTICS 1)."""

import asyncio
import json
import random

import pytest

from tests.scenarios.world import KEY, OTHER_KEY, Origin, Stream, answer, body, events, world
from tiered_cache.core import keys
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier

pytestmark = pytest.mark.usefixtures("no_task_left")


@pytest.fixture(autouse=True)
def one_hash_for_all(monkeypatch):
    monkeypatch.setattr(keys, "xxh3_128_digest", lambda *_: bytes(16))
    monkeypatch.setattr(keys, "xxh3_64_intdigest", lambda *_: 0)


def echo(request):
    """The question and who asked it, as JSON or as events."""
    call = json.loads(request.body)
    who = dict(request.headers)[b"authorization"].decode()[-3:]
    text = f"{call['messages'][0]['content']}-{who}"
    return Stream(events(text)) if call.get("stream") else answer(text)


async def test_a_thousand_mixed_calls_get_their_own_answers():
    draw = random.Random(7)
    origin = Origin(echo)
    lower = [lambda clock: GuardedTier(MemoryTier(None, clock), clock=clock)]
    async with world(lower=lower) as w:

        async def ask():
            text, key, stream = f"q{draw.randrange(40)}", draw.choice([KEY, OTHER_KEY]), draw.random() < 0.4
            seen = await w.ask(body(text, stream=stream), origin, key=key)
            assert seen.text == f"{text}-{key[1].decode()[-3:]}"
            return seen

        for round_ in range(10):
            if round_ == 5:
                await w.cache.memory.clear()
            seen = await asyncio.gather(*[ask() for _ in range(100)])
            w.clock.advance(1)
        kinds = {each.response.outcome.kind for each in seen}

    assert kinds == {"hit"}
    assert origin.calls <= 40 * 2 * 2  # a flight for each mode at most


async def test_flights_of_other_calls_are_not_joined():
    origin = Origin(echo)
    origin.gate = asyncio.Event()
    async with world() as w:
        calls = [asyncio.ensure_future(w.ask(body(f"q{number}"), origin)) for number in range(20)]
        for _ in range(20):
            await asyncio.sleep(0)
        origin.gate.set()
        seen = await asyncio.gather(*calls)

    assert [each.text for each in seen] == [f"q{number}-one" for number in range(20)]
    assert origin.calls == 20
