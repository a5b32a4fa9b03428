"""Golden calls that only the Responses API has: input items, parts, tools, text formats, state."""

from tests.core.vectors.call_parts import BASES, MODEL, MODELS, compact, row

RESPONSES = "responses"
BASE = BASES[RESPONSES]
OTHER = "x/y"
"""A model of which no default is documented."""
TEXT = {"type": "input_text", "text": "hi"}
SAID = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"b": {"minimum": 1.0}, "a": {"enum": [1, 1.0, "1"]}}}
FUNCTION = {"type": "function", "name": "f", "parameters": SCHEMA}
CALL = {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "1"}

READ = ("text", "annotations", "logprobs", "action", "results", "summary", "tools", "other")
LINKS = [{"type": "other", name: ["https://h"]} for name in READ]
"""Parts and items that name a URL, which the origin may fetch in some of them."""

CONTENTS = (
    *([link] for link in LINKS),
    *([TEXT], [TEXT, TEXT], [TEXT | {"x": 1.0}], [TEXT | {"x": None}], [], ["hi"], [None], [{"text": "hi"}], [{"type": "input_text"}]),
    *([{"type": "input_text", "text": None}], [{"type": 1, "text": "hi"}], [{"type": "text", "text": "hi"}], None, 1, {"a": 1}),
    *([{"type": "output_text", "text": "hi"}], [{"type": "output_text"}], [{"type": "refusal", "refusal": "no"}]),
    *([{"type": "input_image", "image_url": "https://h/a.png", "detail": "auto"}], [{"type": "input_file", "file_id": "f"}]),
    *([TEXT | {"properties": {"b": 1.0, "a": 1}, "x": 1.0}], [TEXT | {"input": {"a": 1.0}}], [{"type": "input_text", "x": "hi"}]),
)  # fmt: skip

