"""One origin call for several gateway processes, whichever of them is killed, frozen or left by its clients."""

import asyncio
import contextlib
import json
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from redis.asyncio import Redis

from benchmarks.fleet.holding import WriteHolder
from tests.integration.gateway_process import SECRET, GatewayProcess
from tests.integration.raw_server import RawServer
from tiered_cache.simulation.valkey import EmbeddedValkey, free_port

LEASE_S = 0.6
LINGER_S = 0.1
WORDS = 12
PATIENCE_S = 15.0
HALF = WORDS // 2
MADE = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 12, "total_tokens": 17, "cost": 0.5}


class Gate:
    """Where the first call of a question waits, before the word `at`; before 0 it has not answered at all."""

    def __init__(self, at=0):
        self.at = at
        self.opened = threading.Event()
        self.open = self.opened.set

    async def passed(self):
        while not self.opened.is_set():  # noqa: ASYNC110  # it is opened by another thread
            await asyncio.sleep(0.005)


class Origin(RawServer):
    """Answers the n-th call of a question with words of the n-th kind, so that no two answers are alike."""

    def __init__(self):
        super().__init__(self._handle)
        self.gates = {}
        self.times = {}

    def calls(self, question):
        return len(self.times.get(question, ()))

    async def _handle(self, exchange):
        body = json.loads(exchange.seen.body)
        question = body["messages"][0]["content"]
        times = self.times.setdefault(question, [])
        times.append(time.monotonic())
        number = len(times) - 1
        gate = self.gates.get(question) if number == 0 else None
        if gate is not None and gate.at == 0:
            await gate.passed()
        if body.get("stream"):
            await self._stream(exchange, number, gate)
        else:
            await exchange.answer(200, json.dumps(whole(number)).encode())

    async def _stream(self, exchange, number, gate):
        await exchange.begin_chunked()
        for place, word in enumerate(words(number)):
            if gate is not None and gate.at == place:
                await gate.passed()
            await exchange.chunk(chunk({"content": word}))
        await exchange.chunk(chunk({}, "stop"))
        await exchange.chunk(b"data: %b\n\n" % json.dumps(MADE | {"choices": [], "usage": USAGE}).encode())
        await exchange.chunk(b"data: [DONE]\n\n")
        await exchange.end_chunked()


def words(number):
    return [f" {place}of{number}" for place in range(WORDS)]


def text(number):
    return "".join(words(number))


def whole(number):
    message = {"role": "assistant", "content": text(number)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return MADE | {"object": "chat.completion", "choices": choices, "usage": USAGE}


def chunk(delta, end=None):
    choice = {"index": 0, "delta": delta, "finish_reason": end}
    return b"data: %b\n\n" % json.dumps(MADE | {"choices": [choice]}).encode()


class Node:
    """A gateway process and what its clients do."""

    def __init__(self, origin, redis_url, directory):
        config = directory / f"{len(list(directory.iterdir()))}.toml"
        config.write_text(
            f"[cache]\nlinger_s = {LINGER_S}\n[cache.redis]\n"
            f'url = "{redis_url}"\nlease_s = {LEASE_S}\nread_deadline_s = 0.2\n'
        )
        self.process = GatewayProcess(
            "--upstream", origin.url, "--config", str(config), TIERED_CACHE_SECRET=SECRET
        )

    def start(self):
        self.process.__enter__()
        return self

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.signal(signal.SIGCONT)
        self.process.__exit__()

    def count(self, reason):
        """Flights that were led, followed, or made alone."""
        page = self.process.get("/metrics")
        found = re.search(rf'^tiered_cache_fleet_total{{reason="{reason}"}} ([0-9.]+)$', page, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def sdk(self):
        return openai.AsyncOpenAI(
            base_url=self.process.url, api_key="rqy_one", max_retries=0, timeout=PATIENCE_S
        )

    async def ask(self, question):
        """A JSON caller's text."""
        async with self.sdk() as sdk:
            answer = await sdk.chat.completions.create(**asked(question))
            return answer.choices[0].message.content

    async def read(self, question, seen):
        """A stream caller's text, word by word in `seen`."""
        async with self.sdk() as sdk:
            async for event in await sdk.chat.completions.create(**asked(question), stream=True):
                seen += [choice.delta.content for choice in event.choices if choice.delta.content]
        return "".join(seen)


def asked(question):
    messages = [{"role": "user", "content": question}]
    return {"model": "openai/gpt-4o-mini", "messages": messages, "temperature": 0}


class World:
    """Three gateways on one Valkey; `leader`, `one` and `two` are alive when a test begins."""

    def __init__(self, valkey, origin, directory):
        self.valkey = valkey
        self.origin = origin
        self.directory = directory
        self.nodes = self.started([valkey.url] * 3)

    def started(self, urls):
        """New gateways, started together."""
        nodes = [Node(self.origin, url, self.directory) for url in urls]
        with ThreadPoolExecutor() as pool:
            return list(pool.map(Node.start, nodes))

    def mend(self):
        """Valkey and every gateway run."""
        self.valkey.start()
        dead = [place for place, node in enumerate(self.nodes) if node.process.process.poll() is not None]
        for place in dead:
            self.nodes[place].stop()
        for place, node in zip(dead, self.started([self.valkey.url] * len(dead)), strict=True):
            self.nodes[place] = node

    def close(self):
        for gate in self.origin.gates.values():
            gate.open()
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.stop, self.nodes))

    def begin(self, question, at=0):
        gate = self.origin.gates[question] = Gate(at)
        return gate

    async def called(self, question, times=1):
        await until(lambda: self.origin.calls(question) >= times)


