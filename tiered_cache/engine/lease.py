"""A leader's lease of a call: kept while its flight lasts, and what those in other processes are told."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from tiered_cache.core.relay import End, RelayFrame, RelayHead, relay_head, write_frame
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.engine.flight import Flight
from tiered_cache.errors import TierUnavailableError

BATCH_S = 0.015
"""How long events are gathered for other processes, unless there are many."""

BATCH_BYTES = 1024
_FRAME_BYTES = 128 * 1024
_TRIES = 3
_REST_S = 0.05
_BEATS = 3
"""Signs of life in the length of a lease."""


class Standing(Protocol):
    """What is known of a flight elsewhere."""

    @property
    def followers(self) -> int:
        """Processes that follow it."""
        ...

    @property
    def frames(self) -> int:
        """Frames that it has."""
        ...


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
        claim: asks for it again, under the same token; gives its fence, or None.
    """

    def __init__(
        self,
        board: LeaseBoard,
        flight: Flight,
        lease_s: float,
        *,
        held: bool,
        at_once: bool = False,
        claim: Callable[[], Awaitable[int | None]],
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
        self._relaying: asyncio.Task[None] | None = None
        self._keeping = asyncio.get_running_loop().create_task(self._keep(at_once=at_once))

    def followed(self) -> None:
        """Somebody in another process waits for the answer."""
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

    async def finish(self, settled: Awaitable[None], reachable: Callable[[], bool]) -> None:
        """Give the lease back once the flight has ended and what it stored is there, which `settled` says.

        One that may be held, as the reply to its claim was lost, is given back where Redis is `reachable`.
        """
        flight = self._flight
        try:
            await asyncio.wait({flight.landed})
            await settled
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
            served = self._served or self._broken
            if await self._board.end(
                self._key, self._token, served=served, failed=failed or self._broken, lease_ms=self._lease_ms
            ):
                return
            self.followed()

    async def _keep(self, *, at_once: bool) -> None:
        rest_s = 0.0 if at_once else self._lease_s / _BEATS
        while not self._broken:
            await asyncio.sleep(rest_s)
            rest_s = self._lease_s / _BEATS
            with suppress(TierUnavailableError):
                await self._renew()

    async def _renew(self) -> None:
        standing = None
        if self._held:
            standing = await self._board.renew(self._key, self._token, self._lease_ms)
        if standing is None:
            await self._claim_again()
        elif standing.followers:
            self.followed()

    async def _claim_again(self) -> None:
        """The lease was lost with its server's memory, or never known to be there."""
        self._held = False
        fence = await self._claim()
        if fence is None:
            return
        if self._relaying is not None:
            self._relaying.cancel()
            await asyncio.wait({self._relaying})
        self._held, self._flight.fence = True, fence
        self._relaying, self._number, self._served = None, 0, False

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
        told_bytes = 0
        try:
            while True:
                data = b"".join([event.raw for event in cursor.take(_FRAME_BYTES)])
                told_bytes += len(data)
                end: End = "" if not cursor.ended else "whole" if cursor.whole else "failed"
                if data or end or head is not None:
                    await self._send(RelayFrame(data, head, end))
                    head = None
                if end:
                    return
                told_s = time()
                await cursor.wait(cursor.index)
                early_s = told_s + BATCH_S - time()
                if early_s > 0 and not recording.closed and recording.size_bytes - told_bytes < BATCH_BYTES:
                    await asyncio.sleep(early_s)
        finally:
            cursor.close()

    async def _send(self, frame: RelayFrame) -> None:
        raw = write_frame(frame)
        for tries in range(_TRIES):
            try:
                standing = await self._board.append(self._key, self._token, self._number, raw, self._lease_ms)
            except TierUnavailableError:
                if tries == _TRIES - 1:
                    raise
                await asyncio.sleep(_REST_S)
                continue
            # Where the first try's reply was lost, its frame is there all the same.
            if standing is None or standing.frames != self._number + 1:
                raise TierUnavailableError("lease lost")
            self._number += 1
            return
