"""Purges for operators and embedders: what to purge, how much of it is here, and a trail of who did it."""

import logging
from collections import deque
from collections.abc import Callable

import msgspec
from msgspec import Struct

from tiered_cache.core.keys import key_text
from tiered_cache.core.scopes import Selector
from tiered_cache.core.vocabulary import Bypass, CacheKey, Keyed, Request
from tiered_cache.engine.coherence import Coherence
from tiered_cache.errors import RequestError
from tiered_cache.tiers.base import Clock

_log = logging.getLogger(__name__)

TRAIL = 1000
"""Purges of this node that are remembered; all of them are logged."""

_to_json = msgspec.json.Encoder().encode


class PurgeRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One purge, as it is logged; of a request the key alone.

    Attributes:
        at_s: unix time.
        by: who, as they call themselves.
        what: the selector.
        soft: its entries are stale, not gone.
        entries: in this node's memory that it reached; None where nobody counted.
        complete: every node and every restart of one obeys; else those that cannot be reached now obey
            before they use anything that they have now.
        dry_run: counted only.
    """

    at_s: float
    by: str = ""
    what: Selector
    soft: bool = False
    entries: int | None = None
    complete: bool = True
    dry_run: bool = False


class PurgeOrder(Struct, frozen=True, kw_only=True):
    """How to purge.

    Attributes:
        soft: leave it stale: revalidated or replaced at its next use, and used where the origin fails.
        dry_run: count alone.
        count: say how many entries in this node's memory are reached; takes time with their number.
        by: who asks, for the trail.
    """

    soft: bool = False
    dry_run: bool = False
    count: bool = False
    by: str = ""


class Purging:
    """Carries purges out.

    Args:
        coherence: knows and tells.
        name: finds the key of a request.
        clock: for the trail.

    Attributes:
        trail: the last purges of this node, oldest first.
    """

    def __init__(self, coherence: Coherence, name: Callable[[Request], Keyed | Bypass], clock: Clock) -> None:
        self.trail: deque[PurgeRecord] = deque(maxlen=TRAIL)
        self._coherence = coherence
        self._name = name
        self._clock = clock

    async def purge(self, what: Selector, order: PurgeOrder) -> PurgeRecord:
        """Purge what `what` names. Raises RequestError."""
        return await self._purge(what, self._coherence.scopes(what), order)

    async def purge_request(self, request: Request, order: PurgeOrder) -> PurgeRecord:
        """Purge the answer to a call: to a batch, to its elements too, and all its variants.

        Raises:
            RequestError: the call is never cached.
        """
        keyed = self._name(request)
        if isinstance(keyed, Bypass):
            raise RequestError(f"This call is never cached ({keyed.detail}), so there is nothing to purge.")
        keys: tuple[CacheKey, ...] = (keyed.key, *keyed.elements)
        return await self._purge(Selector(key=key_text(keyed.key)), self._coherence.key_scopes(keys), order)

    async def _purge(self, what: Selector, scopes: tuple[bytes, ...], order: PurgeOrder) -> PurgeRecord:
        entries = await self._coherence.count(scopes) if order.count or order.dry_run else None
        complete = order.dry_run or await self._coherence.purge(scopes, soft=order.soft)
        record = PurgeRecord(
            at_s=self._clock.wall(),
            by=order.by,
            what=what,
            soft=order.soft,
            entries=entries,
            complete=complete,
            dry_run=order.dry_run,
        )
        if not order.dry_run:
            self.trail.append(record)
            _log.info("purge %s", _to_json(record).decode())
        return record
