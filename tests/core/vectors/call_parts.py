"""What the golden calls are made of: the smallest body of each dialect, values, and rows of the file."""

import base64
import copy
import json

MODEL = "openai/gpt-4o-mini"
CHAT = "chat/completions"
NAMED_PATH = "ocr"
"""A path that the operator named, for the vectors of the generic form."""

USER = {"role": "user", "content": "hi"}
BASES = {
    CHAT: {"model": MODEL, "messages": [USER]},
    "embeddings": {"model": "openai/text-embedding-3-small", "input": "hi"},
    "messages": {"model": "anthropic/claude-sonnet-4-5", "max_tokens": 9, "messages": [USER]},
    "responses": {"model": MODEL, "store": False, "input": "hi"},
    "completions": {"model": MODEL, "prompt": "hi"},
    "rerank": {"model": "cohere/rerank-v3.5", "query": "hi", "documents": ["a", "b"]},
    "moderations": {"model": "openai/omni-moderation-latest", "input": "hi"},
    "images/generations": {"model": "openai/gpt-image-1", "prompt": "hi"},
    "audio/speech": {"model": "openai/tts-1", "voice": "alloy", "input": "hi"},
}
"""The smallest cacheable body of each dialect."""

PLACES = {
    "BODY_FIELDS": (),
    "FIELDS": (),
    "MESSAGE_FIELDS": ("messages", 0),
    "REQUESTY_FIELDS": ("requesty",),
}
"""Where the members of a table of fields stand in a body."""

MODELS = (
    *("openai/m", "azure/m", "anthropic/m", "google/m", "vertex/m", "mistral/m", "alibaba/m", "gpt-4o"),
    *("OpenAI/m", "coding/best"),
)
TOOL = {"type": "function", "function": {"name": "f"}}
TOOLS = {
    "messages": [{"name": "f", "input_schema": {}}],
    "responses": [{"type": "function", "name": "f"}],
}
"""A list of one tool, where it is not chat's."""

SAMPLES = (None, True, False, 0, 1.0, 2.5, "a", "auto", [], ["a"], [1.0], {}, {"b": 1.0, "a": 1})
"""A value of every JSON type, and of every kind of number; objects out of order."""


def compact(body) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def row(name, dialect, raw, **told) -> dict:
    """One call, without what the library makes of it."""
    raw = raw if isinstance(raw, (str, bytes)) else compact(raw)
    if isinstance(raw, bytes):
        return {"name": name, "dialect": dialect, "raw_base64": base64.b64encode(raw).decode(), **told}
    return {"name": name, "dialect": dialect, "raw": raw, **told}


def with_value(body, place, name, value) -> dict:
    """The body with one member set at a place."""
    body = copy.deepcopy(body)
    owner = body
    for step in place:
        owner = owner.setdefault(step, {}) if isinstance(owner, dict) else owner[step]
    owner[name] = value
    return body


def raw_of(each) -> bytes:
    return base64.b64decode(each["raw_base64"]) if "raw_base64" in each else each["raw"].encode()
