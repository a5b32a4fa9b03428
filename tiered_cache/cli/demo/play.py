"""Plays the scenes on a standing stage and reports what they came to."""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from tiered_cache.cli.demo.books import Books, checks, read_books
from tiered_cache.cli.demo.callers import Callers, Seen
from tiered_cache.cli.demo.options import Options
from tiered_cache.cli.demo.report import Crowds, Facts, Joined, Money, Report, Stampede, report
from tiered_cache.cli.demo.scenes import JOIN_EVERY_S, Line, Traffic, every, joiners, one_question, stampede
from tiered_cache.cli.demo.screen import Asked, Screen
from tiered_cache.cli.demo.stage import Stage
from tiered_cache.cli.demo.tally import SAVED, Tally
from tiered_cache.simulation.answers import expected_cost_picousd
from tiered_cache.simulation.popularity import REPEAT_SHARE
from tiered_cache.simulation.requesty import Stats
from tiered_cache.simulation.traces import read_trace
from tiered_cache.simulation.workload import Mix, PlannedCall, planned_calls, trace_calls

_LOOK_EVERY_S = 1.0
_SETTLE_WITHIN_S = 2.0
_MIX = Mix()


class Play:
    """One demonstration. Raises ConfigError for a trace that cannot be read."""

    def __init__(self, stage: Stage, options: Options, screen: Screen) -> None:
        self._stage = stage
        self._options = options
        self._screen = screen
        self._all = Tally()
        self._traffic = Tally()
        self._books = Books()

    async def run(self) -> Report:
        """Play every scene."""
        callers = Callers(self._stage.nodes)
        try:
            with self._screen.waiting("opening connections"):
                await callers.warm_up()
            await self._one_question(callers)
            crowds = Crowds(await self._stampede(callers), await self._join(callers))
            before = await self._money(callers)
            seconds = await self._send_traffic(callers)
            after, origin = await self._settled(callers)
        finally:
            await callers.aclose()
        facts = Facts(self._workload, self._options.seed, seconds, self._stage.valkey is not None)
        found = checks(self._all, after.books, origin)
        return report(facts, self._traffic, before, after, crowds, found)

    async def _one_question(self, callers: Callers) -> None:
        self._screen.scene("One question, asked five times")
        for line in one_question():
            with self._screen.waiting(f"node {line.node}  {line.words}"):
                seen = await callers.ask(line.node, line.call)
            self._all.add(seen)
            self._screen.asked(_told(line, seen))

    async def _stampede(self, callers: Callers) -> Stampede:
        self._screen.scene("Fifty callers ask one new question at the same moment")
        before = (await self._origin()).chat_calls
        with self._screen.waiting("fifty callers are waiting"):
            crowd = await stampede(callers)
        for seen in crowd:
            self._all.add(seen)
        asked = (await self._origin()).chat_calls - before
        found = Stampede(len(crowd), asked, round(max(seen.took_s for seen in crowd) * 1000, 1))
        self._screen.crowd(found)
        return found

    async def _join(self, callers: Callers) -> Joined:
        """At both nodes, where they share a tier: then they are one for the origin."""
        names = tuple(node.name for node in self._stage.nodes)
        nodes = names if self._stage.valkey is not None else names[:1]
        where = ", at both nodes," if len(nodes) > 1 else ""
        self._screen.scene(f"Five clients{where} join one generation while it is being written")
        before = (await self._origin()).chat_calls
        with self._screen.waiting("five clients are reading"):
            joined = await joiners(callers, nodes)
        for place, seen in enumerate(joined):
            self._all.add(seen)
            self._screen.joined(place * JOIN_EVERY_S, seen)
        asked = (await self._origin()).chat_calls - before
        found = Joined(len(joined), len(nodes), asked, len({seen.text for seen in joined}))
        self._screen.read_alike(found)
        return found

    async def _send_traffic(self, callers: Callers) -> float:
        requests = self._options.requests
        seconds = None if requests is not None else self._options.seconds
        self._screen.scene("Traffic in the spellings of five SDKs, to both nodes in turn")
        traffic = Traffic(self._calls(), seconds, requests, self._saw)
        names = tuple(node.name for node in self._stage.nodes)
        began_s = time.perf_counter()
        with self._screen.traffic(self._traffic, seconds, requests) as display:

            async def look() -> None:
                self._books = read_books([await callers.metrics(name) for name in names])
                display.show(self._books)

            async with every(_LOOK_EVERY_S, look):
                await traffic.run(callers, names)
        return time.perf_counter() - began_s

    def _saw(self, seen: Seen) -> None:
        self._all.add(seen)
        self._traffic.add(seen)

    @property
    def _workload(self) -> str:
        if self._options.trace is not None:
            return f"the trace {self._options.trace.name}, calls at its own times"
        return (
            f"{_MIX.rate_per_s:.0f} calls a second; {REPEAT_SHARE:.0%} were asked before, as in the trace "
            "mix_azureconv_x_web07"
        )

    def _calls(self) -> Iterator[PlannedCall]:
        options = self._options
        if options.trace is None:
            return planned_calls(_MIX, options.seed)
        rows = read_trace(options.trace)
        return trace_calls(islice(rows, options.requests), _MIX, options.seed)

    async def _origin(self) -> Stats:
        return await asyncio.to_thread(self._stage.requesty.stats)

    async def _money(self, callers: Callers) -> Money:
        pages = [await callers.metrics(node.name) for node in self._stage.nodes]
        origin = await self._origin()
        return Money(origin.chat_calls, origin.spent_picousd, read_books(pages))

    async def _settled(self, callers: Callers) -> tuple[Money, Stats]:
        """The last figures: a node books a stream a moment after its caller has read the end."""
        deadline_s = time.perf_counter() + _SETTLE_WITHIN_S
        while True:
            money, origin = await self._money(callers), await self._origin()
            agreed = all(check.agrees for check in checks(self._all, money.books, origin))
            if agreed or time.perf_counter() > deadline_s:
                return money, origin
            await asyncio.sleep(0.05)


def _told(line: Line, seen: Seen) -> Asked:
    words = [word.strip() for word in seen.status.split(";")]
    brief = [word for word in words[1:] if not word.startswith(("ttl=", "fwd-status="))]
    cost_picousd = expected_cost_picousd(line.call.body)
    return Asked(line.node, line.words, "; ".join(brief), seen.took_s, cost_picousd, seen.how in SAVED)


def play(stage: Stage, options: Options, screen: Screen) -> Any:
    """The coroutine that plays everything."""
    return Play(stage, options, screen).run()
