"""Three nodes, one real Valkey and a broken network as a model: what a purge took does not come back."""

import asyncio
import contextlib
import re
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from redis.asyncio import Redis

from tests.scenarios.world import EVENTS, JSON, KEY, OTHER_KEY, Origin, Seen, Stream, answer, body, events
from tiered_cache import Cache, CacheConfig, DiskConfig, PurgeOrder, RedisConfig, Response, Selector
from tiered_cache.core.epochs import Epoch
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.testing import TcpProxy

LOG = b"tc:{purges}:log"
NODES = range(3)
HEARTBEAT_S = 0.05
HEARD_WITHIN_S = 5.0
"""A heartbeat and some milliseconds would do; a loaded machine is no defect, and the benchmark has the figure."""

UNCONFIRMED_S = 60.0

CALLS = {
    "ash": ("ash", "m/one", "red", KEY),
    "birch": ("birch", "m/two", "red", KEY),
    "cedar": ("cedar", "m/one", "blue", KEY),
    "other": ("ash", "m/one", "red", OTHER_KEY),
}
"""Each call by its name: what it says, its model, its tag and whose it is. The last is the first of another tenant."""

THEIRS = {"all of the other": None, "red of the other": "red"}
"""Purges inside the other tenant, with their tag."""

WHATS = ("everything", "m/one", "m/two", "red", "blue", *THEIRS, *CALLS)

nodes = st.sampled_from(NODES)
names = st.sampled_from(tuple(CALLS))
whats = st.sampled_from(WHATS)
losses = st.sampled_from(["evicted", "flushed", "restarted", "behind"])


def reached(what):
    if what in THEIRS:
        return ["other"]
    return [name for name, (_, *marks, _) in CALLS.items() if what in ("everything", name, *marks)]


class Ahead:
    """The system's clocks, so much later: lifetimes end when the model says so, deadlines when they do."""

    def __init__(self):
        self.ahead_s = 0.0

    def monotonic(self):
        return time.monotonic() + self.ahead_s

    def wall(self):
        return time.time() + self.ahead_s

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


class Begun:
    """A stream that has begun and not ended."""

    def __init__(self, name, version):
        self.name = name
        self.version = version
        self.gate = asyncio.Event()
        self.task = None


class Node:
    """One node, its way to the server, and how new its answers must be at least.

    `floors` are what it must obey: what was purged here, and what was purged elsewhere as soon as it is heard.
    """

    def __init__(self, proxy, config, clock):
        self.proxy = proxy
        self.config = config
        self.clock = clock
        self.cut_off = False
        self.begun: list[Begun] = []
        self.stack = contextlib.AsyncExitStack()

    async def open(self):
        self.floors = dict.fromkeys(CALLS, 0)
        self.cache = await self.stack.enter_async_context(Cache.open(self.config, clock=self.clock))

    @property
    def view(self):
        return self.cache._store.coherence._view

    @property
    def backplane(self):
        return self.cache._store.coherence._keeper

    def request(self, name, **fields):
        text, model, tag, key = CALLS[name]
        lines = (key, JSON, (b"x-tiered-cache-tags", tag.encode()))
        return self.cache.request("chat/completions", body(text, model=model, **fields), headers=lines)


