"""Claims flights on behalf of this process, within a deadline and behind a breaker."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

from msgspec import Struct

from tiered_cache.core.claims import Claim, Claimed
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.engine.background import Background
from tiered_cache.engine.flight import Flight, FlightName
from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.base import Clock
from tiered_cache.tiers.breaker import Breaker
from tiered_cache.tiers.deadlines import Deadlines

Late: TypeAlias = Callable[[Claimed], None]


class ClaimBoard(Protocol):
    """Where processes claim flights."""

    def token(self) -> bytes:
        """A name for a flight that nothing had before."""
        ...

    async def claim(self, claim: Claim, /) -> Claimed:
        """Lead, or follow who does. Raises TierUnavailableError."""
        ...


class Boarding(Struct, frozen=True, kw_only=True):
    """What a call needs of a flight elsewhere.

    Attributes:
        names: of flights that would do, its own first.
        own_leader: only a leader with this caller's credential will do.
        began_after_s: only a flight that began later will do (monotonic).
        looked_s: when L2 was looked into; None where what is there would not do.
        hears: it may follow a flight elsewhere.
        private: equal calls do not share it, only retries of its own credential join.
        retry: it is such a retry.
    """

    names: tuple[FlightName, ...]
    own_leader: bool = False
    hears: bool = True
    private: bool = False
    retry: bool = False
    began_after_s: float | None = None
    looked_s: float | None = None


def _always(_key: CacheKey) -> bool:
    return True


class FleetOptions(Struct, frozen=True, kw_only=True):
    """How processes work together.

    Attributes:
        lease_s: how long a leader without a sign of life is taken to be alive.
        claim_s: what a claim may cost a caller.
        sound: whether Redis answers where a key is, as far as lookups know.
    """

    lease_s: float = 3.0
    claim_s: float = 0.025
    sound: Callable[[CacheKey], bool] = _always


class Claiming:
    """Asks the board.

    Args:
        board: where flights are claimed.
        clock: ages of calls.
        options: see there.
        background: holds claims whose callers have gone.

    Attributes:
        lease_s: how long a lease lasts without a sign of life.
        now: the present on the monotonic clock.
    """

    def __init__(
        self, board: ClaimBoard, clock: Clock, options: FleetOptions, background: Background
    ) -> None:
        self._board = board
        self._background = background
        self._asking: dict[CacheKey, set[asyncio.Task[Claimed]]] = {}
        self._options = options
        self._breaker = Breaker()
        self._deadlines = Deadlines()
        self.lease_s = options.lease_s
        self.now = clock.monotonic

    def of(self, flight: Flight, boarding: Boarding, *, follow: bool) -> Claim:
        """The claim of a flight that is to begin; `follow` where this process can."""
        now = self.now()
        own = boarding.own_leader or boarding.private
        credential = flight.credential.hex() if own else ""
        further = f"{credential}:{flight.keyed.call.vectors}:{'own' if boarding.private else ''}"
        names = dict.fromkeys((flight.name, *boarding.names))
        return Claim(
            key=flight.keyed.key,
            modes=tuple(_mode(name, further) for name in names),
            token=self._board.token(),
            stamp=flight.stamp,
            credential=flight.credential,
            generation=flight.course.generation,
            root=flight.course.root,
            began_within_us=_ago_us(boarding.began_after_s, now),
            looked_us=_ago_us(boarding.looked_s, now),
            follow=follow and boarding.hears and (boarding.retry or not boarding.private),
            lease_ms=round(self._options.lease_s * 1000),
        )

    def sound(self, key: CacheKey) -> bool:
        """Whether a claim of this key would be made now."""
        return self._breaker.closed and self._options.sound(key)

    async def claim(self, claim: Claim, late: Late | None = None) -> Claimed | None:
        """The reply; None where Redis did not give one in time.

        Args:
            claim: what is claimed.
            late: called with a reply that nobody has waited for.
        """
        now = self.now()
        permit = self._breaker.admit(now) if self._options.sound(claim.key) else None
        if permit is None:
            return None
        asking = self._ask(claim)
        try:
            # In a busy process it takes a while until it is sent: only then time counts.
            await asyncio.sleep(0)
            with self._deadlines.within(self._options.claim_s):
                claimed = await asyncio.shield(asking)
        except (TierUnavailableError, TimeoutError) as error:
            if _is_answered(asking):  # in the last moment
                self._breaker.succeeded(permit)
                return asking.result()
            since_s = now if isinstance(error, TimeoutError) else None
            self._breaker.failed(permit, self.now(), since_s)
            _hear_late(asking, late)
            return None
        except BaseException:
            self._breaker.abandoned(permit)
            _hear_late(asking, late)
            raise
        self._breaker.succeeded(permit)
        return claimed

    def _ask(self, claim: Claim) -> asyncio.Task[Claimed]:
        asking = self._background.start(self._board.claim(claim))
        if not claim.follow:
            return asking
        others = self._asking.setdefault(claim.key, set())
        others.add(asking)

        def answered(_: asyncio.Task[Claimed]) -> None:
            others.discard(asking)
            if not others and self._asking.get(claim.key) is others:
                del self._asking[claim.key]

        asking.add_done_callback(answered)
        return asking

    async def settled(self, key: CacheKey) -> None:
        """Return once no claim of this key may yet make this process a follower, and all have read so."""
        while asking := self._asking.get(key):
            await asyncio.wait(asking)
            await asyncio.sleep(0)


def _is_answered(asking: asyncio.Task[Claimed]) -> bool:
    return asking.done() and not asking.cancelled() and asking.exception() is None


def _hear_late(asking: asyncio.Task[Claimed], late: Late | None) -> None:
    """Give a reply that comes too late to who cares; that there is none is known."""

    def answered(_: asyncio.Task[Claimed]) -> None:
        if late is not None and _is_answered(asking):
            late(asking.result())

    asking.add_done_callback(answered)


def _mode(name: FlightName, further: str) -> bytes:
    """The name of a flight among those of its key, stream or not first."""
    tier = "" if name.service_tier is None else name.service_tier
    return f"{'s' if name.stream else 'j'}:{further}:{tier}".encode()


def _ago_us(instant_s: float | None, now_s: float) -> int | None:
    return None if instant_s is None else max(0, round((now_s - instant_s) * 1e6))
