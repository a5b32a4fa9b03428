"""A raw ASGI app that behaves as Requesty does for chat completions and models, to show and to test with."""

import itertools
import json
import time
from typing import Any

import msgspec

from tiered_cache.core.vocabulary import Headers
from tiered_cache.errors import ConfigError
from tiered_cache.simulation.answers import (
    expect,
    expected_cost_picousd,
    expected_text,
    is_answer_to,
    price_for,
)
from tiered_cache.simulation.behaviour import (
    SCRIPT_FIELD,
    Behaviour,
    Failure,
    Pace,
    Script,
    Settings,
    read_script,
)
from tiered_cache.simulation.exchange import JSON, Exchange, Receive, Scope, Send
from tiered_cache.simulation.meaning import is_sampled
from tiered_cache.simulation.prices import PRICES
from tiered_cache.simulation.wire import Bill, Completion, error_event

__all__ = ["Requesty", "Settings", "Stats", "expected_cost_picousd", "expected_text", "is_answer_to"]

_SSE = (b"content-type", b"text/event-stream")
_MAX_CHOICES = 16
_MAX_NAMES = 100


class Stats(msgspec.Struct):
    """What happened so far, as `GET /_simulation/stats` tells it.

    Attributes:
        calls: requests by method and path below `/v1`, failed ones included.
        answered: chat calls answered in full.
        failed: error responses and scripted cuts.
        abandoned: chat calls whose client left before the end.
        spent_picousd: billed, in 1e-12 USD: JSON answers in full, streams as far as they were written.
        in_flight, most_in_flight: chat calls being answered.
    """

    calls: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    answered: int = 0
    failed: int = 0
    abandoned: int = 0
    spent_picousd: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    @property
    def chat_calls(self) -> int:
        """Chat calls received."""
        return self.calls.get("POST chat/completions", 0)

    def count(self, name: str) -> None:
        """One more request; names beyond a bound are counted together."""
        name = name if name in self.calls or len(self.calls) < _MAX_NAMES else "other"
        self.calls[name] = self.calls.get(name, 0) + 1

    def book(self, bill: Bill) -> None:
        """Charge one call."""
        self.spent_picousd += bill.cost_picousd
        self.prompt_tokens += bill.prompt_tokens
        self.cached_tokens += bill.cached_tokens
        self.completion_tokens += bill.completion_tokens