class Purges(RuleBasedStateMachine):
    """Nodes fill, ask, purge, lose their network and find it again; the log of purges is lost."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.server = EmbeddedValkey().start()
        self.version = 0
        self.told = dict.fromkeys(CALLS, 0)
        self.old_log = None
        self.old_told = self.told
        self.clock = Ahead()
        self.directory = Path(tempfile.mkdtemp())
        self.stack = contextlib.AsyncExitStack()
        self.runner.run(self._open())

    async def _open(self):
        self.client = Redis.from_url(self.server.url, driver_info=None)
        self.nodes = [await self._node(at) for at in NODES]
        await self._heard()

    async def _node(self, at):
        """The first node has a disk as well."""
        proxy = await self.stack.enter_async_context(TcpProxy(self.server.url.removeprefix("unix://")))
        redis = RedisConfig(
            url=f"redis://{proxy.host}:{proxy.port}",
            read_deadline_s=0.2,
            write_deadline_s=0.2,
            heartbeat_s=HEARTBEAT_S,
            unconfirmed_s=UNCONFIRMED_S,
        )
        disk = None if at else DiskConfig(directory=str(self.directory / "disk"), read_deadline_s=5.0)
        config = CacheConfig(secret="a secret for these tests", redis=redis, disk=disk)
        node = Node(proxy, config, self.clock)
        await node.open()
        return node

    def teardown(self):
        self.runner.run(self._close())
        self.runner.close()
        self.server.stop()
        shutil.rmtree(self.directory)

    async def _close(self):
        for node in self.nodes:
            node.proxy.flow()
            for each in node.begun:
                each.gate.set()
        await asyncio.gather(*(each.task for node in self.nodes for each in node.begun))
        for node in self.nodes:
            await node.stack.aclose()
        await self.stack.aclose()
        await self.client.aclose()

    # What callers do.

    @rule(at=nodes, name=names)
    def ask(self, at, name):
        """A hit, a promotion or a fill; the answer is that call's, and no older than this node must obey."""
        self.runner.run(self._ask(self.nodes[at], name))

    @rule(name=names)
    def ask_everywhere(self, name):
        for node in self.nodes:
            self.runner.run(self._ask(node, name))

    def joins(self, node, name):
        """Whether a call at this node may follow a stream that waits, here or at another node."""
        waiting = (each for node in self.nodes for each in node.begun)
        return any(each.name == name and each.version >= node.floors[name] for each in waiting)

    async def _ask(self, node, name):
        if self.joins(node, name):
            return
        floor = node.floors[name]
        origin = Origin(answer(f"{name}-{self.version}"))
        seen = await Seen.of(await node.cache.serve(node.request(name), origin))
        self._judge(seen.text, name, floor)

    def _judge(self, said, name, floor):
        assert re.fullmatch(rf"{name}-\d+", said), f"{said!r} answers {name!r}"
        assert floor <= int(said.split("-")[1]) <= self.version, f"{said!r} was purged: {floor} is the oldest"

    @rule(at=nodes, name=names)
    def begin(self, at, name):
        """A stream that waits before its first word, unless there is something to be had at once."""
        self.runner.run(self._begin(self.nodes[at], name))

    async def _begin(self, node, name):
        if self.joins(node, name):
            return
        begun, floor = Begun(name, self.version), node.floors[name]
        asked = asyncio.Event()

        async def origin(_request):
            asked.set()
            return Response(200, (EVENTS,), Stream(events(f"{name}-{begun.version}"), gate=begun.gate))

        async def whole():
            return await Seen.of(await node.cache.serve(node.request(name, stream=True), origin))

        begun.task = asyncio.create_task(whole())
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait({begun.task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if begun.task.done():
            self._judge((await begun.task).text, name, floor)
        else:
            node.begun.append(begun)

    @rule(at=nodes)
    def end(self, at):
        """The oldest stream ends: its own caller has what it began with, the next one what was not purged."""
        if self.nodes[at].begun:
            self.runner.run(self._end(self.nodes[at], self.nodes[at].begun.pop(0)))

    async def _end(self, node, begun):
        begun.gate.set()
        assert (await begun.task).text == f"{begun.name}-{begun.version}"
        await self._ask(node, begun.name)

    @rule(at=nodes)
    def forget(self, at):
        """What is asked next is promoted from Redis."""
        self.runner.run(self.nodes[at].cache.memory.clear())

    @rule(seconds=st.sampled_from([0.0, 0.01, 2.5 * HEARTBEAT_S]))
    def wait(self, seconds):
        self.runner.run(asyncio.sleep(seconds))

    @rule(seconds=st.sampled_from([2 * UNCONFIRMED_S, 10 * 86_400.0]))
    def grow_old(self, seconds):
        """Lifetimes end. Who is cut off has used what it knew for as long as it may."""
        self.runner.run(self._grow_old(seconds))

    async def _grow_old(self, seconds):
        alone = [node for node in self.nodes if node.cut_off]
        async with asyncio.timeout(HEARD_WITHIN_S):
            while any(node.cache.memory.generation >= 0 for node in alone):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.002)
        self.clock.ahead_s += seconds
        for node in alone:
            for name in CALLS:
                node.floors[name] = max(node.floors[name], self.told[name])

    # What operators do.

    @rule(at=nodes, what=whats, soft=st.booleans())
    def purge(self, at, what, soft):
        """The origin has news, so all that is older is purged; this node obeys when that returns."""
        self.runner.run(self._purge(self.nodes[at], what, PurgeOrder(soft=soft)))

    async def _purge(self, node, what, order):
        self.version += 1
        record = await node.cache.purge(self._selected(node, what), order)
        for name in reached(what):
            node.floors[name] = self.version
            await self._ask(node, name)
        if record.complete:
            await self._heard()

    def _selected(self, node, what):
        if what in CALLS:
            return node.request(what)
        if what in THEIRS:
            return Selector(tag=THEIRS[what], tenant=node.request("other").scope.tenant)
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

    @rule(at=nodes, empty=st.booleans())
    def restart(self, at, empty):
        """A node ends, its streams with it, and begins anew with what is on its disk, if that is kept."""
        self.runner.run(self._restart(self.nodes[at], empty))

    async def _restart(self, node, empty):
        for each in node.begun:
            each.gate.set()
        await asyncio.gather(*(each.task for each in node.begun))
        node.begun.clear()
        await node.stack.aclose()
        if empty and node.config.disk is not None:
            shutil.rmtree(self.directory / "disk")
        await node.open()
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

    @rule(at=nodes, what=whats)
    def fail_over(self, at, what):
        """To a replica without a purge that this node has not heard of; the others, who have, are cut off."""
        one, two = (number for number in NODES if number != at)
        self.copy()
        self.cut_off(at, hangs=False)
        self.purge(one, what, soft=False)
        self.cut_off(one, hangs=False)
        self.cut_off(two, hangs=False)
        self.lose("behind")
        self.heal(at)

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
        for name in CALLS:
            # What a node that is there had kept to itself it has told by now.
            told[name] = max([self.told[name], *(node.floors[name] for node in there)])
            for node in there:
                node.floors[name] = told[name]
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
