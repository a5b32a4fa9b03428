"""A leader's lease of a call: kept while its flight lasts, and what those in other processes are told."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from msgspec.structs import replace

from tiered_cache.core.claims import Standing
from tiered_cache.core.relay import End, RelayFrame, RelayHead, relay_head, write_frame
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.engine.flight import Flight
from tiered_cache.errors import TierUnavailableError

BATCH_S = 0.015
"""How long events are gathered for other processes, unless there are many."""

BATCH_BYTES = 1024
_FRAME_BYTES = 128 * 1024
MOST_BYTES = 32 * 2**20
"""Of a larger answer others are told no more: all of it would be held in Redis."""

_TRIES = 3
_REST_S = 0.05
BEATS = 3
"""Signs of life in the length of a lease."""

T = TypeVar("T")


class LeaseBoard(Protocol):
    """Where leases are kept; all methods raise TierUnavailableError."""

    async def renew(self, key: CacheKey, token: bytes, lease_ms: int, /) -> Standing | None:
        """Keep a lease."""
        ...

    async def append(
        self, key: CacheKey, token: bytes, number: int, frame: bytes, lease_ms: int, /
    ) -> Standing | None:
        """Tell the followers, and who comes later."""
        ...

    async def end(self, key: CacheKey, token: bytes, *, served: bool, failed: bool, lease_ms: int) -> bool:
        """Give a lease back; False where somebody follows who was told nothing."""
        ...


class Lease:
    """Held from before the origin is asked until the answer is stored.

    Nothing is written for followers before there are any; then all of it is, from the start.

    Args:
        board: where it is kept.
        flight: whose it is.
        lease_s: how long it lasts without a sign of life.
        held: it is known to be this process'.
        at_once: it is not yet claimed, and is to be while the origin is asked.
        claim: asks for it again, under the same token; whether it is granted.
    """

    def __init__(
        self,
        board: LeaseBoard,
        flight: Flight,
        lease_s: float,
        *,
        held: bool,
        at_once: bool = False,
        claim: Callable[[], Awaitable[bool]],
    ) -> None:
        self._board = board
        self._flight = flight
        self._key = flight.keyed.key
        self._token = flight.token
        self._lease_s = lease_s
        self._lease_ms = round(lease_s * 1000)
        self._held = held
        self._claim = claim
        self._joined = False
        self._served = False
        self._broken = False
        self._number = 0
        self._told_bytes = 0
        self._news = 0
        self._relaying: asyncio.Task[None] | None = None
        self._keeping = asyncio.get_running_loop().create_task(self._keep(at_once=at_once))

    def followed(self) -> None:
        """Somebody in another process waits for the answer."""
        self._news += 1
        if not self._joined:
            self._joined = True
            self._flight.join()
        if self._relaying is None and not self._served and not self._broken:
            self._relaying = asyncio.get_running_loop().create_task(self._relay())

    def left(self) -> None:
        """Nobody in another process waits any more."""
        if self._joined:
            self._joined = False
            self._flight.leave()

    async def finish(self, settled: Callable[[], Awaitable[None]], reachable: Callable[[], bool]) -> None:
        """Give the lease back once the flight has ended and what it stored is there, which `settled` awaits.

        One that may be held, as the reply to its claim was lost, is given back where Redis is `reachable`.
        """
        flight = self._flight
        try:
            await asyncio.wait({flight.landed})
            await settled()
            failed = not flight.landed.cancelled() and flight.landed.exception() is not None
            if self._held or reachable():
                await self._give_back(failed=failed)
        except TierUnavailableError:
            pass  # it runs out by itself
        finally:
            self._keeping.cancel()
            if self._relaying is not None:
                self._relaying.cancel()
            self.left()

    async def _give_back(self, *, failed: bool) -> None:
        while True:
            if self._relaying is not None:
                await asyncio.wait({self._relaying})
            told = self._relaying is not None or self._broken
            failed = failed or (told and not self._served)
            if await _tried(partial(self._end, served=told, failed=failed)):
                return
            self.followed()

    async def _end(self, *, served: bool, failed: bool) -> bool:
        return await self._board.end(
            self._key, self._token, served=served, failed=failed, lease_ms=self._lease_ms
        )

    async def _keep(self, *, at_once: bool) -> None:
        rest_s = 0.0 if at_once else self._lease_s / BEATS
        while not self._broken:
            await asyncio.sleep(rest_s)
            rest_s = self._lease_s / BEATS
            with suppress(TierUnavailableError):
                await self._renew()

    async def _renew(self) -> None:
        standing, news = None, self._news
        if self._held:
            standing = await self._board.renew(self._key, self._token, self._lease_ms)
        if standing is None:
            await self._claim_again()
        elif standing.followers:
            self.followed()
        elif news == self._news:
            self.left()  # which the last of them may have said to nobody

    async def _claim_again(self) -> None:
        """The lease was lost with its server's memory, or never known to be there.

        The order of the answer among others stays: it is no newer than its call, whenever that is claimed.
        """
        self._held = False
        if not await self._claim() or self._held:
            return
        self._held = True
        if self._number == 0 and not self._broken:
            return  # what is to be told first still will be
        if self._relaying is not None:
            self._relaying.cancel()
            await asyncio.wait({self._relaying})
        self._relaying, self._number, self._told_bytes = None, 0, 0
        self._served = self._broken = False

    async def _relay(self) -> None:
        """Tell all that has come so far, then what comes."""
        flight = self._flight
        await asyncio.wait({flight.head})
        try:
            if flight.head.cancelled():
                await self._send(RelayFrame(end="failed"))
            elif flight.released:
                await self._send(RelayFrame(head=self._head(), end="unshared"))
            elif flight.streaming:
                await self._relay_stream()
            else:
                await self._relay_whole()
        except TierUnavailableError:
            self._broken = True
            return
        self._served = True

    def _head(self) -> RelayHead:
        flight = self._flight
        return relay_head(
            flight.status, flight.headers, framed=flight.framed, counts_tokens=flight.counts_tokens
        )

    async def _relay_whole(self) -> None:
        landed = self._flight.landed
        await asyncio.wait({landed})
        if landed.cancelled() or landed.exception() is not None:
            await self._send(RelayFrame(head=self._head(), end="failed"))
            return
        body = landed.result().body
        if len(body) > MOST_BYTES:
            await self._send(RelayFrame(head=self._head(), end="unshared"))
            return
        starts = range(0, max(1, len(body)), _FRAME_BYTES)
        for start in starts:
            head = self._head() if start == 0 else None
            end: End = "whole" if start == starts[-1] else ""
            await self._send(RelayFrame(body[start : start + _FRAME_BYTES], head, end))

    async def _relay_stream(self) -> None:
        recording = self._flight.recording
        if recording.dropped:
            await self._send(RelayFrame(head=self._head(), end="unshared"))
            return
        cursor = recording.open()
        head: RelayHead | None = self._head()
        time = asyncio.get_running_loop().time
        try:
            while True:
                data = b"".join([event.raw for event in cursor.take(_FRAME_BYTES)])
                end: End = "" if not cursor.ended else "whole" if cursor.whole else "failed"
                if self._told_bytes + len(data) > MOST_BYTES:
                    data, end = b"", "unshared"
                if data or end or head is not None:
                    await self._send(RelayFrame(data, head, end))
                    head = None
                if end:
                    return
                told_s = time()
                await cursor.wait(cursor.index)
                early_s = told_s + BATCH_S - time()
                if (
                    early_s > 0
                    and not recording.closed
                    and recording.size_bytes - self._told_bytes < BATCH_BYTES
                ):
                    await asyncio.sleep(early_s)
        finally:
            cursor.close()

    async def _send(self, frame: RelayFrame) -> None:
        raw = write_frame(replace(frame, at=self._told_bytes))
        number = self._number
        standing = await _tried(
            lambda: self._board.append(self._key, self._token, number, raw, self._lease_ms)
        )
        # Where the first try's reply was lost, its frame is there all the same.
        if standing is None or standing.frames != number + 1:
            raise TierUnavailableError("lease lost")
        self._held = True
        self._number += 1
        self._told_bytes += len(frame.data)


async def _tried(command: Callable[[], Awaitable[T]]) -> T:
    """What a command gives, which may be given again; raises TierUnavailableError after some tries."""
    for _ in range(_TRIES - 1):
        with suppress(TierUnavailableError):
            return await command()
        await asyncio.sleep(_REST_S)
    return await command()
