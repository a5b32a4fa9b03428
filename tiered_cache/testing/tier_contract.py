"""The promises of a tier as tests: subclass, give a `tier` fixture, and pytest runs them all."""

import asyncio
from collections.abc import Awaitable, Callable

from tiered_cache.core.codec import seal
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.errors import CorruptEntryError, TierUnavailableError
from tiered_cache.testing.samples import sample_entry, sample_key, sample_sealed
from tiered_cache.tiers.base import Tier

KEY = sample_key(1)
OTHER = sample_key(2)

EDITS: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda raw: raw[:0] + b"\x00",
    "first byte flipped": lambda raw: bytes((raw[0] ^ 1,)) + raw[1:],
    "middle byte flipped": lambda raw: _flipped(raw, len(raw) // 2),
    "last byte flipped": lambda raw: raw[:-1] + bytes((raw[-1] ^ 128,)),
    "cut in the middle": lambda raw: raw[: len(raw) // 2],
    "last byte lost": lambda raw: raw[:-1],
    "something added": lambda raw: raw + b"\x00",
    "zeroes": lambda raw: bytes(len(raw)),
    "another thing": lambda _: b"\x80\x04}q\x00." * 20,
}


class TierContract:
    """Collect it by a subclass named `Test…` with an async fixture `tier` that makes and closes a fresh tier.

    Needs pytest with pytest-asyncio in auto mode. What a tier cannot offer, it says by the hooks below.

    Attributes:
        raises: failures are raised; False for a guarded tier, whose failures are misses.
        unit_s: a short time for this tier's clock, and what `pass_time` is called with.
        exact_time: `pass_time` lets exactly so much time pass (a fake clock), not at least so much.
    """

    raises = True
    unit_s = 0.05
    exact_time = False

    async def pass_time(self, seconds: float) -> None:
        """Let at least `seconds` pass on the tier's clock."""
        await asyncio.sleep(seconds)

    async def edit_stored(self, tier: Tier, key: CacheKey, edit: Callable[[bytes], bytes]) -> bool:
        """Hook: replace the bytes that the tier stores for `key`. False: this tier stores no bytes."""
        _ = (tier, key, edit)
        return False

    async def unreachable(self) -> Tier | None:
        """Hook: a tier whose place cannot be reached. None: this tier needs no place."""
        return None

    def test_it_is_a_tier_with_a_name(self, tier: Tier) -> None:
        """It has every method of the protocol, and a name for Cache-Status."""
        assert isinstance(tier, Tier)
        assert tier.name

    async def test_get_returns_what_was_put(self, tier: Tier) -> None:
        """`get` returns what was last put under exactly this key, whole."""
        sealed = sample_sealed(KEY)
        await tier.put(KEY, sealed)

        found = await tier.get(KEY)

        assert found is not None
        assert found.sealed == sealed

    async def test_an_absent_key_is_none(self, tier: Tier) -> None:
        """`get` of what was never put is None."""
        assert await tier.get(KEY) is None

    async def test_never_another_keys_entry(self, tier: Tier) -> None:
        """Keys that differ in one byte, or share the fast hash, are strangers."""
        near = [CacheKey(_flipped(KEY, at)) for at in range(len(KEY))]
        near += [sample_key(3, fast_hash=1), CacheKey(KEY + b"\x00"), CacheKey(KEY[:-1])]
        await tier.put(KEY, sample_sealed(KEY))

        assert [await tier.get(key) for key in near] == [None] * len(near)

    async def test_keys_with_one_fast_hash_keep_their_own_entries(self, tier: Tier) -> None:
        """With the fast hash a constant, still nobody gets another call's answer."""
        keys = [sample_key(number, fast_hash=7) for number in range(5)]
        for number, key in enumerate(keys):
            await tier.put(key, sample_sealed(key, b"%d" % number))

        bodies = [found.sealed.entry.body if (found := await tier.get(key)) else None for key in keys]
        assert bodies == [b"0", b"1", b"2", b"3", b"4"]

    async def test_any_bytes_come_back(self, tier: Tier) -> None:
        """An empty body, every byte value and a large body come back as they were."""
        for number, body in enumerate([b"", bytes(range(256)), b"\r\n\x00" * 100_000]):
            key = sample_key(100 + number)
            await tier.put(key, sample_sealed(key, body))
            found = await tier.get(key)
            assert found is not None
            assert found.sealed.entry.body == body

    async def test_the_age_given_at_put_goes_on(self, tier: Tier) -> None:
        """`get` reports an age that only grows, counted from the age given at `put`."""
        await tier.put(KEY, sample_sealed(KEY), age_s=500.0)
        first = await tier.get(KEY)
        await self.pass_time(self.unit_s)
        second = await tier.get(KEY)

        assert first is not None
        assert second is not None
        assert 500.0 <= first.age_s < 3600.0
        assert second.age_s >= first.age_s + self.unit_s * 0.9
        if self.exact_time:
            assert abs(second.age_s - 500.0 - self.unit_s) < 1e-6

    async def test_gone_once_the_age_reaches_retention(self, tier: Tier) -> None:
        """An entry is gone once its age reaches its lifetime's retention."""
        sealed = sample_sealed(KEY, fresh_s=1000.0)
        await tier.put(KEY, sealed, age_s=1000.0 - self.unit_s)
        await self.pass_time(self.unit_s)

        assert await tier.get(KEY) is None

    async def test_stale_but_retained_is_returned(self, tier: Tier) -> None:
        """Retention is the freshness lifetime and the longer of the two windows after it."""
        entry = sample_entry(fresh_s=10.0, stale_while_revalidate_s=500.0, stale_if_error_s=3000.0)
        await tier.put(KEY, seal(KEY, entry), age_s=1000.0)

        found = await tier.get(KEY)

        assert found is not None
        assert found.sealed.entry == entry

    async def test_too_old_to_keep_stores_nothing(self, tier: Tier) -> None:
        """A put with an age at or beyond retention stores nothing; zero means zero."""
        cases = [(60.0, 60.0), (60.0, 61.0), (60.0, 1e12), (0.0, 0.0), (0.0, 1.0)]
        for number, (fresh_s, age_s) in enumerate(cases):
            key = sample_key(200 + number)
            await tier.put(key, sample_sealed(key, fresh_s=fresh_s), age_s=age_s)
            assert await tier.get(key) is None

    async def test_a_very_long_lifetime_is_kept(self, tier: Tier) -> None:
        """A lifetime of a million years is a lifetime."""
        await tier.put(KEY, sample_sealed(KEY, fresh_s=3e13), age_s=1.0)

        assert await tier.get(KEY) is not None

    async def test_put_replaces_entry_and_age(self, tier: Tier) -> None:
        """The last put counts, with its own age and lifetime."""
        await tier.put(KEY, sample_sealed(KEY, b"old", fresh_s=7200.0), age_s=3000.0)
        await tier.put(KEY, sample_sealed(KEY, b"new"), age_s=0.0)

        found = await tier.get(KEY)

        assert found is not None
        assert found.sealed.entry.body == b"new"
        assert found.age_s < 3000.0

    async def test_remove_forgets_this_key_alone(self, tier: Tier) -> None:
        """`remove` forgets its key and no other."""
        await tier.put(KEY, sample_sealed(KEY))
        await tier.put(OTHER, sample_sealed(OTHER))
        await tier.remove(KEY)

        assert await tier.get(KEY) is None
        assert await tier.get(OTHER) is not None

    async def test_remove_of_an_absent_key_does_nothing(self, tier: Tier) -> None:
        """Entries can disappear at any time, so removing nothing is fine."""
        await tier.remove(KEY)
        await tier.remove(KEY)

        assert await tier.get(KEY) is None

    async def test_clear_forgets_every_entry(self, tier: Tier) -> None:
        """After `clear` nothing is found, and the tier goes on."""
        keys = [sample_key(number) for number in range(50)]
        for key in keys:
            await tier.put(key, sample_sealed(key))
        await tier.clear()

        assert [await tier.get(key) for key in keys] == [None] * 50
        await tier.put(KEY, sample_sealed(KEY))
        assert await tier.get(KEY) is not None

    async def test_readers_see_whole_entries_while_writers_write(self, tier: Tier) -> None:
        """Old, new or none, never a mixture."""
        versions = [sample_sealed(KEY, b"%d" % number * 5000) for number in range(10)]
        allowed = {sealed.payload for sealed in versions}

        async def read() -> list[bytes]:
            found = [await tier.get(KEY) for _ in range(20)]
            return [one.sealed.payload for one in found if one is not None]

        writes = [tier.put(KEY, sealed) for sealed in versions]
        results = await asyncio.gather(*(read() for _ in range(5)), *writes)
        seen = {payload for result in results if result is not None for payload in result}
        assert seen <= allowed
        last = await tier.get(KEY)
        assert last is not None
        assert last.sealed.payload in allowed

    async def test_a_cancelled_put_leaves_old_new_or_none(self, tier: Tier) -> None:
        """An interrupted put never leaves a mixture, and the tier goes on."""
        old, new = sample_sealed(KEY, b"old" * 9000), sample_sealed(KEY, b"new" * 9000)
        await tier.put(KEY, old)
        for pauses in range(6):
            await _cancel_after(asyncio.create_task(tier.put(KEY, new)), pauses)
            found = await tier.get(KEY)
            assert found is None or found.sealed in (old, new)
        await tier.put(KEY, old)
        found = await tier.get(KEY)
        assert found is not None
        assert found.sealed == old

    async def test_a_cancelled_get_disturbs_nobody(self, tier: Tier) -> None:
        """Other lookups under way get their own answers."""
        keys = [sample_key(number) for number in range(10)]
        for key in keys:
            await tier.put(key, sample_sealed(key, key))
        for pauses in range(6):
            doomed = [asyncio.create_task(tier.get(key)) for key in keys[:5]]
            others = [asyncio.create_task(tier.get(key)) for key in keys]
            for task in doomed:
                await _cancel_after(task, pauses if task is doomed[0] else 0)
            found = await asyncio.gather(*others)
            assert [one.sealed.entry.body if one else None for one in found] == keys

    async def test_bytes_that_are_no_entry_of_this_key(self, tier: Tier) -> None:
        """Stored bytes that are not an entry of this key raise CorruptEntryError, or are a miss."""
        for edit in EDITS.values():
            await tier.put(KEY, sample_sealed(KEY))
            if await self.edit_stored(tier, KEY, edit):
                await self._expect_corrupt(tier, KEY)

    async def test_another_keys_bytes_are_no_entry_of_this_key(self, tier: Tier) -> None:
        """Not even whole and valid bytes pass under another key."""
        await tier.put(KEY, sample_sealed(KEY))
        await tier.put(OTHER, sample_sealed(OTHER))
        taken: list[bytes] = []

        def take(raw: bytes) -> bytes:
            taken.append(raw)
            return raw

        if await self.edit_stored(tier, OTHER, take):
            await self.edit_stored(tier, KEY, lambda _: taken[0])
            await self._expect_corrupt(tier, KEY)
            assert await tier.get(OTHER) is not None

    async def test_an_unreachable_place(self) -> None:
        """A place that cannot be reached raises TierUnavailableError, or is a miss."""
        tier = await self.unreachable()
        if tier is None:
            return
        try:
            await _expect(tier.get(KEY), TierUnavailableError if self.raises else None)
            for write in (tier.put(KEY, sample_sealed(KEY)), tier.remove(KEY), tier.clear()):
                await _expect(write, TierUnavailableError if self.raises else None)
        finally:
            await tier.close()

    async def test_close_is_idempotent_and_final(self, tier: Tier) -> None:
        """`close` twice is fine; then nothing is found."""
        await tier.put(KEY, sample_sealed(KEY))
        await tier.close()
        await tier.close()

        try:
            assert await tier.get(KEY) is None
        except TierUnavailableError:
            assert self.raises

    async def _expect_corrupt(self, tier: Tier, key: CacheKey) -> None:
        await _expect(tier.get(key), CorruptEntryError if self.raises else None)


async def _expect(call: Awaitable[object], error: type[Exception] | None) -> None:
    """The call raises this error, or returns None when no error is expected."""
    (result,) = await asyncio.gather(call, return_exceptions=True)
    if error is None:
        assert result is None
    else:
        assert isinstance(result, error)


async def _cancel_after(task: "asyncio.Task[object]", pauses: int) -> None:
    for _ in range(pauses):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