class Requesty:
    """The app. Any bearer credential is an account; models are those of the price table."""

    def __init__(self, settings: Settings = Settings()) -> None:  # noqa: B008  # a frozen Struct
        self._settings = settings
        self._behaviour = Behaviour(settings)
        self._numbers = itertools.count(1)
        self.stats = Stats()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, next(self._numbers))
        method, path = scope["method"], scope["path"]
        if (method, path) == ("GET", "/_simulation/stats"):
            await exchange.reply(200, msgspec.json.encode(self.stats))
            return
        self.stats.count(f"{method} {path.removeprefix('/v1/')}")
        match method, path:
            case "GET", "/v1/models":
                rows = [row.listing() for row in PRICES.values()]
                await exchange.reply(200, msgspec.json.encode({"object": "list", "data": rows}))
            case "POST", "/v1/chat/completions":
                await self._chat(exchange)
            case _:
                await self._fail(exchange, Failure(404, "Not found", None, "router"))

    async def _chat(self, exchange: Exchange) -> None:
        self.stats.in_flight += 1
        self.stats.most_in_flight = max(self.stats.most_in_flight, self.stats.in_flight)
        try:
            order = await self._order(exchange)
            if isinstance(order, Failure):
                await self._fail(exchange, order)
            elif order.stream:
                await self._stream(exchange, order)
            else:
                await self._whole(exchange, order)
        finally:
            self.stats.in_flight -= 1

    async def _order(self, exchange: Exchange) -> "_Order | Failure":
        """Read a call and decide how it is answered; what no origin could answer is a 400."""
        try:
            body: dict[str, Any] = json.loads(await exchange.body())
            script = read_script(exchange.field(SCRIPT_FIELD))
            refused = _refused(exchange, body) or self._behaviour.failure(script)
            if refused is not None:
                return refused
            return _Order(
                self._completion(exchange, body, script),
                script,
                self._behaviour.pace(script),
                stream=bool(body.get("stream")),
                include_usage=_wants_usage(body.get("stream_options")),
            )
        except (ConfigError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return Failure(400, f"Bad request: {type(error).__name__}", None, "router")

    def _completion(self, exchange: Exchange, body: dict[str, Any], script: Script) -> Completion:
        choices = min(_MAX_CHOICES, int(body.get("n") or 1))
        sampled = is_sampled(body)
        answers = tuple(
            expect(body, exchange.number * _MAX_CHOICES + at if sampled else None) for at in range(choices)
        )
        if script.finish_reason is not None:
            answers = tuple(
                msgspec.structs.replace(answer, finish_reason=script.finish_reason) for answer in answers
            )
        first = answers[0]
        account = exchange.field(b"authorization")
        cached = self._behaviour.cached_tokens(account, first.model, first.prompt.encode())
        price = price_for(body)
        assert price is not None
        return Completion(f"chatcmpl-sim-{exchange.number}", int(time.time()), answers, cached, price)

    async def _fail(self, exchange: Exchange, failure: Failure) -> None:
        self.stats.failed += 1
        wait = () if failure.retry_after_s is None else ((b"retry-after", b"%d" % failure.retry_after_s),)
        await exchange.reply(failure.status, failure.body, wait)

    async def _whole(self, exchange: Exchange, order: "_Order") -> None:
        """Write a JSON body. It is paid for even when nobody waits for it any more."""
        made, script = order.made, order.script
        here = await exchange.pause(order.pace.whole_s(made.completion_tokens))
        self.stats.book(made.bill())
        if not here:
            self.stats.abandoned += 1
            return
        body = made.json()
        if script.cut is not None:
            self.stats.failed += 1
            await exchange.start(200, (JSON, (b"content-length", b"%d" % len(body)), *_extra(script)))
            await exchange.send_chunk(body[: len(body) // 2])
            return
        self.stats.answered += 1
        await exchange.reply(200, body, _extra(script))

    async def _stream(self, exchange: Exchange, order: "_Order") -> None:
        """Write event by event. Returning without the last chunk makes the server cut the connection."""
        made, script, pace = order.made, order.script, order.pace
        await exchange.start(200, (_SSE, (b"cache-control", b"no-cache"), *_extra(script)))
        here = await exchange.pause(pace.first_token_s)
        written = 0
        events = made.events(self._settings.chunk_tokens, include_usage=order.include_usage)
        for sent, (tokens, event) in enumerate(events):
            here = here and await exchange.pause(tokens * pace.per_token_s)
            if not here or sent in (script.cut, script.error_event):
                break
            await exchange.send_chunk(event)
            written += tokens
        else:
            self.stats.answered += 1
            self.stats.book(made.bill())
            await exchange.end()
            return
        self.stats.book(made.bill(written))
        self.stats.abandoned += not here
        self.stats.failed += here
        if here and script.error_event is not None:
            await exchange.send_chunk(error_event(Failure(502, "The provider broke off")))
            await exchange.end()


class _Order(msgspec.Struct, frozen=True):
    """One call about to be answered."""

    made: Completion
    script: Script
    pace: Pace
    stream: bool
    include_usage: bool


def _refused(exchange: Exchange, body: dict[str, Any]) -> Failure | None:
    if not isinstance(body["messages"], list):
        raise TypeError("messages is a list")
    if not exchange.field(b"authorization"):
        return Failure(401, "No API key was given", None, "router")
    if price_for(body) is None:
        return Failure(404, "No such model", None, "router")
    return None


def _wants_usage(options: dict[str, Any] | None) -> bool:
    return options is not None and bool(options.get("include_usage"))


def _extra(script: Script) -> Headers:
    if script.cache_control is None:
        return ()
    return ((b"cache-control", script.cache_control.encode("latin-1")),)
