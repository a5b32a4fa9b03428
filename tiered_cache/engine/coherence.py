"""What this node knows of purges: it stamps fills, judges entries, and purges."""

import asyncio
from collections.abc import Iterable

from tiered_cache.core.epochs import PurgeLog, Standing, stamp_of, with_scopes
from tiered_cache.core.keys import Keyer
from tiered_cache.core.scopes import Selector, key_scope, scopes_of, selected
from tiered_cache.core.tags import origin_tags
from tiered_cache.core.vocabulary import CacheKey, Headers, Keyed, Scope
from tiered_cache.engine.purge_keepers import Keeper, next_line
from tiered_cache.engine.purge_view import PurgeView
from tiered_cache.tiers.memory import MemoryTier


class Coherence:
    """Keeps L1 and the tiers below true to the log of purges.

    Args:
        keyer: names scopes.
        memory: counted for dry runs.
        view: what is known of the log.
        keeper: where its lines are kept.
    """

    def __init__(self, keyer: Keyer, memory: MemoryTier, view: PurgeView, keeper: Keeper) -> None:
        self._digest = keyer.scope_digest
        self._memory = memory
        self._view = view
        self._keeper = keeper
        self.start = keeper.start
        self.ready = keeper.ready
        self.close = keeper.close
        self.standing = view.standing

    def stamp(self, scope: Scope, keyed: Keyed, tags: Iterable[str]) -> bytes:
        """What an origin call that begins now will stamp its answer with, but for what only that tells."""
        scopes = scopes_of(self._digest, scope.tenant, (keyed.call.model,), tags)
        if not keyed.elements:
            scopes += self.key_scopes((keyed.key,) if keyed.asked is None else (keyed.key, keyed.asked))
        return stamp_of(self._view.log.epoch, scopes)

    def stamped(self, stamp: bytes, scope: Scope, model: str, headers: Headers) -> bytes:
        """`stamp` with what the answer tells: the model it names, the origin's tags."""
        tags = origin_tags(headers)
        if not (model or tags):
            return stamp
        _, _, *further = scopes_of(self._digest, scope.tenant, (model,) if model else (), tags)
        return with_scopes(stamp, further)

    def scopes(self, selector: Selector) -> tuple[bytes, ...]:
        """What `selector` names. Raises RequestError."""
        return (selected(self._digest, selector),)

    def key_scopes(self, keys: Iterable[CacheKey]) -> tuple[bytes, ...]:
        """The entries of these keys."""
        return tuple(map(key_scope, keys))

    async def purge(self, scopes: tuple[bytes, ...], *, soft: bool) -> bool:
        """Purge what these scopes reach; whether no node and no restart of one will use it."""
        return await self._keeper.purge(scopes, soft=soft)

    async def count(self, scopes: tuple[bytes, ...]) -> int:
        """Entries in memory that a purge would reach; in slices, so that nobody has to wait for many."""
        trial = PurgeLog(self._view.log.epoch)
        trial.note(next_line(trial, scopes, soft=True))
        found = 0
        for stamps in self._memory.stamps():
            found += sum(trial.standing(stamp) is Standing.SOFT for stamp in stamps)
            await asyncio.sleep(0)
        return found
