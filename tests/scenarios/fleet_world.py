"""Several caches of one fleet in one event loop: a board and an L2 that they share, both in memory."""

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from tests.scenarios.world import World
from tiered_cache import Cache, CacheConfig
from tiered_cache.core.claims import (
    Beat,
    Busy,
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
from tiered_cache.core.epochs import Epoch, PurgeLog
from tiered_cache.core.sealed import Found
from tiered_cache.engine.build import build
from tiered_cache.engine.claiming import FleetOptions
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.guard import GuardedTier

WAY_S = 0.05
"""Entries written so long before a lookup count as written since, as on the real board."""


class _Flight:
    def __init__(self, claim, fence, began_s):
        self.claim = claim
        self.fence = fence
        self.began_s = began_s
        self.ends_s = began_s + claim.lease_ms / 1000
        self.followers = []
        self.frames = []
        self.ended = False
        self.failed = False


class Shared:
    """What a Redis would hold."""

    def __init__(self):
        self.flights = {}
        self.current = {}
        self.written = {}
        self.fenced = {}
        self.boards = {}
        self.fence = 0
        self.entries = {}
        self.born_s = {}
        self.commands = []

    def now(self):
        return asyncio.get_running_loop().time()

    def next_fence(self):
        self.fence = max(self.fence + 1, round(self.now() * 1e6))
        return self.fence

    def flush(self):
        self.flights.clear()
        self.current.clear()
        self.fenced.clear()
        self.entries.clear()


class MemoryBoard:
    """One process' board. `sick`: every command fails. `deaf`: what is told to it is lost."""

    numbers = itertools.count(1)

    def __init__(self, shared):
        self.shared = shared
        self.process = b"%08d" % next(self.numbers)
        self.sick = self.deaf = False
        self.queue = asyncio.Queue()
        self.tokens = itertools.count(1)
        shared.boards[self.process] = self

    def token(self):
        return self.process + b"%08d" % next(self.tokens)

    async def _command(self, word):
        self.shared.commands.append((self.process, word))
        await asyncio.sleep(0)
        if self.sick:
            raise TierUnavailableError("sick")

    async def claim(self, claim):
        await self._command("claim")
        shared, now = self.shared, self.shared.now()
        own = shared.flights.get(claim.token)
        if (
            own is not None
            and not own.ended
            and shared.current.get((claim.key, claim.modes[0])) == claim.token
        ):
            own.ends_s = now + claim.lease_ms / 1000
            return Led(own.fence)
        written_s = shared.written.get(claim.key)
        if None not in {written_s, claim.looked_us} and now - written_s <= claim.looked_us / 1e6 + WAY_S:
            return Stored()
        for mode in claim.modes:
            flight = shared.flights.get(shared.current.get((claim.key, mode)))
            if flight is None or flight.ended or flight.ends_s < now or flight.claim.token == claim.root:
                continue
            if claim.began_within_us is not None and now - flight.began_s > claim.began_within_us / 1e6:
                continue
            return self._follow(claim, mode, flight) if claim.follow else Busy()
        before = shared.flights.get(shared.current.get((claim.key, claim.modes[0])))
        if claim.generation and before is not None and before.claim.root == claim.root and before.failed:
            return Over()
        if before is not None and not before.ended and before.ends_s < now:
            del shared.flights[before.claim.token]  # it is dead
        flight = shared.flights[claim.token] = _Flight(claim, shared.next_fence(), now)
        shared.current[claim.key, claim.modes[0]] = claim.token
        return Led(flight.fence)

    def _follow(self, claim, mode, flight):
        if self.process not in flight.followers:
            flight.followers.append(self.process)
            self._tell(flight.claim.token[:8], FollowedBy(flight.claim.token))
        now = self.shared.now()
        return Followed(
            token=flight.claim.token,
            mode=mode,
            age_us=round((now - flight.began_s) * 1e6),
            left_ms=round((flight.ends_s - now) * 1000),
            generation=flight.claim.generation,
            root=flight.claim.root,
            stamp=flight.claim.stamp,
            credential=flight.claim.credential,
            frames=tuple(flight.frames),
        )

    def _tell(self, process, news):
        board = self.shared.boards[process]
        if not board.deaf:
            board.queue.put_nowait(news)

    async def renew(self, key, token, lease_ms):
        await self._command("renew")
        flight = self.shared.flights.get(token)
        if flight is None or flight.ended:
            return None
        flight.ends_s = self.shared.now() + lease_ms / 1000
        for process in flight.followers:
            self._tell(process, Beat(token, len(flight.frames)))
        return Standing(len(flight.followers), len(flight.frames))

    async def append(self, key, token, number, frame, lease_ms):
        await self._command("append")
        flight = self.shared.flights.get(token)
        if flight is None or flight.ended:
            return None
        if number == len(flight.frames):
            flight.frames.append(frame)
            for process in flight.followers:
                self._tell(process, Frame(token, number, frame))
        return Standing(len(flight.followers), len(flight.frames))

    async def end(self, key, token, *, served, failed, lease_ms):
        await self._command("end")
        flight = self.shared.flights.get(token)
        if flight is None:
            return True
        if flight.followers and not served:
            return False
        flight.ended, flight.failed = True, failed
        return True

    async def leave(self, key, token):
        await self._command("leave")
        flight = self.shared.flights.get(token)
        if flight is not None and self.process in flight.followers:
            flight.followers.remove(self.process)
            if not flight.followers:
                self._tell(token[:8], Left(token))

    async def read(self, key, token, number):
        await self._command("read")
        flight = self.shared.flights.get(token)
        if flight is None:
            return None
        left_ms = round((flight.ends_s - self.shared.now()) * 1000)
        return Log(tuple(flight.frames[number:]), left_ms, flight.ended)

    async def news(self, _silence_s, subscribed):
        if self.sick:
            raise TierUnavailableError("sick")
        subscribed()
        while True:
            news = await self.queue.get()
            if news is None:
                raise TierUnavailableError("cut")
            if isinstance(news, Exception):
                raise news
            yield news

    async def close(self):
        pass


class SharedTier:
    """L2 in memory; a put with a fence notes when it was made."""

    name = "L2"

    def __init__(self, shared):
        self.shared = shared

    async def get(self, key):
        await asyncio.sleep(0)
        sealed = self.shared.entries.get(key)
        return None if sealed is None else Found(sealed, self.shared.now() - self.shared.born_s[key])

    async def put(self, key, sealed, age_s=0.0):
        await asyncio.sleep(0)
        shared = self.shared
        if sealed.fence:
            fence = sealed.fence
            if fence < 0:
                fence += round((shared.now() - age_s) * 1e6)
            if shared.fenced.get(key, 0) > fence:
                return
            shared.fenced[key] = fence
            shared.written[key] = shared.now()
        shared.entries[key], shared.born_s[key] = sealed, shared.now() - age_s

    async def remove(self, key):
        self.shared.entries.pop(key, None)

    async def clear(self):
        self.shared.entries.clear()

    async def close(self):
        pass


class Node(World):
    """One process of the fleet."""

    def __init__(self, cache, clock, board):
        super().__init__(cache, clock)
        self.board = board


@asynccontextmanager
async def fleet(number=2, lease_s=0.3, shared=None, **config):
    """So many nodes, that hear each other."""
    shared = Shared() if shared is None else shared
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(number):
            clock = SYSTEM_CLOCK
            board = MemoryBoard(shared)
            parts = build(CacheConfig(secret="a secret for these tests", **config), clock)
            tier = GuardedTier(SharedTier(shared), clock=clock)
            options = FleetOptions(lease_s=lease_s, claim_s=0.2)
            parts.coherence._view.adopt(PurgeLog(Epoch(b"one log.", 0)))
            parts = replace(parts, lower=(tier,), flight_board=board, fleet_options=options)
            cache = Cache(parts)
            stack.push_async_callback(cache.close)
            cache._flying.start()
            nodes.append(Node(cache, clock, board))
        yield nodes
