"""Three nodes, one real Valkey and a broken network as a model: what a purge took does not come back."""

import asyncio
import contextlib
import re

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from redis.asyncio import Redis

from tests.scenarios.world import EVENTS, JSON, KEY, Origin, Seen, Stream, answer, body, events
from tiered_cache import Cache, CacheConfig, PurgeOrder, RedisConfig, Response, Selector
from tiered_cache.core.epochs import Epoch
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.testing import TcpProxy

LOG = b"tc:{purges}:log"
NODES = range(3)
HEARTBEAT_S = 0.05
HEARD_WITHIN_S = 5.0
"""A heartbeat and some milliseconds would do; a loaded machine is no defect, and the benchmark has the figure."""

TEXTS = {"ash": ("m/one", "red"), "birch": ("m/two", "red"), "cedar": ("m/one", "blue")}
"""Each text with its model and its tag."""

WHATS = ("everything", "m/one", "m/two", "red", "blue", *TEXTS)

nodes = st.sampled_from(NODES)
texts = st.sampled_from(tuple(TEXTS))
whats = st.sampled_from(WHATS)
losses = st.sampled_from(["evicted", "flushed", "restarted", "behind"])


def reached(what):
    return [text for text, marks in TEXTS.items() if what in ("everything", text, *marks)]


class Begun:
    """A stream that has begun and not ended."""

    def __init__(self, text, version):
        self.text = text
        self.version = version
        self.gate = asyncio.Event()
        self.task = None


class Node:
    """One node, its way to the server, and how new its answers must be at least.

    `floors` are what it must obey: what was purged here, and what was purged elsewhere as soon as it is heard.
    """

    def __init__(self, proxy, cache):
        self.proxy = proxy
        self.cache = cache
        self.cut_off = False
        self.floors = dict.fromkeys(TEXTS, 0)
        self.begun: list[Begun] = []

    @property
    def view(self):
        return self.cache._store.coherence._view

    @property
    def backplane(self):
        return self.cache._store.coherence._keeper

    def request(self, text, **fields):
        model, tag = TEXTS[text]
        lines = (KEY, JSON, (b"x-tiered-cache-tags", tag.encode()))
        return self.cache.request("chat/completions", body(text, model=model, **fields), headers=lines)


