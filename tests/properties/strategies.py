"""Hypothesis strategies for chat bodies: bodies, other spellings of the same call, and calls that differ.

A body is a plain decoded JSON object. `spelled(body)` draws JSON text for it: member order, white space,
string escapes and number spellings vary, its meaning does not. `rewritten(body)` draws another body of the same
meaning; `edited(body)` one of another meaning, with a word that says what was changed.
"""

import copy
import json

from hypothesis import strategies as st

ORDERED = ("properties", "patternProperties", "$defs", "definitions")
EXACT = (
    *("tools", "functions", "response_format", "guided_json", "structured_outputs", "tool_calls", "input"),
    "text",
)
MODELS = (
    "openai/gpt-4o-mini",
    "azure/gpt-4.1",
    "anthropic/claude-sonnet-4-5",
    "mistral/small",
    "alibaba/qwen",
    "coding/best",
)

texts = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from('aA \t\n"\\/é\u2028😀\u00a0e\u0301{}[]:,')),
    max_size=12,
)
whole = (
    st.integers(-(2**70), 2**70)
    | st.integers(-3, 3)
    | st.sampled_from([2**53, 2**53 + 1, -(2**53), 10**40 - 1])
)
doubles = st.floats(allow_nan=False, allow_infinity=False)
numbers = whole | doubles | st.sampled_from([0.0, -0.0, 1.0, 1e16, 9007199254740993.0, 5e-324])
scalars = st.none() | st.booleans() | numbers | texts
names = st.sampled_from(["a", "b", "A", "", "é", "type", "x-y", *ORDERED]) | texts


def values(max_leaves=8):
    """Any JSON value."""
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=max_leaves,
    )


schemas = st.fixed_dictionaries(
    {
        "type": st.just("object"),
        "properties": st.dictionaries(st.sampled_from("abcd"), values(3), max_size=3),
    },
    optional={"required": st.lists(st.sampled_from("abcd"), max_size=2), "$defs": values(3), "x": values(3)},
)
tools = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": st.sampled_from(["f", "g"])},
            optional={"parameters": schemas, "strict": st.booleans(), "description": texts},
        ),
    },
    optional={"cache_control": st.just({"type": "ephemeral"})},
)
text_parts = st.fixed_dictionaries(
    {"type": st.just("text"), "text": texts},
    optional={"cache_control": st.just({"type": "ephemeral"}), "x": values(2)},
)
image_parts = st.fixed_dictionaries(
    {
        "type": st.just("image_url"),
        "image_url": st.fixed_dictionaries(
            {"url": texts}, optional={"detail": st.sampled_from(["auto", "low"]), "x": values(2)}
        ),
    }
)
other_parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["tool_use", "file"])}, optional={"input": values(3), "y": values(3)}
)
contents = (
    texts
    | st.lists(text_parts | image_parts | other_parts, max_size=3)
    | st.lists(text_parts, min_size=1, max_size=1)
)
calls = st.fixed_dictionaries(
    {
        "id": texts,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": texts, "arguments": texts}),
    }
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "developer", "assistant", "tool"]), "content": contents},
    optional={
        "name": texts,
        "tool_call_id": texts,
        "tool_calls": st.lists(calls, max_size=2) | st.none(),
        "x": values(3),
    },
)
chat_bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "messages": st.lists(messages, max_size=3)},
    optional={
        "temperature": st.sampled_from([0, 0.0, 1, 1.0, 0.7, -0.0]) | st.none(),
        "top_p": doubles,
        "seed": whole | st.none(),
        "n": st.sampled_from([1, 1.0, 2, None]),
        "max_tokens": st.integers(1, 9) | st.none(),
        "frequency_penalty": st.sampled_from([0, 0.0, -0.0, 1, 0.5, None]),
        "logit_bias": st.dictionaries(st.sampled_from(["1", "2"]), st.sampled_from([1, 1.0, -5]), max_size=2)
        | st.none(),
        "logprobs": st.booleans() | st.none(),
        "stop": texts | st.lists(texts, max_size=2) | st.none(),
        "tools": st.lists(tools, max_size=2) | st.none(),
        "tool_choice": st.sampled_from(
            ["auto", "none", None, {"type": "function", "function": {"name": "f"}}]
        ),
        "parallel_tool_calls": st.booleans(),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}])
        | schemas.map(lambda s: {"type": "json_schema", "json_schema": {"name": "n", "schema": s}}),
        "store": st.sampled_from([False, None]),
        "stream": st.booleans(),
        "stream_options": st.sampled_from([{"include_usage": True}, {}, None]),
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


@st.composite
def _string(draw, text):
    """A JSON string for `text`, characters escaped at random."""
    out = []
    for character in text:
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        escaped = "".join(f"\\u{int.from_bytes(pair):04x}" for pair in _utf16(character))
        choices = [plain, escaped, escaped.upper().replace("\\U", "\\u")]
        if character == "/":
            choices.append("\\/")
        out.append(draw(st.sampled_from(choices)))
    return '"' + "".join(out) + '"'


def _utf16(character):
    raw = character.encode("utf-16-be")
    return [raw[i : i + 2] for i in range(0, len(raw), 2)]


