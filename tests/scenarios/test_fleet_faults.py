"""A fleet whose messages are lost, late or doubled: one answer, never parts of two, and nobody left behind."""

import asyncio
import hashlib

import pytest

from tests.core.embeddings_kit import body as batch
from tests.core.embeddings_kit import reply
from tests.scenarios.fleet_world import fleet
from tests.scenarios.test_fleet import gated, settle
from tests.scenarios.world import EVENTS, JSON, Origin, Seen, answer, body, events
from tiered_cache import Gives, Response, Rule, Selector
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


def slow_claims(board, *, sent_s=0.0, told_s=0.0):
    """Claims need so long to the server, and their replies so long back, whoever has gone meanwhile."""
    command = board.claim

    async def slow(claim):
        await asyncio.sleep(sent_s)
        reply = await command(claim)
        await asyncio.sleep(told_s)
        return reply

    async def claim(claimed):
        return await asyncio.shield(asyncio.create_task(slow(claimed)))

    board.claim = claim


def loses_commands(board, word, count):
    """The command is never carried out."""
    command, left = getattr(board, word), [count]

    async def lost(*args, **named):
        if left[0]:
            left[0] -= 1
            raise TierUnavailableError("lost")
        return await command(*args, **named)

    setattr(board, word, lost)


TABLE = {hashlib.sha256(key).hexdigest(): "acme" for key in (b"rqy_one", b"rqy_two")}


async def test_callers_whom_nothing_vouches_for_yet_share_the_first_call_of_their_own():
    """They come one after the other, so each came before the last of them was answered, and after the first."""
    origin = gated(answer())
    async with fleet(tenants=TABLE) as (one, two):
        asks = []
        for node in (one, one, two, two):
            asks.append(asyncio.create_task(node.ask(body(), origin)))
            await settle(0.01)
        origin.gate.set()
        await asyncio.gather(*asks)

    assert origin.calls == 1


async def test_a_credential_that_is_turned_away_elsewhere_is_turned_away_here():
    origin = gated(Response(401, (JSON,), b"{}"))
    async with fleet() as (one, two):
        await two.ask(body("known"), Origin(answer()))
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in (one, two)]
        await settle()
        origin.gate.set()
        await asyncio.gather(*asks)
        seen = await two.ask(body("known"), origin)

    assert origin.calls == 2
    assert seen.status == 401


async def test_who_follows_goes_on_while_others_of_its_process_may_not_follow():
    """A caller after a purge does not follow the older call, and lets nobody else lose it."""
    told, newer = Spoken("a b"), Spoken("new")
    origin, ask = spoken_origin(told, newer)
    async with fleet(lease_s=5.0) as (one, two):
        leading = asyncio.create_task(stream(one, ask))
        await settle(0.02)
        following = asyncio.create_task(stream(two, ask))
        await settle(0.02)
        await two.cache.purge(Selector(everything=True))
        newer.say()
        assert (await asyncio.wait_for(stream(two, ask), 1)).text == "new"
        told.say()
        seen = await asyncio.wait_for(asyncio.gather(leading, following), 1)

    assert [each.text for each in seen] == ["ab", "ab"]
    assert origin.calls == 2


async def test_who_comes_while_the_last_one_leaves_follows_all_the_same():
    """A caller of JSON leaves the stream while the claim of a caller of the stream is on its way."""
    told = Spoken("a b")
    origin, ask = spoken_origin(told)
    async with fleet(lease_s=5.0) as (one, two):
        leading = asyncio.create_task(stream(one, ask))
        await settle(0.02)
        going = asyncio.create_task(two.ask(body(), ask))
        await settle(0.02)
        slow_claims(two.board, told_s=0.05)
        coming = asyncio.create_task(stream(two, ask))
        await settle(0.02)
        going.cancel()
        await settle(0.1)
        told.say()
        seen = await asyncio.wait_for(asyncio.gather(leading, coming), 1)

    assert [each.text for each in seen] == ["ab", "ab"]
    assert origin.calls == 1


async def test_a_caller_who_leaves_while_it_claims_leaves_nobody_waiting():
    origin = gated(answer())
    async with fleet(2, lease_s=5.0, linger_s=0.0, rules=(Rule(gives=Gives(on_abandon="cancel")),)) as nodes:
        one, two = nodes
        slow_claims(one.board, sent_s=0.05)
        leaving = asyncio.create_task(one.ask(body(), origin))
        await settle(0.01)
        leaving.cancel()
        await settle(0.05)
        origin.gate.set()
        seen = await asyncio.wait_for(two.ask(body(), origin), 1)

    assert seen.text == "hi"
    assert origin.calls == 1


