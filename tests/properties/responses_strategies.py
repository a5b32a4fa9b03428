"""Responses bodies, and what can be done to them with and without changing what they mean."""

import copy

from hypothesis import strategies as st

from tests.properties.strategies import MODELS, doubles, scalars, schemas, texts, values, whole

CACHE = {"type": "ephemeral"}
tools = st.fixed_dictionaries(
    {"type": st.just("function"), "name": st.sampled_from(["f", "g"])},
    optional={"parameters": schemas, "strict": st.booleans() | st.none(), "description": texts},
) | st.fixed_dictionaries(
    {"type": st.sampled_from(["mcp", "web_search", "local_shell"])}, optional={"x": values(2)}
)
parts = (
    st.fixed_dictionaries(
        {"type": st.sampled_from(["input_text", "output_text"]), "text": texts}, optional={"x": values(2)}
    )
    | st.fixed_dictionaries(
        {"type": st.just("input_image"), "image_url": texts}, optional={"detail": st.just("auto")}
    )
    | st.fixed_dictionaries({"type": st.just("input_file"), "file_id": texts})
)
contents = texts | st.lists(parts, max_size=3) | st.lists(parts, min_size=1, max_size=1)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "developer", "assistant"]), "content": contents},
    optional={"type": st.just("message"), "id": texts, "x": values(3)},
)
items = (
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "call_id": texts, "name": texts, "arguments": texts},
        optional={"x": values(3)},
    )
    | st.fixed_dictionaries(
        {
            "type": st.just("function_call_output"),
            "call_id": texts,
            "output": texts | st.lists(parts, max_size=2),
        }
    )
    | st.fixed_dictionaries({"type": st.just("computer_call"), "action": values(3)})
    | st.fixed_dictionaries({"id": texts}, optional={"x": values(2)})
)
formats = st.sampled_from([{"type": "text"}, {"type": "json_object"}]) | schemas.map(
    lambda schema: {"type": "json_schema", "name": "n", "schema": schema}
)
bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "input": texts | st.lists(messages | items, max_size=3)},
    optional={
        "store": st.sampled_from([False, True, None]),
        "temperature": st.sampled_from([0, 0.0, 1, 1.0, 0.7, -0.0]) | st.none(),
        "top_p": doubles,
        "max_output_tokens": st.integers(1, 9) | st.none(),
        "max_tool_calls": whole | st.none(),
        "instructions": texts | st.none(),
        "tools": st.lists(tools, max_size=2) | st.none(),
        "tool_choice": st.sampled_from(["auto", "none", None, {"type": "function", "name": "f"}]),
        "parallel_tool_calls": st.booleans() | st.none(),
        "truncation": st.sampled_from(["auto", "disabled", None]),
        "text": st.fixed_dictionaries(
            {}, optional={"format": formats, "verbosity": st.just("low"), "x": values(2)}
        )
        | st.none(),
        "reasoning": st.fixed_dictionaries({}, optional={"effort": texts, "x": values(2)}) | st.none(),
        "include": st.lists(texts, max_size=2) | st.none(),
        "prompt": st.fixed_dictionaries({"id": texts}, optional={"version": texts}) | st.none(),
        "previous_response_id": texts | st.none(),
        "background": st.booleans() | st.none(),
        "stream": st.booleans(),
        "service_tier": st.sampled_from(["auto", "flex"]),
        "user": texts,
        "metadata": st.dictionaries(texts, texts, max_size=2) | st.none(),
        "requesty": st.fixed_dictionaries(
            {}, optional={"auto_cache": st.booleans(), "user_id": texts, "zone": scalars}
        ),
        "models": st.lists(st.sampled_from(MODELS), max_size=2),
        "foo": values(5),
        "properties": values(5),
    },
)

_TRANSPARENT = {
    "stream": [True, False, None],
    "stream_options": [{"include_obfuscation": False}, None],
    "service_tier": ["flex", "priority"],
    "prompt_cache_key": ["k", "l"],
    "prompt_cache_retention": ["24h"],
    "prompt_cache_options": [{"ttl": "30m"}],
    "user": ["u1", "u2"],
    "safety_identifier": ["s"],
    "metadata": [{"a": "b"}, None],
}
_NULLABLE = (
    "temperature",
    "top_p",
    "max_output_tokens",
    "instructions",
    "include",
    "reasoning",
    "conversation",
)
_DEFAULTS = {"parallel_tool_calls": True, "truncation": "disabled"}


