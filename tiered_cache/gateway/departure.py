"""Notices that the caller has gone, and ends the work that was for this caller alone."""

import asyncio
from types import TracebackType
from typing import Self

from tiered_cache.gateway.wire import Receive


class ClientGoneError(Exception):
    """The caller went away while its request was being read. Never leaves the gateway."""


class WhileConnected:
    """Cancels the work inside when the caller disconnects, and swallows that cancellation.

    Cancellation from elsewhere (shutdown) passes through.

    Args:
        receive: the ASGI channel.
        uploaded: set once the request's body has been received. Until then somebody else receives, and two
            readers would take each other's messages.

    Attributes:
        gone: the caller disconnected before the work was done.
    """

    def __init__(self, receive: Receive, uploaded: asyncio.Event) -> None:
        self._receive = receive
        self._uploaded = uploaded
        self._finished = False
        self.gone = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._work = task
        self._cancelling = task.cancelling()
        self._watcher = asyncio.get_running_loop().create_task(self._watch())
        return self

    def finish(self) -> None:
        """Call before the last piece is sent: the server then reports a disconnect that is none."""
        self._finished = True

    async def _watch(self) -> None:
        await self._uploaded.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._finished:
            self.gone = True
            self._work.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._finished = True
        self._watcher.cancel()
        if not self.gone:
            return False
        ours = self._work.uncancel() <= self._cancelling
        return ours and kind is not None and issubclass(kind, asyncio.CancelledError)
