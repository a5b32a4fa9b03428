"""`Cache.call`, for gateways that hold parsed bodies: values go in and out as the origin's own client has them."""

import asyncio
import pickle
from decimal import Decimal
from math import inf, isnan, nan

import httpx2
import openai
import pytest

from tests.integration.gateway_kit import SECRET
from tests.integration.raw_server import until
from tests.scenarios.world import world
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig
from tiered_cache.errors import OriginStatusError

CALL = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def answer(text="hi", **fields) -> dict:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]} | fields


def chunk(delta, reason=None, **fields) -> dict:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return head | {"choices": [choice]} | fields


class Fetch:
    """Gives the replies one after another, the last for ever; keeps what it was asked."""

    def __init__(self, *replies):
        self.replies = list(replies) or [answer()]
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, body):
        self.asked.append(body)
        await self.gate.wait()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, BaseException):
            raise reply
        return self.stream(reply) if isinstance(reply, list) else reply

    @staticmethod
    async def stream(chunks):
        for each in chunks:
            yield each


@pytest.fixture
async def cache():
    async with Cache.open(CacheConfig(secret=SECRET)) as opened:
        yield opened


async def ask(cache, fetch, body=CALL, credential=b"k", **fields):
    scope = cache.scope(tenant="acme", credential=credential)
    return await cache.call("chat/completions", {**body, **fields}, fetch, scope=scope)


def circle() -> list:
    one: list = []
    one.append(one)
    return one


def deep() -> list:
    one: list = []
    for _ in range(200_000):
        one = [one]
    return one


class TestAsked:
    """What `fetch` gets."""

    @pytest.mark.parametrize("odd", [Decimal(1), b"x", nan, {1, 2}, "\ud800", circle(), deep()])
    async def test_a_body_that_is_no_json_is_forwarded_as_it_is(self, cache, odd):
        fetch = Fetch()
        for _ in range(2):
            result = await ask(cache, fetch, odd=odd)
            assert (result.value, result.outcome) == (answer(), None)
        assert [body["odd"] is odd for body in fetch.asked] == [True, True]

    async def test_it_is_the_callers_own_values(self, cache):
        fetch = Fetch()
        body = {**CALL, "logit_bias": {50256: -100}, "metadata": {"pair": (1, 2)}}
        await ask(cache, fetch, body)
        assert fetch.asked == [body]
        assert (await ask(cache, fetch, body)).outcome.kind == "hit"

    @pytest.mark.parametrize("options", [{}, {"stream_options": None}, {"stream_options": {"x": {1: 2}}}])
    async def test_a_stream_has_the_one_edit(self, cache, options):
        fetch = Fetch([chunk({"content": "hi"}), chunk({}, "stop")])
        body = {**CALL, "stream": True, "logit_bias": {50256: -100}, **options}
        result = await ask(cache, fetch, body)
        assert len([each async for each in result.value]) == 2
        before = options.get("stream_options") or {}
        assert fetch.asked == [{**body, "stream_options": {**before, "include_usage": True}}]
        assert options == {} or body["stream_options"] == options["stream_options"]

    async def test_a_body_that_its_caller_changes_meanwhile_is_asked_as_it_was_keyed(self, cache):
        fetch = Fetch()
        fetch.gate.clear()
        messages = [{"role": "user", "content": "Hi"}]
        call = asyncio.create_task(ask(cache, fetch, messages=messages))
        await asyncio.sleep(0)
        messages.append({"role": "user", "content": "changed before it was asked"})
        await until(lambda: fetch.asked)
        messages[0]["content"] = "changed while it was asked"
        fetch.gate.set()
        await call
        assert fetch.asked == [CALL]

    async def test_a_body_deeper_than_a_copy_can_be_is_forwarded(self, cache):
        one: list = []
        for _ in range(400):
            one = [one]
        fetch = Fetch()
        result = await ask(cache, fetch, odd=one)
        assert result.value == answer()
        assert result.outcome is None or result.outcome.kind == "bypass"


