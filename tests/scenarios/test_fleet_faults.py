"""A fleet whose messages are lost, late or doubled: one answer, never parts of two, and nobody left behind."""

import asyncio

import pytest

from tests.scenarios.fleet_world import fleet
from tests.scenarios.test_fleet import gated, settle
from tests.scenarios.world import EVENTS, JSON, Origin, Seen, Stream, answer, body, events
from tiered_cache import Gives, Response, Rule
from tiered_cache.core.claims import Log
from tiered_cache.core.relay import RelayFrame, RelayHead, write_frame
from tiered_cache.engine.feed import ContactLostError, Feed
from tiered_cache.errors import TierUnavailableError

NO_CACHE = (b"cache-control", b"no-cache")


class Spoken:
    """An origin's stream, said piece by piece."""

    def __init__(self, text):
        self.pieces = events(text)
        self.queue = asyncio.Queue()

    def say(self, count=None):
        """So many pieces, or all that are left."""
        some, self.pieces = self.pieces[:count], [] if count is None else self.pieces[count:]
        for piece in some:
            self.queue.put_nowait(piece)
        if not self.pieces:
            self.queue.put_nowait(None)

    async def __aiter__(self):
        while (piece := await self.queue.get()) is not None:
            yield piece


def spoken_origin(*streams):
    """Answers with these, one for each call."""
    origin = Origin()

    async def ask(request):
        origin.requests.append(request)
        return Response(200, (EVENTS,), aiter(streams[origin.calls - 1]))

    return origin, ask


async def stream(node, ask, *headers):
    return await Seen.of(await node.cache.serve(node.request(body(stream=True), *headers), ask))


def loses_replies(board, *words, count=1):
    """The command is carried out, its reply lost."""
    for word in words:
        command, left = getattr(board, word), [count]

        async def lost(*args, command=command, left=left, **named):
            reply = await command(*args, **named)
            if left[0]:
                left[0] -= 1
                raise TierUnavailableError("lost")
            return reply

        setattr(board, word, lost)


@pytest.mark.parametrize("before", [0, 1, 3])
async def test_a_claim_whose_reply_was_lost_splices_nothing(before):
    """The leader learns with its first sign of life that it holds the lease, when others follow already."""
    told = Spoken("a b c d")
    origin, ask = spoken_origin(told)
    async with fleet(lease_s=0.3) as (one, two):
        loses_replies(one.board, "claim")
        leading = asyncio.create_task(stream(one, ask))
        await settle(0.02)
        following = asyncio.create_task(stream(two, ask))
        told.say(before)
        await settle(0.13)
        told.say(2)
        await settle(0.1)
        told.say()
        seen = await asyncio.gather(leading, following)

    assert origin.calls == 1
    assert [each.text for each in seen] == ["abcd", "abcd"]


async def test_a_late_leader_that_claims_again_overwrites_nothing_newer():
    old, new = asyncio.Event(), asyncio.Event()
    origin = Origin()

    async def ask(request):
        origin.requests.append(request)
        number = origin.calls
        await (old if number == 1 else new).wait()
        return Response(200, (JSON,), answer("old" if number == 1 else "new"))

    async with fleet(lease_s=0.15) as (late, other):
        leading = asyncio.create_task(late.ask(body(), ask))
        await settle()
        late.board.sick = True
        await settle(0.2)
        new.set()
        assert (await other.ask(body(), ask)).text == "new"
        await settle()
        late.board.sick = False
        await settle(0.3)
        old.set()
        assert (await leading).text == "old"
        await settle()
        await other.cache.memory.clear()
        seen = await other.ask(body(), ask)

    assert seen.text == "new"


HEAD = RelayHead(200, ())


def frames(*parts):
    """As a leader writes them."""
    at, written = 0, []
    for part in parts:
        written.append(write_frame(RelayFrame(part, None if at or written else HEAD, "", at)))
        at += len(part)
    return written


async def test_what_was_read_and_is_pushed_again_hides_no_gap():
    told = frames(b"a", b"b", b"c", b"d", b"e")
    reads = []

    async def read(number):
        reads.append(number)
        return Log(tuple(told[number : number + 3]), 1000, ended=False)

    feed = Feed(read, 5.0, 5.0)
    feed.resume()
    assert [(await feed.next()).data for _ in range(3)] == [b"a", b"b", b"c"]
    for number in range(3):
        feed.hear(number, told[number])
    feed.hear(4, told[4])

    assert (await asyncio.wait_for(feed.next(), 1)).data == b"d"
    assert reads == [0, 3]


async def test_frames_that_do_not_fit_together_are_not_joined():
    first, _, third = frames(b"a", b"b", b"c")

    async def read(_number):
        return None

    feed = Feed(read, 5.0, 5.0)
    feed.hear(0, first)
    feed.hear(1, third)
    assert (await feed.next()).data == b"a"
    with pytest.raises(ContactLostError, match="fit together"):
        await feed.next()
