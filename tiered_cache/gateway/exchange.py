"""Ends the calls that are no L1 hits: awaits the answer while the caller is there, delivers, counts."""

import itertools
import secrets
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from tiered_cache.core.vocabulary import Headers, Response
from tiered_cache.errors import RequestError, TieredCacheError
from tiered_cache.gateway.delivery import Delivery, failure
from tiered_cache.gateway.departure import ClientGoneError, WhileConnected
from tiered_cache.gateway.intake import Inlet
from tiered_cache.gateway.wire import HttpDate, Send
from tiered_cache.integrations.metrics import Latencies, outcome_word


class Exchanges:
    """The way of a call from its answer's beginning to its end.

    Attributes:
        latencies: counted by how the call was answered; `gone` for callers that left, `cut` for answers that
            broke off, `refused` for calls that were not let in.
    """

    def __init__(self, date: HttpDate) -> None:
        self.latencies = Latencies()
        self._delivery = Delivery(date)
        self._id_prefix = f"tcg-{secrets.token_hex(6)}-".encode()
        self._numbers = itertools.count(1)

    async def conclude(
        self,
        answer: Coroutine[Any, Any, Response],
        headers: Headers,
        inlet: Inlet,
        send: Send,
        began_s: float,
    ) -> None:
        """Deliver what `answer` gives, or its failure; a caller that leaves cancels it."""
        word = "gone"
        async with WhileConnected(inlet.receive, inlet.ended) as caller:
            try:
                response = await answer
            except ClientGoneError:
                pass
            except TieredCacheError as error:
                word = await self._fail(error, headers, inlet, send, caller)
            else:
                whole = await self._delivery.either(response, send, caller)
                word = outcome_word(response.outcome) if whole else "cut"
        self.latencies.of(word).observe(time.perf_counter() - began_s)

    async def _fail(
        self, error: TieredCacheError, headers: Headers, inlet: Inlet, send: Send, caller: WhileConnected
    ) -> str:
        response = failure(error, self._request_id())
        caller.finish()
        await self._delivery.own(response, headers, inlet, send)
        return "refused" if isinstance(error, RequestError) else "error"

    async def refuse(
        self, error: RequestError, headers: Headers, inlet: Inlet, send: Send, began_s: float
    ) -> None:
        """Answer a call that is not let in."""
        with suppress(ClientGoneError):
            await self._delivery.own(failure(error, self._request_id()), headers, inlet, send)
        self.latencies.of("refused").observe(time.perf_counter() - began_s)

    async def give(self, response: Response, headers: Headers, inlet: Inlet, send: Send) -> None:
        """Send an answer of our own, whatever body the request may have."""
        with suppress(ClientGoneError):
            await self._delivery.own(response, headers, inlet, send)

    def _request_id(self) -> bytes:
        """An id for an answer of our own."""
        return self._id_prefix + b"%x" % next(self._numbers)
