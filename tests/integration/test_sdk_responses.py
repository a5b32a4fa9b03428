"""The real OpenAI SDK over the Responses API: through gateway and transport every shape of an entry is one answer."""

import asyncio
import contextlib
import json
from typing import Any

import httpx2
import openai
import pytest

from tests.core.chat_kit import compact
from tests.core.responses_kit import (
    answer,
    cut,
    events,
    function_call,
    message,
    reasoning,
    text_part,
    written,
)
from tests.integration.gateway_kit import KEY, Pieces, Upstream, ask, gateway
from tiered_cache.core.sse import read_events
from tiered_cache.core.vocabulary import Request, Response, Scope
from tiered_cache.engine.cache import Cache
from tiered_cache.errors import OriginCutError
from tiered_cache.integrations.transport import async_client

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")
PATH = "/v1/responses"
QUESTION: dict[str, Any] = {"model": "openai/gpt-4o", "input": "hi", "temperature": 0, "store": False}
FORMAT: dict[str, Any] = {"format": {"type": "json_object"}}
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"at": {"type": "array"}}},
    "strict": False,
}
LOGPROB = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
CITED = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 1}
ANSWERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": (answer(), {}),
    "parts": (
        answer(message(text_part("one", logprobs=[LOGPROB]), text_part("two", annotations=[CITED]))),
        {},
    ),
    "calls": (
        answer(function_call(), function_call(id="fc_2", call_id="call_2", arguments="{}")),
        {"tools": [TOOL]},
    ),
    "both": (answer(message(), function_call()), {"tools": [TOOL]}),
    "json": (answer(message(text_part('{"a": 1.0}'))), {"text": FORMAT}),
    "named": (answer(metadata={"who": "anna"}, user="anna"), {"metadata": {"who": "anna"}, "user": "anna"}),
}
NAMES = pytest.mark.parametrize("name", ANSWERS)


def streamed(request: Request) -> bool:
    return json.loads(request.body).get("stream") is True


def replying(value: dict[str, Any]):
    """An origin that gives this answer in the shape that it is asked for."""

    def reply(request: Request) -> Response:
        if streamed(request):
            return Response(200, (EVENTS,), Pieces(*_pieces(written(events(value)))))
        return Response(200, (JSON,), compact(value))

    return reply


def _pieces(body: bytes) -> list[bytes]:
    return [body[at : at + 700] for at in range(0, len(body), 700)]


@contextlib.asynccontextmanager
async def sdk(upstream: Upstream):
    """The SDK before a gateway before this upstream."""
    async with gateway(upstream) as app:
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
        async with openai.AsyncOpenAI(
            base_url="http://gateway/v1", api_key="k", max_retries=0, http_client=http
        ) as opened:
            yield opened


async def by_json(opened: openai.AsyncOpenAI, **asked: Any):
    return await opened.responses.create(**(QUESTION | asked))


async def by_stream(opened: openai.AsyncOpenAI, **asked: Any):
    stream = await opened.responses.create(**(QUESTION | asked), stream=True)
    said = [event async for event in stream]
    assert [event.sequence_number for event in said] == list(range(len(said)))
    assert said[-1].type == "response.completed"
    return said[-1].response


async def by_helper(opened: openai.AsyncOpenAI, **asked: Any):
    async with opened.responses.stream(**(QUESTION | asked)) as helper:
        async for _ in helper:
            pass
        return await helper.get_final_response()


WAYS = [by_json, by_stream, by_helper]


def plain(response: Any) -> Any:
    """What an application can see of it; the helper adds what it parsed."""
    return _without(response.to_dict(), {"parsed", "parsed_arguments"})


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(member, names) for name, member in value.items() if name not in names}
    return [_without(item, names) for item in value] if isinstance(value, list) else value


def hit(value: dict[str, Any]) -> dict[str, Any]:
    """The answer as a caller gets it who did not ask the origin."""
    return {**value, "usage": {**value["usage"], "cost": 0}, "metadata": {}, "user": None}


