"""Hypothesis strategies for messages bodies, other spellings of one call, and calls that differ."""

import copy

from hypothesis import strategies as st

from tests.properties.strategies import doubles, scalars, schemas, texts, values, whole

MARK = {"type": "ephemeral"}
marks = st.sampled_from([MARK, {**MARK, "ttl": "1h"}, None])
text_blocks = st.fixed_dictionaries(
    {"type": st.just("text"), "text": texts}, optional={"cache_control": marks, "citations": values(2)}
)
plain_blocks = st.fixed_dictionaries({"type": st.just("text"), "text": texts})
sources = st.fixed_dictionaries(
    {"type": st.sampled_from(["base64", "url", "file", "text"])},
    optional={"data": texts, "url": texts, "file_id": texts, "media_type": texts},
)
media_blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["image", "document"]), "source": sources}, optional={"cache_control": marks, "title": texts}
)  # fmt: skip
thoughts = st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts})
inputs = st.dictionaries(texts, values(3), max_size=3)
calls = st.fixed_dictionaries(
    {"type": st.sampled_from(["tool_use", "server_tool_use"]), "id": texts, "name": texts, "input": inputs},
    optional={"cache_control": marks},
)
contents = (
    texts | st.lists(plain_blocks, min_size=1, max_size=1) | st.lists(text_blocks | media_blocks, max_size=2)
)
results = st.fixed_dictionaries(
    {"type": st.just("tool_result"), "tool_use_id": texts},
    optional={"content": contents, "is_error": st.booleans(), "cache_control": marks},
)
blocks = text_blocks | media_blocks | thoughts | calls | results
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": contents | st.lists(blocks, max_size=3)},
    optional={"x": values(3)},
)
tools = st.fixed_dictionaries(
    {"name": st.sampled_from("fg"), "input_schema": schemas},
    optional={"description": texts, "cache_control": marks, "type": st.sampled_from(["custom", None]), "strict": st.booleans()},
)  # fmt: skip
bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(["anthropic/claude-sonnet-4-5", "x/y"]), "messages": st.lists(messages, max_size=3)},
    optional={
        "system": texts | st.lists(text_blocks, max_size=2) | st.lists(plain_blocks, min_size=1, max_size=1),
        "max_tokens": st.sampled_from([1, 1.0, 9]),
        "temperature": st.sampled_from([0, 0.0, 1, 0.7, -0.0]),
        "top_p": doubles,
        "top_k": whole,
        "stop_sequences": st.lists(texts, max_size=2),
        "tools": st.lists(tools, max_size=2),
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "any"}, {"type": "auto", "x": 1}]),
        "thinking": st.fixed_dictionaries({"type": st.just("enabled"), "budget_tokens": st.sampled_from([1024, 1024.0])}),
        "output_config": st.fixed_dictionaries(
            {}, optional={"effort": texts, "format": schemas.map(lambda s: {"type": "json_schema", "schema": s})}
        ),
        "stream": st.booleans(),
        "service_tier": texts,
        "metadata": st.dictionaries(texts, scalars, max_size=2),
        "requesty": st.fixed_dictionaries({}, optional={"auto_cache": st.booleans(), "tags": st.just([]), "zone": scalars}),
        "inference_geo": texts | st.none(),
        "cache_control": marks,
        "foo": values(5),
        "properties": values(5),
    },
)  # fmt: skip


def lists_of_blocks(body):
    """Every list of content blocks, with a way to set it: (owner, name)."""
    if isinstance(body.get("system"), (str, list)):
        yield body, "system"
    for message in body["messages"]:
        yield message, "content"
        if isinstance(message["content"], list):
            for block in message["content"]:
                if block["type"] == "tool_result" and "content" in block:
                    yield block, "content"


@st.composite
def rewritten(draw, body):
    """Another body of the same meaning: transport, identity, marks, the default choice, one text block."""
    body = copy.deepcopy(body)
    for name, options in _TRANSPARENT.items():
        match draw(st.sampled_from(["keep", "drop", "set"])):
            case "drop":
                body.pop(name, None)
            case "set":
                body[name] = copy.deepcopy(draw(st.sampled_from(options)))
    _respell_members(draw, body)
    for owner, name in list(lists_of_blocks(body)):
        _respell(draw, owner, name)
    for tool in body.get("tools", []):
        _mark(draw, tool)
    return body


