"""Hypothesis strategies for bodies of embeddings, rerank, moderations and speech."""

from hypothesis import strategies as st

from tests.properties.strategies import MODELS, doubles, names, scalars, texts, values, whole

tokens = st.lists(whole, min_size=1, max_size=3)
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url"])}, optional={"text": texts, "x": values(3)}
)
requesty = st.dictionaries(
    st.sampled_from(["auto_cache", "user_id", "zone", "properties"]) | names, values(3), max_size=2
) | st.fixed_dictionaries(
    {}, optional={"auto_cache": st.booleans(), "user_id": texts, "tags": st.lists(texts)}
)
shared = {
    "models": st.lists(st.sampled_from(MODELS), max_size=2) | st.none(),
    "requesty": requesty | st.none(),
    "foo": values(5),
    "properties": values(5),
}
embeddings_bodies = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "input": texts | st.lists(texts, min_size=1, max_size=4) | tokens | st.lists(tokens, min_size=1, max_size=3),
    },
    optional={
        "dimensions": st.integers(1, 9) | st.sampled_from([1.0, 2.0]),
        "user": texts,
        "encoding_format": st.sampled_from(["float", "base64", "ubinary", None]),
        "input_type": texts,
        "task": texts | st.none(),
    },
) | st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "input": st.lists(texts | tokens | parts | scalars, min_size=1, max_size=3)},
    optional={"encoding_format": st.sampled_from(["float", "base64", "int8"]), **shared},
)  # fmt: skip
rerank_bodies = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "query": texts | st.dictionaries(names, values(2), max_size=2),
        "documents": st.lists(texts | parts, min_size=1, max_size=3),
    },
    optional={"top_n": st.integers(1, 9), "top_k": st.sampled_from([1, 2.0]), "score": doubles, **shared},
)
moderations_bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "input": texts | st.lists(texts, min_size=1, max_size=3) | st.lists(parts, min_size=1, max_size=2)},
    optional=shared,
)  # fmt: skip
speech_bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "input": texts, "voice": texts | st.fixed_dictionaries({"id": texts})},
    optional={
        "instructions": texts,
        "response_format": st.sampled_from(["mp3", "wav"]),
        "speed": doubles | st.sampled_from([1, 2.0]),
        "stream_format": st.sampled_from(["sse", "audio", None]),
        **shared,
    },
)