@st.composite
def _number(draw, value, exact):
    """Another spelling of a number that keeps its meaning; int and float stay apart where that matters."""
    if isinstance(value, int):
        choices = [str(value)]
        if not exact and abs(value) <= 2**53:
            choices += [f"{value}.0", f"{value}e0", f"{value}.00E+0"] + (
                ["-0", "-0.0", "0e5"] if value == 0 else []
            )
        return draw(st.sampled_from(choices))
    choices = [repr(value), f"{value:.17e}"]
    if value == 0 and not exact:
        choices += ["0", "-0.0", "0.0"]
    if not exact and value.is_integer() and abs(value) <= 2**53:
        choices.append(str(int(value)))
    return draw(st.sampled_from(choices))


@st.composite
def spelled(draw, value, exact=False, ordered=False):
    """JSON text for `value` with everything varied that has no meaning."""
    space = draw(st.sampled_from(["", "", "", " ", "\n\t ", "\r\n"]))
    if value is None or isinstance(value, bool):
        body = json.dumps(value)
    elif isinstance(value, str):
        body = draw(_string(value))
    elif isinstance(value, (int, float)):
        body = draw(_number(value, exact))
    elif isinstance(value, list):
        body = "[" + ",".join(draw(spelled(item, exact)) for item in value) + space + "]"
    else:
        exact = exact or any(name in value for name in ORDERED)
        members = list(value.items()) if ordered else draw(st.permutations(list(value.items())))
        body = ",".join(
            space
            + draw(_string(name))
            + space
            + ":"
            + draw(spelled(item, exact or name in (*EXACT, *ORDERED), name in ORDERED))
            for name, item in members
        )
        body = "{" + body + space + "}"
    return space + body + space


def raw_spellings(body):
    """The body as bytes, spelled at random."""
    return spelled(body).map(str.encode)


@st.composite
def rewritten(draw, body):  # noqa: C901  # one short branch per kind of rewrite
    """Another body of the same meaning: transport, identity, defaults, nulls, text parts, stop."""
    body = copy.deepcopy(body)
    for name, options in _TRANSPARENT.items():
        match draw(st.sampled_from(["keep", "keep", "drop", "set"])):
            case "drop":
                body.pop(name, None)
            case "set":
                body[name] = copy.deepcopy(draw(st.sampled_from(options)))
    for name, default in _DEFAULTS.items():
        _respell_default(draw, body, name, default)
    for name in ("temperature", "seed", "max_tokens", "stop"):
        if name not in body and draw(st.booleans()):
            body[name] = None
    if isinstance(body.get("stop"), str) and draw(st.booleans()):
        body["stop"] = [body["stop"]]
    for message in body["messages"]:
        if isinstance(message["content"], str) and draw(st.booleans()):
            marked = draw(st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}]))
            message["content"] = [{"type": "text", "text": message["content"], **marked}]
    if body.get("tools") and body.get("tool_choice", "auto") == "auto":
        body["tool_choice"] = "auto"
    return body


def _respell_default(draw, body, name, default):
    """Absent, null and the stated default are one."""
    stated = body.get(name)
    if stated is None or (type(stated) is type(default) and stated == default):
        body.pop(name, None)
        chosen = draw(st.sampled_from(["absent", "default", "null"]))
        if chosen != "absent":
            body[name] = copy.deepcopy(default) if chosen == "default" else None


_TRANSPARENT = {
    "stream": [True, False, None],
    "stream_options": [{"include_usage": True}, {"include_usage": False, "include_obfuscation": False}, None],
    "service_tier": ["flex", "priority"],
    "prompt_cache_key": ["k", "l"],
    "prompt_cache_retention": ["24h"],
    "prompt_cache_options": [{"ttl": "30m"}],
    "user": ["u1", "u2"],
    "safety_identifier": ["s"],
    "metadata": [{"a": "b"}, None],
}
_DEFAULTS = {"n": 1, "logprobs": False, "logit_bias": {}}


@st.composite
def edited(draw, body):
    """(what was changed, a body of another meaning)."""
    body = copy.deepcopy(body)
    what, edit = draw(st.sampled_from(_EDITS))
    edit(body, draw(st.integers(0, 5)))
    return what, body


def _append(body, message):
    body["messages"].append(message)


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
    ("content is null", lambda body, _: _append(body, {"role": "assistant", "content": None})),
    ("unknown field", _set("bar", 1)),
    ("unknown field true", _set("bar", True)),
    ("unknown field null", _set("bar", None)),
    ("unknown field text", _set("bar", "1")),
    ("unknown value wrapped", _wrap),
    ("temperature", lambda body, _: body.update(temperature=0.25)),
    ("max_completion_tokens", lambda body, salt: body.update(max_completion_tokens=100 + salt)),
    ("top_k", lambda body, salt: body.update(top_k=2 + salt)),
    ("seed beyond 2**53", lambda body, salt: body.update(seed=10**39 + salt)),
    ("n", lambda body, salt: body.update(n=3 + salt)),
    ("logprobs", lambda body, _: body.update(logprobs=body.get("logprobs") is not True)),
    ("stop", lambda body, salt: body.update(stop=["never drawn, too long", str(salt)])),
    ("reasoning_effort", lambda body, _: body.update(reasoning_effort="low")),
    ("functions", lambda body, _: body.update(functions=[{"name": "f"}])),
    ("requesty", lambda body, salt: body.update(requesty={"unknown": salt})),
]
