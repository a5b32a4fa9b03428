"""Golden calls that only Anthropic messages has: system, blocks, results of tools, tools, output formats."""

from tests.core.vectors.call_parts import BASES, MODELS, USER, compact, row

MESSAGES = "messages"
BASE = BASES[MESSAGES]
TEXT = {"type": "text", "text": "hi"}
MARK = {"cache_control": {"type": "ephemeral"}}
DEEP = {"cache_control": {"a": 10**41}}
SOURCE = {"type": "base64", "media_type": "image/png", "data": "AA=="}
IMAGE = {"type": "image", "source": SOURCE}
LINKED = {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}}
CALL = {"type": "tool_use", "id": "1", "name": "f", "input": {"b": 1.0, "a": -0.0}}
RESULT = {"type": "tool_result", "tool_use_id": "1"}
SCHEMA = {"type": "object", "properties": {"b": {"minimum": 1.0}, "a": {"enum": [1, 1.0, "1"]}}}
CUSTOM = {"name": "f", "input_schema": SCHEMA}

QUIET = (
    "text",
    "thinking",
    "redacted_thinking",
    "search_result",
    "tool_use",
    "tool_result",
    "server_tool_use",
    "web_search_tool_result",
)
LINKS = [
    {"type": kind, "text": "", "input": {}, "source": "", "x": "https://h"} for kind in (*QUIET, "other")
]
"""Blocks that name a URL, which the origin may fetch in some of them."""

BLOCKS = (
    *([link] for link in LINKS),
    *([TEXT], [TEXT | MARK], [TEXT | {"cache_control": None}], [TEXT | {"cache_control": "x"}], [TEXT | DEEP]),
    *([TEXT | {"x": 1.0}], [TEXT | {"x": None}], [TEXT, TEXT | MARK], [], ["hi"], [None], [{"text": "hi"}]),
    *([{"type": "text"}], [{"type": "text", "text": None}], [{"type": 1, "text": "hi"}], [{"type": "Text", "text": "hi"}]),
    *([TEXT | {"citations": None}], [TEXT | {"properties": {"b": 1.0, "a": 1}, "x": 1.0}], [{"type": "text", "x": "hi"}]),
    *([IMAGE], [IMAGE | MARK], [LINKED], [LINKED, {"type": "image"}], [{"type": "image"}], [{"type": "document", "source": "a"}]),
    *([{"type": "document", "source": {"type": "content", "content": [TEXT | MARK]}}], [{"type": "search_result", "source": "a"}]),
    *([CALL], [CALL | MARK], [CALL | {"input": {"a": 0, "b": 1}}], [CALL | {"input": "x"}], [{"type": "tool_use"}]),
    *([CALL | {"type": "server_tool_use"}], [CALL | {"type": "other"}], [CALL | {"type": "server_tool_use", "input": []}]),
    *([RESULT], [RESULT | {"content": "hi"}], [RESULT | {"content": [TEXT]}], [RESULT | {"content": [TEXT | MARK]}]),
    *([RESULT | MARK | {"content": [TEXT, IMAGE | MARK]}], [RESULT | {"content": ["hi"]}], [RESULT | {"content": []}]),
    *([RESULT | {"content": None, "is_error": False}], [RESULT | {"content": {"a": 1.0}}], [RESULT | {"input": {"a": 1.0}}]),
    *([RESULT | {"content": [TEXT], "input": {"a": 1.0}}], [RESULT | {"content": [CALL]}]),
    *([RESULT | {"content": [RESULT | {"content": [TEXT | MARK]}]}], [RESULT | {"content": [TEXT | {"x": 1.0}]}]),
    *([{"type": "thinking", "thinking": "x", "signature": "s"}], [{"type": "redacted_thinking", "data": "x", "y": 1.0}]),
)  # fmt: skip

MESSAGE_CASES = (
    *({"content": "hi"}, {"role": "user"}, {"role": 1, "content": "hi"}, {"role": "user", "content": None}),
    *({"role": "user", "content": 1}, {"role": "User", "content": "hi"}, {"role": "user", "content": "hi", **MARK}),
    *({"role": "user", "content": "hi", "x": 1.0}, {"role": "user", "content": [TEXT], "x": None}, "hi", None),
    *({"role": "user", "content": "hi", "properties": {"b": 1.0, "a": 1}, "x": 1.0}, {"role": "system", "content": "hi"}),
)  # fmt: skip

