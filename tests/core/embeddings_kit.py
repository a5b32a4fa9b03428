"""Embeddings calls and answers to write tests with: vectors that are a function of their text."""

import base64
import json
import random
import struct
from typing import Any

from tiered_cache.core.answers import read_json
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.vocabulary import Answer, Call, Entry, Lifetime

EMBEDDINGS = "embeddings"
MODEL = "openai/text-embedding-3-small"
DIMENSIONS = 6


def body(inputs: Any = "hello", **fields) -> bytes:
    """A field set to ... is left out."""
    call = {"model": MODEL, "input": inputs, **fields}
    return json.dumps({name: value for name, value in call.items() if value is not ...}).encode()


def canonical(raw: bytes, options: KeyOptions = KeyOptions()) -> Canonical:  # noqa: B008  # a frozen Struct
    form = canonicalise(EMBEDDINGS, raw, options)
    assert isinstance(form, Canonical), form
    return form


def float32(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


def vector(text: Any, dimensions: int = DIMENSIONS) -> list[float]:
    """The float32 vector of an input, and of no other."""
    numbers = random.Random(json.dumps(text))
    return [float32(numbers.uniform(-1, 1)) for _ in range(dimensions)]


def packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def unpacked(embedding: str | list[float]) -> list[float]:
    """The float32 vector that a reader gets of either form."""
    if isinstance(embedding, str):
        raw = base64.b64decode(embedding)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    return [float32(value) for value in embedding]


def inputs_of(raw: bytes) -> list[Any]:
    value = json.loads(raw)["input"]
    return value if isinstance(value, list) and not isinstance(value[0], int) else [value]


def answer(
    inputs: list[Any], *, encoding="float", tokens: int | None = None, cost="0.00002", **fields
) -> bytes:
    """The answer of an origin; `tokens` are four for each input unless told."""
    tokens = 4 * len(inputs) if tokens is None else tokens
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": packed(vector(each)) if encoding == "base64" else vector(each),
        }
        for index, each in enumerate(inputs)
    ]
    usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens},"cost":{cost}}}'
    whole = {"object": "list", "data": data, "model": "text-embedding-3-small", **fields}
    return json.dumps(whole).encode()[:-1] + f',"usage":{usage}}}'.encode()


def reply(raw: bytes, **fields) -> bytes:
    """What an origin answers to a body."""
    asked = json.loads(raw)
    return answer(inputs_of(raw), encoding=asked.get("encoding_format", "float"), **fields)


def vectors_of(raw: bytes) -> list[list[float]]:
    """The vectors in an answer, by index."""
    results = json.loads(raw)["data"]
    assert [result["index"] for result in results] == list(range(len(results)))
    return [unpacked(result["embedding"]) for result in results]


def call_of(raw: bytes) -> Call:
    return canonical(raw).call


def stored(raw_answer: bytes, call: Call) -> Entry:
    read = read_json(call, raw_answer)
    assert isinstance(read, Answer), read
    return Entry(
        endpoint=EMBEDDINGS,
        form=read.form,
        status=200,
        headers=(),
        body=read.body,
        locked=read.locked,
        has_usage=read.has_usage,
        content_class=read.content_class.value,
        model=read.model,
        usage=read.usage,
        lifetime=Lifetime(60.0),
        origin_s=0.5,
    )
