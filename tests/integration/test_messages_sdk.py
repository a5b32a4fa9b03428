"""The real Anthropic SDK reads each shape of one messages entry as the same message, whoever wrote it."""

import asyncio
import json
from typing import Any

import anthropic
import httpx2
import pytest

from tests.core.messages_kit import (
    TEXT,
    answer,
    begin,
    block_events,
    judged_json,
    judged_stream,
    stored,
    stream,
)
from tests.integration.gateway_process import GatewayProcess
from tests.integration.messages_server import ANSWERS, MessagesServer
from tiered_cache import Cache, CacheConfig, Scope
from tiered_cache.core.answers import error_event, render
from tiered_cache.core.vocabulary import Entry
from tiered_cache.integrations.transport import async_client

ASKED: list[Any] = [{"role": "user", "content": "?"}]
QUESTION: dict[str, Any] = {"max_tokens": 100, "messages": ASKED, "extra_body": {"temperature": 0}}
"""The SDK has no parameter for the temperature any more."""


def entries(name: str) -> tuple[Entry, Entry]:
    blocks, stop = ANSWERS[name]
    return stored(judged_stream(stream(*blocks, stop=stop))), stored(judged_json(answer(*blocks, stop=stop)))


FORMS = [pytest.param(entry, id=f"{name}-{entry.form}") for name in ANSWERS for entry in entries(name)]


def sdk_for(handler: Any) -> anthropic.Anthropic:
    http_client = httpx2.Client(transport=httpx2.MockTransport(handler))
    return anthropic.Anthropic(api_key="test", base_url="http://test", http_client=http_client, max_retries=0)


def reading(entry: Entry, *, free: bool = True) -> anthropic.Anthropic:
    """An SDK whose every call is answered from `entry`."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        shape = "sse" if json.loads(request.content).get("stream") else "json"
        rendering = render(entry, shape, free=free)  # type: ignore[arg-type]  # one of the shapes
        assert rendering is not None
        headers = {"content-type": rendering.content_type.decode()}
        return httpx2.Response(200, headers=headers, content=rendering.body)

    return sdk_for(handle)


def told(message: Any) -> dict[str, Any]:
    """All that an application can see; the SDK's accumulator leaves a cost out that comes with the last event."""
    seen: dict[str, Any] = json.loads(message.model_dump_json())
    seen["usage"].pop("cost", None)
    return {name: value for name, value in seen.items() if name != "parsed_output"} | {
        "content": [{k: v for k, v in block.items() if k != "parsed_output"} for block in seen["content"]]
    }


def ask_json(sdk: anthropic.Anthropic, model: str = "m", **fields: Any) -> Any:
    return sdk.messages.create(model=model, **QUESTION, **fields)


def ask_stream(sdk: anthropic.Anthropic, model: str = "m", **fields: Any) -> Any:
    with sdk.messages.stream(model=model, **QUESTION, **fields) as events:
        return events.get_final_message()


@pytest.mark.parametrize("name", ANSWERS)
def test_four_combinations_of_stored_form_and_shape_are_one_message(name: str) -> None:
    blocks, stop = ANSWERS[name]
    messages = []
    for entry in entries(name):
        with reading(entry) as sdk:
            messages += [told(ask_json(sdk)), told(ask_stream(sdk))]
    assert messages[0] == messages[1] == messages[2] == messages[3]
    for seen, block in zip(messages[0]["content"], blocks, strict=True):
        assert {name: seen[name] for name in block if name != "citations"} == {
            name: value for name, value in block.items() if name != "citations"
        }
        assert len(seen.get("citations") or []) == len(block.get("citations", []))
    assert messages[0]["stop_reason"] == stop
    assert messages[0]["usage"]["output_tokens"] == 4


@pytest.mark.parametrize("entry", FORMS)
def test_raw_events_of_both_forms_are_typed_and_cost_nothing(entry: Entry) -> None:
    with reading(entry) as sdk:
        events = list(sdk.messages.create(model="m", stream=True, **QUESTION))
        assert ask_json(sdk).usage.cost == 0
    assert [events[0].type, events[-2].type, events[-1].type] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    assert json.loads(events[-2].model_dump_json())["usage"]["cost"] == 0
    assert "ping" not in {event.type for event in events}


@pytest.mark.parametrize("entry", FORMS)
async def test_the_async_sdk_reads_the_same(entry: Entry) -> None:
    rendering = render(entry, "sse")
    assert rendering is not None
    headers = {"content-type": "text/event-stream"}
    answering = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=rendering.body))
    async with (
        anthropic.AsyncAnthropic(
            api_key="test", base_url="http://test", http_client=httpx2.AsyncClient(transport=answering)
        ) as sdk,
        sdk.messages.stream(model="m", **QUESTION) as events,
    ):
        message = told(await events.get_final_message())
    with reading(entry) as plain:
        assert message == told(ask_json(plain))


def test_our_error_event_is_an_error_to_the_sdk() -> None:
    body = (
        begin() + b"".join(block_events(0, TEXT)[:2]) + error_event("messages", "it broke off", "origin_cut")
    )
    headers = {"content-type": "text/event-stream"}
    with (
        sdk_for(lambda _: httpx2.Response(200, headers=headers, content=body)) as sdk,
        pytest.raises(anthropic.APIStatusError, match="it broke off"),
    ):
        ask_stream(sdk)


