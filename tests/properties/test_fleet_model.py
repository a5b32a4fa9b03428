"""One call for the whole fleet, whatever happens: the machine, its stories, and defences taken away."""

import contextlib
import time
from types import MappingProxyType

import pytest
from hypothesis import Phase, settings

from tests.properties import fleet_machine
from tests.properties.fleet_machine import LEASE_S, Fleets
from tiered_cache.core.claims import Log
from tiered_cache.core.live import FOLLOWING, Following, Sight
from tiered_cache.engine import live
from tiered_cache.engine.feed import Feed
from tiered_cache.engine.fleet import Fleet
from tiered_cache.engine.judge import Judge
from tiered_cache.engine.lease import Lease

Fleets.TestCase.settings = settings(
    max_examples=8,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a server's timing is no example to be shrunk
)
TestFleets = Fleets.TestCase


# Stories: what the machine would find sooner or later, and what it must find where a defence is taken away.


@contextlib.contextmanager
def machine():
    told = Fleets()
    try:
        told.wait(2.5 * LEASE_S)
        yield told
    finally:
        told.teardown()


def all_follow_one_stream():
    with machine() as told:
        told.call_everywhere("ash", stream=True)
        told.call_everywhere("ash", stream=False)
        told.say(0, 2)
        told.call_everywhere("ash", stream=True)
        told.say(0, 9)
        told.look(1, "ash")


def news_are_missed():
    with machine() as told:
        told.call_everywhere("ash", stream=True)
        told.say(0, 2)
        told.goes_wrong(1, "misses news")
        told.goes_wrong(2, "hangs")
        told.say(0, 1)
        told.heal(2)
        told.say(0, 9)


def a_leader_dies():
    with machine() as told:
        told.call_everywhere("ash", stream=True)
        told.goes_wrong(0, "is killed")
        told.wait(2.5 * LEASE_S)
        told.say(0, 9)


def a_late_leader_lands():
    with machine() as told:
        told.call(0, "ash", "k", stream=True, how=())
        told.wait(2.5 * LEASE_S)
        told.goes_wrong(0, "hangs")
        told.wait(2.5 * LEASE_S)
        told.call(1, "ash", "k", stream=True, how=())
        told.wait(2.5 * LEASE_S)
        told.say(1, 9)
        told.look(2, "ash")
        told.heal(0)
        told.wait(2.5 * LEASE_S)
        told.say(0, 9)
        told.wait(2.5 * LEASE_S)
        told.look(2, "ash")
        told.look(1, "ash")


def a_stream_breaks_off():
    with machine() as told:
        told.call_everywhere("ash", stream=True)
        told.say(0, 3)
        told.fail(0)


def a_call_fails_before_it_says_anything():
    with machine() as told:
        for at in range(3):
            told.call_together(at, "ash", stream=True, count=4)
        told.fail(0)
        told.say(0, 9)


def a_process_ends_while_it_leads():
    with machine() as told:
        told.call_everywhere("ash", stream=True)
        told.say(0, 3)
        told.call(1, "ash", "k", stream=False, how=())
        told.goes_wrong(0, "is closed")
        told.say(0, 9)


def all_is_forgotten_in_mid_flight():
    with machine() as told:
        told.call_everywhere("ash", stream=True)
        told.say(0, 2)
        told.goes_wrong(0, "all is forgotten")
        told.wait(LEASE_S)
        told.call_everywhere("birch", stream=True)
        told.say(0, 9)


STORIES = (
    all_follow_one_stream,
    news_are_missed,
    a_leader_dies,
    a_late_leader_lands,
    a_stream_breaks_off,
    a_call_fails_before_it_says_anything,
    a_process_ends_while_it_leads,
    all_is_forgotten_in_mid_flight,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_that_keeps_every_promise(story):
    story()


def ask_alone(patch):
    """Whoever claims is told nothing, and asks for itself."""

    async def nothing(*_):
        return None

    patch.setattr(Fleet, "_claimed", nothing)


def read_nothing_that_was_missed(patch):
    """What was not pushed is not there."""

    async def nothing(feed):
        feed._behind = False

    patch.setattr(Feed, "_catch_up", nothing)


def follow_the_dead(patch):
    """A leader whose lease has run out is waited for all the same."""
    read = Fleet._read

    async def alive(fleet, *which):
        log = await read(fleet, *which)
        return None if log is None else Log(log.frames, 150, log.ended)

    patch.setattr(Fleet, "_read", alive)


def forget_fences(patch):
    """Whoever lands last is kept."""
    patch.setattr(Judge, "_fence", lambda *_: 0)


def outrank_with_a_new_lease(patch):
    """A lease that is claimed again makes an old answer the newest."""
    claim_again = Lease._claim_again

    async def outrank(lease):
        await claim_again(lease)
        if lease._held:
            lease._flight.fence = round(time.time() * 1e6)

    patch.setattr(Lease, "_claim_again", outrank)


def splice(patch):
    """Who was delivered something goes on with another call."""
    patch.setattr(
        live,
        "FOLLOWING",
        MappingProxyType({**FOLLOWING, (Following.DELIVERED, Sight.CUT): Following.ANEW}),
    )
    patch.setattr(live.View, "broken", lambda _: b"")


@pytest.mark.parametrize(
    ("plant", "story", "found"),
    [
        (ask_alone, all_follow_one_stream, "1 at most"),
        (read_nothing_that_was_missed, news_are_missed, "is left waiting"),
        (follow_the_dead, a_leader_dies, "is left waiting"),
        (forget_fences, a_late_leader_lands, "overwrote a newer one"),
        (outrank_with_a_new_lease, a_late_leader_lands, "overwrote a newer one"),
        (splice, a_stream_breaks_off, "parts of two"),
    ],
)
def test_a_defence_that_is_taken_away_is_missed(plant, story, found, monkeypatch):
    plant(monkeypatch)
    monkeypatch.setattr(fleet_machine, "ENDS_WITHIN_S", 1.5)
    with pytest.raises(AssertionError, match=found):
        story()
