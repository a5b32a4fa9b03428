"""Three whole caches, one Valkey, a broken network as a model: one call for all, nobody is left waiting."""

import asyncio
import contextlib
import json
import re

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from redis.asyncio import Redis

from tests.scenarios.world import EVENTS, JSON, KEY, OTHER_KEY, Seen, answer, body, events
from tiered_cache import Cache, CacheConfig, OriginError, RedisConfig, Response
from tiered_cache.core.claims import Claim, Led
from tiered_cache.core.vocabulary import CacheKey
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.testing import TcpProxy

LOG = b"tc:{purges}:log"
NODES = range(3)
LEASE_S = 0.15
ENDS_WITHIN_S = 10.0
"""A lease and some milliseconds would do; a loaded machine is no defect, and the benchmark has the figure."""

LATELY_S = 0.3
"""Calls that began within it may be ordered either way."""

COST_PICOUSD = 1_250_000_000
NO_CACHE = (b"cache-control", b"no-cache")
ERROR = b'data: {"error"'
NOWHERE = CacheKey(b"nowhere".ljust(32, b"."))
KEYS = {"k": KEY, "o": OTHER_KEY}
NAMES = {key[1]: name for name, key in KEYS.items()}

SICKNESSES = ("hangs", "refuses", "is slow")
STUMBLES = ("is reset", "loses replies", "misses news")
ENDS = ("is closed", "is killed")

nodes = st.sampled_from(NODES)
texts = st.sampled_from(["ash", "ash", "birch"])
keys = st.sampled_from(["k", "k", "k", "o"])