class TestFourCombinations:
    """Filled by JSON or by a stream, read as JSON, as events or by the SDK's helper: one answer, paid once."""

    @NAMES
    @pytest.mark.parametrize("filler", WAYS)
    async def test_every_way_of_reading_gives_the_same(self, name, filler):
        value, asked = ANSWERS[name]
        upstream = Upstream(replying(value))
        async with sdk(upstream) as opened:
            assert plain(await filler(opened, **asked)) == value
            for way in WAYS:
                assert plain(await way(opened, **asked)) == hit(value), way
        assert len(upstream.requests) == 1

    async def test_what_the_answers_say_is_what_was_meant(self):
        upstream = Upstream(replying(ANSWERS["both"][0]))
        async with sdk(upstream) as opened:
            for way in WAYS:
                found = await way(opened, tools=[TOOL])
                assert found.output_text == 'hello 🦊\\"\n'
                assert (found.output[1].name, found.output[1].arguments) == ("look", '{"at": [1, 2]}')
                assert (found.usage.input_tokens, found.usage.output_tokens) == (9, 4)

    async def test_the_helper_parses_what_was_made_of_json(self):
        upstream = Upstream(replying(ANSWERS["calls"][0]))
        async with sdk(upstream) as opened:
            await by_json(opened, tools=[TOOL])
            texts: list[str] = []
            async with opened.responses.stream(**QUESTION, tools=[TOOL]) as helper:
                async for event in helper:
                    if event.type == "response.function_call_arguments.delta":
                        texts.append(event.snapshot)
        assert texts == ['{"at": [1, 2]}', "{}"]
        assert len(upstream.requests) == 1

    async def test_reasoning_is_told_too(self):
        value = answer(reasoning("first", "second", encrypted_content="gAAAA="), message())
        upstream = Upstream(replying(value))
        async with sdk(upstream) as opened:
            await by_json(opened, include=["reasoning.encrypted_content"])
            stream = await opened.responses.create(
                **QUESTION, include=["reasoning.encrypted_content"], stream=True
            )
            said = [event async for event in stream]
        assert said[-1].response.to_dict() == hit(value)
        summaries = [one.text for one in said if one.type == "response.reasoning_summary_text.done"]
        assert summaries == ["first", "second"]
        assert len(upstream.requests) == 1

    async def test_an_unknown_item_is_kept_for_its_own_shape(self):
        value = answer({"id": "x_1", "type": "x_item"}, message())
        upstream = Upstream(replying(value))
        async with gateway(upstream) as app:
            asked = [compact(QUESTION), compact({**QUESTION, "stream": True})]
            statuses = [
                (await ask(app, body, path=PATH)).cache_status for body in (asked[0], asked[0], asked[1])
            ]
        assert "; hit" in statuses[1]
        assert "shape-locked" in statuses[2]


class TestGateway:
    async def test_the_origin_gets_the_callers_bytes(self):
        upstream = Upstream(replying(answer()))
        body = b' {"stream": true, "store":false,"model":"openai/gpt-4o","temperature":0,"input":"hi"}'
        async with gateway(upstream) as app:
            await ask(app, body, path=PATH)
        assert upstream.requests[0].body == body

    async def test_spellings_of_one_call_are_one(self):
        upstream = Upstream(replying(answer()))
        others = [
            {**QUESTION, "input": [{"role": "user", "content": "hi"}], "user": "u"},
            {**QUESTION, "temperature": 0.0, "truncation": "disabled", "service_tier": "flex"},
            {**QUESTION, "text": {"format": {"type": "text"}}, "prompt_cache_key": "k"},
        ]
        async with gateway(upstream) as app:
            await ask(app, compact(QUESTION), path=PATH)
            statuses = [(await ask(app, compact(body), path=PATH)).cache_status for body in others]
        assert all("; hit" in status for status in statuses)

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"store": True}, "side-effect"),
            ({"store": None}, "side-effect"),
            ({"previous_response_id": "resp_0"}, "side-effect"),
            ({"background": True}, "side-effect"),
            ({"tools": [{"type": "mcp"}]}, "origin-tool"),
            ({"temperature": 1}, "sampled"),
        ],
    )
    async def test_what_is_not_cached_is_forwarded_each_time(self, changes, word):
        upstream = Upstream(replying(answer()))
        async with gateway(upstream) as app:
            for _ in range(2):
                answered = await ask(app, compact(QUESTION | changes), path=PATH)
                assert f"fwd=bypass; fwd-status=200; detail={word}" in answered.cache_status
        assert len(upstream.requests) == 2

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/v1/responses/resp_1"),
            ("DELETE", "/v1/responses/resp_1"),
            ("POST", "/v1/responses/resp_1/cancel"),
            ("GET", "/v1/responses/resp_1/input_items"),
            ("POST", "/v1/responses/input_tokens"),
        ],
    )
    async def test_other_routes_beside_it_stay_forwarded(self, method, path):
        upstream = Upstream()
        async with gateway(upstream) as app:
            await ask(app, b"{}", method=method, path=path)
        assert [call[:2] for call in upstream.calls] == [(method, path.removeprefix("/v1/"))]
        assert upstream.requests == []

    async def test_a_stream_that_breaks_off_ends_with_the_apis_error_event(self):
        part = written(events(answer())[:6])
        upstream = Upstream(lambda _: Response(200, (EVENTS,), Pieces(part, error=OriginCutError("cut"))))
        async with gateway(upstream) as app:
            answered = await ask(app, compact({**QUESTION, "stream": True}), path=PATH)
        last = read_events(answered.body)[0][-1]
        assert answered.body.startswith(part)
        assert last.name == b"error"
        assert json.loads(last.data or b"")["code"] == "origin_cut"

    async def test_the_sdk_raises_on_it(self):
        part = written(events(answer())[:6])
        upstream = Upstream(lambda _: Response(200, (EVENTS,), Pieces(part, error=OriginCutError("cut"))))
        async with sdk(upstream) as opened:
            with pytest.raises(openai.APIError, match="broke off") as caught:
                await by_stream(opened)
        assert caught.value.code == "origin_cut"

    async def test_what_is_not_stored_reaches_those_who_joined(self):
        value = answer(message(status="incomplete"), status="incomplete", incomplete_details={"reason": "x"})
        upstream = Upstream(replying(value))
        upstream.hold = asyncio.Event()
        async with gateway(upstream) as app:
            tasks = [asyncio.create_task(ask(app, compact(QUESTION), path=PATH)) for _ in range(3)]
            await asyncio.wait_for(upstream.arrived.wait(), 5)
            upstream.hold.set()
            found = await asyncio.gather(*tasks)
        assert [one.json["status"] for one in found] == ["incomplete"] * 3
        assert len(upstream.requests) == 1
        assert all("stored" not in one.cache_status for one in found)

    async def test_a_json_caller_may_follow_a_stream(self):
        gate = asyncio.Event()
        told = written(events(answer()))

        class Slow(Pieces):
            async def __anext__(self):
                if len(self.left) == 1:
                    await gate.wait()
                return await super().__anext__()

        upstream = Upstream(lambda _: Response(200, (EVENTS,), Slow(told[:900], told[900:])))
        async with gateway(upstream) as app:
            stream = asyncio.create_task(ask(app, compact({**QUESTION, "stream": True}), path=PATH))
            await asyncio.wait_for(upstream.arrived.wait(), 5)
            follower = asyncio.create_task(ask(app, compact(QUESTION), path=PATH))
            await asyncio.sleep(0.05)
            gate.set()
            found = await asyncio.gather(stream, follower)
        assert found[0].body == told
        assert found[1].json == hit(answer())
        assert len(upstream.requests) == 1


