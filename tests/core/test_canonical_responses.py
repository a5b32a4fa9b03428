"""The canonical form of Responses bodies, promise by promise (SEMANTICS §1, §3)."""

import json
from typing import Any

import pytest
from openai.types.responses import response_create_params, tool_param

from tests.core.sdk_fields import fields_of, kinds_of
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.canonical.responses_tables import (
    BODY_FIELDS,
    DROPS,
    ELISIONS,
    KEYED_AS_THEY_STAND,
    TOOLS,
)
from tiered_cache.core.canonical.tool_memo import ToolMemo
from tiered_cache.core.vocabulary import Bypass, Determinism

OPENAI = "openai/gpt-4o-mini"
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


def made(identity="drop", seen_tools=None, **fields) -> Canonical | Bypass:
    body = {"model": OPENAI, "store": False, "input": "hi", **fields}
    raw = json.dumps({name: value for name, value in body.items() if value is not ...}).encode()
    return canonicalise("responses", raw, KeyOptions(identity_fields=identity), seen_tools)


def form(**fields) -> Canonical:
    found = made(**fields)
    assert isinstance(found, Canonical), found
    return found


def detail(**fields) -> str | None:
    found = made(**fields)
    return found.detail if isinstance(found, Bypass) else found.call.bypass


def user(content: Any, **fields: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content, **fields}]


def test_every_field_of_the_sdk_is_in_a_table_or_on_the_written_list() -> None:
    known = {field.name for field in BODY_FIELDS} | set(KEYED_AS_THEY_STAND)
    asked = fields_of(response_create_params.ResponseCreateParamsStreaming)
    asked |= fields_of(response_create_params.ResponseCreateParamsNonStreaming)
    assert len(asked) > 30
    assert asked - known == set(), "the SDK has them, the tables do not"


def test_fields_that_the_sdk_has_not_are_those_of_routers() -> None:
    asked = fields_of(response_create_params.ResponseCreateParamsStreaming)
    assert {field.name for field in BODY_FIELDS} - asked == {"models", "requesty"}
    assert set(KEYED_AS_THEY_STAND) <= asked


def test_every_tool_of_the_sdk_has_a_row() -> None:
    known = {row.kind for row in TOOLS} | {"namespace", "tool_search"}
    assert kinds_of(tool_param.ToolParam) - known == set(), "the SDK has them, the table does not"


def test_rows_are_of_known_fields_and_state_their_source() -> None:
    known = {field.name for field in BODY_FIELDS}
    assert {row.path for row in ELISIONS} <= known
    assert {row.path for row in DROPS if "." not in row.path} <= known
    assert len(known) == len(BODY_FIELDS)
    assert all(row.source for row in (*DROPS, *ELISIONS, *TOOLS))
    assert len({row.kind for row in TOOLS}) == len(TOOLS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stream", True),
        ("stream_options", {"include_obfuscation": False}),
        ("service_tier", "flex"),
        ("prompt_cache_key", "k"),
        ("prompt_cache_options", {"ttl": "30m"}),
        ("prompt_cache_retention", "24h"),
        ("user", "u"),
        ("safety_identifier", "s"),
        ("metadata", {"a": "b"}),
        ("requesty", {"auto_cache": True, "user_id": "u", "trace_id": "t", "tags": ["x"], "extra": {"k": 1}}),
    ],
)
def test_transport_and_identity_are_not_keyed(name, value):
    assert form(**{name: value}).text == form().text
    assert form(**{name: value}).dropped


@pytest.mark.parametrize("name", ["user", "safety_identifier", "metadata"])
def test_identity_is_keyed_where_the_operator_says_so(name):
    value = {"a": "b"} if name == "metadata" else "u"
    assert form(identity="key", **{name: value}).text != form(identity="key").text


DEFAULTS = [
    {"parallel_tool_calls": True},
    {"truncation": "disabled"},
    {"text": {"format": {"type": "text"}}},
    {"text": {}},
    {"input": [{"type": "message", "role": "user", "content": "hi"}]},
]


