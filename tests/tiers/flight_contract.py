"""What the board of flights promises, wherever its Redis is."""

import asyncio
import contextlib

import pytest
from msgspec import structs

from tests.tiers.redis_contract import PATIENT, redis_tier
from tiered_cache.core.claims import (
    Beat,
    Bell,
    Busy,
    Claim,
    Followed,
    FollowedBy,
    Frame,
    Led,
    Left,
    Log,
    Over,
    Standing,
    Stored,
)
from tiered_cache.errors import TierUnavailableError
from tiered_cache.testing import sample_key, sample_sealed
from tiered_cache.tiers.flight_board import WAY_US, FlightBoard
from tiered_cache.tiers.flight_scripts import KEPT_MS, MOST_FLIGHTS, MOST_PUSHED_BYTES
from tiered_cache.tiers.redis_places import PlaceOptions

KEY = sample_key(1)
MODE = b"stream"
LONG_MS = 60_000
SHORT_MS = 60


def flight_board(url, prefix, **options):
    return FlightBoard(url, prefix=prefix, options=PlaceOptions(**{**PATIENT, **options}))


def claim_of(board, **fields):
    return Claim(**{"key": KEY, "modes": (MODE,), "token": board.token(), "lease_ms": LONG_MS, **fields})


def fenced(fence, body=b"{}", key=KEY):
    return structs.replace(sample_sealed(key, body), fence=fence)


class Listener:
    """Hears a board's news."""

    def __init__(self):
        self.heard = []
        self._more = asyncio.Event()

    async def listen(self, board, subscribed):
        async for news in board.news(10.0, subscribed):
            self.heard.append(news)
            self._more.set()

    async def hears(self, *expected):
        """Exactly this, and nothing else so far."""
        async with asyncio.timeout(10.0):
            while len(self.heard) < len(expected):
                self._more.clear()
                await self._more.wait()
        assert self.heard == list(expected)
        self.heard.clear()