async def until(holds):
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


async def follows(node, asking):
    """Begin `asking`, and return its task once this process follows another one."""
    before = await asyncio.to_thread(node.count, "followed")
    task = asyncio.create_task(asking)
    await until(lambda: node.count("followed") > before)
    return task


async def claims(node, mark):
    """Ask until this process leads for others, too: it may have to find Redis again."""
    async with asyncio.timeout(PATIENCE_S):
        for number in range(10_000):
            before = await asyncio.to_thread(node.count, "led")
            await node.ask(f"does {mark} claim? {number}")
            if await asyncio.to_thread(node.count, "led") > before:
                return
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with EmbeddedValkey(port=0) as valkey, Origin() as origin:
        world = World(valkey, origin, tmp_path_factory.mktemp("fleet"))
        try:
            yield world
        finally:
            world.close()


@pytest.fixture
async def world(made, request):
    made.mend()
    async with Redis.from_url(made.valkey.url, driver_info=None) as client, asyncio.timeout(PATIENCE_S):
        while len(await client.pubsub_channels("tc:flights:*")) < len(made.nodes):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
    await asyncio.gather(*(claims(node, f"{request.node.name} {at}") for at, node in enumerate(made.nodes)))
    return made


async def test_processes_ask_once_for_json(world):
    gate = world.begin("json")
    asking = [asyncio.create_task(node.ask("json")) for node in world.nodes for _ in range(4)]
    await world.called("json")
    await asyncio.sleep(0.1)
    gate.open()
    assert set(await asyncio.gather(*asking)) == {text(0)}
    assert world.origin.calls("json") == 1


async def test_a_follower_reads_words_before_the_leader_has_the_end(world):
    leader, one, two = world.nodes
    gate = world.begin("stream", HALF)
    seen = [[], [], []]
    leading = asyncio.create_task(leader.read("stream", seen[0]))
    await world.called("stream")
    following = [await follows(node, node.read("stream", seen[at])) for at, node in ((1, one), (2, two))]
    await until(lambda: [len(each) for each in seen] == [HALF] * 3)
    gate.open()
    assert set(await asyncio.gather(leading, *following)) == {text(0)}
    assert world.origin.calls("stream") == 1


async def test_a_leader_killed_before_its_first_event_has_one_successor(world):
    leader, one, two = world.nodes
    world.begin("killed early")
    leading = asyncio.create_task(leader.ask("killed early"))
    await world.called("killed early")
    following = [await follows(node, node.ask("killed early")) for node in (one, two)]
    killed_s = time.monotonic()
    leader.process.signal(signal.SIGKILL)
    assert await asyncio.gather(*following) == [text(1)] * 2
    assert world.origin.calls("killed early") == 2
    assert world.origin.times["killed early"][1] - killed_s < LEASE_S + 1.0
    with pytest.raises(openai.APIConnectionError):
        await leading


async def test_a_stream_whose_leader_is_killed_ends_in_an_error_and_is_never_spliced(world):
    """Who was delivered words gets an error event; who waits for JSON gets the successor's answer, whole."""
    leader, one, two = world.nodes
    world.begin("killed in mid-stream", HALF)
    seen = [[], []]
    leading = asyncio.create_task(leader.read("killed in mid-stream", seen[0]))
    await world.called("killed in mid-stream")
    reading = await follows(one, one.read("killed in mid-stream", seen[1]))
    asking = await follows(two, two.ask("killed in mid-stream"))
    await until(lambda: len(seen[1]) == HALF)
    leader.process.signal(signal.SIGKILL)
    with pytest.raises(openai.APIError):
        await reading
    assert seen[1] == words(0)[:HALF]
    assert await asking == text(1)
    assert world.origin.calls("killed in mid-stream") == 2
    await asyncio.gather(leading, return_exceptions=True)