# --- through a gateway process


@pytest.fixture(scope="module")
def origin():
    with MessagesServer() as server:
        yield server


@pytest.fixture(scope="module")
def node(origin):
    with GatewayProcess("--upstream", origin.url) as gateway:
        yield gateway


def client(base: str, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=key, base_url=base, max_retries=0, timeout=20)


@pytest.mark.parametrize("first", [ask_json, ask_stream])
@pytest.mark.parametrize("name", ANSWERS)
def test_through_the_gateway_both_shapes_come_from_one_call(origin, node, name, first) -> None:
    """Each is what the SDK reads without a cache."""
    key = f"rqy_{name}_{first.__name__}"
    then = ask_stream if first is ask_json else ask_json
    with client(origin.base, key) as sdk:
        uncached = told(ask_json(sdk, name))
    before = len(origin.seen)
    with client(node.base, key) as sdk:
        for ask in (first, then, first):
            assert told(ask(sdk, name)) == uncached
        status = sdk.messages.with_raw_response.create(model=name, **QUESTION).headers["cache-status"]
    assert "; hit" in status
    assert len(origin.seen) == before + 1
    assert json.loads(origin.seen[-1].body).get("stream_options") is None


def test_the_origin_gets_the_callers_own_bytes(origin, node) -> None:
    """No edit is made, spelling and unknown fields included."""
    sent = b'{ "model":"text", "stream" : true,"max_tokens":9, "messages":[],"x": 1.0 }'
    answered = httpx2.post(
        f"{node.url}/messages",
        content=sent,
        headers={"x-api-key": "rqy_bytes", "content-type": "application/json"},
    )
    assert answered.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert origin.seen[-1].body == sent


def test_what_ran_out_of_tokens_is_asked_again(origin, node) -> None:
    before = len(origin.seen)
    with client(node.base, "rqy_long") as sdk:
        for ask in (ask_json, ask_stream, ask_json):
            assert ask(sdk, "long").stop_reason == "max_tokens"
    assert len(origin.seen) == before + 3


def test_a_stream_that_breaks_off_ends_with_an_error_and_is_not_stored(origin, node) -> None:
    before = len(origin.seen)
    with client(node.base, "rqy_cut") as sdk:
        for _ in range(2):
            with pytest.raises(anthropic.APIStatusError, match="broke off"):
                ask_stream(sdk, "cut")
    assert len(origin.seen) > before + 1


def test_versions_and_betas_are_calls_of_their_own(origin, node) -> None:
    before = len(origin.seen)
    with client(node.base, "rqy_beta") as sdk:
        for _ in range(2):
            ask_json(sdk, "text")
            ask_json(sdk, "text", extra_headers={"anthropic-beta": "x-2026-01-01"})
            sdk.beta.messages.create(model="text", betas=["y-2026-01-01"], **QUESTION)
    assert len(origin.seen) == before + 3


def test_other_paths_below_messages_are_forwarded(origin, node) -> None:
    with client(node.base, "rqy_count") as sdk:
        raw = sdk.messages.with_raw_response.count_tokens(model="text", messages=QUESTION["messages"])
    assert "detail=route" in raw.headers["cache-status"]


# --- under the SDK, and on values


async def test_under_the_sdk_the_transport_answers_from_the_store(origin) -> None:
    before = len(origin.seen)
    async with (
        Cache.open(CacheConfig(secret="a secret for these tests")) as cache,
        async_client(cache) as http_client,
        anthropic.AsyncAnthropic(
            api_key="rqy_transport", base_url=origin.base, http_client=http_client
        ) as sdk,
    ):
        whole = await sdk.messages.create(model="tools", **QUESTION)
        async with sdk.messages.stream(model="tools", **QUESTION) as events:
            assert told(await events.get_final_message()) == told(whole)
        # A message of a thread is no call of a model, although its path ends alike.
        passed = await http_client.post(f"{origin.url}/threads/t/messages", json={"model": "text"})
        assert "cache-status" not in passed.headers
    assert len(origin.seen) == before + 2


async def test_values_come_back_as_values(origin) -> None:
    events = [json.loads(piece.partition("data: ")[2]) for piece in stream().decode().split("\n\n") if piece]
    events = [event for event in events if event["type"] != "ping"]
    asked: list[dict[str, Any]] = []

    async def fetch(body: dict[str, Any]) -> Any:
        asked.append(body)

        async def chunks() -> Any:
            for event in events:
                await asyncio.sleep(0)
                yield event

        return chunks()

    scope = Scope("tenant", "origin")
    body = {"model": "m", "stream": True, "max_tokens": 100, "messages": ASKED, "temperature": 0}
    async with Cache.open(CacheConfig(secret="a secret for these tests")) as cache:
        for kind in ("miss", "hit"):
            result = await cache.call("messages", body, fetch, scope=scope)
            given = [chunk async for chunk in result.value]
            assert result.outcome is not None and result.outcome.kind == kind
            assert [chunk["type"] for chunk in given] == [event["type"] for event in events]
        whole = await cache.call("messages", {**body, "stream": False}, fetch, scope=scope)
    assert whole.value["content"] == [TEXT]
    assert asked == [body]
