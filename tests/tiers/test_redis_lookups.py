"""Who asks in the same moment travels together, in parts that both lines share."""

import asyncio

from tiered_cache.tiers.redis_lookups import BATCH_READS, Lookups


class HeldLine:
    """A line whose server answers when it is told to."""

    ready = True

    def __init__(self):
        self.sent = []

    def open(self):
        pass

    @property
    def outstanding(self):
        return sum(replies for _, replies, _ in self.sent)

    def send(self, commands, replies, settle):
        self.sent.append((commands, replies, settle))

    def keys(self):
        """How many keys each exchange asks for."""
        return [commands.count(b"GETRANGE") for commands, _, _ in self.sent]

    def answer(self, value=b"value"):
        sent, self.sent = self.sent, []
        for _, replies, settle in sent:
            settle([value] * (replies - 1) + [[b"1", b"0"]])


def lookups(count=2):
    lines = [HeldLine() for _ in range(count)]
    return lines, Lookups(lines, lambda _word: None)


async def test_a_lone_lookup_is_sent_in_the_next_turn_and_waits_for_nobody():
    (one, other), reads = lookups()
    answer = reads.read(b"name")
    await asyncio.sleep(0)
    assert (one.keys(), other.keys()) == ([1], [])
    assert b"name" in one.sent[0][0]
    one.answer()
    assert await answer == (b"value", 1_000_000)


async def test_those_of_a_moment_travel_together_on_the_line_that_is_least_busy():
    (one, other), reads = lookups()
    answers = [reads.read(b"%d" % number) for number in range(12)]
    await asyncio.sleep(0)
    answers += [reads.read(b"%d" % number) for number in range(3)]
    await asyncio.sleep(0)
    assert (one.keys(), other.keys()) == ([12], [3])
    one.answer()
    other.answer()
    assert await asyncio.gather(*answers) == [(b"value", 1_000_000)] * 15


async def test_many_are_sent_in_several_exchanges_over_both_lines():
    (one, other), reads = lookups()
    answers = [reads.read(b"%d" % number) for number in range(2 + 3 * BATCH_READS)]
    await asyncio.sleep(0)
    assert sorted([*one.keys(), *other.keys()]) == [2, *[BATCH_READS] * 3]
    assert abs(one.outstanding - other.outstanding) <= BATCH_READS + 1
    one.answer()
    assert sum(answer.done() for answer in answers) in {2 * BATCH_READS, BATCH_READS + 2}
    other.answer()
    assert all(await asyncio.gather(*answers))


async def test_who_was_cancelled_before_that_turn_is_not_asked_for():
    (one,), reads = lookups(1)
    kept, left = reads.read(b"kept"), reads.read(b"left")
    left.cancel()
    await asyncio.sleep(0)
    assert one.keys() == [1]
    assert b"left" not in one.sent[0][0]
    one.answer(value=b"")
    assert await kept is None