async def test_a_leader_killed_between_end_and_store_costs_no_further_call(world):
    _, one, two = world.nodes
    holder = WriteHolder(world.valkey.port)
    port = await holder.start()
    (leader,) = await asyncio.to_thread(world.started, [f"redis://127.0.0.1:{port}/0"])
    try:
        await claims(leader, "held leader")
        holder.holding = True
        gate = world.begin("not stored", HALF)
        leading = asyncio.create_task(leader.read("not stored", []))
        await world.called("not stored")
        following = [
            await follows(one, one.read("not stored", [])),
            await follows(two, two.ask("not stored")),
        ]
        gate.open()
        assert await asyncio.gather(leading, *following) == [text(0)] * 3
        await asyncio.wait_for(holder.held.wait(), PATIENCE_S)
        leader.process.signal(signal.SIGKILL)
        assert await asyncio.gather(one.ask("not stored"), two.ask("not stored")) == [text(0)] * 2
        assert world.origin.calls("not stored") == 1
    finally:
        leader.stop()
        await holder.stop()


async def test_a_leader_frozen_beyond_its_lease_answers_its_own_and_overwrites_nothing(world):
    leader, one, two = world.nodes
    gate = world.begin("frozen")
    leading = asyncio.create_task(leader.ask("frozen"))
    await world.called("frozen")
    following = await follows(one, one.ask("frozen"))
    leader.process.signal(signal.SIGSTOP)
    assert await following == text(1)
    gate.open()
    leader.process.signal(signal.SIGCONT)
    assert await leading == text(0)
    async with Redis.from_url(world.valkey.url, driver_info=None) as client:
        entries = [name async for name in client.scan_iter("tc:01:*")]
    assert entries
    await asyncio.sleep(0.3)  # what the old leader has to write comes after its answer
    assert await two.ask("frozen") == text(1)
    assert world.origin.calls("frozen") == 2


async def test_a_killed_follower_disturbs_nobody(world):
    leader, one, two = world.nodes
    gate = world.begin("follower killed", HALF)
    leading = asyncio.create_task(leader.read("follower killed", []))
    await world.called("follower killed")
    killed = await follows(one, one.read("follower killed", []))
    staying = await follows(two, two.read("follower killed", []))
    one.process.signal(signal.SIGKILL)
    gate.open()
    assert await asyncio.gather(leading, staying) == [text(0)] * 2
    assert world.origin.calls("follower killed") == 1
    await asyncio.gather(killed, return_exceptions=True)


async def test_when_the_leaders_client_hangs_up_the_others_get_all_of_it(world):
    leader, one, two = world.nodes
    gate = world.begin("client left", HALF)
    seen = []
    leading = asyncio.create_task(leader.read("client left", seen))
    await world.called("client left")
    following = [await follows(one, one.read("client left", [])), await follows(two, two.ask("client left"))]
    await until(lambda: len(seen) == HALF)
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    await asyncio.sleep(3 * LINGER_S)
    gate.open()
    assert await asyncio.gather(*following) == [text(0)] * 2
    assert world.origin.calls("client left") == 1


@contextlib.asynccontextmanager
async def breaks(valkey, how):
    match how:
        case "killed":
            valkey.kill()
            yield
            valkey.start()
        case "frozen":
            valkey.freeze()
            yield
            valkey.thaw()
        case "flushed":
            async with Redis.from_url(valkey.url, driver_info=None) as client:
                await client.flushall()
            yield


@pytest.mark.parametrize("how", ["flushed", "frozen", "killed"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_redis_that_breaks_in_mid_flight_costs_a_call_for_each_process_at_most(world, how, stream):
    """Every caller is answered; who had words of one answer before gets no words of another one."""
    _, one, two = world.nodes
    question = f"{how} {stream}"
    gate = world.begin(question, HALF if stream else 0)
    seen = [[], [], []]

    def asks(at):
        node = world.nodes[at]
        return node.read(question, seen[at]) if stream else node.ask(question)

    leading = asyncio.create_task(asks(0))
    await world.called(question)
    following = [await follows(one, asks(1)), await follows(two, asks(2))]
    if stream:
        await until(lambda: [len(each) for each in seen] == [HALF] * 3)
    async with breaks(world.valkey, how):
        await asyncio.sleep(3 * LEASE_S)
        gate.open()
        async with asyncio.timeout(PATIENCE_S):
            led, *followed = await asyncio.gather(leading, *following, return_exceptions=True)
    assert led == text(0)
    assert world.origin.calls(question) <= 3
    for at, answer in enumerate(followed, 1):
        if isinstance(answer, openai.APIError):
            assert stream
            assert text(0).startswith("".join(seen[at]))
        else:
            assert answer in {text(number) for number in range(3)}


async def test_without_redis_every_process_collapses_for_itself(world):
    nodes = await asyncio.to_thread(world.started, [f"redis://127.0.0.1:{free_port()}/0"] * 2)
    try:
        gate = world.begin("no redis")
        asking = [asyncio.create_task(node.ask("no redis")) for node in nodes for _ in range(3)]
        await world.called("no redis", times=2)
        gate.open()
        assert set(await asyncio.gather(*asking)) <= {text(0), text(1)}
        assert world.origin.calls("no redis") == 2
    finally:
        for node in nodes:
            node.stop()
