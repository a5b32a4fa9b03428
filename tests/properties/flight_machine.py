"""Three processes, one real Valkey and a broken network as a model: who leads, and whose answer is kept."""

import asyncio
import contextlib
import itertools
import re

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import Struct
from redis.asyncio import Redis

from tests.tiers.flight_contract import fenced
from tests.tiers.flight_contract import flight_board as board_at
from tests.tiers.redis_contract import redis_tier
from tiered_cache.core.claims import Busy, Claim, Followed, Led, Over, Standing
from tiered_cache.errors import TierUnavailableError
from tiered_cache.testing import TcpProxy, sample_key
from tiered_cache.tiers import flight_board, redis
from tiered_cache.tiers.redis_names import entry_name, flights_name

KEY = sample_key(1)
NODES = range(3)
LEASE_MS = 60
PATIENT_MS = 5000
"""A lease that does not run out while all race, on whatever machine."""
STREAM, JSON = b"stream", b"json"

TRUTH = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local truth = {now, redis.call('GET', KEYS[1]), false}
local function about(field, token)
  local text = redis.call('HGET', KEYS[2], 'h' .. token)
  if not text then return end
  local f = cmsgpack.unpack(text)
  local left = f.heard + f.lease - now
  truth[#truth + 1] = {field, token, f.fence, f.state, left, f.frames, f.generation}
end
local fields = redis.call('HGETALL', KEYS[2])
for n = 1, #fields, 2 do
  local kind = fields[n]:sub(1, 1)
  if kind == 'p' or kind == 'v' then about(fields[n], fields[n + 1]) end
  if kind == 'h' then about(fields[n], fields[n]:sub(2)) end
end
return truth
"""

MODES = [(STREAM,), (STREAM,), (JSON, STREAM)]
ASKING = ["anew", "anew", "again", "again", "again", "to take over", "all at once"]
LUCK = ["good", "good", "lost", "lost", "deaf", "fresh"]
FLYING = ["put", "put", "put", "renew", "append", "append", "end"]
ENDS = ["served", "unserved", "failed"]
DISTURBING = ["stall", "flow", "flow", "entry", "flights", "all"]


def a_step(kind, **arguments):
    return st.tuples(
        st.just(kind),
        st.fixed_dictionaries({name: st.sampled_from(several) for name, several in arguments.items()}),
    )


STEPS = st.one_of(
    a_step("ask", how=ASKING, at=NODES, modes=MODES, which=range(4), luck=LUCK),
    a_step("fly", how=FLYING, at=NODES, which=range(4), lost=[False, False, False, True], end=ENDS),
    a_step("wait", seconds=[0.0, LEASE_MS / 3000, LEASE_MS * 1.2 / 1000]),
    a_step("disturb", how=DISTURBING, at=NODES, modes=MODES, which=range(4)),
)

LOST = object()
_prefixes = itertools.count()


class Seen(Struct):
    """A flight as the server has it."""

    token: bytes
    fence: int
    state: bytes
    left_us: int
    frames: int
    generation: int

    @property
    def running(self):
        return self.state == b"running"


class Truth:
    """What the server has, read directly."""

    def __init__(self, reply):
        self.now_us, entry, _, *fields = reply
        found = re.search(rb"fence (\d+)", entry) if entry else None
        self.entry = int(found[1]) if found else None
        self.fields = {field: Seen(*seen) for field, *seen in fields}

    def leading(self, mode):
        return self.fields.get(b"p" + mode)

    def taker(self, root):
        return self.fields.get(b"v" + root)

    def flight(self, token):
        return self.fields.get(b"h" + token)


class Flight:
    """A lease that a node was given, and may believe in for too long."""

    def __init__(self, token, fence):
        self.token = token
        self.fence = fence
        self.frames = 0


class Node:
    """One process, and its way to the server."""

    def __init__(self, proxy, board, tier):
        self.proxy = proxy
        self.board = board
        self.tier = tier
        self.led: list[Flight] = []
        self.unanswered: list[Claim] = []
        self.stalled = []
        self.hangs = False


class Flights(RuleBasedStateMachine):
    """Nodes claim, tell, write and end; replies are lost, commands are late, leases run out, keys are evicted."""

    def __init__(self, url):
        super().__init__()
        self.url = url
        self.prefix = f"model{next(_prefixes)}"
        self.names = [name(self.prefix.encode(), KEY) for name in (entry_name, flights_name)]
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.given: dict[bytes, int] = {}
        self.lease_ms = LEASE_MS
        self.largest = 0
        self.entry = None
        self.roots = []
        self.runner.run(self._open())

    async def _open(self):
        self.client = await self.stack.enter_async_context(Redis.from_url(self.url, driver_info=None))
        for script in scripts():
            await self.client.script_load(
                script.text
            )  # else the reply that is lost may be that it is not known
        self.nodes = [await self._node() for _ in NODES]

    async def _node(self):
        proxy = await self.stack.enter_async_context(TcpProxy(self.url.removeprefix("unix://")))
        url = f"redis://{proxy.host}:{proxy.port}"
        node = Node(proxy, board_at(url, self.prefix), redis_tier(url, self.prefix))
        self.stack.push_async_callback(node.tier.close)
        self.stack.push_async_callback(node.board.close)
        return node

    def teardown(self):
        self.runner.run(self._close())
        self.runner.close()

    async def _close(self):
        for node in self.nodes:
            node.proxy.flow()
        await asyncio.gather(*(task for node in self.nodes for task in node.stalled), return_exceptions=True)
        await self.client.unlink(*self.names)
        await self.stack.aclose()

    async def truth(self):
        return Truth(await self.client.eval(TRUTH, 2, *self.names))

    # One rule of many kinds: of many rules, a run is given but some, and without each of these nothing happens.

    @rule(step=STEPS)
    def then(self, step):
        kind, arguments = step
        getattr(self, kind)(**arguments)

    def ask(self, how, at, modes, which, luck):
        at, lost = self._there(at), luck == "lost"
        if how == "again" and self._unanswered():
            self.claim_again(self._unanswered()[0], lost=lost)
        elif how == "to take over" and self.roots:
            self.take_over(at, which, lost=lost)
        elif how == "all at once":
            self.race(modes)
        else:
            self.claim(at, modes, lost=lost, follow=luck != "deaf", fresh=luck == "fresh")

    def fly(self, how, at, which, lost, end):
        at = self._there(at)
        match how:
            case "renew":
                self.renew(at, which)
            case "append":
                self.append(at, which, lost=lost)
            case "put":
                self.put(at, which, lost=lost)
            case _:
                self.end(at, which, lost=lost, served=end != "unserved", failed=end == "failed")

    def wait(self, seconds):
        self.runner.run(asyncio.sleep(seconds))

    def disturb(self, how, at, modes, which):
        match how:
            case "stall":
                self.stall(at, modes, which)
            case "flow":
                self.flow(at)
            case _:
                self.evict(how)

    def _unanswered(self):
        return [at for at in NODES if self.nodes[at].unanswered and not self.nodes[at].hangs]

    def _there(self, at):
        """This node, or another one where this one hangs."""
        if all(node.hangs for node in self.nodes):
            self.flow(at)
        return next(other for other in [*NODES[at:], *NODES[:at]] if not self.nodes[other].hangs)

    # What processes do.

    def claim(self, at, modes, lost=False, follow=True, fresh=False):
        """A call that nobody here flies yet; a fresh one wants a flight that begins after it."""
        node = self.nodes[at]
        claim = Claim(
            key=KEY,
            modes=modes,
            token=node.board.token(),
            follow=follow,
            began_within_us=0 if fresh else None,
            lease_ms=self.lease_ms,
        )
        self.runner.run(self._claim(node, claim, lost))

    def claim_again(self, at, lost=False):
        """The reply did not come."""
        node = self.nodes[at]
        if node.unanswered:
            self.runner.run(self._claim(node, node.unanswered.pop(), lost))

    def take_over(self, at, which=0, lost=False):
        """A flight that this node followed has failed."""
        if not self.roots:
            return
        node, root = self.nodes[at], self.roots[which % len(self.roots)]
        claim = Claim(
            key=KEY,
            modes=(STREAM,),
            token=node.board.token(),
            generation=1,
            root=root,
            lease_ms=self.lease_ms,
        )
        self.runner.run(self._claim(node, claim, lost))

    def race(self, modes):
        """All at once."""
        self.runner.run(self._race(modes))

    async def _race(self, modes):
        there = [node for node in self.nodes if not node.hangs]
        claims = [
            (node, Claim(key=KEY, modes=modes, token=node.board.token(), lease_ms=PATIENT_MS))
            for node in there * 2
        ]
        before = await self.truth()
        replies = await asyncio.gather(*(node.board.claim(claim) for node, claim in claims))
        leaders = [reply for reply in replies if isinstance(reply, Led)]
        assert len(leaders) <= 1, "two leaders"
        for (node, claim), reply in zip(claims, replies, strict=True):
            if isinstance(reply, Led):
                await self._judge(node, claim, reply, before)
                await node.board.renew(KEY, claim.token, self.lease_ms)

    def renew(self, at, which=0):
        self._with_flight(at, which, self._renew)

    async def _renew(self, node, flight):
        standing = await node.board.renew(KEY, flight.token, self.lease_ms)
        await self._judge_life(flight, standing)

    def append(self, at, which=0, lost=False):
        """A frame that is sent until it is known to be there."""
        self._with_flight(at, which, self._append, lost)

    async def _append(self, node, flight, lost):
        frame = frame_of(flight.token, flight.frames)
        reply = await self._try(
            node, node.board.append(KEY, flight.token, flight.frames, frame, self.lease_ms), lost
        )
        if reply is not LOST:
            await self._judge_life(flight, reply)
            flight.frames = flight.frames if reply is None else reply.frames

    async def _judge_life(self, flight, standing):
        seen = (await self.truth()).flight(flight.token)
        lives = seen is not None and seen.running
        assert isinstance(standing, Standing) == lives, f"{standing} of {seen}"
        if lives:
            assert standing.frames == seen.frames

    def end(self, at, which=0, lost=False, served=True, failed=False):
        self._with_flight(at, which, self._end, lost, served, failed)

    async def _end(self, node, flight, lost, served, failed):
        before = (await self.truth()).flight(flight.token)
        call = node.board.end(KEY, flight.token, served=served, failed=failed, lease_ms=self.lease_ms)
        ended = await self._try(node, call, lost)
        after = (await self.truth()).flight(flight.token)
        if ended is True:
            assert after is None or not after.running
        if failed and before is not None and before.running and not (after and after.running):
            self.roots.append(flight.token)

    def put(self, at, which=0, lost=False):
        """The answer of a flight, however long ago its lease ran out."""
        self._with_flight(at, which, self._put, lost)

    async def _put(self, node, flight, lost):
        await self._check()
        await self._try(node, node.tier.put(KEY, self._answer(flight)), lost)
        await self._check()

    def _answer(self, flight):
        return fenced(flight.fence, b"fence %d" % flight.fence)

    def _with_flight(self, at, which, do, *arguments):
        """With one of a node's flights, or with one of another node where this one has none."""
        for node in [*self.nodes[at:], *self.nodes[:at]]:
            if node.led and not node.hangs:
                self.runner.run(do(node, node.led[-1 - which % len(node.led)], *arguments))
                return

    # What goes wrong.

    def stall(self, at, modes, which=0):
        """What this node sends now comes to the server when the network flows again."""
        node = self.nodes[at]
        if not node.hangs:
            self.runner.run(self._stall(node, which, modes))

    async def _stall(self, node, which, modes):
        node.hangs = True
        node.proxy.hang()
        claim = Claim(key=KEY, modes=modes, token=node.board.token(), lease_ms=self.lease_ms)
        calls = [self._claim_stalled(node, claim)]
        if node.led:
            flight = node.led[-1 - which % len(node.led)]
            calls.append(node.tier.put(KEY, self._answer(flight)))
            calls.append(node.board.renew(KEY, flight.token, self.lease_ms))
        node.stalled = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0.005)

    async def _claim_stalled(self, node, claim):
        reply = await node.board.claim(claim)
        assert isinstance(reply, Led | Followed)
        if isinstance(reply, Led):
            node.led.append(Flight(claim.token, reply.fence))

    def flow(self, at):
        node = self.nodes[at]
        if node.hangs:
            self.runner.run(self._flow(node))

    async def _flow(self, node):
        await self._check()
        node.hangs = False
        node.proxy.flow()
        await asyncio.gather(*node.stalled)
        node.stalled = []

    def evict(self, what):
        names = {"entry": self.names[:1], "flights": self.names[1:], "all": self.names}[what]
        self.runner.run(self._evict(names))

    async def _evict(self, names):
        await self._note(await self.truth())
        await self.client.unlink(*names)
        if self.names[0] in names:
            self.entry = None

    # What must be true.

    @invariant()
    def fences_grow_and_no_older_one_overwrites(self):
        self.runner.run(self._check())

    async def _check(self):
        await self._note(await self.truth())

    async def _note(self, truth):
        new = {
            seen.token: seen.fence
            for seen in truth.fields.values()
            if self.given.get(seen.token) != seen.fence
        }
        for token, fence in sorted(new.items(), key=lambda item: item[1]):
            assert fence > self.largest, "a fence that does not grow"
            self.given[token] = self.largest = fence
        if self.entry is not None and truth.entry is not None:
            assert truth.entry >= self.entry, "an older fence has written over a newer one"
        self.entry = truth.entry

    async def _claim(self, node, claim, lost):
        if node.hangs:
            return
        before = await self.truth()
        await self._note(before)
        reply = await self._try(node, node.board.claim(claim), lost)
        if reply is LOST:
            node.unanswered.append(claim)
        else:
            await self._judge(node, claim, reply, before)

    async def _judge(self, node, claim, reply, before):
        after = await self.truth()
        leading = before.leading(claim.modes[0])
        mine = leading if leading and leading.token == claim.token and leading.running else None
        match reply:
            case Led(fence):
                self._judge_lead(claim, fence, before, after, mine)
                node.led.append(Flight(claim.token, fence))
            case Followed():
                assert mine is None, "a leader was told to follow"
                assert reply.left_ms >= 0, "a dead flight is followed"
                assert claim.follow and claim.began_within_us != 0
                assert before.leading(reply.mode).token == reply.token
                assert reply.mode in claim.modes
                assert reply.frames == tuple(frame_of(reply.token, n) for n in range(len(reply.frames)))
                assert len(reply.frames) == before.flight(reply.token).frames
            case Busy():
                assert mine is None and not claim.follow
            case Over():
                taker = before.taker(claim.root)
                assert claim.generation == 1 and taker.state != b"ended"
                assert not taker.running or taker.left_us < after.now_us - before.now_us
            case _:
                raise AssertionError(f"{reply} is no reply")
        await self._note(after)

    def _judge_lead(self, claim, fence, before, after, mine):
        held = after.leading(claim.modes[0])
        assert (held.token, held.fence, held.running) == (claim.token, fence, True), "leads and does not"
        if mine is not None:
            assert fence == mine.fence, "two fences for one lease"
            return
        assert fence > self.largest, "a fence that does not grow"
        took_us = after.now_us - before.now_us
        for mode in claim.modes:
            other = before.leading(mode)
            alive = other is not None and other.running and other.left_us > took_us
            assert claim.began_within_us == 0 or not alive, "two leaders"
        taker = before.taker(claim.root) if claim.generation else None
        failed = taker is not None and (
            taker.state in {b"failed", b"dead"} or (taker.running and taker.left_us <= 0)
        )
        assert not failed, "a second one takes over"

    async def _try(self, node, call, lost):
        """Its result, or LOST where the reply is."""
        if lost:
            node.proxy.cut_after_bytes = 0
        try:
            return await call
        except TierUnavailableError:
            assert lost
            return LOST
        finally:
            if lost:
                node.proxy.flow()


def scripts():
    """Those in use, for a test may have changed one."""
    names = ("CLAIM", "RENEW", "APPEND", "END", "LEAVE", "READ")
    return [*(getattr(flight_board, name) for name in names), redis.FENCED_PUT]


def frame_of(token, number):
    return b"%b %d" % (token, number)
