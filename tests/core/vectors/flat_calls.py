"""Golden calls of embeddings, rerank, moderations and speech: inputs and documents of every kind, batches."""

from tests.core.vectors.call_parts import BASES, MODELS, compact, row

BATCHES = (
    *("", [], [""], ["a"], ["a", "b"], ["b", "a"], ["a", "a"], ["a", "b", "a"], ["é", "\U0001f600", '"\\'], [1, 2], [1.0, 2]),
    *([1, 2.5], [[1, 2]], [[1, 2], [3]], [[1.0, 2], [3]], [[1], []], [[1], "a"], ["a", 1], [1, "a"], [[1], [2.5]], [[1], [True]]),
    *([["a"], ["b"]], [{"text": "a"}, {"text": "b"}], [{"b": 1.0, "a": 1}], [None], ["a", None], [True, False]),
    *([{"type": "image_url", "image_url": {"url": "https://h/a.png"}}, {"type": "text", "text": "a"}], [10**41, 1]),
)  # fmt: skip

BESIDE = (
    *({}, {"user": "u"}, {"encoding_format": "base64"}, {"encoding_format": "float"}, {"encoding_format": "ubinary"}),
    *({"encoding_format": None}, {"dimensions": 8.0}, {"dimensions": 8.5}, {"input_type": "query"}, {"task": "t"}),
    *({"input_type": None}, {"output_dtype": "int8"}, {"encoding_format": "base64", "output_dtype": "int8"}, {"late_chunking": True}),
    *({"models": ["a"]}, {"requesty": {}}, {"requesty": {"auto_cache": True}}, {"requesty": {"zone": "eu"}}, {"aaa": 1, "zzz": 2}),
    *({"encoding_format": "float", "requesty": {"tags": []}}, {"encoding_format": "float", "models": None}),
)  # fmt: skip

SHARED = (
    *({"models": ["a", "policy/p"]}, {"models": ["a", 1]}, {"models": []}, {"store": True}, {"stream": True}, {"n": 1}),
    *({"previous_response_id": "r"}, {"tools": [{"type": "mcp"}]}, {"metadata": {"a": "b"}}, {"service_tier": "flex"}),
    *({"requesty": {"zone": 1.0}}, {"requesty": {"properties": {"b": 1, "a": 1}}}, {"requesty": {"properties": ["a", 1]}}),
    *({"requesty": {"a": {"properties": {"b": {"x": 1.0}}, "c": 1.0}}}, {"requesty": {"a": {"properties": ["a", 1]}}}),
    *({"requesty": {"user_id": "u", "extra": {"a": 1.0}}}, {"requesty": {"extra": {"a": 10**41}}}, {"requesty": {"tags": "a"}}),
)  # fmt: skip

RERANKED = (
    *({"documents": []}, {"documents": ["a", "a"]}, {"documents": ["b", "a"]}, {"documents": [{"text": "a", "x": 1.0}]}),
    *({"documents": None}, {"documents": "a"}, {"query": {"b": 1.0, "a": 1}}, {"query": ["a"]}, {"query": None}, {"query": ""}),
    *({"top_n": 0}, {"top_n": -1}, {"top_n": 1.0}, {"top_n": 1}, {"top_n": 9}, {"top_k": 0}, {"top_k": 1}, {"top_n": None, "top_k": 2}),
    *({"return_documents": False}, {"max_chunks_per_doc": 1.0}, {"rank_fields": ["b", "a"]}, {"documents": [1, None, ["a"]]}),
)  # fmt: skip

SPOKEN = (
    *({"stream_format": "sse"}, {"stream_format": "SSE"}, {"stream_format": "audio"}, {"voice": {"id": "b", "a": 1.0}}),
    *({"voice": "Alloy"}, {"speed": 1}, {"speed": 1.0}, {"speed": 0.25}, {"response_format": "mp3"}, {"instructions": ""}),
    *({"input": ""}, {"input": "Hi"}, {"stream_format": "sse", "model": "policy/p"}, {"stream_format": "sse", "model": ""}),
)  # fmt: skip


def of_flat():
    for index, batch in enumerate(BATCHES):
        for dialect in ("embeddings", "moderations"):
            yield row(f"input {index}", dialect, {**BASES[dialect], "input": batch})
    for given in ("hi", ["a", "b"], [[1, 2], [3]]):
        for members in BESIDE:
            shown = f"{compact(given)} beside {compact(members)}"
            yield row(shown, "embeddings", {"model": "m", "input": given, **members})
            told = {**members, "user": "u"}
            yield row(
                f"{shown}, identity in the key",
                "embeddings",
                {"model": "m", "input": given, **told},
                identity_fields="key",
            )
    for members in RERANKED:
        yield row(compact(members), "rerank", {**BASES["rerank"], **members})
    yield from (row(compact(each), "audio/speech", {**BASES["audio/speech"], **each}) for each in SPOKEN)
    for dialect in ("audio/speech", "embeddings", "moderations", "rerank"):
        for members in SHARED:
            yield row(compact(members), dialect, {**BASES[dialect], **members})
            yield row(
                f"{compact(members)}, identity in the key",
                dialect,
                {**BASES[dialect], **members},
                identity_fields="key",
            )
        for model in (*MODELS, "policy/a", "", None, 1):
            yield row(f"model {compact(model)}", dialect, {**BASES[dialect], "model": model})
        for name in BASES[dialect]:
            left = {other: value for other, value in BASES[dialect].items() if other != name}
            yield row(f"no {name}", dialect, left)
