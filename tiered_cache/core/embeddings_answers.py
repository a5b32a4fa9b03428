"""Judges what an origin answered to an embeddings call, and gives it with either form of vectors."""

from tiered_cache.core.flat_answers import indexes, json_only
from tiered_cache.core.free import without_cost
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    is_list,
    is_string,
    items,
    members,
    objects,
    string,
    write,
)
from tiered_cache.core.vectors import as_base64, as_floats, read_vector
from tiered_cache.core.vocabulary import Call, Entry, Shape


def _judge(call: Call, answer: dict[str, bytes]) -> str | None:
    """`schema`, `choices` (not one result for every input, each index once), `vectors`."""
    try:
        results = objects(answer.get("data", NULL))
    except UnreadableError:
        return "schema"
    if string(answer.get("object")) != "list":
        return "schema"
    if len(results) != call.choices or indexes(results) != set(range(call.choices)):
        return "choices"
    measure = _raw_length if call.vectors == "other" else _length
    lengths = {measure(result.get("embedding", NULL)) for result in results}
    return None if len(lengths) == 1 and 0 not in lengths else "vectors"


def _length(text: bytes) -> int:
    vector = read_vector(text)
    return 0 if vector is None else len(vector)


def _raw_length(text: bytes) -> int:
    """Of a vector in a form of its own: numbers of any kind, or characters."""
    return len(items(text)) if is_list(text) else len(string(text) or "")


def render_embeddings(entry: Entry, shape: Shape, free: bool) -> bytes | None:
    """The entry's bytes with its vectors in the form of `shape`.

    What the origin wrote in that form stays as it is, and so does what is no list of embeddings. None for a
    vector that cannot be written in that form.
    """
    if shape not in {"json", "base64"}:
        return None
    body = entry.body if entry.locked else _written(entry.body, shape)
    return without_cost(body) if free and body is not None else body


def _written(body: bytes, shape: Shape) -> bytes | None:
    try:
        answer = members(body)
        results = objects(answer["data"])
        vectors = [result["embedding"] for result in results]
    except (UnreadableError, KeyError):
        return body  # an error of the origin, say, for those who waited for it
    if all(is_string(vector) == (shape == "base64") for vector in vectors):
        return body
    pieces: list[bytes] = []
    for result, vector in zip(results, vectors, strict=True):
        written = vector_in(vector, shape)
        if written is None:
            return None
        pieces.append(write({**result, "embedding": written}))
    return write({**answer, "data": b"[%b]" % b",".join(pieces)})


def vector_in(vector: bytes, shape: Shape) -> bytes | None:
    """One vector's JSON text in the form of `shape`; None where it has none."""
    return as_base64(vector) if shape == "base64" else as_floats(vector)


EMBEDDINGS_ANSWERS = json_only(_judge, render_embeddings)
"""The answers of embeddings."""