class TestAnswers:
    """What comes back."""

    @pytest.mark.parametrize(
        "odd", [inf, Decimal(1), b"x", (1, 2), {1: 2}, {3}, "\ud800", object(), circle()]
    )
    async def test_one_that_does_not_survive_json_reaches_its_caller_and_is_not_stored(self, cache, odd):
        fetch = Fetch(answer(odd=odd))
        for _ in range(2):
            result = await ask(cache, fetch)
            assert result.value["odd"] is odd
            assert result.outcome.kind == "miss"
        assert len(fetch.asked) == 2

    async def test_so_does_one_that_is_not_even_equal_to_itself(self, cache):
        fetch = Fetch(answer(odd=nan))
        assert isnan((await ask(cache, fetch)).value["odd"])
        assert isnan((await ask(cache, fetch)).value["odd"])

    @pytest.mark.parametrize("value", [object(), None, "text", 5])
    async def test_so_does_one_that_is_no_object_at_all(self, cache, value):
        assert (await ask(cache, Fetch(value))).value is value

    async def test_those_who_joined_such_a_call_ask_for_themselves(self, cache):
        fetch = Fetch(answer(odd=inf))
        fetch.gate.clear()
        calls = [asyncio.create_task(ask(cache, fetch)) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert len(fetch.asked) == 1
        fetch.gate.set()
        assert [result.value["odd"] for result in await asyncio.gather(*calls)] == [inf] * 5

    @pytest.mark.parametrize("odd", [nan, Decimal(1), (1, 2)])
    async def test_a_chunk_that_does_not_survive_reaches_its_caller_and_nothing_is_stored(self, cache, odd):
        chunks = [chunk({"content": "hi"}, odd=odd), chunk({}, "stop")]
        fetch = Fetch(chunks)
        for _ in range(2):
            result = await ask(cache, fetch, stream=True)
            got = [each async for each in result.value]
            assert got[0] is chunks[0]
            assert got[1:] == chunks[1:]
        assert len(fetch.asked) == 2

    async def test_a_stream_of_which_nothing_is_odd_is_stored(self, cache):
        fetch = Fetch([chunk({"content": "hi"}), chunk({}, "stop")])
        for _ in range(2):
            result = await ask(cache, fetch, stream=True)
            assert len([each async for each in result.value]) == 2
        assert len(fetch.asked) == 1


def rate_limited(status=429) -> openai.APIStatusError:
    request = httpx2.Request("POST", "https://h/v1/chat/completions")
    response = httpx2.Response(status, headers={"Retry-After": "1"}, request=request)
    return openai.APIStatusError("no", response=response, body={"message": "no"})


class BareError(Exception):
    """Some other SDK's."""

    def __init__(self, status_code=None):
        super().__init__(status_code)
        self.status_code = status_code


class TestStatuses:
    """An SDK's exception for an HTTP status is a whole answer of the origin."""

    @pytest.mark.parametrize("error", [rate_limited(), rate_limited(500), BareError(404)])
    async def test_it_comes_out_as_it_is(self, cache, error):
        fetch = Fetch(error, answer())
        with pytest.raises(type(error)) as caught:
            await ask(cache, fetch)
        assert caught.value is error
        assert (await ask(cache, fetch)).value == answer()

    async def test_a_call_that_is_not_cached_raises_it_too(self, cache):
        error = rate_limited()
        with pytest.raises(openai.APIStatusError) as caught:
            await ask(cache, Fetch(error), temperature=1)
        assert caught.value is error

    async def test_nobody_who_joined_asks_again(self, cache):
        error = rate_limited()
        fetch = Fetch(error)
        fetch.gate.clear()
        calls = [asyncio.create_task(ask(cache, fetch)) for _ in range(5)]
        await asyncio.sleep(0.05)
        fetch.gate.set()
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert failures[0] is error
        assert [(type(each), each.status_code) for each in failures[1:]] == [(OriginStatusError, 429)] * 4
        assert len(fetch.asked) == 1

    async def test_another_credential_is_not_told_of_the_leaders(self, cache):
        fetch = Fetch(rate_limited(401), answer())
        fetch.gate.clear()
        one = asyncio.create_task(ask(cache, fetch))
        other = asyncio.create_task(ask(cache, fetch, credential=b"another"))
        await asyncio.sleep(0.05)
        fetch.gate.set()
        with pytest.raises(openai.APIStatusError):
            await one
        assert (await other).value == answer()

    @pytest.mark.parametrize(("status", "stands_in"), [(404, False), (422, False), (503, True)])
    async def test_a_stale_entry_stands_in_for_what_it_may_alone(self, status, stands_in):
        async with world() as w:
            fetch = Fetch(answer(), rate_limited(status))
            await ask(w.cache, fetch)
            w.clock.advance(86_400 + 60)
            if stands_in:
                assert (await ask(w.cache, fetch)).outcome.kind == "stale"
            else:
                with pytest.raises(openai.APIStatusError):
                    await ask(w.cache, fetch)

    async def test_a_refused_edit_is_taken_back(self, cache):
        error = rate_limited(400)
        error.body = {"message": "unknown field stream_options"}
        fetch = Fetch(error, [chunk({"content": "hi"}), chunk({}, "stop")])
        result = await ask(cache, fetch, stream=True)
        assert len([each async for each in result.value]) == 2
        assert fetch.asked[1] == {**CALL, "stream": True}

    @pytest.mark.parametrize(
        "error", [BareError(), BareError(200), BareError("503"), BareError(status_code=True)]
    )
    async def test_other_exceptions_come_out_as_they_did(self, cache, error):
        with pytest.raises(BareError) as caught:
            await ask(cache, Fetch(error))
        assert caught.value is error

    def test_the_error_of_those_who_joined_can_be_pickled(self):
        error = pickle.loads(pickle.dumps(OriginStatusError(429)))
        assert (error.status_code, error.code, "429" in str(error)) == (429, "origin_status", True)