@contextlib.asynccontextmanager
async def listening(board):
    listener, subscribed = Listener(), asyncio.Event()
    task = asyncio.create_task(listener.listen(board, subscribed.set))
    task.add_done_callback(lambda _: subscribed.set())
    try:
        async with asyncio.timeout(10.0):
            await subscribed.wait()
        if task.done():
            await task
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class FlightContract:
    """Subclass it with a `url` fixture."""

    protocol = 2
    most_frames = 1201

    @pytest.fixture
    async def boards(self, url, prefix):
        boards = [flight_board(url, prefix, protocol=self.protocol) for _ in range(3)]
        yield boards
        for board in boards:
            await board.close()

    @pytest.fixture
    async def tier(self, url, prefix):
        tier = redis_tier(url, prefix)
        yield tier
        await tier.close()

    async def hash_of(self, board, *words, key=KEY):
        """A command on the hash of flights."""
        name = f"{board._prefix.decode()}:01:{{{key[1:17].hex()}}}:{key[17:].hex()}:flights".encode()
        return await (await board._place.find(name)).command(words[0], name, *words[1:])

    # Leading and following

    async def test_the_first_leads_and_the_next_follows(self, boards):
        one, two, _ = boards
        first = claim_of(one, stamp=b"stamp\0", credential=b"\xff", generation=0)
        assert isinstance(await one.claim(first), Led)
        followed = await two.claim(claim_of(two))
        assert isinstance(followed, Followed)
        assert (followed.token, followed.mode, followed.frames) == (first.token, MODE, ())
        assert (followed.stamp, followed.credential) == (b"stamp\0", b"\xff")
        assert (followed.generation, followed.root) == (0, b"")
        assert 0 <= followed.age_us < 10_000_000
        assert LONG_MS - 10_000 < followed.left_ms <= LONG_MS

    async def test_of_many_at_once_one_leads(self, boards):
        claimed = await asyncio.gather(*(board.claim(claim_of(board)) for board in boards for _ in range(10)))
        assert [type(each) for each in claimed].count(Led) == 1
        assert [type(each) for each in claimed].count(Followed) == 29

    async def test_tokens_are_never_given_twice(self, boards):
        tokens = [board.token() for board in boards for _ in range(100)]
        assert len(set(tokens)) == 300
        assert all(token.startswith(boards[0].process) for token in tokens[:100])
        assert {len(token) for token in tokens} == {16}

    async def test_a_claim_whose_reply_was_lost_is_granted_again_with_its_fence(self, boards):
        one, two, _ = boards
        claim = claim_of(one)
        led = await one.claim(claim)
        assert await one.claim(claim) == led
        await two.claim(claim_of(two))
        assert await one.claim(claim) == led
        assert await one.renew(KEY, claim.token, LONG_MS) == Standing(1, 0)

    async def test_fences_grow(self, boards):
        fences = []
        for board in boards * 3:
            claim = claim_of(board)
            fences.append((await board.claim(claim)).fence)
            await board.end(KEY, claim.token, served=False, failed=False, lease_ms=LONG_MS)
        assert fences == sorted(set(fences))

    async def test_a_server_whose_clock_went_back_gives_larger_fences_all_the_same(self, boards):
        one, two, _ = boards
        await one.claim(claim_of(one, lease_ms=1))
        await self.hash_of(one, b"HSET", b"f", 2**52)
        await asyncio.sleep(0.002)
        assert (await two.claim(claim_of(two))).fence == 2**52 + 1

    async def test_keys_have_flights_of_their_own(self, boards):
        one, two, _ = boards
        assert isinstance(await one.claim(claim_of(one)), Led)
        assert isinstance(await two.claim(claim_of(two, key=sample_key(2))), Led)

    async def test_the_first_mode_with_a_flight_is_followed_and_the_own_one_is_led(self, boards):
        one, two, three = boards
        stream = claim_of(one)
        await one.claim(stream)
        assert (await two.claim(claim_of(two, modes=(b"json", MODE)))).token == stream.token
        json = claim_of(three, modes=(b"json",))
        assert isinstance(await three.claim(json), Led)
        assert (await two.claim(claim_of(two, modes=(b"json", MODE)))).token == json.token
        assert (await two.claim(claim_of(two))).token == stream.token

    async def test_who_cannot_follow_is_told_that_another_leads(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        assert await two.claim(claim_of(two, follow=False)) == Busy()
        assert await one.renew(KEY, first.token, LONG_MS) == Standing(0, 0)
        await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)
        assert isinstance(await two.claim(claim_of(two, follow=False)), Led)

    # Frames

    async def test_a_follower_has_what_was_told_and_hears_what_is(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        assert await one.append(KEY, first.token, 0, b"zero", LONG_MS) == Standing(0, 1)
        assert await one.append(KEY, first.token, 1, b"", LONG_MS) == Standing(0, 2)
        async with listening(two) as news:
            assert (await two.claim(claim_of(two))).frames == (b"zero", b"")
            assert await one.append(KEY, first.token, 2, b"\0two", LONG_MS) == Standing(1, 3)
            await news.hears(Frame(first.token, 2, b"\0two"))
            assert await one.renew(KEY, first.token, LONG_MS) == Standing(1, 3)
            await news.hears(Beat(first.token, 3))

    async def test_a_frame_that_is_not_the_next_is_not_written(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        await one.append(KEY, first.token, 0, b"zero", LONG_MS)
        async with listening(two) as news:
            await two.claim(claim_of(two))
            for number in (0, 2, 100):
                assert await one.append(KEY, first.token, number, b"other", LONG_MS) == Standing(1, 1)
            await one.renew(KEY, first.token, LONG_MS)
            await news.hears(Beat(first.token, 1))
        assert (await two.read(KEY, first.token, 0)).frames == (b"zero",)

    async def test_a_large_frame_is_read(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        pushed, kept = b"x" * MOST_PUSHED_BYTES, b"x" * (MOST_PUSHED_BYTES + 1)
        async with listening(two) as news:
            await two.claim(claim_of(two))
            await one.append(KEY, first.token, 0, pushed, LONG_MS)
            await one.append(KEY, first.token, 1, kept, LONG_MS)
            await news.hears(Frame(first.token, 0, pushed), Bell(first.token, 1))
        log = await two.read(KEY, first.token, 1)
        assert (log.frames, log.ended) == ((kept,), False)
        assert (await two.read(KEY, first.token, 2)).frames == ()
        assert 0 < log.left_ms <= LONG_MS

    async def test_many_frames_are_kept_and_forgotten(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        frames = tuple(b"%d" % number for number in range(self.most_frames))
        appended = await asyncio.gather(
            *(one.append(KEY, first.token, number, frame, LONG_MS) for number, frame in enumerate(frames))
        )
        assert appended[-1] == Standing(0, self.most_frames)
        assert (await two.claim(claim_of(two))).frames == frames
        assert await one.end(KEY, first.token, served=True, failed=False, lease_ms=1)
        assert await self.hash_of(one, b"HLEN") > self.most_frames
        await asyncio.sleep(0.01)
        assert isinstance(await two.claim(claim_of(two)), Led)
        assert await self.hash_of(one, b"HLEN") < 10

    async def test_who_joins_while_frames_are_told_misses_none(self, boards):
        one, two, three = boards
        first = claim_of(one)
        await one.claim(first)
        frames = [b"%d" % number for number in range(120)]
        reached = {number: asyncio.Event() for number in (20, 60)}

        async def tell():
            for number, frame in enumerate(frames):
                if number in reached:
                    reached[number].set()
                    await asyncio.sleep(0)
                await one.append(KEY, first.token, number, frame, LONG_MS)

        async def join(board, number):
            await reached[number].wait()
            return (await board.claim(claim_of(board))).frames

        async with listening(two) as at_two, listening(three) as at_three:
            _, *so_far = await asyncio.gather(tell(), join(two, 20), join(three, 60))
            for told, news in zip(so_far, (at_two, at_three), strict=True):
                assert 0 < len(told) < len(frames)
                rest = range(len(told), len(frames))
                await news.hears(*(Frame(first.token, number, frames[number]) for number in rest))
                assert list(told) == frames[: len(told)]

    # News

    async def test_the_leader_hears_who_follows_once_and_when_the_last_has_left(self, boards):
        one, two, three = boards
        async with listening(one) as news:
            for number in range(8):
                key = sample_key(number)
                first = claim_of(one, key=key)
                await one.claim(first)
                for board in (two, two, three):
                    await board.claim(claim_of(board, key=key))
                await news.hears(FollowedBy(first.token), FollowedBy(first.token))
                for board in (two, two, one, three, three):
                    await board.leave(key, first.token)
                await news.hears(Left(first.token))
                assert await one.renew(key, first.token, LONG_MS) == Standing(0, 0)

    async def test_who_has_left_hears_no_more(self, boards):
        one, two, three = boards
        first = claim_of(one)
        await one.claim(first)
        async with listening(two) as at_two, listening(three) as at_three:
            await two.claim(claim_of(two))
            await three.claim(claim_of(three))
            await two.leave(KEY, first.token)
            await one.append(KEY, first.token, 0, b"zero", LONG_MS)
            await at_three.hears(Frame(first.token, 0, b"zero"))
            assert at_two.heard == []

    async def test_silence_is_no_end(self, boards):
        board = boards[0]
        listener, subscribed = Listener(), asyncio.Event()

        async def listen():
            async for news in board.news(0.02, subscribed.set):
                listener.heard.append(news)

        task = asyncio.create_task(listen())
        await subscribed.wait()
        await asyncio.sleep(0.2)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # The end

    async def test_a_flight_that_ended_is_not_followed_and_its_frames_stay_for_a_while(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        await one.append(KEY, first.token, 0, b"zero", LONG_MS)
        assert await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)
        log = await two.read(KEY, first.token, 0)
        assert isinstance(log, Log)
        assert (log.frames, log.ended) == ((b"zero",), True)
        assert isinstance(await two.claim(claim_of(two)), Led)
        assert (await two.read(KEY, first.token, 0)).frames == (b"zero",)
        assert await one.renew(KEY, first.token, LONG_MS) is None
        assert await one.append(KEY, first.token, 1, b"one", LONG_MS) is None
        assert await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)

    async def test_a_flight_without_frames_leaves_nothing(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        assert await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)
        assert await two.read(KEY, first.token, 0) is None
        assert await self.hash_of(one, b"HLEN") <= 2

    async def test_a_flight_does_not_end_while_a_follower_is_not_served(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        await two.claim(claim_of(two))
        assert not await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)
        assert (await two.claim(claim_of(two))).token == first.token
        assert await one.append(KEY, first.token, 0, b"all", LONG_MS) == Standing(1, 1)
        assert await one.end(KEY, first.token, served=True, failed=False, lease_ms=LONG_MS)
        assert isinstance(await two.claim(claim_of(two)), Led)

    async def test_a_flight_ends_when_its_last_follower_has_left(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        await two.claim(claim_of(two))
        await two.leave(KEY, first.token)
        assert await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)

    # Leases

    async def test_a_lease_that_runs_out_is_taken(self, boards):
        one, two, three = boards
        first, second = claim_of(one, lease_ms=SHORT_MS), claim_of(two)
        led = await one.claim(first)
        await asyncio.sleep(SHORT_MS / 1000 + 0.01)
        assert (await two.claim(second)).fence > led.fence
        assert await one.renew(KEY, first.token, LONG_MS) is None
        assert await one.append(KEY, first.token, 0, b"late", LONG_MS) is None
        assert await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)
        assert await two.read(KEY, first.token, 0) is None
        assert (await three.claim(claim_of(three))).token == second.token

    async def test_a_lease_that_nobody_took_is_renewed_late(self, boards):
        one, two, _ = boards
        first = claim_of(one, lease_ms=SHORT_MS)
        await one.claim(first)
        await asyncio.sleep(SHORT_MS / 1000 + 0.01)
        assert (await two.read(KEY, first.token, 0)).left_ms <= 0
        assert await one.renew(KEY, first.token, LONG_MS) == Standing(0, 0)
        assert (await two.claim(claim_of(two))).token == first.token

    @pytest.mark.parametrize("how", ["renew", "append", "end", "claim"])
    async def test_signs_of_life_extend_a_lease(self, boards, how):
        one, two, _ = boards
        first = claim_of(one, lease_ms=200)
        await one.claim(first)
        await two.claim(claim_of(two))
        match how:
            case "renew":
                await one.renew(KEY, first.token, LONG_MS)
            case "append":
                await one.append(KEY, first.token, 0, b"zero", LONG_MS)
            case "end":
                await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)
            case _:
                await one.claim(structs.replace(first, lease_ms=LONG_MS))
        await asyncio.sleep(0.21)
        assert (await two.claim(claim_of(two))).token == first.token

    async def test_a_flight_that_was_flushed_is_none(self, boards):
        one, two, _ = boards
        first = claim_of(one)
        await one.claim(first)
        await two.claim(claim_of(two))
        await self.hash_of(one, b"UNLINK")
        assert await one.renew(KEY, first.token, LONG_MS) is None
        assert await one.append(KEY, first.token, 0, b"zero", LONG_MS) is None
        assert await one.end(KEY, first.token, served=False, failed=False, lease_ms=LONG_MS)
        assert await two.read(KEY, first.token, 0) is None
        await two.leave(KEY, first.token)
        assert isinstance(await two.claim(claim_of(two)), Led)

    # Callers who want it fresh

    async def test_a_flight_that_began_too_early_is_replaced_and_still_serves_its_followers(self, boards):
        one, two, three = boards
        old, new = claim_of(one), claim_of(two, began_within_us=1)
        older = await one.claim(old)
        async with listening(three) as news:
            await three.claim(claim_of(three))
            assert (await two.claim(new)).fence > older.fence
            assert (await one.claim(claim_of(one, began_within_us=10_000_000))).token == new.token
            assert await one.append(KEY, old.token, 0, b"old", LONG_MS) == Standing(1, 1)
            await news.hears(Frame(old.token, 0, b"old"))
            assert await one.renew(KEY, old.token, LONG_MS) == Standing(1, 1)
            assert await one.end(KEY, old.token, served=True, failed=False, lease_ms=LONG_MS)
        assert (await three.claim(claim_of(three))).token == new.token

    async def test_a_busy_key_keeps_a_bounded_number_of_flights(self, boards):
        board = boards[0]
        for _ in range(3 * MOST_FLIGHTS):
            claim = claim_of(board, began_within_us=0, modes=(board.token(),))
            assert isinstance(await board.claim(claim), Led)
            await board.append(KEY, claim.token, 0, b"zero", LONG_MS)
            root = claim_of(board, generation=1, root=claim.token, modes=claim.modes)
            await board.end(KEY, claim.token, served=True, failed=True, lease_ms=LONG_MS)
            assert isinstance(await board.claim(root), Led)
        assert await self.hash_of(board, b"HLEN") <= 4 * MOST_FLIGHTS + 4

    async def test_all_there_is_expires(self, boards, tier):
        one, two, _ = boards
        await tier.put(KEY, fenced(1))
        assert KEPT_MS - 5000 < await self.hash_of(one, b"PTTL") <= KEPT_MS
        first = claim_of(one, lease_ms=LONG_MS)
        await one.claim(first)
        await two.claim(claim_of(two, lease_ms=10, modes=(b"json",)))
        assert 2 * LONG_MS - 5000 < await self.hash_of(one, b"PTTL") <= 2 * LONG_MS
        await one.renew(KEY, first.token, 2 * LONG_MS)
        assert 4 * LONG_MS - 5000 < await self.hash_of(one, b"PTTL") <= 4 * LONG_MS

    # Taking over

    async def test_one_takes_over_and_the_others_follow(self, boards):
        one, two, three = boards
        first = claim_of(one)
        await one.claim(first)
        await one.end(KEY, first.token, served=True, failed=True, lease_ms=LONG_MS)
        second = claim_of(two, generation=1, root=first.token)
        assert isinstance(await two.claim(second), Led)
        followed = await three.claim(claim_of(three, generation=1, root=first.token))
        assert (followed.token, followed.generation, followed.root) == (second.token, 1, first.token)
        assert (await one.claim(claim_of(one))).token == second.token

    async def test_the_flight_that_is_known_to_have_failed_is_not_followed(self, boards):
        """Who saw it fail may be sooner than its leader's word."""
        one, two, three = boards
        first = claim_of(one)
        led = await one.claim(first)
        second = claim_of(two, generation=1, root=first.token)
        assert (await two.claim(second)).fence > led.fence
        assert (await three.claim(claim_of(three, generation=1, root=first.token))).token == second.token

    @pytest.mark.parametrize("how", ["fails", "dies", "dies and is replaced"])
    async def test_nobody_takes_over_twice(self, boards, how):
        one, two, three = boards
        first = claim_of(one)
        await one.claim(first)
        await one.end(KEY, first.token, served=True, failed=True, lease_ms=LONG_MS)
        second = claim_of(two, generation=1, root=first.token, lease_ms=200)
        await two.claim(second)
        if how == "fails":
            await two.end(KEY, second.token, served=True, failed=True, lease_ms=LONG_MS)
        else:
            await asyncio.sleep(0.21)
        again = claim_of(three, generation=1, root=first.token)
        if how == "dies and is replaced":
            newer = claim_of(one)
            assert isinstance(await one.claim(newer), Led)
            assert (await three.claim(again)).token == newer.token  # a flight that runs is followed
            assert await two.renew(KEY, second.token, LONG_MS) is None
            assert await two.read(KEY, second.token, 0) is None
            await one.end(KEY, newer.token, served=True, failed=False, lease_ms=1)
        assert await three.claim(again) == Over()
        assert isinstance(await three.claim(claim_of(three)), Led)

    async def test_who_took_over_and_ended_well_is_no_obstacle(self, boards):
        one, two, three = boards
        first = claim_of(one)
        await one.claim(first)
        await one.end(KEY, first.token, served=True, failed=True, lease_ms=LONG_MS)
        second = claim_of(two, generation=1, root=first.token)
        await two.claim(second)
        await two.append(KEY, second.token, 0, b"zero", LONG_MS)
        await two.end(KEY, second.token, served=True, failed=False, lease_ms=LONG_MS)
        assert isinstance(await three.claim(claim_of(three, generation=1, root=first.token)), Led)

    # Entries

    async def test_an_entry_written_since_the_lookup_is_to_be_looked_up(self, boards, tier):
        one, two, _ = boards
        led = await one.claim(claim_of(one))
        await tier.put(KEY, fenced(led.fence))
        assert await two.claim(claim_of(two, looked_us=10_000_000)) == Stored()
        assert isinstance(await two.claim(claim_of(two)), Followed)
        await asyncio.sleep(WAY_US / 1e6 + 0.02)
        assert isinstance(await two.claim(claim_of(two, looked_us=1)), Followed)

    async def test_a_later_fence_is_not_written_over(self, tier):
        await tier.put(KEY, fenced(20, b"newer"))
        await tier.put(KEY, fenced(10, b"older"))
        assert (await tier.get(KEY)).sealed.entry.body == b"newer"
        await tier.put(KEY, fenced(20, b"again"))
        assert (await tier.get(KEY)).sealed.entry.body == b"again"
        await tier.put(KEY, fenced(21, b"newest"))
        assert (await tier.get(KEY)).sealed.entry.body == b"newest"

    async def test_where_no_fence_is_known_the_entry_tells_its_age(self, boards, tier):
        one = boards[0]
        late = (await one.claim(claim_of(one))).fence
        await tier.put(KEY, sample_sealed(KEY, b"newer"))
        await self.hash_of(one, b"UNLINK")
        await tier.put(KEY, fenced(late, b"older"))
        assert (await tier.get(KEY)).sealed.entry.body == b"newer"
        newer = (await one.claim(claim_of(one))).fence
        await tier.put(KEY, fenced(newer, b"newest"))
        found = await tier.get(KEY)
        assert found.sealed.entry.body == b"newest"
        assert found.sealed.fence == 0

    async def test_without_a_lease_the_beginning_of_the_call_counts(self, boards, tier):
        one = boards[0]
        await tier.put(KEY, sample_sealed(KEY, b"newer"))
        await tier.put(KEY, fenced(-10_000_000, b"begun before it was there"))
        assert (await tier.get(KEY)).sealed.entry.body == b"newer"
        await asyncio.sleep(0.01)
        await tier.put(KEY, fenced(-1, b"begun afterwards"))
        assert (await tier.get(KEY)).sealed.entry.body == b"begun afterwards"
        led = await one.claim(claim_of(one))
        await tier.put(KEY, fenced(led.fence, b"led"))
        await tier.put(KEY, fenced(-10_000_000, b"begun before the lease"))
        assert (await tier.get(KEY)).sealed.entry.body == b"led"

    @pytest.mark.parametrize("remembered", [True, False])
    async def test_a_call_without_a_lease_is_ordered_by_its_beginning(self, boards, tier, remembered):
        one = boards[0]
        led = await one.claim(claim_of(one, lease_ms=1))
        await tier.put(KEY, fenced(led.fence, b"newer"))
        if not remembered:
            await self.hash_of(one, b"UNLINK")
        await tier.put(KEY, fenced(-10_000_000, b"older"))
        assert (await tier.get(KEY)).sealed.entry.body == b"newer"
        await tier.put(KEY, fenced(-1, b"newest"))
        assert (await tier.get(KEY)).sealed.entry.body == b"newest"
        await tier.put(KEY, fenced(led.fence, b"newer"))
        assert (await tier.get(KEY)).sealed.entry.body == b"newest"

    async def test_a_fence_that_was_written_is_exceeded(self, boards, tier):
        one = boards[0]
        far = 2**52
        await tier.put(KEY, fenced(far))
        assert (await one.claim(claim_of(one))).fence == far + 1

    async def test_a_large_entry_removes_none_of_a_later_fence(self, url, prefix, tier):
        small = redis_tier(url, prefix, max_value_bytes=4000)
        try:
            await small.put(KEY, fenced(20, b"newer"))
            await small.put(KEY, fenced(10, b"x" * 5000))
            assert (await tier.get(KEY)).sealed.entry.body == b"newer"
            await small.put(KEY, fenced(30, b"x" * 5000))
            assert await tier.get(KEY) is None
            await small.put(KEY, fenced(20, b"newer"))
            assert await tier.get(KEY) is None
        finally:
            await small.close()

    async def test_clearing_the_entries_ends_no_flight(self, boards, tier):
        one, two, _ = boards
        first = claim_of(one)
        led = await one.claim(first)
        await tier.put(KEY, fenced(led.fence))
        await tier.clear()
        assert await tier.get(KEY) is None
        assert (await two.claim(claim_of(two))).token == first.token

    async def test_who_takes_over_does_not_follow_the_flight_that_failed(self, boards):
        one, two, _ = boards
        failed = claim_of(one)
        await one.claim(failed)
        taking = claim_of(two, generation=1, root=failed.token)
        assert isinstance(await two.claim(taking), Led)
        other = claim_of(one, generation=1, root=failed.token)
        assert (await one.claim(other)).token == taking.token

    # A place that is not there

    async def test_a_place_that_is_not_there_is_unavailable(self, prefix):
        board = flight_board("redis://127.0.0.1:1/0", prefix)
        try:
            token = board.token()
            for call in (
                board.claim(claim_of(board)),
                board.renew(KEY, token, LONG_MS),
                board.append(KEY, token, 0, b"", LONG_MS),
                board.end(KEY, token, served=False, failed=False, lease_ms=LONG_MS),
                board.leave(KEY, token),
                board.read(KEY, token, 0),
                anext(board.news(1.0, lambda: None)),
            ):
                with pytest.raises(TierUnavailableError):
                    await call
        finally:
            await board.close()
