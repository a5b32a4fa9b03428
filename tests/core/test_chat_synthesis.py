"""A stream written from a JSON answer: in the order in which readers of streams take it apart."""

import itertools
import json

import pytest
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from tiered_cache.core.chat_synthesis import synthesise
from tiered_cache.core.raw_json import members


def answer(*indexes: int) -> bytes:
    choices = [
        {"index": index, "message": {"role": "assistant", "content": f"c{index}"}, "finish_reason": "stop"}
        for index in indexes
    ]
    head = {"id": "a", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**head, "choices": choices}).encode()


def chunks_of(body: bytes) -> list[dict]:
    stream = synthesise(members(body), include_usage=False)
    return [json.loads(line[6:]) for line in stream.split(b"\n\n")[:-2]]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_choices_come_in_the_order_of_their_index(order: tuple[int, ...]) -> None:
    chunks = chunks_of(answer(*order))
    came = [choice["index"] for chunk in chunks for choice in chunk["choices"]]
    assert came == sorted(came)
    assert chunks == chunks_of(answer(0, 1, 2))


def test_the_sdks_stream_helper_reads_choices_that_the_answer_had_in_another_order() -> None:
    state = ChatCompletionStreamState()
    for chunk in chunks_of(answer(1, 0)):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    whole = state.get_final_completion()
    assert [(choice.index, choice.message.content) for choice in whole.choices] == [(0, "c0"), (1, "c1")]