class Source:
    """One call to the origin, which says its own number, so that parts of two would show."""

    def __init__(self, name, number, machine, *, stream):
        self.name = name
        self.number = number
        self.stream = stream
        self.epoch = machine.epoch
        self.began_s = asyncio.get_running_loop().time()
        self.words = [f"{name}.{number}{letter}" for letter in "abc"]
        self.pieces = events(" ".join(self.words))
        self.head = asyncio.get_running_loop().create_future()
        self.queue = asyncio.Queue()
        self.refused = None
        self.cut = self.ended = self.paid = False

    @property
    def text(self):
        return "".join(self.words)

    async def response(self):
        try:
            await self.head
        except asyncio.CancelledError:
            self.ended = True
            raise
        if self.refused is not None:
            return Response(self.refused, (JSON,), b'{"error":{}}')
        if self.stream:
            return Response(200, (EVENTS,), self._live())
        self.paid = True
        return Response(200, (JSON,), answer(self.text))

    async def _live(self):
        try:
            while (piece := await self.queue.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                self.paid = self.paid or b'"usage"' in piece
                yield piece
        finally:
            self.ended = True

    def say(self, count):
        """Its head, and so many events; a call for JSON says all at once."""
        if not self.head.done():
            self.head.set_result(None)
        some, self.pieces = self.pieces[:count], self.pieces[count:]
        for piece in some:
            self.queue.put_nowait(piece)
        if not self.pieces or not self.stream:
            self.ended = True
            self.queue.put_nowait(None)

    def fail(self):
        self.ended = self.cut = True
        if not self.head.done():
            self.head.set_exception(OSError("reset"))
        else:
            self.queue.put_nowait(OSError("reset"))

    def refuse(self, status):
        self.ended, self.refused = True, status
        self.head.set_result(None)


class Caller:
    """Somebody who reads all that there is."""

    def __init__(self, machine, at, name, *, stream, reload):
        self.at = at
        self.name = name
        self.stream = stream
        self.reload = reload
        self.began_s = asyncio.get_running_loop().time()
        self.troubles = machine.troubles
        self.left = False
        self.task = None


class Node:
    """One process, and its way to the server."""

    def __init__(self, proxy, cache, stack):
        self.proxy = proxy
        self.cache = cache
        self.stack = stack
        self.sick = False

    @property
    def fleet(self):
        return self.cache._flying._fleet

    async def is_sound(self):
        """Whether the server can be asked and heard; a breaker closes by being asked."""
        lower, claiming = self.cache._store._lower[0], self.fleet._claiming
        await lower.get(NOWHERE)
        claim = Claim(key=NOWHERE, modes=(b"x",), token=self.fleet._board.token(), follow=False, lease_ms=1)
        led = isinstance(await claiming.claim(claim), Led)
        return led and lower.sound(NOWHERE) and claiming.sound(NOWHERE) and self.fleet._hearing.subscribed


class Fleets(RuleBasedStateMachine):
    """Callers come and go, the origin says its words or fails, nodes lose their network or die.

    No rule has a precondition: what is under way is a matter of time, and examples must be drawn alike.
    """

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.server = EmbeddedValkey().start()
        self.sources = []
        self.callers = []
        self.ledgers = []
        self.epoch = 0
        self.troubles = 0
        self.troubled_s = 0.0
        self.allowed = {}
        self.seen_stored = {}
        self.stack = contextlib.AsyncExitStack()
        self.runner.run(self._open())

    async def _open(self):
        self.client = Redis.from_url(self.server.url, driver_info=None)
        self.nodes = [await self._node() for _ in NODES]
        await self._all_sound()

    async def _node(self, proxy=None):
        if proxy is None:
            proxy = await self.stack.enter_async_context(TcpProxy(self.server.url.removeprefix("unix://")))
        redis = RedisConfig(
            url=f"redis://{proxy.host}:{proxy.port}",
            read_deadline_s=0.1,
            write_deadline_s=0.1,
            heartbeat_s=0.05,
            lease_s=LEASE_S,
        )
        stack = contextlib.AsyncExitStack()
        config = CacheConfig(secret="a secret for these tests", redis=redis, linger_s=0.3)
        cache = await stack.enter_async_context(Cache.open(config))
        self.ledgers.append(cache.ledger)
        return Node(proxy, cache, stack)

    async def _origin(self, request):
        said = json.loads(request.body)
        name = f"{said['messages'][0]['content']}-{NAMES[dict(request.headers)[b'authorization']]}"
        source = Source(name, len(self.sources), self, stream=said.get("stream", False))
        self.sources.append(source)
        return await source.response()

    @property
    def sound(self):
        """Nobody is sick."""
        return not any(node.sick for node in self.nodes)

    @property
    def calm(self):
        """Nor has been lately, so that nobody has yet to find it out."""
        return self.sound and asyncio.get_running_loop().time() > self.troubled_s + 2.4 * LEASE_S

    def _trouble(self):
        """What may cost each process a further call of each mode, and callers their answer."""
        self.epoch += 1
        self.troubles += 1
        self.troubled_s = asyncio.get_running_loop().time()
        for name in {source.name for source in self.sources} | {caller.name for caller in self.callers}:
            self._allow(name, 2 * len(NODES))

    def _allow(self, name, calls):
        self.allowed[name] = self.allowed.get(name, 0) + calls

    def _open_sources(self):
        return [source for source in self.sources if not source.ended]

    # What callers do.

    @rule(at=nodes, text=texts, key=keys, stream=st.booleans(), how=st.sampled_from([(), (), (NO_CACHE,)]))
    def call(self, at, text, key, stream, how):
        self.runner.run(self.calls(1, at, text, key, stream=stream, how=how))

    @rule(at=nodes, text=texts, stream=st.booleans(), count=st.integers(2, 4))
    def call_together(self, at, text, stream, count):
        self.runner.run(self.calls(count, at, text, "k", stream=stream, how=()))

    @rule(text=texts, stream=st.booleans())
    def call_everywhere(self, text, stream):
        self.runner.run(self._everywhere(text, stream=stream))

    async def _everywhere(self, text, *, stream):
        before, calm = self._asked(f"{text}-k"), self.calm
        for at in NODES:
            await self.calls(1, at, text, "k", stream=stream, how=())
        if calm:
            assert self._asked(f"{text}-k") <= before + 1, f"one call for the fleet, not {self._told()}"

    async def calls(self, count, at, text, key, *, stream, how):
        name = f"{text}-{key}"
        running = [
            source
            for source in self._open_sources()
            if source.name == name and source.epoch == self.epoch and (source.stream or not stream)
        ]
        shares = self.calm and not how and bool(running)
        before = self._asked(name)
        if how:
            self._allow(name, count)
        elif not shares:
            self._allow(name, 1 if self.calm else 2)
        for _ in range(count):
            self._begin(at, name, stream=stream, how=how)
        await self._settle()
        if shares:
            assert self._asked(name) == before, f"{name} is being answered already: {self._told()}"

    def _asked(self, name):
        return sum(source.name == name for source in self.sources)

    def _told(self):
        """For who has to find out why."""
        told = [(source.number, source.name, source.stream, source.ended) for source in self.sources]
        return told, [
            {word: times for (kind, word), times in node.cache.ledger.counts.items() if kind == "fleet"}
            for node in self.nodes
        ]

    def _begin(self, at, name, *, stream, how):
        text, key = name.split("-")
        node = self.nodes[at]
        request = node.cache.request(
            "chat/completions", body(text, stream=stream), headers=(KEYS[key], JSON, *how)
        )
        caller = Caller(self, at, name, stream=stream, reload=bool(how))

        async def whole():
            return await Seen.of(await node.cache.serve(request, self._origin))

        caller.task = asyncio.get_running_loop().create_task(whole())
        self.callers.append(caller)

    @rule(which=st.integers(0, 20))
    def leave(self, which):
        self.runner.run(self._leave(which))

    def _waiting(self):
        return [caller for caller in self.callers if not caller.task.done()]

    async def _leave(self, which):
        waiting = self._waiting()
        if not waiting:
            return
        caller = waiting[which % len(waiting)]
        caller.left = True
        caller.task.cancel()
        # Its call may be given up, where it was the last one.
        self.epoch += 1
        self._allow(caller.name, 1)
        await self._settle()

    # What the origin does.

    @rule(which=st.integers(0, 5), count=st.sampled_from([1, 2, 3, 9, 9]))
    def say(self, which, count):
        self.runner.run(self._act(which, lambda source: source.say(count)))

    @rule(which=st.integers(0, 5))
    def fail(self, which):
        self.runner.run(self._fail(which))

    async def _fail(self, which):
        sources = self._open_sources()
        if not sources:
            return
        source = sources[which % len(sources)]
        before = self._asked(source.name)
        self.troubles += 1
        self._allow(source.name, 2)  # one takeover: by callers of streams, who do not follow one for JSON
        calm = self.calm
        source.fail()
        await asyncio.sleep(0.05)  # callers of JSON give way first
        if calm:
            assert self._asked(source.name) <= before + 2, f"one takeover, not {self._told()}"

    @rule(which=st.integers(0, 5), status=st.sampled_from([400, 429, 500]))
    def refuse(self, which, status):
        self.runner.run(self._refuse(which, status))

    async def _refuse(self, which, status):
        sources = [source for source in self._open_sources() if not source.head.done()]
        if not sources:
            return
        sources[which % len(sources)].refuse(status)
        await self._settle()

    async def _act(self, which, act):
        sources = self._open_sources()
        if sources:
            act(sources[which % len(sources)])
            await self._settle()

    @rule(seconds=st.sampled_from([0.0, LEASE_S, 2.5 * LEASE_S]))
    def wait(self, seconds):
        self.runner.run(asyncio.sleep(seconds))
        if seconds:
            self.epoch += 1  # calls that nobody waits for have been given up

    @staticmethod
    async def _settle():
        await asyncio.sleep(0.02)

    # What goes wrong.

    @rule(at=nodes, how=st.sampled_from([*SICKNESSES, *STUMBLES, *ENDS, "all is forgotten"]))
    def goes_wrong(self, at, how):
        if how in SICKNESSES:
            self.runner.run(self._falls_sick(self.nodes[at], how))
        elif how in STUMBLES:
            self.runner.run(self._stumbles(self.nodes[at], how))
        else:
            self.runner.run(self._ends(at, how) if how in ENDS else self._flush())

    async def _falls_sick(self, node, how):
        node.sick = True
        self._trouble()
        match how:
            case "hangs":
                node.proxy.hang()
            case "refuses":
                await node.proxy.refuse()
            case "is slow":
                node.proxy.delay_s = 0.15

    async def _stumbles(self, node, how):
        """Connections break, and are opened again at once."""
        self._trouble()
        if how == "loses replies":
            node.proxy.half_close()
        else:
            await node.proxy.reset()
        if how == "misses news":
            for source in self._open_sources():
                source.say(1)
        await self._settle()
        if self.sound:
            await self._all_sound()

    @rule(at=nodes)
    def heal(self, at):
        self.runner.run(self._heal(self.nodes[at]))

    async def _heal(self, node):
        if node.sick:
            self._trouble()
            node.sick = False
            node.proxy.flow()
            await node.proxy.start()
            await self._all_sound()

    async def _flush(self):
        self._trouble()
        self.seen_stored.clear()
        await self.client.flushall()
        if self.sound:
            await self._all_sound()

    async def _ends(self, at, how):
        """The process ends, whatever it leads or follows, and another one begins; killed, it tells nobody."""
        node = self.nodes[at]
        self._trouble()
        if how == "is killed":
            await node.proxy.refuse()
        await node.cache.close(0.0)
        await node.stack.aclose()
        if how == "is killed":
            node.sick = False
            node.proxy.flow()
            await node.proxy.start()
        self.nodes[at] = await self._node(node.proxy)
        self.nodes[at].sick = node.sick
        if self.sound:
            await self._all_sound()

    async def _all_sound(self):
        """Those that are not sick can be asked and heard, and know the same log of purges."""
        async with asyncio.timeout(30):
            for node in self.nodes:
                while not node.sick and not (await node.is_sound() and await self._knows_the_log(node)):  # noqa: ASYNC110  # it tells nobody
                    await asyncio.sleep(0.01)

    async def _knows_the_log(self, node):
        log = node.cache._store.coherence._view.log
        return node.cache.memory.generation >= 0 and log.epoch.incarnation == await self.client.hget(LOG, "i")

    # What must hold.

    @rule(at=nodes, text=texts)
    def look(self, at, text):
        """What Redis holds is an answer to this, and none that is older than what it held before."""
        self.runner.run(self._look(self.nodes[at], f"{text}-k"))

    async def _look(self, node, name):
        await node.cache.memory.clear()
        text, key = name.split("-")
        lines = (KEYS[key], JSON, (b"cache-control", b"only-if-cached"))
        request = node.cache.request("chat/completions", body(text), headers=lines)
        seen = await Seen.of(await node.cache.serve(request, self._origin))
        if seen.status == 504:
            return
        number = self._number(name, seen.text)
        source = self.sources[number]
        assert source.text == seen.text
        last = self.seen_stored.get(name)
        if last is not None and number < last:
            assert self.sources[last].began_s - source.began_s < LATELY_S, (
                "an older call overwrote a newer one"
            )
        self.seen_stored[name] = number

    @staticmethod
    def _number(name, said):
        found = re.match(rf"{name}\.(\d+)a", said)
        assert found is not None, f"{said!r} answers {name!r}"
        return int(found[1])

    def _judge(self, caller):
        """A whole answer to its call, or an error where there has been trouble."""
        if caller.left:
            return
        error = caller.task.exception()
        if error is not None:
            assert isinstance(error, (OriginError, OSError)), repr(error)
            assert self.troubles > caller.troubles, f"an error out of nothing: {error!r}"
            return
        seen = caller.task.result()
        if seen.status != 200:
            assert any(
                source.name == caller.name and source.refused == seen.status for source in self.sources
            )
            return
        whole, _, _ = seen.body.partition(ERROR)
        if whole == seen.body:
            source = self.sources[self._number(caller.name, seen.text)]
            assert seen.text == source.text, "parts of two, or not whole"
            if caller.reload:
                assert source.began_s >= caller.began_s, "older than its caller"
        else:
            assert self.troubles > caller.troubles, "broken off out of nothing"
            told = "".join(re.findall(r'"content": "([^"]*)"', whole.decode()))
            assert any(source.text.startswith(told) for source in self.sources if source.name == caller.name)

    def teardown(self):
        try:
            self.runner.run(self._end())
        finally:
            self.runner.close()
            self.server.stop()

    async def _end(self):
        try:
            await self._conclude()
        finally:
            for node in self.nodes:
                node.proxy.flow()
                await node.cache.close(0.0)
                await node.stack.aclose()
            await self.stack.aclose()
            await self.client.aclose()
        self._reconcile()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, left

    async def _conclude(self):
        """All heals and the origin says all it is asked: every caller gets to an end."""
        for node in self.nodes:
            await self._heal(node)
        until_s = asyncio.get_running_loop().time() + ENDS_WITHIN_S
        while waiting := self._waiting():
            for source in self._open_sources():
                source.say(9)
            assert asyncio.get_running_loop().time() < until_s, f"{waiting[0].name} is left waiting"
            await asyncio.sleep(0.005)
        await asyncio.gather(*(caller.task for caller in self.callers), return_exceptions=True)
        for caller in self.callers:
            self._judge(caller)
        for name, allowed in self.allowed.items():
            asked = self._asked(name)
            assert asked <= allowed, f"a storm: {asked} calls of {name}, {allowed} at most"
        await self._nothing_is_left()

    async def _nothing_is_left(self):
        async with asyncio.timeout(30):
            while any(node.cache.traffic().flights or node.cache._background.pending for node in self.nodes):
                for source in self._open_sources():
                    source.say(9)
                await asyncio.sleep(0.005)
        for node in self.nodes:
            hearing, claiming = node.fleet._hearing, node.fleet._claiming
            assert not (hearing._leases or hearing._feeds or hearing._claiming or claiming._asking)

    def _reconcile(self):
        assert sum(ledger.upstream_calls for ledger in self.ledgers) == len(self.sources)
        paid = sum(source.paid for source in self.sources)
        assert sum(ledger.spent_picousd for ledger in self.ledgers) == paid * COST_PICOUSD