ITEMS = (
    *LINKS,
    *(SAID, SAID | {"type": "message"}, SAID | {"type": None}, SAID | {"type": "other"}, SAID | {"type": 1}, {"role": "user"}),
    *(SAID | {"id": "1"}, SAID | {"type": "message", "id": "1"}, SAID | {"type": "message", "x": 1.0}, SAID | {"role": None}),
    *(SAID | {"x": {"properties": {"b": 1.0}, "c": 1.0}}, SAID | {"properties": {"b": 1, "a": 1}, "x": 1.0}, {"content": "hi"}),
    *(CALL, CALL | {"x": 1.0}, CALL | {"arguments": {}}, CALL | {"arguments": '{"a":1}'}, {"type": "function_call"}),
    *(OUTPUT, OUTPUT | {"output": "x"}, OUTPUT | {"output": [TEXT]}, OUTPUT | {"output": {}}, OUTPUT | {"output": "x", "y": {"b": 1.0}}),
    *({"type": "custom_tool_call", "input": "x"}, {"type": "custom_tool_call"}, {"type": "custom_tool_call_output", "output": "x"}),
    *({"type": "custom_tool_call_output"}, {"type": "item_reference", "id": "1"}, {"id": "1"}, {"type": None, "id": "1"}, {}),
    *({"type": "reasoning", "summary": [], "encrypted_content": "x"}, {"type": "reasoning", "properties": {"b": 1.0}}, "hi", 1),
    *({"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "https://h"}}, {"type": "message"}),
    *({"type": "additional_tools", "tools": [FUNCTION]}, {"type": "additional_tools"}, {"type": "additional_tools", "tools": [{"type": "mcp"}]}),
    *({"type": "tool_search_output", "tools": [{"type": "web_search"}]}, {"type": "tool_search_output", "tools": [1]}),
    *({"type": "tool_search_output", "tools": [FUNCTION | {"name": 1}]}, {"type": "other", "tools": [{"type": "mcp"}], "x": 1.0}),
)  # fmt: skip

KINDS = (
    *("function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview", "web_search"),
    *("web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11", "web_search_later", "google_search"),
    *("mcp", "code_interpreter", "file_search", "image_generation", "programmatic_tool_calling", "shell", "tool_search", "Function"),
)  # fmt: skip

TOOL_CASES = (
    *([FUNCTION | {"cache_control": {}}], [FUNCTION | {"strict": None}], [FUNCTION | {"parameters": {"maximum": 1.0}}]),
    *([FUNCTION | {"parameters": {"maximum": 1}}], [{"type": "function"}], [{"type": "custom", "name": 1}], [{"type": None}], [{}]),
    *([{"local_shell": {}}], [{"web_search": {}}], [{"function": {"name": "f"}}], [{"type": "local_shell", "x": 1.0}], [1], [["a"]]),
    *([{"type": "namespace", "tools": [FUNCTION]}], [{"type": "namespace", "tools": []}], [{"type": "namespace"}]),
    *([{"type": "namespace", "tools": [{"type": "web_search"}]}], [{"type": "namespace", "tools": [{"type": "namespace", "tools": [FUNCTION]}]}]),
    *([{"type": "namespace", "tools": [1]}], [{"type": "tool_search", "execution": "client"}], [{"type": "tool_search", "execution": 1}]),
    *([FUNCTION, FUNCTION | {"name": "g"}], [FUNCTION | {"name": "g"}, FUNCTION], [FUNCTION, {"type": "mcp"}]),
)  # fmt: skip

MEMBERS = (
    *({"text": {}}, {"text": {"format": {"type": "text"}}}, {"text": {"format": None}}, {"text": {"format": {"type": "text", "x": 1}}}),
    *({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"text": {"format": {"type": "json_object"}}}, {"text": {"format": {}}}),
    *({"text": {"format": {"type": 1}}}, {"text": {"format": "text"}}, {"text": {"x": 1.0}}, {"text": {"x": 1}}),
    *({"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}}, {"text": None}),
    *({"prompt": {"id": "p"}}, {"prompt": {"id": "p", "version": "1"}}, {"prompt": {"id": "p", "version": 1}}),
    *({"prompt": {"id": "p", "version": "1"}, "truncation": "disabled", "text": {}}, {"prompt": None, "truncation": "disabled"}),
    *({"store": True}, {"store": None}, {"background": True}, {"background": False}, {"background": None}, {"models": [MODEL, "b"]}),
    *({"models": ["policy/p"]}, {"models": [1]}, {"conversation": "c"}, {"conversation": {"id": "c"}}, {"previous_response_id": "r"}),
    *({"prompt_cache_options": {"prewarm": True}}, {"prompt_cache_options": {"prewarm": False}}, {"prompt_cache_options": {"prewarm": None}}),
    *({"prompt_cache_options": {"comparison_response_id": "r"}}, {"prompt_cache_options": {"ttl": "30m"}}, {"access_programs": 1.0}),
    *({"temperature": 0}, {"temperature": -0.0}, {"max_output_tokens": 9.0}, {"max_output_tokens": 9.5}, {"metadata": {"x": 10**41}}),
    *({"image": {"a": 1.0}}, {"background_options": None}, {"reasoning": {"effort": "low", "x": 1.0}}, {"include": ["a", "b"]}, {"n": 1}),
    *({"requesty": {"zone": "eu"}}, {"requesty": {"properties": {"b": 1, "a": 1}}}, {"requesty": {"a": {"properties": {"b": 1.0}, "c": 1.0}}}),
    *({"cache_control": {}}, {"tool_choice": {"type": "function", "name": "f", "x": 1.0}}, {"moderation": {"x": 1.0}}),
    *({"context_management": [{"x": 1.0}]}, {"tool_choice": "auto"}, {"parallel_tool_calls": True, "tools": []}),
)  # fmt: skip


def of_responses():
    for index, content in enumerate(CONTENTS):
        for role in ("user", "assistant"):
            item = {"role": role, "content": content}
            yield row(f"content {index} of {role}", RESPONSES, {**BASE, "input": [item]})
    for model in (MODEL, OTHER):
        for index, item in enumerate(ITEMS):
            yield row(f"item {index}, {model}", RESPONSES, {**BASE, "model": model, "input": [item]})
        yield row(f"text, {model}", RESPONSES, {**BASE, "model": model, "input": "hi"})
        for members in MEMBERS:
            yield row(f"{compact(members)}, {model}", RESPONSES, {**BASE, "model": model, **members})
    for kind in KINDS:
        yield row(f"a tool {kind}", RESPONSES, {**BASE, "tools": [{"type": kind, "name": "f"}]})
        item = {"type": "additional_tools", "tools": [{"type": kind, "name": "f"}]}
        yield row(f"a tool {kind} in the input", RESPONSES, {**BASE, "input": [item]})
    for index, tools in enumerate(TOOL_CASES):
        yield row(f"tools {index}", RESPONSES, {**BASE, "tools": tools})
        yield row(f"tools {index}, auto", RESPONSES, {**BASE, "tools": tools, "tool_choice": "auto"})
    yield from of_models()
    yield row("an input of nothing", RESPONSES, {**BASE, "input": []})
    yield row("no input", RESPONSES, {"model": MODEL, "store": False})
    yield row("no store", RESPONSES, {"model": MODEL, "input": "hi"})


def of_models():
    """Defaults that go by the model but stand below the top level."""
    for model in (*MODELS, "policy/a", "", None, 1):
        said = {"input": [SAID | {"type": "message"}], "text": {"format": {"type": "text"}}}
        yield row(f"model {compact(model)}", RESPONSES, {**BASE, **said, "model": model})
    yield row("a format beside models", RESPONSES, {**BASE, "text": {}, "models": [MODEL]})