@pytest.mark.parametrize("fields", DEFAULTS)
@pytest.mark.parametrize("model", ["openai/gpt-4o", "azure/gpt-4o"])
def test_documented_defaults_say_nothing_to_their_providers(fields, model):
    assert form(model=model, **fields).text == form(model=model).text


@pytest.mark.parametrize("fields", DEFAULTS)
@pytest.mark.parametrize(
    "where",
    [
        {"model": "anthropic/claude-sonnet-4-5"},
        {"model": "gpt-4o"},
        {"models": ["openai/a", "x/b"]},
        {"prompt": {"id": "p", "version": "1"}},
    ],
)
def test_they_are_keyed_where_another_provider_or_a_template_may_say_otherwise(fields, where):
    assert form(**{**where, **fields}).text != form(**where).text


@pytest.mark.parametrize(
    "fields",
    [
        {"parallel_tool_calls": False},
        {"parallel_tool_calls": 1.5},
        {"truncation": "auto"},
        {"text": {"format": {"type": "json_object"}}},
        {"text": {"verbosity": "medium"}},
        {"temperature": 1},
        {"top_p": 1},
        {"max_output_tokens": 16},
        {"max_tool_calls": 1},
        {"reasoning": {"effort": "medium"}},
        {"include": []},
        {"include": ["reasoning.encrypted_content"]},
        {"instructions": ""},
        {"top_logprobs": 0},
        {"tool_choice": "auto"},
        {"tool_choice": None},
        {"image": {"context_compression": "auto"}},
        {"prompt": {"id": "p", "version": "1"}},
        {"unknown": None},
    ],
)
def test_all_else_is_keyed(fields):
    found = made(**fields)
    assert isinstance(found, Bypass) or found.text != form().text


def test_tool_choice_auto_is_the_default_beside_tools_alone():
    assert form(tools=[TOOL], tool_choice="auto").text == form(tools=[TOOL]).text
    assert form(tools=[], tool_choice="auto").text != form(tools=[]).text
    assert form(tools=[TOOL], tool_choice="none").text != form(tools=[TOOL]).text


NULLABLE = [field.name for field in BODY_FIELDS if field.null == "absent"]


@pytest.mark.parametrize("name", NULLABLE)
def test_null_is_absent_where_the_reference_says_nullable(name):
    assert form(**{name: None}).text == form().text


@pytest.mark.parametrize(
    "given",
    [
        user("hi"),
        user([{"type": "input_text", "text": "hi"}]),
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
    ],
)
def test_a_text_is_one_message_of_the_user(given):
    assert form(input=given).text == form(input="hi").text


@pytest.mark.parametrize(
    "other",
    [
        "hi ",
        "Hi",
        user("hi", x=1),
        [{"role": "developer", "content": "hi"}],
        [{"role": "system", "content": "hi"}],
        user([{"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {}}]),
        user([{"type": "input_text", "text": "h"}, {"type": "input_text", "text": "i"}]),
        user([{"type": "output_text", "text": "hi"}]),
        user("hi") + user("hi"),
        [],
    ],
)
def test_other_input_is_another_call(other):
    assert form(input=other).text != form(input="hi").text


def test_what_the_assistant_said_keeps_its_parts():
    said = [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]
    plain = [{"role": "assistant", "content": "x"}]
    assert form(input=said).text != form(input=plain).text


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"temperature": 0}, {"temperature": -0.0}),
        ({"max_output_tokens": 9}, {"max_output_tokens": 9.0}),
        ({"reasoning": {"a": 1, "b": 2}}, {"reasoning": {"b": 2.0, "a": 1}}),
    ],
)
def test_numbers_and_order_of_members_have_one_spelling(left, right):
    assert form(**left).text == form(**right).text


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_schemas_keep_their_numbers_and_the_order_of_properties(left, right):
    def schema(value):
        return {"type": "object", "properties": {"x": value} if isinstance(value, (int, float)) else value}

    def formatted(value):
        return {"format": {"type": "json_schema", "name": "n", "schema": schema(value)}}

    def tool(value):
        return [{**TOOL, "parameters": schema(value)}]

    assert form(text=formatted(left)).text != form(text=formatted(right)).text
    assert form(tools=tool(left)).text != form(tools=tool(right)).text


