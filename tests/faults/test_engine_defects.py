"""A defect in any step of the engine: the caller gets the origin's answer, and the defect is counted."""

import asyncio

import pytest

from tests.scenarios.fleet_world import fleet
from tests.scenarios.world import Origin, Stream, answer, body, events, world
from tiered_cache.core.machine import TERMINAL, State
from tiered_cache.testing import NullTier
from tiered_cache.tiers.guard import GuardedTier


class DefectError(Exception):
    """What no part of ours should raise."""


def fail(*_args, **_options):
    raise DefectError


STEPS = {
    "read the fields": lambda cache: (cache._callers, "read"),
    "name the call": lambda cache: (cache._keyer, "key"),
    "look into memory": lambda cache: (cache.memory, "find"),
    "know closed credentials": lambda cache: (cache._credentials, "is_closed"),
    "walk the tiers": lambda cache: (cache._store, "below"),
    "find a flight": lambda cache: (cache._flights, "find"),
    "know hit-for-miss": lambda cache: (cache._flights, "is_alone"),
    "launch a flight": lambda cache: (cache._flights, "launch"),
    "judge the head": lambda cache: (cache._flying._pump, "_head_refusal"),
    "note the credential": lambda cache: (cache._credentials, "note"),
    "judge the answer": lambda cache: (cache._flying._pump._judge, "_judge"),
    "book the cost": lambda cache: (cache._flying._pump._judge, "_book"),
    "decide the lifetime": lambda cache: (cache._flying._pump._judge, "_lifetime"),
    "fill": lambda cache: (cache._store, "fill"),
    "keep in memory": lambda cache: (cache.memory, "keep"),
    "write the answer": lambda cache: (cache._answering, "finish"),
}
ONCE_ASKED = {"note the credential"}
"""A forwarded call takes this step too; it fails once."""


@pytest.mark.parametrize("step", STEPS)
async def test_a_defect_in_this_step_forwards_the_call_and_is_counted(step, monkeypatch):
    origin = Origin(answer("right"))
    async with world(lower=[lambda clock: GuardedTier(NullTier(), clock=clock)]) as w:
        with monkeypatch.context() as patch:
            place, name = STEPS[step](w.cache)
            healthy, calls = getattr(place, name), []

            def defective(*args, **options):
                calls.append(1)
                return healthy(*args, **options) if step in ONCE_ASKED and len(calls) > 1 else fail()

            patch.setattr(place, name, defective)
            seen = await w.ask(body(), origin)
        assert calls
        assert (seen.status, seen.text) == (200, "right")
        assert seen.cache_status == "tiered-cache; fwd=bypass; fwd-status=200; detail=engine-fault"
        assert any(name == "fault" and "DefectError" in word for name, word in w.cache.ledger.counts)
        assert 1 <= origin.calls <= 2
        assert (await w.ask(body("next"), origin)).text == "right"


@pytest.mark.parametrize(
    "state", [State.START, State.LOOKUP, State.FLIGHT, State.RECHECK, State.CLAIM, State.FORWARD]
)
async def test_a_defect_in_performing_a_state_forwards_the_call(state, monkeypatch):
    async with world() as w:
        monkeypatch.setitem(w.cache._driver._effects, state, fail)
        seen = await w.ask(body(), Origin(answer("right")))
    assert (seen.status, seen.text) == (200, "right")
    assert seen.cache_status.endswith("detail=engine-fault")


async def test_a_defect_in_serving_a_hit_forwards_the_call(monkeypatch):
    origin = Origin(answer("right"))
    async with world() as w:
        await w.ask(body(), origin)
        assert (await w.ask(body(), origin)).hit
        monkeypatch.setattr(w.cache._answering, "hit", fail)
        assert w.cache.peek(w.request(body())) is None
        seen = await w.ask(body(), origin)
        assert (seen.text, origin.calls) == ("right", 2)
        assert w.counted("fault", "engine:DefectError") == 2


@pytest.mark.parametrize("step", ["judge the answer", "fill"])
async def test_a_defect_at_the_end_of_a_stream_costs_no_event(step, monkeypatch):
    async with world() as w:
        monkeypatch.setattr(*STEPS[step](w.cache), fail)
        seen = await w.ask(body(stream=True), Origin(Stream(events("whole answer"))))
        assert seen.text == "wholeanswer"
        assert seen.body.endswith(b"data: [DONE]\n\n")
    assert w.counted("fault", "flight:DefectError") == 1


FLEET_STEPS = {
    "claim": lambda cache: (cache._flying._fleet._claiming, "claim"),
    "lead": lambda cache: (cache._flying._fleet, "_lead"),
    "follow": lambda cache: (cache._flying._fleet, "_follow"),
    "ask the leader": lambda cache: (cache._flying._pump, "_ask_leader"),
}


@pytest.mark.parametrize("step", FLEET_STEPS)
async def test_a_defect_in_working_together_forwards_the_call_and_is_counted(step, monkeypatch):
    origin = Origin(answer("right"))
    origin.gate = asyncio.Event()
    async with fleet() as (one, two):
        leading = asyncio.create_task(one.ask(body(), origin))
        await asyncio.sleep(0.05)
        asked = body(seed=1) if step == "lead" else body()
        with monkeypatch.context() as patch:
            patch.setattr(*FLEET_STEPS[step](two.cache), fail)
            asking = asyncio.create_task(two.ask(asked, origin))
            await asyncio.sleep(0.05)
            origin.gate.set()
            seen = await asking
        await leading
        assert (seen.status, seen.text) == (200, "right")
        assert any(name == "fault" and "DefectError" in word for name, word in two.cache.ledger.counts)


async def test_a_defect_in_a_tier_is_a_miss_that_says_so():
    class Defective(NullTier):
        get = fail

    async with world(lower=[lambda clock: GuardedTier(Defective(), clock=clock)]) as w:
        seen = await w.ask(body(), Origin(answer("right")))
        assert (seen.text, seen.cache_status.endswith("detail=null/error")) == ("right", True)
        assert w.cache.health()[0].counts == {"error": 1}


def test_every_state_with_an_effect_is_covered():
    assert set(State) - TERMINAL == {
        State.START,
        State.LOOKUP,
        State.FLIGHT,
        State.RECHECK,
        State.CLAIM,
        State.FORWARD,
        State.FOLLOW,
    }
