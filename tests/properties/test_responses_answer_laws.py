"""Laws of Responses answers: what one shape says the other says, and no cut of a stream is taken for a whole."""

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.core.chat_kit import compact
from tests.core.responses_kit import (
    CALL,
    USAGE,
    answer,
    events,
    function_call,
    judged_json,
    judged_stream,
    stored,
    written,
)
from tests.properties.strategies import texts, values
from tiered_cache.core.answers import render
from tiered_cache.core.vocabulary import Answer, Refusal

ids = st.sampled_from(["a_1", "b_2", 'c"3', "é"])
states = st.sampled_from(["completed", ...])
annotations = st.lists(st.fixed_dictionaries({"type": st.just("url_citation"), "url": texts}), max_size=2)
text_parts = st.fixed_dictionaries(
    {"type": st.just("output_text"), "text": texts, "annotations": annotations},
    optional={"logprobs": st.lists(values(2), max_size=2), "x": values(3)},
)
messages = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "id": ids,
        "role": st.just("assistant"),
        "content": st.lists(text_parts, max_size=3),
    },
    optional={"status": st.just("completed"), "phase": st.just("commentary"), "x": values(3)},
)
calls = st.fixed_dictionaries(
    {"type": st.just("function_call"), "id": ids, "name": st.just("f"), "call_id": texts},
    optional={"status": st.just("completed"), "x": values(3)},
).flatmap(lambda call: values(3).map(lambda given: {**call, "arguments": json.dumps(given)}))
summaries = st.lists(st.fixed_dictionaries({"type": st.just("summary_text"), "text": texts}), max_size=2)
reasonings = st.fixed_dictionaries(
    {"type": st.just("reasoning"), "id": ids, "summary": summaries},
    optional={"encrypted_content": texts, "content": st.none()},
)
customs = st.fixed_dictionaries(
    {"type": st.just("custom_tool_call"), "id": ids, "name": texts, "input": texts, "call_id": texts}
)
outputs = st.lists(messages | calls | reasonings | customs, min_size=1, max_size=3)
answers = st.builds(
    lambda output, extra: {**answer(), "output": output, **extra},
    outputs,
    st.fixed_dictionaries(
        {}, optional={"x": values(3), "metadata": st.dictionaries(texts, texts, max_size=1)}
    ),
)


def body_of(entry, shape) -> bytes:
    rendering = render(entry, shape, free=False)
    assert rendering is not None
    return rendering.body


@given(answers)
def test_json_told_as_events_and_read_again_is_the_same_json(value):
    found = judged_json(value)
    if isinstance(found, Refusal):
        assert found.detail == "empty"
        return
    entry = stored(found)
    assert not entry.locked
    again = judged_stream(body_of(entry, "sse"))
    assert isinstance(again, Answer)
    assert not again.locked
    assert body_of(stored(again), "json") == compact(value)
    same = ("usage", "model", "content_class", "has_usage", "searched", "expires_at_s", "result_urls")
    assert [getattr(again, name) for name in same] == [getattr(found, name) for name in same]


@given(answers)
def test_the_pieces_join_to_what_the_items_say(value):
    """Whoever listens to the pieces alone hears the same as who reads the end."""
    found = judged_json(value)
    if isinstance(found, Refusal):
        return
    heard: dict[int, dict[str, Any]] = {}
    for line in body_of(stored(found), "sse").decode().split("\n"):
        if line.startswith("data: "):
            _hear(heard, json.loads(line[6:]))
    assert [heard[place] for place in range(len(heard))] == value["output"]


def _hear(heard: dict[int, dict[str, Any]], said: dict[str, Any]) -> None:  # noqa: C901  # one branch per event
    """Build up the items as a client does, taking nothing from events that end a part or an item but status."""
    kind, place = said["type"].removeprefix("response."), said.get("output_index", -1)
    match kind:
        case "output_item.added":
            assert place == len(heard)
            heard[place] = copy.deepcopy(said["item"])
        case "content_part.added":
            assert said["content_index"] == len(heard[place]["content"])
            heard[place]["content"].append(said["part"])
        case "output_text.delta":
            part = heard[place]["content"][said["content_index"]]
            part["text"] += said["delta"]
        case "output_text.done":
            part = heard[place]["content"][said["content_index"]]
            assert part["text"] == said["text"]
            if "logprobs" in part:
                part["logprobs"] = said["logprobs"]
        case "output_text.annotation.added":
            part = heard[place]["content"][said["content_index"]]
            assert said["annotation_index"] == len(part["annotations"])
            part["annotations"].append(said["annotation"])
        case "reasoning_summary_part.added":
            heard[place]["summary"].append(said["part"])
        case "reasoning_summary_text.delta":
            heard[place]["summary"][said["summary_index"]]["text"] += said["delta"]
        case "function_call_arguments.delta":
            heard[place]["arguments"] += said["delta"]
        case "custom_tool_call_input.delta":
            heard[place]["input"] += said["delta"]
        case "output_item.done" if "status" in said["item"]:
            heard[place]["status"] = said["item"]["status"]
        case _:
            pass


@given(answers, st.data())
@settings(max_examples=60)
def test_no_part_of_a_stream_is_taken_for_the_whole(value, data):
    whole = body_of(replace(stored(judged_json(answer())), body=compact(value)), "sse")
    end = whole.rindex(b"event: response.completed")
    cut = data.draw(st.integers(0, len(whole) - 1))
    part = whole[:cut]
    found = judged_stream(part)
    assert isinstance(found, Refusal)
    assert found.detail == "incomplete" or cut > end
    assert render(replace(stored(judged_json(answer())), form="sse", body=part), "json") is None


@given(st.lists(st.text(max_size=5), min_size=1, max_size=6), st.binary(max_size=30))
def test_any_bytes_are_judged(lines, raw):
    for body in (raw, "\n".join(lines).encode() + b"\n\n", b"data: " + raw + b"\n\n"):
        for found in (
            judged_json(body),
            judged_stream(body),
            judged_stream(body + written(events(answer()))),
        ):
            assert isinstance(found, (Answer, Refusal))


@given(values(4))
def test_any_response_object_is_judged_and_rendered(value):
    for field in ("output", "usage", "status", "error", "model", "metadata", "incomplete_details"):
        body = {**answer(), field: value}
        for found in (
            judged_json(body),
            judged_stream(written([{"type": "response.completed", "response": body}])),
        ):
            assert isinstance(found, (Answer, Refusal))
            entry = replace(stored(judged_json(answer())), body=compact(body))
            for shape in ("json", "sse"):
                render(entry, shape)
                render(replace(entry, form="sse", body=written([{"type": "x", "response": body}])), shape)


def test_the_kit_is_storable():
    assert isinstance(judged_json(answer(function_call()), CALL), Answer)
    assert USAGE["cost"] == 0.00012
