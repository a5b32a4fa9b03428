"""Golden calls that only chat/completions has: messages, parts, tools, stop, response formats."""

from tests.core.vectors.call_parts import BASES, CHAT, MODEL, MODELS, TOOL, USER, compact, row
from tests.core.vectors.json_texts import BYTES


def content(*parts, role="user", model=MODEL) -> dict:
    return {"model": model, "messages": [{"role": role, "content": list(parts)}]}


def of_chat():
    """What only chat bodies have: messages, parts, tools, stop, response formats."""
    text, cached = {"type": "text", "text": "hi"}, {"cache_control": {"type": "ephemeral"}}
    image = {"type": "image_url", "image_url": {"url": "https://h/a.png"}}
    parts = [
        [text],
        [text | cached],
        [text | {"cache_control": None}],
        [text | {"cache_control": "x"}],
        [text | {"cache_control": {"a": 10**41}}],
        [text | {"prompt_cache_breakpoint": {"mode": "explicit"}}],
        [text | {"x": 1.0}],
        [text, text | cached],
        [{"type": "text"}],
        [{"type": "text", "text": None}],
        [{"text": "hi"}],
        [{"type": 1, "text": "hi"}],
        [{"type": "Text", "text": "hi"}],
        ["hi"],
        [None],
        [{"type": "refusal", "refusal": "no"}],
        [{"type": "tool_use", "id": "1", "name": "f", "input": {"b": 1.0, "a": -0.0}}],
        [{"type": "tool_use", "id": "1", "name": "f", "input": {"b": 1, "a": 0}}],
        [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}} | cached],
        [{"type": "image_url"}],
        [{"type": "image_url", "image_url": "https://h/a.png"}],
        [{"type": "image_url", "image_url": {"url": 1}}],
        [{"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}}],
        [{"type": "image_url", "image_url": {"url": "data:,", "detail": "auto", "x": 1.0}}],
        [{"type": "image_url", "image_url": {"url": "data:,", "detail": None}}],
        [{"type": "other", "image_url": {"url": "data:,", "detail": "auto"}}],
    ]
    for index, each in enumerate(parts):
        yield row(f"parts {index}", CHAT, content(*each))
    for model in (*MODELS, "policy/a", ""):
        detailed = {**image, "image_url": {**image["image_url"], "detail": "auto"}}
        yield row(f"image detail auto, {model}", CHAT, content(detailed, model=model))
    yield row(
        "image detail auto, a list of models",
        CHAT,
        {**content({**image, "image_url": {"url": "a", "detail": "auto"}}), "models": [MODEL]},
    )
    messages = [
        {"content": "hi"},
        {"role": "user"},
        {"role": "user", "content": "hi", "cache_control": {}},
        {"role": "user", "content": "hi", "user": "u"},
        {"role": "user", "content": "hi", "x": 1.0},
        {"role": "user", "content": "hi", "properties": {"b": 1.0, "a": 1}},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {"arguments": '{"a": 1}'}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "2", "function": {"arguments": '{"a":1}'}}],
        },
        {"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]},
        {"role": "assistant", "tool_calls": [{"function": None, "custom": {"input": "x"}, "index": 1.0}]},
        {"role": "assistant", "tool_calls": [{"custom": {"input": 1}}]},
        {"role": "assistant", "tool_calls": [{"custom": {}}]},
        {"role": "assistant", "tool_calls": [1]},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}", "x": 1.0}},
        {"role": "assistant", "content": "a", "audio": {"id": "a", "x": 1.0}},
    ]
    for index, message in enumerate(messages):
        yield row(f"message {index}", CHAT, {"model": MODEL, "messages": [message]})
    for other in ("developer", "system", "User"):
        yield row(f"role {other}", CHAT, {"model": MODEL, "messages": [{"role": other, "content": "hi"}]})
    schema = {"type": "object", "properties": {"b": {"minimum": 1.0}, "a": {"enum": [1, 1.0, "1"]}}}
    tools = [
        [TOOL, {"type": "custom", "custom": {"name": "c"}}],
        [{"type": "custom", "custom": {"name": "c"}}, TOOL],
        [TOOL | cached],
        [TOOL | {"cache_control": None}],
        [TOOL | {"cache_control": True}],
        [{"type": "function", "function": {"name": "f", "cache_control": {}}}],
        [{"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}],
        [{"function": {"parameters": schema, "strict": True, "name": "f"}, "type": "function"}],
        [{"type": "function", "function": {"name": "f", "parameters": {"maximum": 1.0}}}],
        [{"type": "function", "function": {"name": "f", "parameters": {"maximum": 1}}}],
        [{"function": {"name": "f"}}],
        [{"type": "function"}],
        [{"type": "function", "function": {}}],
        [{"type": None, "function": {"name": "f"}}],
        [{"google_search": {}}],
        [{"type": "web_search_preview_2025"}],
        [{"type": "code_interpreter"}],
        [{"function": {"name": "f"}, "x": 1}],
        [{}],
        [1],
    ]
    for index, each in enumerate(tools):
        yield row(f"tools {index}", CHAT, {**BASES[CHAT], "tools": each})
        yield row(f"tools {index}, auto", CHAT, {**BASES[CHAT], "tools": each, "tool_choice": "auto"})
    others = [
        {"stop": "a"},
        {"stop": ["a"]},
        {"stop": ["a", "b"]},
        {"stop": ["b", "a"]},
        {"stop": ["a", 1]},
        {"stop": ""},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minimum": 1.0}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minimum": 1}}}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "text", "x": 1}},
        {"response_format": {"x": 1}},
        {"guided_json": schema},
        {"structured_outputs": {"json": schema}},
        {"structured_outputs": {"choice": ["a"]}},
        {"functions": [{"name": "f", "parameters": {"x": 1.0}}]},
        {"n": 0},
        {"n": -1},
        {"n": 2},
        {"n": 1e17},
        {"seed": 10**39},
        {"seed": 10**41},
        {"models": [MODEL, "b"]},
        {"models": [MODEL, "policy/p"]},
        {"models": [MODEL, 1]},
        {"stream": True, "stream_options": {"include_usage": 1}},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"include_usage": None}},
        {"metadata": {"x": 10**41}},
        {"requesty": {"zone": "eu", "user_id": "u", "tags": ["t"], "extra": {"a": 1.0}}},
        {"requesty": {"zone": 1.0}},
        {"requesty": {"properties": {"b": 1, "a": 1}}},
        {"requesty": {"stream": True}},
        {"logit_bias": {"2": 1.0, "10": -5}},
        {"logit_bias": {"1": 0}},
        {"prompt_cache_other": 1},
        {"cache_control": {}},
        {"auto_cache": True},
    ]
    for other in others:
        yield row(compact(other), CHAT, {**BASES[CHAT], **other})
    for model in ("policy/a", "Policy/a", "", None, 1, "a", "sonar", "x:online"):
        yield row(f"model {compact(model)}", CHAT, {"model": model, "messages": [USER]})
    yield row("no model", CHAT, {"messages": [USER]})
    yield row("no messages", CHAT, {"model": MODEL})
    for name, raw in BYTES:
        yield row(name, CHAT, raw)
    for raw in ("[]", "1", '"a"', "null", "{}", '{"model":"m","messages":[]}x'):
        yield row(f"a body {raw}", CHAT, raw)
