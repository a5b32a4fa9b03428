"""The real OpenAI SDK reads each shape of one entry as the same answer, whatever form the origin wrote."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.core.chat_kit import (
    USAGE,
    answer,
    chunk,
    delta,
    event,
    events,
    message,
    stored_json,
    stored_stream,
    stream,
    text_stream,
    tool_call,
)
from tiered_cache.core.answers import error_event, live, render
from tiered_cache.core.vocabulary import Call, Entry, Shape

TOKEN = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
CITED = [
    {
        "type": "url_citation",
        "url_citation": {"url": "https://e.com", "title": "E", "start_index": 0, "end_index": 1},
    }
]
TOOLS = [tool_call("f", '{"a": [1, 2]}', "call_a"), tool_call("g", "{}", "call_b")]


def with_logprobs() -> dict[str, Any]:
    value = answer(message("xx"))
    value["choices"][0]["logprobs"] = {"content": [TOKEN, TOKEN], "refusal": None}
    return value


def tool_stream() -> bytes:
    parts: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
    for index, call in enumerate(TOOLS):
        function = call["function"]
        parts.append({"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]})
        for letter in function["arguments"]:
            parts.append({"tool_calls": [{"index": index, "function": {"arguments": letter}}]})
    return stream(
        *[chunk(delta(**said)) for said in parts], chunk(delta(finish="tool_calls")), chunk(usage=USAGE)
    )


def two_choices() -> bytes:
    parts = [chunk(delta(index, role="assistant", content="")) for index in (0, 1)]
    parts += [chunk(delta(index, content=f"{index}{turn} ")) for turn in range(3) for index in (0, 1)]
    return stream(*parts, chunk(delta(1, "stop")), chunk(delta(0, "stop")), chunk(usage=USAGE))


def logprob_stream() -> bytes:
    said = {**delta(content="x"), "logprobs": {"content": [TOKEN], "refusal": None}}
    first = chunk(delta(role="assistant", content=""))
    return stream(first, chunk(said), chunk(said), chunk(delta(finish="stop")), chunk(usage=USAGE))


TWO = Call("chat/completions", "openai/gpt-4o", choices=2)
ANSWERS = {
    "text": (
        stored_stream(text_stream("hel", "lo 🦊", '\\"\n')),
        stored_json(answer(message('hello 🦊\\"\n'))),
    ),
    "tools": (
        stored_stream(tool_stream()),
        stored_json(answer(message(None, tool_calls=TOOLS), finish="tool_calls")),
    ),
    "choices": (
        stored_stream(two_choices(), TWO),
        stored_json(answer(message("00 01 02 "), message("10 11 12 ")), TWO),
    ),
    "logprobs": (stored_stream(logprob_stream()), stored_json(with_logprobs())),
    "function": (
        stored_stream(
            stream(
                chunk(delta(role="assistant", content=None, function_call={"name": "f", "arguments": "{"})),
                chunk(delta(function_call={"arguments": "}"})),
                chunk(delta(finish="function_call")),
                chunk(usage=USAGE),
            )
        ),
        stored_json(
            answer(message(None, function_call={"name": "f", "arguments": "{}"}), finish="function_call")
        ),
    ),
    "reasoning": (
        stored_stream(
            stream(
                chunk(delta(role="assistant", reasoning_content="let ")),
                chunk(delta(reasoning_content="me")),
                chunk(delta(content="42", annotations=CITED)),
                chunk(delta(finish="stop"), service_tier="flex", system_fingerprint="fp"),
                chunk(usage=USAGE, service_tier="flex", system_fingerprint="fp"),
            )
        ),
        stored_json(
            answer(
                message("42", reasoning_content="let me", annotations=CITED),
                service_tier="flex",
                system_fingerprint="fp",
            )
        ),
    ),
}
FORMS = [pytest.param(entry, id=f"{name}-{entry.form}") for name, pair in ANSWERS.items() for entry in pair]


def transport(entry: Entry, shape: Shape) -> httpx2.MockTransport:
    rendering = render(entry, shape)
    assert rendering is not None
    headers = {"content-type": rendering.content_type.decode(), "etag": rendering.etag.decode()}
    return httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=rendering.body))


def client(entry: Entry, shape: Shape) -> openai.OpenAI:
    http_client = httpx2.Client(transport=transport(entry, shape))
    return openai.OpenAI(api_key="test", base_url="http://test/v1", http_client=http_client, max_retries=0)


def ask_json(entry: Entry) -> ChatCompletion:
    with client(entry, "json") as sdk:
        return sdk.chat.completions.create(model="m", messages=[])


def ask_stream(entry: Entry, shape: Shape) -> list[ChatCompletionChunk]:
    options: Any = {"include_usage": True} if shape == "sse+usage" else openai.omit
    with client(entry, shape) as sdk:
        return list(sdk.chat.completions.create(model="m", messages=[], stream=True, stream_options=options))


def told(completion: ChatCompletion) -> dict[str, Any]:
    """What an application can see of a completion; the SDK's accumulator adds fields of its own."""
    return {
        "id": completion.id,
        "created": completion.created,
        "model": completion.model,
        "fingerprint": completion.system_fingerprint,
        "choices": [
            {
                "index": choice.index,
                "finish_reason": choice.finish_reason,
                "role": choice.message.role,
                "content": choice.message.content,
                "refusal": choice.message.refusal,
                "reasoning": getattr(choice.message, "reasoning_content", None),
                "annotations": plain(choice.message.annotations),
                "function_call": plain(choice.message.function_call),
                "tool_calls": [
                    (call.id, call.type, call.function.name, call.function.arguments)  # type: ignore[union-attr]  # functions only
                    for call in choice.message.tool_calls or []
                ],
                "logprobs": plain(choice.logprobs),
            }
            for choice in completion.choices
        ],
    }


