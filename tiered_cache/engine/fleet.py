"""One origin call for all processes that share a Redis: each flight is led here, or followed from here."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from tiered_cache.core.claims import Claim, Claimed, Followed, Led, Log, Over, Stored
from tiered_cache.core.epochs import Standing
from tiered_cache.core.relay import RelayFrame, RelayHead, write_frame
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.engine.background import Background
from tiered_cache.engine.claiming import Boarding, ClaimBoard, Claiming
from tiered_cache.engine.edits import in_mode
from tiered_cache.engine.feed import Feed, RelayedOrigin
from tiered_cache.engine.flight import Flight, Landing, Place
from tiered_cache.engine.flights import Flights
from tiered_cache.engine.hearing import Channel, Hearing
from tiered_cache.engine.lease import BEATS, Lease, LeaseBoard
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.pump import Pump
from tiered_cache.engine.store import Store
from tiered_cache.errors import OriginUnreachableError, TierUnavailableError

GIVE_WAY_S = 0.02
"""How much later than callers of streams callers of JSON take over from a flight that failed."""

_STREAMS = b"s:"
_CHECK_S = 0.25
"""What a look at a leader that has fallen silent may take."""


class Board(ClaimBoard, LeaseBoard, Channel, Protocol):
    """Where processes claim flights; all but `close` and `token` raise TierUnavailableError."""

    async def leave(self, key: CacheKey, token: bytes, /) -> None:
        """Follow no longer."""
        ...

    async def read(self, key: CacheKey, token: bytes, number: int, /) -> Log | None:
        """Frames from a number on; None where there is no such flight."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Fleet:
    """Claims flights before they ask the origin.

    Without a healthy Redis every process is a fleet of its own.

    Args:
        board: where flights are claimed.
        claiming: claims them there.
        pump: makes the origin calls.
        store, flights, ledger, background: of this process.
    """

    def __init__(
        self,
        board: Board,
        claiming: Claiming,
        pump: Pump,
        *,
        store: Store,
        flights: Flights,
        ledger: Ledger,
        background: Background,
    ) -> None:
        self._board = board
        self._claiming = claiming
        self._pump = pump
        self._store = store
        self._coherence = store.coherence
        self._flights = flights
        self._ledger = ledger
        self._background = background
        self._now = claiming.now
        self._hearing = Hearing(board, claiming.lease_s / BEATS)
        self.start = self._hearing.start

    async def close(self) -> None:
        """Stop listening."""
        await self._hearing.close()
        await self._board.close()

    async def fly(self, flight: Flight, boarding: Boarding) -> Landing:
        """Make the origin call, or follow the process that does.

        Raises whatever the origin raises, OriginUnreachableError for what other processes made of it.
        """
        await self._hearing.ready()
        if flight.course.generation and not flight.name.stream:
            # Who asked for a stream goes first: this one may follow what that one leads, not the other way.
            await asyncio.sleep(GIVE_WAY_S)
        claim = self._claiming.of(flight, boarding, follow=self._hearing.subscribed)
        self._hearing.expect(claim.token)
        try:
            if boarding.private and not boarding.retry:
                return await self._lead(flight, claim, None, at_once=True)  # it waits for nobody
            claimed = await self._claimed(flight, claim)
            return await self._fly(flight, claim, claimed)
        finally:
            self._hearing.unexpect(claim.token)

    async def _claimed(self, flight: Flight, claim: Claim) -> Claimed | None:
        late = partial(self._hear_late, flight, claim)
        claimed = await self._claiming.claim(claim, late)
        if isinstance(claimed, Followed) and self._was_purged(claimed):
            self._background.try_start(self._leave(claim.key, claimed.token))
            claimed = await self._claiming.claim(replace(claim, began_within_us=0, looked_us=None), late)
        if isinstance(claimed, Followed) and self._hearing.leads(claimed.token):
            # Its caller may not join that flight here, so it need not from afar.
            self._background.try_start(self._leave(claim.key, claimed.token))
            return None
        return claimed

    def _hear_late(self, flight: Flight, claim: Claim, claimed: Claimed) -> None:
        """Nobody waits for this reply any more: its flight asks for itself, or was given up."""
        if isinstance(claimed, Followed):
            self._background.try_start(self._leave(claim.key, claimed.token))
        elif isinstance(claimed, Led) and flight.token != claim.token:
            self._background.try_start(self._give_up(claim))

    async def _give_up(self, claim: Claim) -> None:
        """Tell those who have begun to follow that there is nothing to be followed."""
        with suppress(TierUnavailableError):
            failed = write_frame(RelayFrame(end="failed"))
            await self._board.append(claim.key, claim.token, 0, failed, claim.lease_ms)
            await self._board.end(claim.key, claim.token, served=True, failed=False, lease_ms=claim.lease_ms)

    async def _fly(self, flight: Flight, claim: Claim, claimed: Claimed | None) -> Landing:
        match claimed:
            case Followed():
                self._ledger.count("fleet", "followed")
                return await self._follow(flight, claim.token, claimed)
            case Stored():
                self._ledger.count("fleet", "stored")
                flight.lose()
                flight.place(Place.STORED)
                raise OriginUnreachableError("another process has just stored the answer")
            case Over():
                raise OriginUnreachableError("the call that took over failed as well")
            case _:
                self._ledger.count("fleet", "led" if isinstance(claimed, Led) else "alone")
                return await self._lead(flight, claim, claimed)

    def _was_purged(self, followed: Followed) -> bool:
        began_s = self._now() - followed.age_us / 1e6
        return self._coherence.standing(followed.stamp, began_s) is not Standing.VALID

    async def _lead(
        self, flight: Flight, claim: Claim, claimed: Claimed | None, *, at_once: bool = False
    ) -> Landing:
        flight.token = claim.token
        if isinstance(claimed, Led):
            flight.fence = claimed.fence
        lease = Lease(
            self._board,
            flight,
            self._claiming.lease_s,
            held=isinstance(claimed, Led),
            at_once=at_once,
            claim=partial(self._claim_again, replace(claim, follow=False, looked_us=None)),
        )
        self._hearing.lead(claim.token, lease)
        flight.place(Place.HERE)
        try:
            return await self._pump.fly(flight)
        finally:
            self._background.start(self._finish(lease, flight))

    async def _claim_again(self, claim: Claim) -> bool:
        return isinstance(await self._claiming.claim(claim), Led)

    async def _finish(self, lease: Lease, flight: Flight) -> None:
        try:
            key = flight.keyed.key
            await lease.finish(partial(self._settled, flight), lambda: self._claiming.sound(key))
        finally:
            self._hearing.led(flight.token)

    async def _settled(self, flight: Flight) -> None:
        for key in flight.keys:
            await self._store.settled(key)

    async def _follow(self, flight: Flight, own: bytes, followed: Followed) -> Landing:
        key, token = flight.keyed.key, followed.token
        feed = Feed(partial(self._read, key, token), self._claiming.lease_s, followed.left_ms / 1000.0)
        for number, frame in enumerate(followed.frames):
            feed.hear(number, frame)
        self._hearing.follow(token, feed, own)
        self._relay(flight, followed, feed)
        try:
            return await self._pump.fly(flight)
        finally:
            self._hearing.followed(token, feed)
            if not feed.ended:
                self._background.try_start(self._leave(key, token))

    def _relay(self, flight: Flight, followed: Followed, feed: Feed) -> None:
        """Make `flight` that of the other process."""

        def headed(head: RelayHead) -> None:
            flight.counts_tokens = head.counts_tokens

        def lost() -> None:
            self._ledger.count("fleet", "lost")
            flight.lose()
            self._flights.forget(flight)

        def unshared() -> None:
            flight.lose()
            self._flights.forget(flight)
            self._flights.miss_for_a_while(flight.keyed.key, self._now())

        flight.relayed = True
        flight.keyed = in_mode(flight.keyed, stream=followed.mode.startswith(_STREAMS))
        flight.token, flight.stamp, flight.credential = followed.token, followed.stamp, followed.credential
        flight.began_s = self._now() - followed.age_us / 1e6
        flight.course = replace(
            flight.course,
            linger_s=0.0,  # the leader's process lets it linger
            on_abandon="cancel",
            generation=followed.generation,
            root=followed.root,
        )
        flight.origin = RelayedOrigin(feed, headed=headed, lost=lost, unshared=unshared)
        flight.place(Place.ELSEWHERE)

    async def _read(self, key: CacheKey, token: bytes, number: int) -> Log | None:
        try:
            async with asyncio.timeout(_CHECK_S):
                return await self._board.read(key, token, number)
        except TimeoutError as error:
            raise TierUnavailableError("timeout") from error

    async def _leave(self, key: CacheKey, token: bytes) -> None:
        """Follow no longer, unless somebody here does, or is about to."""
        await self._claiming.settled(key)
        if not self._hearing.follows(token):
            with suppress(TierUnavailableError):
                await self._board.leave(key, token)