class Purges(RuleBasedStateMachine):
    """Nodes fill, ask, purge, lose their network and find it again; the log of purges is lost."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.server = EmbeddedValkey().start()
        self.version = 0
        self.told = dict.fromkeys(TEXTS, 0)
        self.old_log = None
        self.old_told = self.told
        self.stack = contextlib.AsyncExitStack()
        self.runner.run(self._open())

    async def _open(self):
        self.client = Redis.from_url(self.server.url, driver_info=None)
        self.nodes = [await self._node() for _ in NODES]
        await self._heard()

    async def _node(self):
        proxy = await self.stack.enter_async_context(TcpProxy(self.server.url.removeprefix("unix://")))
        redis = RedisConfig(
            url=f"redis://{proxy.host}:{proxy.port}",
            read_deadline_s=0.2,
            write_deadline_s=0.2,
            heartbeat_s=HEARTBEAT_S,
        )
        config = CacheConfig(secret="a secret for these tests", redis=redis)
        return Node(proxy, await self.stack.enter_async_context(Cache.open(config)))

    def teardown(self):
        self.runner.run(self._close())
        self.runner.close()
        self.server.stop()

    async def _close(self):
        for node in self.nodes:
            node.proxy.flow()
            for each in node.begun:
                each.gate.set()
        await asyncio.gather(*(each.task for node in self.nodes for each in node.begun))
        await self.stack.aclose()
        await self.client.aclose()

    # What callers do.

    @rule(at=nodes, text=texts)
    def ask(self, at, text):
        """A hit, a promotion or a fill; the answer is that text's, and no older than this node must obey."""
        self.runner.run(self._ask(self.nodes[at], text))

    @rule(text=texts)
    def ask_everywhere(self, text):
        for node in self.nodes:
            self.runner.run(self._ask(node, text))

    def joins(self, node, text):
        """Whether a call at this node may follow a stream that waits, here or at another node."""
        waiting = (each for node in self.nodes for each in node.begun)
        return any(each.text == text and each.version >= node.floors[text] for each in waiting)

    async def _ask(self, node, text):
        if self.joins(node, text):
            return
        floor = node.floors[text]
        origin = Origin(answer(f"{text}-{self.version}"))
        seen = await Seen.of(await node.cache.serve(node.request(text), origin))
        self._judge(seen.text, text, floor)

    def _judge(self, said, text, floor):
        assert re.fullmatch(rf"{text}-\d+", said), f"{said!r} answers {text!r}"
        assert floor <= int(said.split("-")[1]) <= self.version, f"{said!r} was purged: {floor} is the oldest"

    @rule(at=nodes, text=texts)
    def begin(self, at, text):
        """A stream that waits before its first word, unless there is something to be had at once."""
        self.runner.run(self._begin(self.nodes[at], text))

    async def _begin(self, node, text):
        if self.joins(node, text):
            return
        begun, floor = Begun(text, self.version), node.floors[text]
        asked = asyncio.Event()

        async def origin(_request):
            asked.set()
            return Response(200, (EVENTS,), Stream(events(f"{text}-{begun.version}"), gate=begun.gate))

        async def whole():
            return await Seen.of(await node.cache.serve(node.request(text, stream=True), origin))

        begun.task = asyncio.create_task(whole())
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait({begun.task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if begun.task.done():
            self._judge((await begun.task).text, text, floor)
        else:
            node.begun.append(begun)

    @rule(at=nodes)
    def end(self, at):
        """The oldest stream ends: its own caller has what it began with, whatever was purged since."""
        if self.nodes[at].begun:
            self.runner.run(self._end(self.nodes[at].begun.pop(0)))

    async def _end(self, begun):
        begun.gate.set()
        assert (await begun.task).text == f"{begun.text}-{begun.version}"

    @rule(at=nodes)
    def forget(self, at):
        """What is asked next is promoted from Redis."""
        self.runner.run(self.nodes[at].cache.memory.clear())

    @rule(seconds=st.sampled_from([0.0, 0.01, 2.5 * HEARTBEAT_S]))
    def wait(self, seconds):
        self.runner.run(asyncio.sleep(seconds))

    # What operators do.

    @rule(at=nodes, what=whats, soft=st.booleans())
    def purge(self, at, what, soft):
        """The origin has news, so all that is older is purged; this node obeys when that returns."""
        self.runner.run(self._purge(self.nodes[at], what, PurgeOrder(soft=soft)))

    async def _purge(self, node, what, order):
        self.version += 1
        record = await node.cache.purge(self._selected(node, what), order)
        for text in reached(what):
            node.floors[text] = self.version
            await self._ask(node, text)
        if record.complete:
            await self._heard()

    def _selected(self, node, what):
        if what in TEXTS:
            return node.request(what)
        if what == "everything":
            return Selector(everything=True)
        return Selector(model=what) if "/" in what else Selector(tag=what)

    # What goes wrong.

    @rule(at=nodes, hangs=st.booleans())
    def cut_off(self, at, hangs):
        node = self.nodes[at]
        if not node.cut_off:
            node.cut_off = True
            if hangs:
                node.proxy.hang()
            else:
                self.runner.run(node.proxy.refuse())

    @rule(at=nodes)
    def heal(self, at):
        self.runner.run(self._heal(self.nodes[at]))

    async def _heal(self, node):
        node.cut_off = False
        node.proxy.flow()
        await node.proxy.start()
        await self._heard()

    @rule()
    def copy(self):
        """A replica is as far as this, and lags from here on."""
        self.runner.run(self._copy())

    async def _copy(self):
        self.old_log, self.old_told = await self.client.dump(LOG), self.told.copy()

    @rule(how=losses)
    def lose(self, how):
        self.runner.run(self._lose(how))

    async def _lose(self, how):
        match how:
            case "evicted":
                await self.client.delete(LOG)
            case "flushed":
                await self.client.flushall()
            case "restarted":
                self.server.kill()
                self.server.start()
            case "behind":
                if self.old_log is not None:
                    await self._heard()
                    await self.restore()

    async def restore(self):
        """What was purged since the copy is known to those alone who have heard of it, until they meet."""
        await self.client.restore(LOG, 0, self.old_log, replace=True)
        self.told = self.old_told

    async def _heard(self):
        """Wait until all nodes that can have heard of all purges; from then on they must obey them."""
        there = [node for node in self.nodes if not node.cut_off]
        async with asyncio.timeout(HEARD_WITHIN_S):
            while not all([await self._is_true(node) for node in there]):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.002)
        told = {}
        for text in TEXTS:
            # What a node that is there had kept to itself it has told by now.
            told[text] = max([self.told[text], *(node.floors[text] for node in there)])
            for node in there:
                node.floors[text] = told[text]
        self.told = told

    async def _is_true(self, node):
        with contextlib.suppress(ConnectionError):
            if not node.view.log.epoch == node.backplane._known == await self._epoch():
                return False
        return node.cache.memory.generation >= 0 and not node.backplane._pending

    async def _epoch(self):
        """How far the log goes; None where there is none."""
        incarnation, counter = await self.client.hmget(LOG, "i", "c")
        if incarnation is None:
            return None
        block = await self.client.hget(LOG, f"t{int(counter) // 256}")
        return Epoch(incarnation, int(counter), block[-8:])

    @invariant()
    def no_node_has_died(self):
        for node in self.nodes:
            assert not any(task.done() for task in node.backplane._tasks)