def test_numbers_of_calls_and_their_results_stay_as_they_are():
    def acted(x):
        return [{"type": "computer_call", "id": "a", "action": {"type": "click", "x": x}}]

    assert form(input=acted(1)).text != form(input=acted(1.0)).text


SIDE_EFFECTS = [
    {"store": ...},
    {"store": True},
    {"store": None},
    {"previous_response_id": "resp_1"},
    {"conversation": "conv_1"},
    {"conversation": {"id": "conv_1"}},
    {"container": "c"},
    {"background": True},
    {"prompt": {"id": "p"}},
    {"prompt": {"id": "p", "version": None}},
    {"prompt_cache_options": {"prewarm": True}},
    {"prompt_cache_options": {"comparison_response_id": "resp_1"}},
    {"input": [{"type": "item_reference", "id": "msg_1"}]},
    {"input": [{"id": "msg_1"}]},
]


@pytest.mark.parametrize("fields", SIDE_EFFECTS)
def test_state_at_the_origin_is_not_cached(fields):
    assert detail(**fields) == "side-effect"


@pytest.mark.parametrize(
    "fields", [{"background": False}, {"prompt": {"id": "p", "version": "2"}}, {"prompt_cache_options": {}}]
)
def test_what_is_like_it_is(fields):
    assert detail(**fields) is None


@pytest.mark.parametrize("row", TOOLS, ids=lambda row: row.kind)
def test_tools_are_judged_by_who_executes_them(row):
    tool = {"type": row.kind, "name": "f"}
    call = form(tools=[TOOL, tool]).call
    assert call.bypass == ("origin-tool" if row.by == "origin" else None)
    assert call.web_search is (row.by == "search")


@pytest.mark.parametrize(
    ("tool", "bypass"),
    [
        ({"type": "namespace", "name": "n", "description": "", "tools": [TOOL]}, None),
        (
            {"type": "namespace", "name": "n", "description": "", "tools": [TOOL, {"type": "mcp"}]},
            "origin-tool",
        ),
        ({"type": "tool_search", "execution": "client"}, None),
        ({"type": "tool_search"}, "origin-tool"),
        ({"type": "never heard of"}, "origin-tool"),
        ({"mcp": {}}, "origin-tool"),
        ({}, "origin-tool"),
        ({"type": "web_search_2030_01_01"}, None),
    ],
)
def test_tools_that_are_no_row_of_their_own(tool, bypass):
    assert form(tools=[tool]).call.bypass == bypass


def test_tools_that_come_with_the_input_count_too():
    def brought(*tools):
        return [{"type": "additional_tools", "role": "developer", "tools": list(tools)}]

    assert form(input=brought(TOOL)).call.bypass is None
    assert form(input=brought(TOOL, {"type": "mcp"})).call.bypass == "origin-tool"
    assert form(input=brought({"type": "web_search"})).call.web_search


def test_mcp_servers_are_tools_of_the_origin():
    assert detail(mcp_servers=[{}]) == "origin-tool"