class TestTransport:
    @NAMES
    async def test_under_the_sdk_without_a_gateway(self, name):
        value, asked = ANSWERS[name]
        calls: list[bytes] = []

        async def origin(request: httpx2.Request) -> httpx2.Response:
            calls.append(await request.aread())
            if json.loads(calls[-1]).get("stream"):
                headers = {"content-type": "text/event-stream"}
                return httpx2.Response(200, headers=headers, content=written(events(value)))
            return httpx2.Response(200, json=value)

        async with Cache.open() as cache:
            http = async_client(cache, inner=httpx2.MockTransport(origin))
            async with openai.AsyncOpenAI(
                base_url="http://origin/v1", api_key="k", max_retries=0, http_client=http
            ) as opened:
                assert plain(await by_helper(opened, **asked)) == value
                for way in WAYS:
                    assert plain(await way(opened, **asked)) == hit(value)
        assert len(calls) == 1


class TestDictCall:
    @pytest.mark.parametrize("first", [False, True])
    async def test_values_in_values_out(self, first):
        value = answer()
        fetched: list[dict[str, Any]] = []

        async def fetch(body: dict[str, Any]):
            fetched.append(body)
            return chunks() if body.get("stream") else value

        async def chunks():
            for event in events(value):
                yield event

        async with Cache.open() as cache:
            found: dict[bool, Any] = {}
            for stream in (first, not first):
                result = await cache.call(
                    "responses", {**QUESTION, "stream": stream}, fetch, scope=Scope("t", "o")
                )
                found[stream] = [chunk async for chunk in result.value] if stream else result.value
        own, other = (value, hit(value)) if first is False else (hit(value), value)
        assert found[False] == own
        assert found[True][-1]["response"] == other
        assert [one["type"] for one in found[True]][:2] == ["response.created", "response.in_progress"]
        assert fetched == [{**QUESTION, "stream": first}]

    async def test_a_stream_with_a_chunk_that_is_no_json_is_not_stored(self):
        asked: list[int] = []

        async def fetch(_: dict[str, Any]):
            asked.append(1)
            return chunks()

        async def chunks():
            *most, last = events(answer())
            for event in most:
                yield event
            yield {"type": "response.x", "odd": {1, 2}}
            yield last

        async with Cache.open() as cache:
            for _ in range(2):
                body = {**QUESTION, "stream": True}
                result = await cache.call("responses", body, fetch, scope=Scope("t", "o"))
                said = [chunk async for chunk in result.value]
                assert said[-2]["odd"] == {1, 2}
        assert len(asked) == 2


def test_the_kit_cuts_texts_in_pieces():
    """The streams above would be read alike if each said all at once."""
    deltas = [one for one in events(answer()) if one["type"] == "response.output_text.delta"]
    assert len(deltas) == 3
    assert "".join(one["delta"] for one in deltas) == text_part()["text"]
    assert cut("", 3) == []
    assert KEY[0] == b"authorization"
