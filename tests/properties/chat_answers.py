"""Hypothesis strategies for chat answers: what an answer says, and streams that say it in pieces."""

import json

from hypothesis import strategies as st

from tests.core.chat_kit import DONE, HEAD
from tests.properties.strategies import texts, values

TOKENS = st.fixed_dictionaries({"token": texts, "logprob": st.floats(-9, 0)})
ARGUMENTS = values(4).map(json.dumps) | values(4).map(
    lambda value: json.dumps(value, ensure_ascii=False, indent=1)
)
NAMES = st.sampled_from(["f", "look_up", "é"])

tool_calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["call_1", "call_2"]),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": NAMES, "arguments": ARGUMENTS}),
        }
    ),
    max_size=3,
)

usages = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 10**6), "completion_tokens": st.integers(0, 10**6)},
    optional={
        "cost": st.floats(0, 10) | st.integers(0, 10),
        "prompt_tokens_details": st.fixed_dictionaries(
            {"cached_tokens": st.integers(0, 99), "cost": st.just(1)}
        ),
        "note": st.sampled_from(["cost", "usage", '"cost":1']),
    },
)


@st.composite
def messages(draw):
    """A message with content or tool calls, as JSON answers have it."""
    calls = draw(tool_calls)
    content = draw(texts.filter(bool) if not calls else st.none() | texts.filter(bool))
    said = {"role": "assistant"}
    for name in ("reasoning_content", "reasoning"):
        if draw(st.booleans()):
            said[name] = draw(texts.filter(bool))
    said["content"] = content
    if calls:
        said["tool_calls"] = calls
    return said


@st.composite
def answers(draw, max_choices=3):
    """A storable JSON answer."""
    choices = []
    for index in range(draw(st.integers(1, max_choices))):
        said = draw(messages())
        choice = {"index": index, "message": said}
        if said["content"] and draw(st.booleans()):
            choice["logprobs"] = {"content": draw(st.lists(TOKENS, min_size=1, max_size=3))}
        choices.append({**choice, "finish_reason": draw(st.sampled_from(["stop", "tool_calls"]))})
    fields = draw(
        st.fixed_dictionaries({}, optional={"system_fingerprint": st.just("fp"), "provider": st.just("P")})
    )
    return {**HEAD, "object": "chat.completion", "choices": choices, "usage": draw(usages), **fields}


@st.composite
def _pieces(draw, text):
    """The text in pieces, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def _deltas(draw, choice):
    """One choice as the choices of several chunks."""
    message, index = choice["message"], choice["index"]
    deltas = [{"role": "assistant", "content": draw(st.sampled_from(["", None]))}]
    for name in ("reasoning_content", "reasoning", "content"):
        if message.get(name) is not None:
            deltas += [{name: piece} for piece in draw(_pieces(message[name]))]
    if message["content"] is None:
        deltas[0]["content"] = None
    for place, call in enumerate(message.get("tool_calls", [])):
        head, *tail = draw(_pieces(call["function"]["arguments"]))
        first = {**call, "function": {**call["function"], "arguments": head}}
        deltas.append({"tool_calls": [{"index": place, **first}]})
        deltas += [{"tool_calls": [{"index": place, "function": {"arguments": piece}}]} for piece in tail]
    parts = [{"index": index, "delta": delta, "finish_reason": None} for delta in deltas]
    if "logprobs" in choice:
        cut = draw(st.integers(0, len(choice["logprobs"]["content"])))
        content = choice["logprobs"]["content"]
        parts[-2]["logprobs"] = {"content": content[:cut]}
        parts[-1]["logprobs"] = {"content": content[cut:]}
    return [*parts, {"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}]


@st.composite
def chunk_lists(draw, answer):
    """The answer as chunks; choices are interleaved, each in its own order."""
    queues = [draw(_deltas(choice)) for choice in answer["choices"]]
    head = {name: value for name, value in answer.items() if name not in {"choices", "usage"}}
    head["object"] = "chat.completion.chunk"
    nulls = draw(st.sampled_from([{}, {"usage": None}, {"obfuscation": "aB3"}, {"service_tier": None}]))
    chunks = []
    while queues:
        queue = draw(st.sampled_from(queues))
        chunks.append({**head, "choices": [queue.pop(0)], **nulls})
        queues = [one for one in queues if one]
    return [*chunks, {**head, "choices": [], "usage": answer["usage"]}]


@st.composite
def streams(draw, answer):
    """The answer as the bytes of an event stream, spelled in any way."""
    end = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]))
    ascii_only = draw(st.booleans())
    body = b""
    for chunk in draw(chunk_lists(answer)):
        noise = draw(st.sampled_from(["", "", "", ": ping\n\n", "id: 1\n", ": x\n", "\n"]))
        space = draw(st.sampled_from(["", " "]))
        separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
        text = json.dumps(chunk, ensure_ascii=ascii_only, separators=separators)
        body += f"{noise}data:{space}{text}\n\n".encode().replace(b"\n", end)
    return body + DONE.replace(b"\n", end)