@pytest.mark.parametrize(
    ("fields", "bypass"),
    [
        ({"model": ...}, "no-model"),
        ({"model": None}, "no-model"),
        ({"model": "policy/best"}, "policy-model"),
        ({"models": ["openai/a", "policy/best"]}, "policy-model"),
    ],
)
def test_a_model_that_is_not_stated_is_not_cached(fields, bypass):
    assert detail(**fields) == bypass


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Determinism.UNSTATED),
        ({"temperature": None}, Determinism.UNSTATED),
        ({"temperature": 0}, Determinism.DETERMINISTIC),
        ({"temperature": 0.0}, Determinism.DETERMINISTIC),
        ({"temperature": 0.1}, Determinism.SAMPLED),
        ({"temperature": 1, "seed": 7}, Determinism.SAMPLED),
        ({"model": "openai/o3", "reasoning": {"effort": "high"}}, Determinism.UNSTATED),
    ],
)
def test_temperature_alone_says_whether_it_is_sampled(fields, expected):
    assert form(**fields).call.determinism is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (..., False),
        (None, False),
        ({"format": None}, False),
        ({"format": {"type": "text"}}, False),
        ({"format": {"type": "json_object"}}, True),
        ({"format": {"type": "json_schema", "name": "n", "schema": {}}}, True),
    ],
)
def test_json_output_is_seen(text, expected):
    assert form(text=text).call.json_output is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (user("https://e.com"), False),
        (user([{"type": "input_text", "text": "https://e.com"}]), False),
        (user([{"type": "input_image", "image_url": "https://e.com/a.png"}]), True),
        (user([{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]), False),
        (user([{"type": "input_image", "file_id": "file_1"}]), False),
        (user([{"type": "input_file", "file_url": "https://e.com/a.pdf"}]), True),
        (
            [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_image", "image_url": "https://e.com/a.png"}],
                }
            ],
            True,
        ),
        ([{"type": "function_call_output", "call_id": "c", "output": "https://e.com"}], False),
        (
            [
                {
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": "x", "annotations": [{"url": "https://e.com"}]}
                    ],
                }
            ],
            False,
        ),
    ],
)
def test_what_is_fetched_is_flagged(given, expected):
    assert form(input=given).call.remote_urls is expected


def test_a_url_in_a_variable_of_a_template_is_flagged():
    def prompted(value):
        return form(prompt={"id": "p", "version": "1", "variables": {"x": value}}).call.remote_urls

    assert prompted({"type": "input_image", "image_url": "https://e.com/a.png"})
    assert not prompted("https://e.com")


def test_a_file_is_keyed_by_its_id():
    def shown(file_id):
        return form(input=user([{"type": "input_file", "file_id": file_id}])).text

    assert shown("file_1") != shown("file_2")


@pytest.mark.parametrize(
    "fields",
    [
        {"input": 1},
        {"input": None},
        {"input": {}},
        {"input": ["x"]},
        {"input": [{"role": 1, "content": "x"}]},
        {"input": [{"role": "user", "content": None}]},
        {"input": user(["x"])},
        {"input": user([{"text": "x"}])},
        {"input": user([{"type": "input_text", "text": 1}])},
        {"input": [{"type": 1}]},
        {"input": [{"type": "function_call", "arguments": {}}]},
        {"input": [{"type": "custom_tool_call"}]},
        {"input": [{"type": "function_call_output", "output": {}}]},
        {"input": [{"type": "additional_tools"}]},
        {"model": 1},
        {"instructions": ["x"]},
        {"tools": {}},
        {"tools": ["x"]},
        {"tools": [{"type": 1, "x": 1}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tools": [{"type": "namespace"}]},
        {"text": "x"},
        {"text": {"format": "text"}},
        {"text": {"format": {"type": 1}}},
        {"models": [1]},
        {"background": "yes"},
        {"temperature": True},
        {"max_output_tokens": 1.5},
        {"store": "no"},
        {"prompt": "p"},
        {"stream": 1},
    ],
)
def test_wrong_types_are_not_keyed(fields):
    found = made(**fields)
    assert isinstance(found, Bypass)
    assert found.detail == "field-type"


def test_a_list_of_tools_is_remembered_for_its_own_dialect():
    memo = ToolMemo(100_000)
    tools = [{"type": "computer", "name": "x"}]
    chat = {"model": OPENAI, "messages": [], "tools": tools}
    seen = canonicalise("chat/completions", json.dumps(chat).encode(), KeyOptions(), memo)
    assert isinstance(seen, Canonical)
    assert seen.call.bypass == "origin-tool"
    for _ in range(2):
        assert form(tools=tools, seen_tools=memo).call.bypass is None
        assert form(tools=tools, seen_tools=memo) == form(tools=tools)


def test_usage_is_not_asked_for():
    call = form(stream=True, stream_options={"include_usage": True}).call
    assert (call.shape, call.include_usage) == ("sse", False)