TOOL_CASES = (
    *([CUSTOM], [CUSTOM | {"type": "custom"}], [CUSTOM | {"type": None}], [CUSTOM | MARK], [CUSTOM | {"cache_control": 1}]),
    *([CUSTOM | DEEP], [CUSTOM | {"type": 1}], [{"name": "f"}], [{"name": "f", "input_schema": None}], [{"input_schema": {}}]),
    *([{"name": 1, "input_schema": {}}], [CUSTOM | {"strict": True}], [CUSTOM, CUSTOM | {"name": "g"}]),
    *([CUSTOM | {"name": "g"}, CUSTOM], [CUSTOM | {"input_schema": {"maximum": 1.0}}], [CUSTOM | {"input_schema": {"maximum": 1}}]),
    *([CUSTOM | {"input_schema": {"x": MARK}}], [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5.0}]),
    *([{"type": "web_search_20991231"}], [{"type": "web_search"}], [{"type": "bash_20250124", "name": "bash"} | MARK]),
    *([{"type": "bash_20990101", "name": "bash"}], [{"type": "memory_20250818", "name": "memory"}], [{}], [1]),
    *([CUSTOM, {"type": "code_execution_20250825", "name": "x"}],),
)  # fmt: skip

MEMBERS = (
    *({"stop_sequences": ["a"]}, {"stop_sequences": ["b", "a"]}, {"stop_sequences": ["a", 1]}, {"stop_sequences": "a"}),
    *({"models": ["a", "b"]}, {"models": ["a", "policy/p"]}, {"models": ["a", 1]}, {"fallbacks": [{"model": "x"}]}),
    *({"output_config": {"effort": "low", "x": 1.0}}, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    *({"output_config": {"format": None}}, {"output_config": {"format": {}}}, {"output_config": {"format": "a"}}),
    *({"output_format": {"type": "json_schema", "schema": {"minimum": 1.0}}}, {"output_format": {"type": "json_schema", "schema": {"minimum": 1}}}),
    *({"output_format": {"x": 1}}, {"output_format": {"type": 1}}, {"thinking": {"type": "enabled", "budget_tokens": 1024.0}}),
    *({"temperature": 0}, {"temperature": -0.0}, {"top_k": 1.0}, {"top_k": 10**39}, {"top_k": 10**41}, {"store": True}, {"store": 1}),
    *({"metadata": {"user_id": "u"}}, {"metadata": {"x": 10**41}}, {"max_tokens": 9.0}, {"max_tokens": 9.5}),
    *({"system": []}, {"system": [TEXT, TEXT]}, {"cache_control": {"type": "ephemeral"}}, {"prompt_cache_key": "k"}, {"user": "u"}),
    *({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, {"tool_choice": {"type": "any"}}),
    *({"requesty": {"zone": "eu", "user_id": "u"}}, {"requesty": {"properties": {"b": 1, "a": {"properties": {"y": 1.0}}}}}),
    *({"requesty": {"a": {"properties": {"b": {"x": 1.0}}, "c": 1.0}}}, {"requesty": {"a": {"$defs": ["a", 1]}}}),
)  # fmt: skip


def of_messages():
    for index, blocks in enumerate(BLOCKS):
        yield row(f"content {index}", MESSAGES, {**BASE, "messages": [{"role": "user", "content": blocks}]})
        yield row(f"system {index}", MESSAGES, {**BASE, "system": blocks})
    yield row("system text", MESSAGES, {**BASE, "system": "hi"})
    for index, message in enumerate(MESSAGE_CASES):
        yield row(f"message {index}", MESSAGES, {**BASE, "messages": [message]})
    for index, tools in enumerate(TOOL_CASES):
        yield row(f"tools {index}", MESSAGES, {**BASE, "tools": tools})
        yield row(f"tools {index}, auto", MESSAGES, {**BASE, "tools": tools, "tool_choice": {"type": "auto"}})
    for members in MEMBERS:
        yield row(compact(members), MESSAGES, {**BASE, **members})
    chosen = {"tools": [CUSTOM], "tool_choice": {"type": "auto", "x": 1}}
    yield row("a choice with more members", MESSAGES, {**BASE, **chosen})
    for model in (*MODELS, "policy/a", "", None, 1, "x:online"):
        yield row(f"model {compact(model)}", MESSAGES, {"model": model, "max_tokens": 9, "messages": [USER]})
    yield row("no messages", MESSAGES, {"model": "m", "max_tokens": 9})
    yield row("no model", MESSAGES, {"max_tokens": 9, "messages": []})
