"""A caller that is cancelled, at whichever await of the engine: nobody else notices and nothing is left."""

import asyncio
import gc

import pytest

from tests.scenarios.test_live import Tap
from tests.scenarios.world import JSON, Origin, Seen, answer, body, events, world
from tiered_cache import OriginCutError, Response
from tiered_cache.engine.flight import Flight
from tiered_cache.engine.recording import Cursor, Recording
from tiered_cache.testing import FakeClock
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier

pytestmark = pytest.mark.usefixtures("no_task_left")

MOST_STEPS = 120
STREAM = body(stream=True)


def slow_tier(clock: FakeClock) -> GuardedTier:
    """A tier below memory, so that lookups have awaits of their own."""
    return GuardedTier(MemoryTier(None, clock), read_deadline_s=5, write_deadline_s=5, clock=clock)


class SlowOrigin(Origin):
    """Takes some steps of the loop before it answers."""

    async def __call__(self, request):
        for _ in range(6):
            await asyncio.sleep(0)
        return await super().__call__(request)


class Steps(Tap):
    """A stream of which each event takes a step of the loop, whoever reads."""

    def __init__(self, text):
        super().__init__()
        self.pieces = events(text)

    def __call__(self, request):
        response = super().__call__(request)
        response.body = self._each()
        return response

    async def _each(self):
        for piece in self.pieces:
            await asyncio.sleep(0)
            yield piece


async def whole(w, sent, origin):
    """Serve and read to the end, as a gateway does: the body is closed whatever happens."""
    response = await w.cache.serve(w.request(sent), origin)
    if isinstance(response.body, bytes):
        return await Seen.of(response)
    try:
        return await Seen.of(response)
    finally:
        await response.body.aclose()


async def cancelled_after(steps, victim, others, origin):
    """Cancel the caller at place `victim` after so many steps; returns whether it was still running."""
    async with world(lower=(slow_tier,), linger_s=0) as w:
        kinds = list(others)
        callers = [asyncio.ensure_future(whole(w, sent, origin)) for sent in kinds]
        for _ in range(steps):
            await asyncio.sleep(0)
        running = not callers[victim].done()
        callers[victim].cancel()
        staying = [caller for place, caller in enumerate(callers) if place != victim]
        seen = await asyncio.wait_for(asyncio.gather(*staying), 5)
        assert {each.text for each in seen} <= {"onetwothree"}
        assert len(seen) == len(staying)
        await asyncio.gather(callers[victim], return_exceptions=True)
        for _ in range(20):
            await asyncio.sleep(0)
        traffic = w.cache.traffic()
        assert (traffic.flights, traffic.callers) == (0, 0)
    return running


@pytest.mark.parametrize("victim", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "kinds",
    [(STREAM,) * 4, (body(),) * 4, (STREAM, body(), STREAM, body()), (body(), STREAM, body(), STREAM)],
    ids=["streams", "json", "stream first", "json first"],
)
async def test_cancelled_at_every_step(kinds, victim):
    """SEMANTICS 5: a client that hangs up never costs another client its answer."""
    steps, calls = 0, 0
    while steps < MOST_STEPS:
        origin = SlowOrigin(_reply)
        running = await cancelled_after(steps, victim, kinds, origin)
        assert origin.calls <= 2
        calls += origin.calls
        steps += 1
        if not running:
            break
    assert 5 < steps < MOST_STEPS, "every await was reached, up to the end"
    assert calls


def _reply(request):
    if b'"stream": true' in request.body:
        return Steps("one two three")(request)
    return Response(200, (JSON,), answer("onetwothree"))


async def test_cancelled_at_every_step_of_starting_over():
    """SEMANTICS 5: own cancellation for each caller, also while a successor is asked."""
    for steps in range(60):
        broken = Tap()
        origin = Origin(broken, Steps("one two three"))
        async with world(linger_s=0) as w:
            leader = asyncio.ensure_future(whole(w, STREAM, origin))
            await asyncio.sleep(0)
            followers = [asyncio.ensure_future(whole(w, STREAM, origin)) for _ in range(3)]
            for _ in range(12):
                await asyncio.sleep(0)
            broken.end(OriginCutError("cut"))
            for _ in range(steps):
                await asyncio.sleep(0)
            followers[0].cancel()
            seen = await asyncio.wait_for(asyncio.gather(*followers[1:]), 5)
            assert [each.text for each in seen] == ["onetwothree"] * 2
            assert b"error" in (await leader).body
            await asyncio.gather(followers[0], return_exceptions=True)
            for _ in range(20):
                await asyncio.sleep(0)
            assert w.cache.traffic().flights == 0
        assert origin.calls == 2, f"after {steps} steps"


def held():
    """How many flights, recordings and places in them there are, those of other tests included."""
    gc.collect()
    return sum(isinstance(each, (Flight, Recording, Cursor)) for each in gc.get_objects())


async def test_hundreds_of_flights_leave_no_task_no_flight_and_no_buffer():
    """Issue 5: no task, no event and no buffer left."""
    before = held()
    async with world(linger_s=0) as w:
        for number in range(400):
            origin = Origin(Steps(f"answer {number}"))
            sent = body(f"question {number}", stream=True)
            callers = [asyncio.ensure_future(whole(w, sent, origin)) for _ in range(5)]
            for _ in range(number % 9):
                await asyncio.sleep(0)
            callers[number % 5].cancel()
            await asyncio.gather(*callers, return_exceptions=True)
            assert origin.calls <= 2
        await asyncio.sleep(0.01)
        assert w.cache.traffic().flights == 0
        assert not w.cache._flights._air
        del callers, origin
        assert held() <= before
