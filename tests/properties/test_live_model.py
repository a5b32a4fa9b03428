"""A flight and its callers as a model: whatever happens to one caller or to the origin, the promises hold."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tests.scenarios.test_live import RETRY, Tap
from tests.scenarios.world import JSON, body, events
from tiered_cache import Cache, CacheConfig, OriginCutError, OriginError, Response
from tiered_cache.engine.build import build
from tiered_cache.simulation.virtual import VirtualClock, VirtualTimeLoop

NO_CACHE = (b"cache-control", b"no-cache")
ERROR = b'data: {"error"'
FILLER = b": waiting\n\n"


class Source:
    """One call to the origin: says its own number, so that a mixture would show."""

    def __init__(self, number):
        self.number = number
        self.pieces = events(f"{number}a {number}b {number}c")
        self.said = 0
        self.tap = Tap()
        self.head = asyncio.get_running_loop().create_future()
        self.ended = False

    def text(self):
        return b"".join(piece for piece in self.pieces if b'"usage"' not in piece)


class Caller:
    """One caller of a stream, who reads when told to."""

    def __init__(self, task):
        self.task = task
        self.response = None
        self.got = b""
        self.failed = None
        self.left = False
        self.over = False

    async def read(self, pieces):
        try:
            if self.response is None:
                self.response = await asyncio.wait_for(asyncio.shield(self.task), 1)
            stream = self.response.body
            if isinstance(stream, bytes):
                self.got, self.over = stream, True
                return
            for _ in range(pieces):
                self.got += await asyncio.wait_for(anext(stream), 1)
        except StopAsyncIteration:
            self.over = True
        except TimeoutError:
            # The read was cancelled, as by a gateway whose client is slow; the body goes on.
            pass
        except OriginError as error:
            self.failed, self.over = error, True

    async def leave(self):
        self.left = True
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if not self.task.cancelled() and self.task.exception() is None:
            response = self.task.result()
            if not isinstance(response.body, bytes):
                await response.body.aclose()


class Live(RuleBasedStateMachine):
    """Callers come, read and go; the origin says its words, breaks off, refuses; time passes."""

    callers = Bundle("callers")

    def __init__(self):
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.runner = asyncio.Runner(loop_factory=lambda: self.loop)
        self.sources = []
        self.all = []
        config = CacheConfig(secret="a secret for these tests", linger_s=15.0)
        self.cache = Cache(build(config, VirtualClock(self.loop)))

    def run(self, work):
        return self.runner.run(work)

    async def settle(self):
        for _ in range(25):
            await asyncio.sleep(0)

    async def origin(self, _request):
        source = Source(len(self.sources))
        self.sources.append(source)
        return await source.head

    @initialize(target=callers, count=st.integers(2, 4), words=st.integers(0, 3))
    def begin(self, count, words):
        """Some callers of one stream that has begun."""
        begun = [self.call_once(()) for _ in range(count)]
        self.say(0, words)
        return multiple(*begun)

    @rule(target=callers, how=st.sampled_from([(), (), (), (RETRY,), (NO_CACHE,)]))
    def call(self, how):
        return self.call_once(how)

    def call_once(self, how):
        async def begin():
            request = self.cache.request(
                "chat/completions", body(stream=True), headers=((b"authorization", b"Bearer k"), JSON, *how)
            )
            caller = Caller(asyncio.ensure_future(self.cache.serve(request, self.origin)))
            self.all.append(caller)
            await self.settle()
            return caller

        return self.run(begin())

    @rule(caller=callers, pieces=st.integers(1, 3))
    def read(self, caller, pieces):
        if not caller.left and not caller.over:
            self.run(caller.read(pieces))

    @rule(pieces=st.integers(1, 3))
    def read_all(self, pieces):
        for caller in self.all:
            if not caller.left and not caller.over:
                self.run(caller.read(pieces))

    @rule(caller=consumes(callers))
    def leave(self, caller):
        self.run(caller.leave())

    @rule(place=st.integers(0, 1), words=st.integers(1, 6))
    def say(self, place, words):
        """The origin's head, if that has not left yet, and some events; after the last one it ends."""

        async def act():
            source = self._open(place)
            if source is None:
                return
            if not source.head.done():
                source.head.set_result(source.tap(None))
            for piece in source.pieces[source.said : source.said + words]:
                source.tap.write(piece)
            source.said += words
            if source.said >= len(source.pieces):
                source.ended = True
                source.tap.end()
            await self.settle()

        self.run(act())

    @rule(place=st.integers(0, 1))
    def cut(self, place):
        async def act():
            source = self._open(place)
            if source is None:
                return
            source.ended = True
            if source.head.done():
                source.tap.end(OriginCutError("cut"))
            else:
                source.head.set_exception(OriginCutError("cut"))
            await self.settle()

        self.run(act())

    @rule(place=st.integers(0, 1), status=st.sampled_from([400, 429, 500]))
    def refuse(self, place, status):
        async def act():
            source = self._open(place)
            if source is not None and not source.head.done():
                source.ended = True
                source.head.set_result(Response(status, (JSON,), b'{"error":{}}'))
                await self.settle()

        self.run(act())

    @rule(seconds=st.sampled_from([1.0, 6.0, 16.0, 40.0]))
    def wait(self, seconds):
        self.run(asyncio.sleep(seconds))

    def _open(self, place):
        open_sources = [each for each in self.sources if not each.ended and not each.head.cancelled()]
        return open_sources[place % len(open_sources)] if open_sources else None

    @invariant()
    def nobody_has_parts_of_two_generations(self):
        for caller in self.all:
            got = caller.got.replace(FILLER, b"")
            if not got or (caller.response is not None and caller.response.status != 200):
                continue
            told, error, after = got.partition(ERROR)
            sources = [source for source in self.sources if source.text().startswith(told)]
            assert sources, "parts of two, or something that nobody said"
            if caller.over and not error:
                assert any(source.text() == told for source in sources), "it ended, so it is whole"
            assert after.count(b"\n\n") == bool(error), "nothing follows an error event"

    @invariant()
    def traffic_is_what_there_is(self):
        traffic = self.cache.traffic()
        assert traffic.flights <= len(self.sources)
        assert 0 <= traffic.lingering <= traffic.flights
        assert traffic.callers <= sum(not caller.left for caller in self.all)

    def teardown(self):
        async def end():
            for source in self.sources:
                if not source.head.done():
                    source.head.set_exception(OriginCutError("the end"))
                elif not source.ended:
                    source.tap.end(OriginCutError("the end"))
            for _ in range(6):
                await self.settle()
                for source in self.sources:
                    if not source.head.done():
                        source.head.set_exception(OriginCutError("the end"))
            for caller in self.all:
                if not caller.left:
                    await caller.read(50)
                    await caller.leave()
            await asyncio.sleep(200)
            assert self.cache.traffic().flights == 0
            assert self.cache.traffic().callers == 0
            await self.cache.close()
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert left == []

        self.run(end())
        self.runner.close()


Live.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestLive = Live.TestCase
