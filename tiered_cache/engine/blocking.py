"""A thin blocking facade: the one engine on a loop thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from tiered_cache.core.explain import Comparison, Explanation
from tiered_cache.core.scopes import Selector
from tiered_cache.core.vocabulary import Headers, Origin, Request, Response, Scope
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig
from tiered_cache.engine.ledger import Ledger
from tiered_cache.engine.purging import PurgeOrder, PurgeRecord

T = TypeVar("T")


class BlockingCache:
    """The cache for synchronous programs; safe to share between threads.

    Open it with `with BlockingCache.open(config) as cache`.

    Attributes:
        cache: the engine, to be used on `loop` only.
        loop: the event loop that its thread runs.
    """

    def __init__(self, cache: Cache, loop: asyncio.AbstractEventLoop) -> None:
        self.cache = cache
        self.loop = loop

    @classmethod
    @contextmanager
    def open(cls, config: CacheConfig | None = None) -> Generator["BlockingCache"]:
        """A cache on a loop thread for the length of a `with` block.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="tiered-cache", daemon=True)
        thread.start()
        try:
            opening = Cache.open(config)
            cache = asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result()
            try:
                yield cls(cache, loop)
            finally:
                asyncio.run_coroutine_threadsafe(opening.__aexit__(None, None, None), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work` on the loop thread; an interrupt of the caller cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def scope(self, tenant: str, credential: bytes = b"") -> Scope:
        """As `Cache.scope`."""
        return self._call(lambda: self.cache.scope(tenant, credential))

    def request(
        self,
        endpoint: str,
        body: bytes,
        *,
        headers: Headers = (),
        query: bytes = b"",
        scope: Scope | None = None,
    ) -> Request:
        """As `Cache.request`."""
        return self._call(
            lambda: self.cache.request(endpoint, body, headers=headers, query=query, scope=scope)
        )

    @overload
    def explain(self, request: Request) -> Explanation: ...

    @overload
    def explain(self, request: Request, other: Request) -> Comparison: ...

    def explain(self, request: Request, other: Request | None = None) -> Explanation | Comparison:
        """As `Cache.explain`."""
        if other is None:
            return self._call(lambda: self.cache.explain(request))
        return self._call(lambda: self.cache.explain(request, other))

    def purge(self, what: Selector | Request, order: PurgeOrder | None = None) -> PurgeRecord:
        """As `Cache.purge`."""
        return self.run(self.cache.purge(what) if order is None else self.cache.purge(what, order))

    def _call(self, work: Callable[[], T]) -> T:
        async def on_loop() -> T:
            return work()

        return self.run(on_loop())

    def serve(self, request: Request, origin: Origin) -> Response:
        """As `Cache.serve`; a body that is an iterator is read with `chunks`."""
        return self.run(self.cache.serve(request, origin))

    def chunks(self, response: Response) -> Iterator[bytes]:
        """The body piece by piece, each waited for; closing the generator closes the body."""
        body = response.body
        if isinstance(body, bytes):
            yield body
            return
        try:
            while (piece := self.run(_next_or_none(body))) is not None:
                yield piece
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                self.run(close())

    @property
    def ledger(self) -> Ledger:
        """As `Cache.ledger`."""
        return self.cache.ledger


async def _next_or_none(body: Any) -> bytes | None:
    return await anext(body, None)
