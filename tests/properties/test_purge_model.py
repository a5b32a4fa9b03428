"""What a purge took does not come back, whatever happens: the machine, its stories, and defences taken away."""

import contextlib

import pytest
from hypothesis import Phase, settings

from tests.properties.purge_machine import NODES, Purges
from tiered_cache.core.answers import Answer
from tiered_cache.core.epochs import NOWHERE, Epoch, PurgeLog, stamp_of
from tiered_cache.engine.backplane import Backplane
from tiered_cache.engine.coherence import Coherence
from tiered_cache.engine.judge import Judge
from tiered_cache.tiers import purge_board
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


def others_take_the_numbers_of_lost_lines():
    """A replica that lags takes over while all who knew the lost line are cut off."""
    with machine() as told:
        told.ask_everywhere("ash")
        told.copy()
        told.cut_off(1, hangs=False)
        told.purge(0, "everything", soft=False)
        told.ask_everywhere("ash")
        told.cut_off(0, hangs=False)
        told.cut_off(2, hangs=False)
        told.lose("behind")
        told.heal(1)
        told.purge(1, "everything", soft=False)
        told.heal(0)
        told.heal(2)
        told.ask_everywhere("ash")


def an_older_log_comes_back():
    """One that was left for another, whose lines it never had."""
    with machine() as told:
        told.ask_everywhere("ash")
        told.copy()
        told.lose("evicted")
        told.wait(0.2)
        told.purge(0, "ash", soft=False)
        told.lose("behind")
        told.wait(0.2)
        told.ask_everywhere("ash")


STORIES = (
    a_stream_lands_after_its_purge,
    news_are_missed_in_a_partition,
    the_log_is_lost_and_another_gets_as_far,
    the_log_is_lost_and_purged_at_once,
    a_replica_that_lags_is_purged_at_once,
    a_replica_that_lags_takes_over_while_a_purge_waits,
    others_take_the_numbers_of_lost_lines,
    an_older_log_comes_back,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_that_keeps_every_promise(story):
    story()


def stamp_late(patch):
    """An answer is stamped when it lands, not when its call began."""
    stamped = Coherence.stamped

    def late(self, stamp, *known):
        epoch = self._view.log.epoch
        head = stamp_of(epoch, ())
        return stamped(self, head + stamp[len(head) :], *known)

    patch.setattr(Coherence, "stamped", late)
    patch.setattr(Judge, "_refusal", lambda _self, _flight, read: None if isinstance(read, Answer) else read)


def ignore_incarnations(patch):
    """A stamp of another log is judged by its number."""
    standing = PurgeLog.standing

    def judged_by_number(log, stamp):
        counter = int.from_bytes(stamp[8:16], "big")
        return standing(
            log, stamp_of(Epoch(log.epoch.incarnation, counter, log.token(counter)), [stamp[24:]])
        )

    patch.setattr(PurgeLog, "standing", judged_by_number)


def know_lines_by_number(patch):
    """All lines have the same token."""
    patch.setattr(purge_board, "_token", lambda: b"the same")


def believe_any_log(patch):
    """Whatever log is found is that which was left."""
    look = PurgeBoard.look

    async def unknown(board, _known):
        return await look(board, NOWHERE)

    patch.setattr(PurgeBoard, "look", unknown)


def believe_gaps_empty(patch):
    """The number of the log is taken over, what was missed is not."""
    read = PurgeBoard.read

    async def numbers_only(board):
        log = await read(board)
        log.begin(log.epoch, log.floor, log.tokens())
        return log

    patch.setattr(PurgeBoard, "read", numbers_only)


def trust_any_number(patch):
    """A line is believed to follow what is known, whatever its log and its number."""
    purge = PurgeBoard.purge

    async def unknown(board, scopes, *, soft, known):
        return await purge(board, scopes, soft=soft, known=NOWHERE)

    patch.setattr(PurgeBoard, "purge", unknown)
    patch.setattr(Backplane, "_obeys_by_noting", lambda *_: True)


def trust_any_number_of_lines_without_tokens(patch):
    know_lines_by_number(patch)
    trust_any_number(patch)


@pytest.mark.parametrize(
    ("plant", "story"),
    [
        (stamp_late, a_stream_lands_after_its_purge),
        (ignore_incarnations, the_log_is_lost_and_another_gets_as_far),
        (believe_gaps_empty, news_are_missed_in_a_partition),
        (trust_any_number, the_log_is_lost_and_purged_at_once),
        (trust_any_number, a_replica_that_lags_is_purged_at_once),
        (trust_any_number_of_lines_without_tokens, a_replica_that_lags_takes_over_while_a_purge_waits),
        (know_lines_by_number, others_take_the_numbers_of_lost_lines),
        (believe_any_log, an_older_log_comes_back),
    ],
)
def test_a_defence_that_is_taken_away_is_missed(plant, story, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="was purged"):
        story()
