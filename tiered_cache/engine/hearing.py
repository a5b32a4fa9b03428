"""What this process hears of flights in other processes, over one subscription."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from tiered_cache.core.claims import Beat, Bell, FollowedBy, Frame, Left, News
from tiered_cache.engine.feed import Feed
from tiered_cache.engine.lease import Lease
from tiered_cache.engine.listening import LONGEST_REST_S, SHORTEST_REST_S, FirstWord, end
from tiered_cache.errors import TierUnavailableError


class Channel(Protocol):
    """Where the news comes from."""

    def news(self, silence_s: float, subscribed: Callable[[], None], /) -> AsyncGenerator[News]:
        """What this process is told, until the connection fails (TierUnavailableError)."""
        ...


class Hearing:
    """Gives the news of each flight to its lease or its feeds.

    Args:
        channel: where the news comes from.
        silence_s: after so long without a word the server is asked for a sign of life.

    Attributes:
        subscribed: nothing said to this process is missed now.
    """

    def __init__(self, channel: Channel, silence_s: float) -> None:
        self._channel = channel
        self._silence_s = silence_s
        self._leases: dict[bytes, Lease] = {}
        self._claiming: dict[bytes, _Expected] = {}
        self._unheard = 0
        self._feeds: dict[bytes, list[Feed]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._first = FirstWord()
        self.subscribed = False

    def start(self) -> None:
        """Begin to listen, without waiting for it; idempotent."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def ready(self) -> None:
        """Start, and return once something can be heard; only the first callers wait for that."""
        self.start()
        await self._first.wait()

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            await end((self._listening,))

    def expect(self, token: bytes) -> None:
        """This token is being claimed: who follows may be heard of before the reply is."""
        self._claiming[token] = _Expected(self._unheard)

    def unexpect(self, token: bytes) -> None:
        """Nobody can have followed it."""
        self._claiming.pop(token, None)

    def lead(self, token: bytes, lease: Lease) -> None:
        """Tell `lease` of its followers from now on, and of one who was heard of already."""
        self._leases[token] = lease
        expected = self._claiming.pop(token, None)
        if expected is not None and expected.followed:
            lease.followed()

    def leads(self, token: bytes) -> bool:
        """Whether this flight is led here."""
        return token in self._leases

    def led(self, token: bytes) -> None:
        """The lease of this token has ended."""
        self._leases.pop(token, None)

    def follow(self, token: bytes, feed: Feed, claimed: bytes) -> None:
        """Give `feed` what is told of this flight from now on.

        Args:
            token: of the flight.
            feed: where it is followed.
            claimed: the token whose claim had this outcome; what was told since then was told to nobody.
        """
        self._feeds.setdefault(token, []).append(feed)
        if self._claiming[claimed].unheard != self._unheard:
            feed.resume()

    def followed(self, token: bytes, feed: Feed) -> None:
        """This feed has ended."""
        feeds = self._feeds[token]
        feeds.remove(feed)
        if not feeds:
            del self._feeds[token]

    def follows(self, token: bytes) -> bool:
        """Whether this flight is followed here."""
        return token in self._feeds

    async def _listen(self) -> None:
        """Whatever ends it: nothing is heard from then on."""
        try:
            await self._listen_on()
        finally:
            self.subscribed = False
            self._each_feed(Feed.lose)

    async def _listen_on(self) -> None:
        """Over one connection after the other."""
        rest_s = 0.0
        while True:
            try:
                async with aclosing(self._channel.news(self._silence_s, self._hears)) as news:
                    async for item in news:
                        self._hear(item)
            except TierUnavailableError:
                pass
            heard, self.subscribed = self.subscribed, False
            if heard:
                rest_s = 0.0
            else:
                self._each_feed(Feed.lose)
                rest_s = min(LONGEST_REST_S, max(SHORTEST_REST_S, rest_s * 2))
            await asyncio.sleep(rest_s)

    def _hears(self) -> None:
        """From here on nothing is missed; what was missed before can be read."""
        self.subscribed = True
        self._unheard += 1
        self._first.note()
        self._each_feed(Feed.resume)

    def _each_feed(self, act: Callable[[Feed], None]) -> None:
        for feeds in self._feeds.values():
            for feed in feeds:
                act(feed)

    def _hear(self, news: News) -> None:
        match news:
            case FollowedBy(token):
                self._note_follower(token)
            case Left(token):
                if (lease := self._leases.get(token)) is not None:
                    lease.left()
            case Frame(token, number, frame):
                self._pass_on(token, number, frame)
            case Bell(token, number):
                self._pass_on(token, number + 1)
            case Beat(token, number):
                self._pass_on(token, number)

    def _pass_on(self, token: bytes, number: int, frame: bytes | None = None) -> None:
        feeds = self._feeds.get(token)
        if feeds is None:
            self._unheard += 1
            return
        for feed in feeds:
            feed.hear(number, frame)

    def _note_follower(self, token: bytes) -> None:
        lease = self._leases.get(token)
        if lease is not None:
            lease.followed()
        elif (expected := self._claiming.get(token)) is not None:
            expected.followed = True


class _Expected:
    """A claim whose reply is on its way.

    Attributes:
        unheard: how much had been said to nobody when it was sent.
        followed: somebody follows it already.
    """

    __slots__ = ("followed", "unheard")

    def __init__(self, unheard: int) -> None:
        self.unheard = unheard
        self.followed = False
