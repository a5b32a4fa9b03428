"""What a purge took does not come back, whatever happens: the machine, its stories, and defences taken away."""

import contextlib

import pytest
from hypothesis import Phase, settings

from tests.properties.purge_machine import NODES, Purges
from tiered_cache.core.answers import Answer
from tiered_cache.core.epochs import Epoch, PurgeLog
from tiered_cache.engine.backplane import Backplane
from tiered_cache.engine.coherence import Coherence
from tiered_cache.engine.judge import Judge
from tiered_cache.tiers.purge_board import PurgeBoard

Purges.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=50,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a server's timing is no example to be shrunk
)
TestPurges = Purges.TestCase


# Stories: what the machine would find sooner or later, and what it must find where a defence is taken away.


@contextlib.contextmanager
def machine():
    told = Purges()
    try:
        yield told
    finally:
        told.teardown()


def a_stream_lands_after_its_purge():
    with machine() as told:
        told.begin(0, "ash")
        told.purge(1, "red", soft=False)
        told.end(0)
        told.wait(0.1)
        told.forget(0)
        told.ask_everywhere("ash")


def news_are_missed_in_a_partition():
    with machine() as told:
        told.ask_everywhere("ash")
        told.cut_off(1, hangs=False)
        told.purge(0, "ash", soft=False)
        told.heal(1)
        told.ask_everywhere("ash")


def the_log_is_lost_and_another_gets_as_far():
    with machine() as told:
        told.ask_everywhere("ash")
        told.cut_off(1, hangs=False)
        told.purge(0, "ash", soft=False)
        told.lose("evicted")
        told.heal(1)
        told.ask_everywhere("ash")


def the_log_is_lost_and_purged_at_once():
    with machine() as told:
        told.ask_everywhere("ash")
        told.lose("evicted")
        told.purge(0, "everything", soft=False)
        told.ask_everywhere("ash")


def a_replica_that_lags_is_purged_at_once():
    """It lacks one line, and gives its number to another one of the same scope: the loss cannot be seen."""
    with machine() as told:
        told.purge(0, "everything", soft=False)
        told.copy()
        told.purge(0, "everything", soft=False)
        told.ask_everywhere("ash")
        told.lose("behind")
        told.purge(0, "everything", soft=False)
        told.ask_everywhere("ash")


def a_replica_that_lags_takes_over_while_a_purge_waits():
    with machine() as told:
        told.copy()
        told.purge(0, "everything", soft=False)
        told.ask_everywhere("ash")
        for at in NODES:
            told.cut_off(at, hangs=False)
        told.purge(0, "everything", soft=False)
        told.runner.run(told.restore())
        for at in NODES:
            told.heal(at)
        told.ask_everywhere("ash")


STORIES = (
    a_stream_lands_after_its_purge,
    news_are_missed_in_a_partition,
    the_log_is_lost_and_another_gets_as_far,
    the_log_is_lost_and_purged_at_once,
    a_replica_that_lags_is_purged_at_once,
    a_replica_that_lags_takes_over_while_a_purge_waits,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_that_keeps_every_promise(story):
    story()


def stamp_late(patch):
    """An answer is stamped when it lands, not when its call began."""
    stamped = Coherence.stamped

    def late(self, stamp, *known):
        epoch = self._view.log.epoch
        head = epoch.incarnation + epoch.counter.to_bytes(8, "big")
        return stamped(self, head + stamp[len(head) :], *known)

    patch.setattr(Coherence, "stamped", late)
    patch.setattr(Judge, "_refusal", lambda _self, _flight, read: None if isinstance(read, Answer) else read)


def ignore_incarnations(patch):
    """A stamp of another log is judged by its number."""
    standing = PurgeLog.standing
    patch.setattr(PurgeLog, "standing", lambda log, stamp: standing(log, log.epoch.incarnation + stamp[8:]))


def believe_gaps_empty(patch):
    """The number of the log is taken over, what was missed is not."""
    read = PurgeBoard.read

    async def numbers_only(board):
        return PurgeLog((await read(board)).epoch)

    patch.setattr(PurgeBoard, "read", numbers_only)


def trust_any_number(patch):
    """A line is believed to follow what is known, whatever its log and its number."""
    purge = PurgeBoard.purge

    async def unknown(board, scopes, *, soft, known):
        return await purge(board, scopes, soft=soft, known=Epoch(known.incarnation, 0))

    patch.setattr(PurgeBoard, "purge", unknown)
    patch.setattr(Backplane, "_follows", lambda *_: True)


@pytest.mark.parametrize(
    ("plant", "story"),
    [
        (stamp_late, a_stream_lands_after_its_purge),
        (ignore_incarnations, the_log_is_lost_and_another_gets_as_far),
        (believe_gaps_empty, news_are_missed_in_a_partition),
        (trust_any_number, the_log_is_lost_and_purged_at_once),
        (trust_any_number, a_replica_that_lags_is_purged_at_once),
        (trust_any_number, a_replica_that_lags_takes_over_while_a_purge_waits),
    ],
)
def test_a_defence_that_is_taken_away_is_missed(plant, story, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="was purged"):
        story()
