"""A client that repeats a call to get several samples is noticed, as it gets one answer for all of them."""

import asyncio
import logging

import pytest

from tests.scenarios.world import KEY, OTHER_KEY, Origin, answer, body, world

RETRY = (b"x-stainless-retry-count", b"1")
WORD = "repeat-sampling-suspected"

pytestmark = pytest.mark.usefixtures("no_task_left")


def unstated(text="secret question", **fields):
    return body(text, temperature=..., **fields)


async def at_once(w, origin, *calls):
    """All of these calls while the first of them runs; the origin then answers."""
    origin.gate = asyncio.Event()
    running = [asyncio.ensure_future(w.ask(sent, origin, *headers, key=key)) for sent, headers, key in calls]
    for _ in range(20):
        await asyncio.sleep(0)
    origin.gate.set()
    return await asyncio.gather(*running)


def plain(count, sent=None, *, key=KEY):
    return [(unstated() if sent is None else sent, (), key)] * count


async def test_overlapping_repeats_are_counted_each_and_logged_once(caplog):
    """SEMANTICS 3: overlapping identical unstated calls of one credential without a retry marker."""
    caplog.set_level(logging.WARNING, "tiered_cache.engine")
    async with world() as w:
        origin = Origin(answer("one"))
        seen = await at_once(w, origin, *plain(5))
        await at_once(w, Origin(answer("two")), *plain(3, unstated("another")))

        assert {each.text for each in seen} == {"one"}
        assert origin.calls == 1
        assert w.counted(WORD) == 4 + 2
    (record,) = caplog.records
    said = record.getMessage()
    assert said.startswith("repeat_sampling_suspected: ")
    assert "x-tiered-cache-variant" in said
    assert "secret question" not in said
    assert "rqy_one" not in said


async def test_each_credential_is_named_once(caplog):
    caplog.set_level(logging.WARNING, "tiered_cache.engine")
    async with world() as w:
        for _ in range(2):
            await at_once(w, Origin(answer()), *plain(2), *plain(2, key=OTHER_KEY))
            w.clock.advance(3_600)

    tenants = [record.args[0] for record in caplog.records]
    assert len(tenants) == len(set(tenants)) == 2


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        (plain(1), "it is alone"),
        ([*plain(1), (unstated(), (RETRY,), KEY)], "an SDK tries again"),
        ([*plain(1), *plain(1, key=OTHER_KEY)], "two credentials"),
        (plain(2, body()), "temperature 0 asks for one answer"),
        (plain(2, body(temperature=0.7)), "sampled calls are not collapsed"),
        ([*plain(1), *plain(1, unstated("other"))], "two questions"),
        (
            [(unstated(), ((b"x-tiered-cache-variant", b"%d" % number),), KEY) for number in range(3)],
            "each asks for a variant of its own",
        ),
        ([(unstated(), ((b"cache-control", b"no-store"),), KEY)] * 3, "nobody may follow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_nothing_else_is_suspected(calls, why, caplog):
    caplog.set_level(logging.WARNING, "tiered_cache.engine")
    async with world() as w:
        await at_once(w, Origin(answer()), *calls)
        assert w.counted(WORD) == 0, why
    assert caplog.records == []


async def test_under_strict_every_repeat_is_a_call_of_its_own():
    async with world(profile="strict") as w:
        origin = Origin(answer())
        await at_once(w, origin, *plain(3))
        assert origin.calls == 3
        assert w.counted(WORD) == 0


async def test_repeats_one_after_the_other_are_hits_and_not_suspected():
    async with world() as w:
        origin = Origin(answer())
        for _ in range(3):
            await w.ask(unstated(), origin)
        assert origin.calls == 1
        assert w.counted(WORD) == 0