def plain(value: Any) -> Any:
    """Pydantic models as what they were parsed from."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def accumulate(chunks: list[ChatCompletionChunk]) -> ChatCompletion:
    """The SDK's own accumulator."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for one in chunks:
        state.handle_chunk(one)
    return state.current_completion_snapshot  # type: ignore[return-value]  # a subclass for whoever reads it


@pytest.mark.parametrize("entry", FORMS)
def test_json_and_stream_of_one_entry_are_the_same_answer(entry: Entry) -> None:
    expected = told(ask_json(entry))
    assert told(accumulate(ask_stream(entry, "sse"))) == expected
    assert told(accumulate(ask_stream(entry, "sse+usage"))) == expected


@pytest.mark.parametrize("name", ANSWERS)
def test_both_stored_forms_of_one_answer_are_the_same_answer(name: str) -> None:
    from_stream, from_json = map(ask_json, ANSWERS[name])
    assert told(from_stream) == told(from_json)
    assert from_stream.usage == from_json.usage
    streams = [accumulate(ask_stream(entry, "sse+usage")) for entry in ANSWERS[name]]
    assert told(streams[0]) == told(streams[1]) == told(from_json)


@pytest.mark.parametrize("entry", FORMS)
def test_usage_is_seen_by_those_who_asked_and_costs_nothing(entry: Entry) -> None:
    completion = ask_json(entry)
    assert completion.usage is not None
    assert completion.usage.to_dict() == {**USAGE, "cost": 0}
    *chunks, last = ask_stream(entry, "sse+usage")
    assert last.choices == []
    assert last.usage == completion.usage
    assert [one.usage for one in chunks] == [None] * len(chunks)


@pytest.mark.parametrize("entry", FORMS)
def test_who_did_not_ask_for_usage_finds_a_choice_in_every_chunk(entry: Entry) -> None:
    chunks = ask_stream(entry, "sse")
    assert all(one.choices for one in chunks)
    assert all(one.usage is None for one in chunks)


def test_what_the_answers_say_is_what_was_meant() -> None:
    """The comparisons above would hold for empty answers too."""
    seen = {name: told(ask_json(entries[0]))["choices"] for name, entries in ANSWERS.items()}
    assert seen["text"][0]["content"] == 'hello 🦊\\"\n'
    assert seen["tools"][0]["tool_calls"] == [
        ("call_a", "function", "f", '{"a": [1, 2]}'),
        ("call_b", "function", "g", "{}"),
    ]
    assert [choice["content"] for choice in seen["choices"]] == ["00 01 02 ", "10 11 12 "]
    assert seen["logprobs"][0]["logprobs"]["content"] == [TOKEN, TOKEN]
    assert seen["function"][0]["function_call"] == {"name": "f", "arguments": "{}"}
    assert (seen["reasoning"][0]["reasoning"], seen["reasoning"][0]["annotations"]) == ("let me", CITED)


@pytest.mark.parametrize("entry", FORMS)
async def test_the_async_sdk_reads_the_same(entry: Entry) -> None:
    async with openai.AsyncOpenAI(
        api_key="test",
        base_url="http://test/v1",
        http_client=httpx2.AsyncClient(transport=transport(entry, "sse+usage")),
    ) as sdk:
        chunks: AsyncIterator[Any] = await sdk.chat.completions.create(model="m", messages=[], stream=True)
        assert told(accumulate([one async for one in chunks])) == told(ask_json(entry))


@pytest.mark.parametrize("entry", FORMS)
def test_the_streaming_helper_of_the_sdk_reads_it(entry: Entry) -> None:
    with client(entry, "sse+usage") as sdk, sdk.chat.completions.stream(model="m", messages=[]) as helper:
        completion = helper.get_final_completion()
    assert [choice.message.content for choice in completion.choices] == [
        choice["content"] for choice in told(ask_json(entry))["choices"]
    ]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_live_caller_reads_what_a_replay_says(name: str) -> None:
    entry = ANSWERS[name][0]
    body = b": ping\n\n" + b"".join(
        live("chat/completions", one, include_usage=False) for one in events(entry.body)
    )
    watched = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    )
    with openai.OpenAI(
        api_key="test", base_url="http://test/v1", http_client=httpx2.Client(transport=watched)
    ) as sdk:
        chunks = list(sdk.chat.completions.create(model="m", messages=[], stream=True))
    assert chunks == ask_stream(entry, "sse")


def test_our_error_event_is_an_error_to_the_sdk() -> None:
    body = event(chunk(delta(content="par"))) + error_event(
        "chat/completions", "the stream broke off", "origin-cut"
    )
    broken = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    )
    with openai.OpenAI(
        api_key="test", base_url="http://test/v1", http_client=httpx2.Client(transport=broken)
    ) as sdk:
        chunks = iter(sdk.chat.completions.create(model="m", messages=[], stream=True))
        assert next(chunks).choices[0].delta.content == "par"
        with pytest.raises(openai.APIError, match="the stream broke off") as caught:
            next(chunks)
    assert caught.value.code == "origin-cut"
