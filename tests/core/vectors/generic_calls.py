"""Golden calls of a path that the operator named, whose bodies are keyed whole."""

from tests.core.vectors.call_parts import NAMED_PATH, compact, row

BASE = {"language": "en", "format": "text"}


def of_generic():
    """What other dialects leave out, read or refuse; members whose order counts; what is never cached."""
    bodies = [
        {},
        {"document": "a", "pages": [1, 2.0, 2.5]},
        {"pages": [2, 1], "document": "a"},
        {"model": "openai/m", "n": 1, "temperature": 0.0, "user": "u", "metadata": {}, "store": True},
        {"model": None},
        {"model": 1},
        {"model": ["policy/a"]},
        {"model": "policy/a"},
        {"models": ["policy/a"]},
        {"stream": True},
        {"stream": True, "model": "policy/a"},
        {"stream": False},
        {"stream": "true"},
        {"stop": "a", "messages": 1, "tools": [{"type": "mcp"}]},
        {"requesty": {"auto_cache": True, "trace_id": "t"}},
        {"properties": {"b": 1.0, "a": 1}},
        {"properties": ["b", 1]},
        {"x": {"properties": {"b": 1.0, "a": -0.0}, "y": 1.0}},
        {"é": 1, "z": 2, "😀": 3, "Z": 5},
        {"x": 10**41},
    ]
    for body in bodies:
        yield row(f"named path, {compact(body)[:60]}", NAMED_PATH, {**BASE, **body})
    for raw in (
        '{"a":1,"a":2}',
        "[]",
        "1",
        '"a"',
        "",
        "{",
        '{"a":NaN}',
        '{ "language":"\\u0065n", "n":1e0 }',
    ):
        yield row(f"named path, {raw}", NAMED_PATH, raw)
    yield row("named path, identity in the key", NAMED_PATH, {**BASE, "user": "u"}, identity_fields="key")
    yield row("named path, header and query", NAMED_PATH, BASE, query="a", headers=[["openai-beta", "a"]])
