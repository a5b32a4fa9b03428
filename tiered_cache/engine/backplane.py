"""Keeps this node true to the log of purges that all nodes of a Redis share."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Protocol, TypeAlias

from tiered_cache.core.epochs import NOWHERE, Epoch, Purge, PurgeLog
from tiered_cache.engine.listening import LONGEST_REST_S, SHORTEST_REST_S, FirstWord, end
from tiered_cache.engine.purge_keepers import Scopes
from tiered_cache.engine.purge_view import PurgeView, new_log
from tiered_cache.errors import TierUnavailableError

_MOST_PENDING = 1000

News: TypeAlias = tuple[Epoch, Purge]
"""A line, and the epoch that it follows."""


class Board(Protocol):
    """The shared log; all but `close` raise TierUnavailableError."""

    async def look(self, known: Epoch, /) -> Epoch:
        """How far it goes; another one is begun where it has lost what is `known` of it."""
        ...

    async def read(self) -> PurgeLog:
        """All of it."""
        ...

    async def reach(self) -> None:
        """Return once it answers on a new connection; older ones are dropped."""
        ...

    async def purge(self, scopes: Scopes, *, soft: bool, known: Epoch) -> News:
        """Write a line, in another log where that of `known` has lost some; the line and what it follows."""
        ...

    def news(self, silence_s: float, subscribed: Callable[[], None], /) -> AsyncGenerator[News]:
        """Each new line and the epoch it follows, until the connection fails."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Backplane:
    """Follows the shared log: news as they come, and a look at its epoch with each heartbeat.

    A line that does not follow what is known, another incarnation or a subscription that was lost has the
    whole log read anew. A log that did not come by what is known has lost lines, so another one is begun, in
    which no entry of the old one is good.

    Args:
        view: kept true to the log.
        board: the log.
        heartbeat_s: how often it is looked at; without contact for twice that the view is in doubt.
    """

    def __init__(self, view: PurgeView, board: Board, heartbeat_s: float) -> None:
        self._view = view
        self._board = board
        self._heartbeat_s = heartbeat_s
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._first = FirstWord()
        self._look = asyncio.Event()
        self._subscribed = False
        self._stale = True
        self._heard: list[News] | None = None
        self._failures = 0
        self._pending: list[tuple[Scopes, bool]] = []
        self._known = NOWHERE
        view.doubt()

    def start(self) -> None:
        """Begin to follow."""
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = (loop.create_task(self._watch()), loop.create_task(self._listen()))

    async def ready(self) -> None:
        """Return once the log has been looked at; only the first callers wait for that."""
        self.start()
        await self._first.wait()

    async def purge(self, scopes: Scopes, *, soft: bool) -> bool:
        """Write a line for all nodes.

        Where that fails this node drops all it knows, and the line is written when the log is back.
        """
        try:
            before, purge = await self._board.purge(scopes, soft=soft, known=self._known)
        except TierUnavailableError:
            self._put_off(scopes, soft=soft)
            return False
        obeyed = self._obeys_by_noting(before, purge)
        self._hear(before, purge)
        if not obeyed:
            # The log is another one than was known here, and nothing can be judged before it has been read.
            self._view.adopt(new_log())
        return True

    def _obeys_by_noting(self, before: Epoch, purge: Purge) -> bool:
        """Whether the log that a line was written to is the one known here, and it is news there or noted."""
        log = self._view.log
        return before.incarnation == log.epoch.incarnation and (
            purge.counter > log.epoch.counter or log.has(purge)
        )

    async def close(self) -> None:
        """Stop following."""
        await end(self._tasks)
        await self._board.close()

    def _put_off(self, scopes: Scopes, *, soft: bool) -> None:
        self._pending.append((scopes, soft))
        if len(self._pending) > _MOST_PENDING:
            # Better too much than too little: one hard line for all of them.
            every = tuple(dict.fromkeys(scope for each, _ in self._pending for scope in each))
            self._pending = [(every, False)]
        self._view.adopt(new_log())
        self._look.set()

    async def _watch(self) -> None:
        """Look at the log with each heartbeat, and whenever something seems to be missing."""
        while True:
            self._look.clear()
            try:
                await self._settle_pending()
                await self._compare()
                self._failures = 0
            except TierUnavailableError:
                self._failures += 1
                if self._failures > 1:
                    self._view.doubt()
            self._first.note()
            # Half of it while it fails, so that a heartbeat after it is back includes the look itself.
            rest_s = self._heartbeat_s / 2 if self._failures else self._heartbeat_s
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), rest_s)
            if self._failures:
                await self._reached()

    async def _reached(self) -> None:
        """Return once the log can be reached again.

        It is tried anew, on a new connection, twice a heartbeat, and nobody waits for those before: what was
        sent into a partition may have been lost, and its connection be silent for long after that has ended.
        """
        reached, trials = asyncio.Event(), set[asyncio.Task[None]]()
        try:
            while not reached.is_set():
                trials = {trial for trial in trials if not trial.done()}
                trials.add(asyncio.get_running_loop().create_task(self._reach(reached)))
                try:
                    await asyncio.wait_for(reached.wait(), self._heartbeat_s / 2)
                except TimeoutError:
                    self._view.doubt()
        finally:
            for trial in trials:
                trial.cancel()
            await asyncio.gather(*trials, return_exceptions=True)

    async def _reach(self, reached: asyncio.Event) -> None:
        with suppress(TierUnavailableError):
            await self._board.reach()
            reached.set()

    async def _settle_pending(self) -> None:
        while self._pending:
            scopes, soft = self._pending[0]
            await self._board.purge(scopes, soft=soft, known=self._known)
            del self._pending[0]

    async def _compare(self) -> None:
        seen = await self._board.look(self._known)
        if self._stale or seen != self._view.log.epoch:
            await self._read(seen)
        if self._subscribed and not self._stale:
            self._view.trust()

    async def _read(self, seen: Epoch) -> None:
        """Take the whole log, and what was heard while it was on its way."""
        self._stale, self._heard = False, []
        known = self._known
        try:
            log = await self._board.read()
        except TierUnavailableError:
            self._stale = True
            raise
        finally:
            heard, self._heard = self._heard, None
        if not log.holds(seen) or (known.incarnation == seen.incarnation and not log.holds(known)):
            # It was lost or left since that look; the next one will tell.
            self._stale = True
            return
        self._known = log.epoch
        for before, purge in heard:
            if before.incarnation == log.epoch.incarnation:
                self._check(log, before, purge)
                log.note(purge)
        if self._pending:
            # It lacks a line of this node that could not be written meanwhile.
            self._stale = True
            return
        self._view.adopt(log)

    async def _listen(self) -> None:
        """Follow the news, over one connection after the other."""
        rest_s = SHORTEST_REST_S
        while True:
            try:
                async with aclosing(self._board.news(self._heartbeat_s, self._subscribe)) as news:
                    async for before, purge in news:
                        rest_s = SHORTEST_REST_S
                        self._hear(before, purge)
            except TierUnavailableError:
                pass
            self._subscribed, self._stale = False, True
            await asyncio.sleep(rest_s)
            rest_s = min(LONGEST_REST_S, rest_s * 2)

    def _subscribe(self) -> None:
        """From here on nothing is missed, so the log is read once more."""
        self._subscribed = True
        self._reread()

    def _hear(self, before: Epoch, purge: Purge) -> None:
        if self._heard is not None:
            self._heard.append((before, purge))
        if before.incarnation != self._view.log.epoch.incarnation:
            self._reread()
            return
        self._check(self._view.log, before, purge)
        self._view.note(purge)

    def _check(self, log: PurgeLog, before: Epoch, purge: Purge) -> None:
        """Know of a line, or have the log read: something was missed, or lost if its number was another's."""
        if before == self._known:
            self._known = before.then(purge)
        elif not log.has(purge):
            self._reread()

    def _reread(self) -> None:
        self._stale = True
        self._look.set()