@st.composite
def rewritten(draw, body):  # one short branch per kind of rewrite
    """Another body of the same meaning: transport, identity, defaults, nulls, spellings of messages."""
    body = copy.deepcopy(body)
    for name, options in _TRANSPARENT.items():
        match draw(st.sampled_from(["keep", "keep", "drop", "set"])):
            case "drop":
                body.pop(name, None)
            case "set":
                body[name] = copy.deepcopy(draw(st.sampled_from(options)))
    for name in _NULLABLE:
        if name not in body and draw(st.booleans()):
            body[name] = None
    if isinstance(body["input"], str) and draw(st.booleans()):
        body["input"] = [{"role": "user", "content": body["input"]}]
    openai = body["model"].startswith(("openai/", "azure/"))
    openai = openai and "models" not in body and body.get("prompt") is None
    for item in body["input"] if isinstance(body["input"], list) else []:
        if "role" in item:
            _respell_message(draw, item, openai)
    if openai:
        _respell_defaults(draw, body)
    return body


def _respell_message(draw, message, openai):
    content = message["content"]
    if isinstance(content, str) and message["role"] != "assistant" and draw(st.booleans()):
        message["content"] = [{"type": "input_text", "text": content}]
    if openai and sorted(message) == ["content", "role"] and draw(st.booleans()):
        message["type"] = "message"


def _respell_defaults(draw, body):
    for name, default in _DEFAULTS.items():
        if body.get(name) in (None, default):
            body.pop(name, None)
            chosen = draw(st.sampled_from(["absent", "default", "null"]))
            if chosen != "absent":
                body[name] = default if chosen == "default" else None
    if body.get("tools") and body.get("tool_choice", "auto") == "auto":
        body["tool_choice"] = "auto"
    if "text" not in body and draw(st.booleans()):
        body["text"] = copy.deepcopy(draw(st.sampled_from([{}, {"format": {"type": "text"}}])))


@st.composite
def edited(draw, body):
    """(what was changed, a body of another meaning)."""
    body = copy.deepcopy(body)
    what, edit = draw(st.sampled_from(_EDITS))
    edit(body, draw(st.integers(0, 5)))
    return what, body


def _append(body, item):
    given = body["input"]
    body["input"] = [{"role": "user", "content": given}, item] if isinstance(given, str) else [*given, item]


def _set(name, value):
    def edit(body, _):
        body[name] = value if body.get(name, "absent") != value else "another"

    return edit


def _wrap(body, salt):
    body["foo"] = [body.get("foo"), salt]


_EDITS = [
    ("model", lambda body, _: body.update(model=body["model"] + "-2")),
    ("model's case", lambda body, _: body.update(model=body["model"].upper())),
    ("message added", lambda body, salt: _append(body, {"role": "user", "content": str(salt)})),
    ("empty message added", lambda body, _: _append(body, {"role": "user", "content": ""})),
    ("empty parts", lambda body, _: _append(body, {"role": "user", "content": []})),
    ("item added", lambda body, salt: _append(body, {"type": "computer_call", "action": {"x": salt}})),
    (
        "item's float",
        lambda body, salt: _append(body, {"type": "computer_call", "action": {"x": salt + 0.0}}),
    ),
    ("reference added", lambda body, salt: _append(body, {"id": str(salt)})),
    ("unknown field", _set("bar", 1)),
    ("unknown field true", _set("bar", True)),
    ("unknown field null", _set("bar", None)),
    ("unknown value wrapped", _wrap),
    ("temperature", lambda body, _: body.update(temperature=0.25)),
    ("max_output_tokens", lambda body, salt: body.update(max_output_tokens=100 + salt)),
    ("instructions", lambda body, salt: body.update(instructions=f"never drawn, too long {salt}")),
    ("verbosity", lambda body, _: body.update(text={"verbosity": "high"})),
    ("format", lambda body, salt: body.update(text={"format": {"type": "json_schema", "name": str(salt)}})),
    ("include", lambda body, _: body.update(include=["reasoning.encrypted_content"])),
    ("reasoning", lambda body, _: body.update(reasoning={"effort": "never drawn, too long"})),
    ("truncation", lambda body, _: body.update(truncation="another")),
    ("conversation", lambda body, salt: body.update(conversation=f"conv_{salt}")),
    ("moderation", lambda body, _: body.update(moderation={"model": "m"})),
    ("requesty", lambda body, salt: body.update(requesty={"unknown": salt})),
]