def _respell_members(draw, body):
    """Null is absent where the schema says so; the documented choice is the one that is made without a word."""
    for name in ("container", "thread", "inference_geo", "speed"):
        if body.get(name) is None:
            body.pop(name, None)
            if draw(st.booleans()):
                body[name] = None
    if body.get("tools") and body.get("tool_choice", {"type": "auto"}) == {"type": "auto"}:
        body.pop("tool_choice", None)
        if draw(st.booleans()):
            body["tool_choice"] = {"type": "auto"}


def _respell(draw, owner, name):
    value = owner[name]
    if isinstance(value, str):
        if draw(st.booleans()):
            owner[name] = [{"type": "text", "text": value}]
            _mark(draw, owner[name][0])
        return
    for block in value:
        _mark(draw, block)
    if len(value) == 1 and value[0].keys() == {"type", "text"} and draw(st.booleans()):
        owner[name] = value[0]["text"]


def _mark(draw, owner):
    owner.pop("cache_control", None)
    if draw(st.booleans()):
        owner["cache_control"] = copy.deepcopy(draw(marks))


_TRANSPARENT = {
    "stream": [True, False],
    "service_tier": ["auto", "standard_only"],
    "metadata": [{"user_id": "u"}, {"user_id": None}, {}],
}


@st.composite
def edited(draw, body):
    """(what was changed, a body of another meaning)."""
    body = copy.deepcopy(body)
    what, edit = draw(st.sampled_from(_EDITS))
    edit(body, draw(st.integers(0, 5)))
    return what, body


def _say(block):
    def edit(body, _):
        body["messages"].append({"role": "user", "content": [block]})

    return edit


def _give(name, value):
    def edit(body, salt):
        body[name] = value if body.get(name, ...) != value else ["another", salt]

    return edit


def _change_system(body, salt):
    body["system"] = [{"type": "text", "text": f"never drawn, too long {salt}"}]


_EDITS = [
    ("model", lambda body, _: body.update(model=body["model"] + "-2")),
    ("model's case", lambda body, _: body.update(model=body["model"].upper())),
    ("message", _say({"type": "text", "text": "x"})),
    ("empty text", _say({"type": "text", "text": ""})),
    ("thought", _say({"type": "thinking", "thinking": "x", "signature": "y"})),
    ("image", _say({"type": "image", "source": {"type": "file", "file_id": "f"}})),
    ("call", _say({"type": "tool_use", "id": "a", "name": "b", "input": {"n": 1}})),
    ("result", _say({"type": "tool_result", "tool_use_id": "a", "content": "x"})),
    ("system", _change_system),
    ("max_tokens", lambda body, salt: body.update(max_tokens=100 + salt)),
    ("temperature", lambda body, _: body.update(temperature=0.25)),
    ("temperature null", lambda body, _: body.update(temperature=None)),
    ("top_k", lambda body, salt: body.update(top_k=10**39 + salt)),
    ("stop_sequences", lambda body, salt: body.update(stop_sequences=["never drawn, too long", str(salt)])),
    ("tool_choice", lambda body, _: body.update(tool_choice={"type": "none"})),
    ("thinking", lambda body, salt: body.update(thinking={"type": "enabled", "budget_tokens": 2000 + salt})),
    ("effort", lambda body, _: body.update(output_config={"effort": "never drawn, too long"})),
    ("unknown field", _give("bar", 1)),
    ("unknown field true", _give("bar", True)),
    ("unknown field null", _give("bar", None)),
    ("fallbacks", _give("fallbacks", [{"model": "x"}])),
    ("context_management", lambda body, salt: body.update(context_management={"edits": [salt]})),
    ("requesty", lambda body, salt: body.update(requesty={"unknown": salt})),
    ("order", lambda body, _: body.update(messages=[{"role": "a", "content": ""}, *body["messages"][::-1]])),
]  # fmt: skip