async def test_a_claim_that_is_answered_too_late_keeps_no_call_alive():
    origin = gated(answer())
    async with fleet(linger_s=0.0, rules=(Rule(gives=Gives(on_abandon="cancel")),)) as (one, two):
        slow_claims(two.board, sent_s=0.3)
        leading = asyncio.create_task(one.ask(body(), origin))
        await settle(0.02)
        alone = asyncio.create_task(two.ask(body(), origin))
        await settle(0.5)
        leading.cancel()
        await settle()
        under_way = one.cache.traffic().flights
        origin.gate.set()
        await alone

    assert under_way == 0


async def test_a_farewell_that_nobody_heard_is_noticed():
    origin = gated(answer())
    async with fleet(linger_s=0.0, rules=(Rule(gives=Gives(on_abandon="cancel")),)) as (one, two):
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in (one, two)]
        await settle()
        one.board.deaf = True
        for ask in asks:
            ask.cancel()
        await settle(0.3)
        under_way = one.cache.traffic().flights
        origin.gate.set()

    assert under_way == 0


@pytest.mark.parametrize("word", ["append", "end"])
@pytest.mark.parametrize("loses", [loses_replies, loses_commands])
async def test_a_leader_says_again_what_may_not_have_been_heard(word, loses):
    origin = gated(answer("once"))
    async with fleet(lease_s=2.0) as (one, two):
        loses(one.board, word, count=2)
        asks = [asyncio.create_task(node.ask(body(), origin)) for node in (one, two)]
        await settle()
        origin.gate.set()
        seen = await asyncio.wait_for(asyncio.gather(*asks), 1)
        await settle(0.3)
        running = [flight for flight in one.board.shared.flights.values() if not flight.ended]

    assert origin.calls == 1
    assert {each.text for each in seen} == {"once"}
    assert running == []


async def test_callers_who_cannot_use_what_was_just_stored_share_one_call():
    """Another process says that the answer is stored, but it cannot be had from here."""
    origin = Origin(answer("once"))
    async with fleet() as (one, two):
        await one.ask(body(), origin)
        await settle(0.01)

        async def nothing(_key):
            await asyncio.sleep(0)

        two.cache._store._lower[0]._tier.get = nothing
        origin.gate = asyncio.Event()
        asks = [asyncio.create_task(two.ask(body(), origin)) for _ in range(8)]
        await settle()
        origin.gate.set()
        await asyncio.gather(*asks)

    assert origin.calls == 2


async def test_contact_that_is_lost_again_and_again_costs_one_call_for_each_process():
    origin = gated(answer())
    async with fleet(lease_s=2.0) as (one, two):
        leading = asyncio.create_task(one.ask(body(), origin))
        await settle()
        asks = [asyncio.create_task(two.ask(body(), origin)) for _ in range(8)]
        await settle()
        for _ in range(6):
            two.cache._flying._fleet._hearing._each_feed(Feed.lose)
            await settle(0.03)
        origin.gate.set()
        await asyncio.gather(leading, *asks)

    assert origin.calls == 2


async def test_an_endless_answer_does_not_fill_the_board(monkeypatch):
    monkeypatch.setattr("tiered_cache.engine.lease.MOST_BYTES", 3000)
    told = Spoken(" ".join("word" for _ in range(50)))
    _, ask = spoken_origin(told)
    async with fleet() as (one, two):
        leading = asyncio.create_task(stream(one, ask))
        await settle(0.02)
        following = asyncio.create_task(stream(two, ask))
        await settle(0.02)
        told.say(5)
        await settle(0.05)
        told.say()
        seen, cut = await asyncio.wait_for(asyncio.gather(leading, following), 2)
        held = sum(len(frame) for flight in one.board.shared.flights.values() for frame in flight.frames)

    assert seen.text == "word" * 50
    assert b'data: {"error"' in cut.body
    assert held < 4000


async def test_a_batch_is_followed_until_its_elements_are_stored():
    origin = Origin(lambda request: Response(200, (JSON,), reply(request.body)))
    async with fleet() as (one, two):
        stored = asyncio.Event()
        tier = one.cache._store._lower[0]._tier
        put = tier.put

        async def slow(*args):
            await stored.wait()
            await put(*args)

        tier.put = slow
        await one.ask(batch(["a", "b"]), origin, endpoint="embeddings")
        await settle()
        seen = await asyncio.wait_for(two.ask(batch(["a", "b"]), origin, endpoint="embeddings"), 1)
        stored.set()

    assert seen.status == 200
    assert origin.calls == 1


async def test_a_process_that_hears_nothing_more_follows_nobody():
    origin = gated(answer())
    async with fleet() as (one, two):
        two.board.queue.put_nowait(ZeroDivisionError())
        await settle()
        leading = asyncio.create_task(one.ask(body(), origin))
        await settle()
        asking = asyncio.create_task(two.ask(body(), origin))
        await settle()
        calls = origin.calls
        origin.gate.set()
        await asyncio.gather(leading, asking)

    assert calls == 2
