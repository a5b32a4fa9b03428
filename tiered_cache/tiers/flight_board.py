"""Flights of all processes on one Redis: who leads, who follows, and what the leader has told so far.

The flights of a key are one hash, in the slot of its entry. Each process listens on one channel.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import count

from tiered_cache.core.claims import PROCESS_BYTES, TOKEN_BYTES, Claim, Claimed, Log, News, Standing
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.tiers.flight_replies import read_claimed, read_ended, read_log, read_news, read_standing
from tiered_cache.tiers.flight_scripts import APPEND, CLAIM, END, LEAVE, READ, RENEW
from tiered_cache.tiers.redis_names import flights_name
from tiered_cache.tiers.redis_news import messages
from tiered_cache.tiers.redis_node import Script
from tiered_cache.tiers.redis_places import Place, PlaceOptions, node_for, open_place
from tiered_cache.tiers.redis_replies import Reply

WAY_US = 50_000
"""What a claim may take to the server: entries written so long before the lookup count as written since."""


class FlightBoard:
    """One process' view of it. Every method but `close` raises TierUnavailableError, and nothing else.

    Args:
        url: as `RedisTier` takes it.
        prefix: first word of every key and channel.
        options: how to connect.

    Attributes:
        process: the name of this process, which its tokens begin with.
    """

    def __init__(self, url: str, *, prefix: str, options: PlaceOptions) -> None:
        self.process: bytes = secrets.token_bytes(PROCESS_BYTES)
        self._numbers = count(1)
        self._prefix = prefix.encode()
        self._channels = b"%b:flights:" % self._prefix
        self._channel = self._channels + self.process.hex().encode()
        self._place: Place = open_place(url, options)

    def token(self) -> bytes:
        """A name for one flight, for ever."""
        return self.process + next(self._numbers).to_bytes(TOKEN_BYTES - PROCESS_BYTES, "big")

    async def claim(self, claim: Claim) -> Claimed:
        """Lead, or follow who leads; asked again with the same token, a leader leads with the same fence."""
        reply = await self._run(
            CLAIM,
            claim.key,
            claim.token,
            claim.lease_ms * 1000,
            self.process if claim.follow else b"",
            _or_nothing(claim.began_within_us),
            _or_nothing(None if claim.looked_us is None else claim.looked_us + WAY_US),
            claim.generation,
            claim.root,
            claim.stamp,
            claim.credential,
            *claim.modes,
        )
        return read_claimed(reply)

    async def renew(self, key: CacheKey, token: bytes, lease_ms: int) -> Standing | None:
        """A leader's sign of life, which followers are told; None where there is no such flight any more."""
        return read_standing(await self._run(RENEW, key, token, lease_ms * 1000))

    async def append(
        self, key: CacheKey, token: bytes, number: int, frame: bytes, lease_ms: int
    ) -> Standing | None:
        """As `renew`, with the next frame; with a number that is not the next, nothing is written."""
        return read_standing(await self._run(APPEND, key, token, lease_ms * 1000, number, frame))

    async def end(self, key: CacheKey, token: bytes, *, served: bool, failed: bool, lease_ms: int) -> bool:
        """The flight is over; False where somebody follows who has not been served: it goes on."""
        return read_ended(await self._run(END, key, token, lease_ms * 1000, served, failed))

    async def leave(self, key: CacheKey, token: bytes) -> None:
        """This process no longer follows."""
        await self._run(LEAVE, key, token, self.process)

    async def read(self, key: CacheKey, token: bytes, number: int) -> Log | None:
        """The frames from `number` on; None where there is no such flight any more."""
        return read_log(await self._run(READ, key, token, number))

    async def news(self, silence_s: float, subscribed: Callable[[], None]) -> AsyncGenerator[News]:
        """What other processes tell this one, until the connection fails.

        Args:
            silence_s: after so long without a word the server is asked for a sign of life, and after twice
                that the connection is given up.
            subscribed: called when no news from then on can be missed.
        """
        # Asked anew each time: in a cluster the node that was heard last may be gone.
        node = await self._place.find(self._channel)
        async with aclosing(messages(node, self._channel, silence_s, subscribed)) as texts:
            async for text in texts:
                news = read_news(text)
                if news is not None:
                    yield news

    async def close(self) -> None:
        """Close the connections for commands; that for news closes with its iterator."""
        await self._place.close()

    async def _run(self, script: Script, key: CacheKey, *arguments: bytes | int) -> Reply:
        name = flights_name(self._prefix, key)
        node = await node_for(self._place, name)
        return await node.run(script, name, self._channels, *arguments)


def _or_nothing(number: int | None) -> bytes | int:
    return b"" if number is None else number
