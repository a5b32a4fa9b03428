"""Calls of every dialect with an answer that says whose it is: a word, of which no part is another's."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.core.embeddings_kit import vector, vectors_of
from tests.scenarios.world import EVENTS, JSON, Stream, answer, events
from tiered_cache import Request, Response

WORD = re.compile(rb"q[0-9]+z-[a-z]{3}")
MODEL = "openai/gpt-4o-mini"


class Asked(NamedTuple):
    """What can be asked on one route.

    Attributes:
        body: of a question, streamed or not.
        answer: of a word, as JSON.
        events: of a word, as a stream; empty where the route has none.
        media: type of the answer that is no stream.
    """

    body: Callable[[str], dict[str, Any]]
    answer: Callable[[str], bytes]
    events: Callable[[str], bytes] = lambda _word: b""
    media: bytes = b"application/json"


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


def _said(name: str, value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps({"type": name, **value}))


def _message(word: str) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929"}
    usage = {"input_tokens": 9, "output_tokens": 4}
    return {
        **head,
        "content": [{"type": "text", "text": word}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }


def _message_events(word: str) -> bytes:
    begun = {**_message(word), "content": [], "stop_reason": None}
    return b"".join(
        [
            _said("message_start", {"message": begun}),
            _said("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
            _said("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}}),
            _said("content_block_stop", {"index": 0}),
            _said(
                "message_delta",
                {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 4}},
            ),
            _said("message_stop", {}),
        ]
    )


def _response(word: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": word, "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
    head = {"id": "resp_1", "object": "response", "created_at": 1763900000, "model": "gpt-4o-mini-2024-07-18"}
    return {
        **head,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "output": [item],
        "usage": usage,
    }


def _completion(word: str) -> bytes:
    head = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1763900000,
        "model": "gpt-3.5-turbo-instruct",
    }
    choice = {"text": word, "index": 0, "logprobs": None, "finish_reason": "stop"}
    return dumps(
        {
            **head,
            "choices": [choice],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        }
    )


def _ranking(word: str) -> bytes:
    results = [{"index": 0, "relevance_score": 0.5, "document": {"text": word}}]
    return dumps({"id": word, "results": results, "meta": {}})


def _verdict(word: str) -> bytes:
    result = {"flagged": False, "categories": {}, "category_scores": {}}
    return dumps({"id": word, "model": "omni-moderation-latest", "results": [result]})


def _picture(word: str) -> bytes:
    return dumps({"created": 1763900000, "data": [{"b64_json": "AA==", "revised_prompt": word}]})


ROUTES = {
    "audio/speech": Asked(
        lambda text: {"model": "openai/tts-1", "voice": "alloy", "input": text}, str.encode, media=b"audio/mpeg"
    ),
    "chat/completions": Asked(
        lambda text: {"model": MODEL, "temperature": 0, "messages": [{"role": "user", "content": text}]},
        answer,
        lambda word: b"".join(events(word)),
    ),
    "completions": Asked(lambda text: {"model": MODEL, "temperature": 0, "prompt": text}, _completion),
    "images/generations": Asked(lambda text: {"model": "openai/gpt-image-1", "prompt": text, "seed": 1}, _picture),
    "messages": Asked(
        lambda text: {"model": "anthropic/claude-sonnet-4-5", "max_tokens": 9, "temperature": 0, "messages": [{"role": "user", "content": text}]},
        lambda word: dumps(_message(word)),
        _message_events,
    ),
    "responses": Asked(
        lambda text: {"model": MODEL, "temperature": 0, "store": False, "input": text}, lambda word: dumps(_response(word))
    ),
    "rerank": Asked(lambda text: {"model": "cohere/rerank-v3.5", "query": text, "documents": ["a"]}, _ranking),
    "moderations": Asked(lambda text: {"model": "openai/omni-moderation-latest", "input": text}, _verdict),
}  # fmt: skip
"""Routes whose answers are words."""


def echo(request: Request) -> Response:
    """The question and who asked it, as JSON or as events; for embeddings the vectors of both."""
    call, who = json.loads(request.body), dict(request.headers)[b"authorization"].decode()[-3:]
    if request.endpoint == "embeddings":
        return Response(200, (JSON,), _embeddings(call["input"], who))
    route, word = ROUTES[request.endpoint], f"{re.findall(r'q[0-9]+z', request.body.decode())[0]}-{who}"
    if call.get("stream"):
        return Response(200, (EVENTS,), Stream([route.events(word)]))
    return Response(200, ((b"content-type", route.media),), route.answer(word))


def _embeddings(inputs: list[str], who: str) -> bytes:
    data = [
        {"object": "embedding", "index": at, "embedding": vector(f"{text}-{who}")}
        for at, text in enumerate(inputs)
    ]
    usage = {"prompt_tokens": 4 * len(inputs), "total_tokens": 4 * len(inputs)}
    return dumps({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage})


def are_vectors_of(body: bytes, inputs: list[str], who: str) -> bool:
    return vectors_of(body) == [vector(f"{text}-{who}") for text in inputs]
