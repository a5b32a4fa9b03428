"""The messages dialect's tables, row by row, and what the SDK sends held against them."""

import json
import re
from typing import Any, get_args, get_type_hints

import pytest
from anthropic.types import MessageCreateParams
from anthropic.types.beta import BetaToolUnionParam
from anthropic.types.beta import message_create_params as beta_params

from tests.core.chat_kit import compact
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.canonical.messages_tables import (
    BODY_FIELDS,
    CLIENT_TOOLS,
    CUSTOM,
    DROPS,
    ELISIONS,
    KEYED_AS_IS,
    MESSAGES_STATE_FIELDS,
    ORIGIN_TOOLS,
    SEARCH_TOOLS,
)
from tiered_cache.core.policy import plan
from tiered_cache.core.profiles import PROFILES
from tiered_cache.core.vocabulary import Bypass, Determinism

TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"b": {}, "a": {}}}}
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TEXT = {"type": "text", "text": "x"}
BODY: dict[str, Any] = {
    "model": "anthropic/claude",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "x"}],
}


def form(identity: Any = "drop", **fields: Any) -> Canonical:
    made = canonicalise("messages", compact(BODY | fields), KeyOptions(identity_fields=identity))
    assert isinstance(made, Canonical), made
    return made


def same(left: dict[str, Any], right: dict[str, Any], identity: str = "drop") -> bool:
    return form(identity, **left).text == form(identity, **right).text


def refused(**fields: Any) -> str:
    made = canonicalise("messages", compact(BODY | fields), KeyOptions())
    assert isinstance(made, Bypass), made
    assert made.model in {"", BODY["model"]}
    return made.detail


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


# --- drops


@pytest.mark.parametrize(
    "row, fields, without",
    [
        ("stream", {"stream": True}, {}),
        ("service_tier", {"service_tier": "standard_only"}, {}),
        ("metadata", {"metadata": {"user_id": "u"}}, {}),
        ("requesty.auto_cache", {"requesty": {"auto_cache": True}}, {}),
        ("requesty.user_id", {"requesty": {"user_id": "u"}}, {}),
        ("requesty.trace_id", {"requesty": {"trace_id": "t"}}, {}),
        ("requesty.tags", {"requesty": {"tags": ["t"]}}, {}),
        ("requesty.extra", {"requesty": {"extra": {"a": 1}}}, {}),
        ("system[].cache_control", {"system": [TEXT | MARK]}, {"system": "x"}),
        ("tools[].cache_control", {"tools": [TOOL | MARK]}, {"tools": [TOOL]}),
        ("messages[].content[].cache_control", user(TEXT | MARK), {}),
        (
            "messages[].content[].content[].cache_control",
            user({"type": "tool_result", "tool_use_id": "a", "content": [TEXT | MARK]}),
            user({"type": "tool_result", "tool_use_id": "a", "content": "x"}),
        ),
    ],
)
def test_what_cannot_change_the_answer_is_dropped(row: str, fields: Any, without: Any) -> None:
    (drop,) = (drop for drop in DROPS if drop.path == row)
    assert same(fields, without)
    assert drop.note in form(**fields).dropped
    assert drop.kind == "transport" or not same(fields, without, "key")


def test_every_row_is_tested_and_has_a_source() -> None:
    tested = test_what_cannot_change_the_answer_is_dropped.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {row for row, *_ in tested} == {drop.path for drop in DROPS}
    assert {row.path for row in ELISIONS} == {"tool_choice"}
    assert all(row.source for row in (*DROPS, *ELISIONS))


def test_only_these_paths_are_dropped() -> None:
    for fields in ({"cache_control": MARK["cache_control"]}, {"x": {"stream": True}}, {"user": "u"}):
        assert not same(fields, {})
    for block in ({"type": "new", "metadata": {}}, {"type": "new", "service_tier": "x"}):
        assert not same(user(block), user({"type": "new"}))
    assert not same({"tools": [{**TOOL, "input_schema": MARK}]}, {"tools": [{**TOOL, "input_schema": {}}]})


# --- defaults and equal spellings


def test_the_choice_of_the_model_is_the_default_beside_tools_only() -> None:
    auto = {"tool_choice": {"type": "auto"}}
    assert same({"tools": [TOOL], **auto}, {"tools": [TOOL]})
    assert not same(auto, {})
    assert not same({"tools": [], **auto}, {"tools": []})
    for other in (
        {"type": "any"},
        {"type": "auto", "disable_parallel_tool_use": True},
        {"type": "none"},
        None,
    ):
        assert not same({"tools": [TOOL], "tool_choice": other}, {"tools": [TOOL]})


@pytest.mark.parametrize("name", ["container", "thread", "inference_geo", "speed"])
def test_null_is_absent_where_the_schema_says_so(name: str) -> None:
    assert same({name: None}, {})


@pytest.mark.parametrize(
    "name",
    [
        *("temperature", "top_p", "top_k", "tools", "tool_choice", "system", "thinking", "output_config"),
        *("output_format", "context_management", "mcp_servers", "models", "stop_sequences", "requesty"),
        *("max_tokens", "cache_control", "diagnostics", "foo", "fallbacks"),
    ],
)
def test_null_is_a_value_elsewhere(name: str) -> None:
    assert not same({name: None}, {})


def test_a_text_is_one_text_block() -> None:
    assert same({"system": "x"}, {"system": [TEXT]})
    assert same(user(TEXT), {})
    for other in ([TEXT, TEXT], [TEXT | {"citations": None}], [{"type": "x", "text": "x"}], []):
        assert not same({"system": "x"}, {"system": other})
        assert not same(user(*other), {})


def test_numbers_of_inputs_and_schemas_are_exact_and_others_are_not() -> None:
    call = {"type": "tool_use", "id": "a", "name": "f"}
    assert not same(user(call | {"input": {"n": 1}}), user(call | {"input": {"n": 1.0}}))
    for name in ("output_format", "output_config"):
        schemas = [{"type": "json_schema", "schema": {"maximum": value}} for value in (1, 1.0)]
        one, other = ({"format": each} if name == "output_config" else each for each in schemas)
        assert not same({name: one}, {name: other})
    assert not same({"tools": [{**TOOL, "x": 1}]}, {"tools": [{**TOOL, "x": 1.0}]})
    assert same({"max_tokens": 9.0, "temperature": 0.0, "top_k": 1.0}, {"temperature": 0, "top_k": 1})
    thinking = [{"thinking": {"type": "enabled", "budget_tokens": value}} for value in (1024, 1024.0)]
    assert same(*thinking)


def test_the_order_of_properties_counts_and_that_of_members_does_not() -> None:
    swapped = {"input_schema": {"properties": {"a": {}, "b": {}}, "type": "object"}, "name": "f"}
    assert not same({"tools": [TOOL]}, {"tools": [swapped]})
    assert same({"tools": [dict(reversed(TOOL.items()))]}, {"tools": [TOOL]})


def test_thoughts_ids_and_signatures_are_kept_verbatim() -> None:
    thought = {"type": "thinking", "thinking": " Let me ", "signature": "c2ln=="}
    text = form(**user(thought, {"type": "tool_use", "id": "toolu_01 ", "name": "f", "input": {}})).text
    for kept in (b'" Let me "', b'"c2ln=="', b'"toolu_01 "'):
        assert kept in text


# --- types


@pytest.mark.parametrize(
    "fields",
    [
        {"model": 1},
        {"messages": None},
        {"messages": {}},
        {"messages": [1]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": 1, "content": "x"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": 1}]},
        user({"text": "x"}),
        user({"type": "text"}),
        user({"type": "text", "text": 1}),
        user(TEXT | {"cache_control": 1}),
        user({"type": "tool_use", "input": "x"}),
        user({"type": "image"}),
        user({"type": "image", "source": {"type": "url", "url": "https://h/a.png"}}, {"type": "image"}),
        user({"type": "tool_result", "content": [1]}),
        {"messages": [{"role": "user", "content": [1]}]},
        {"system": 1},
        {"system": [1]},
        {"system": [{"type": "text"}]},
        {"max_tokens": "9"},
        {"max_tokens": 9.5},
        {"stop_sequences": "x"},
        {"stop_sequences": [1]},
        {"tools": {}},
        {"tools": [1]},
        {"tools": [{"type": 1}]},
        {"tools": [{"name": "f"}]},
        {"tools": [{"input_schema": {}}]},
        {"tools": [TOOL | {"cache_control": "x"}]},
        {"tool_choice": "auto"},
        {"thinking": True},
        {"stream": 1},
        {"metadata": "x"},
        {"output_config": {"format": 1}},
        {"output_format": {"type": 1}},
        {"models": [1]},
        {"requesty": 1},
    ],
)
def test_a_known_field_of_the_wrong_type_is_not_keyed(fields: dict[str, Any]) -> None:
    assert refused(**fields) == "field-type"


@pytest.mark.parametrize(
    ("value", "word"), [({"a": 10**41}, "number"), (json.loads("[" * 127 + "]" * 127), "nesting")]
)
def test_what_is_not_keyed_is_not_keyed_in_a_mark_either(value: Any, word: str) -> None:
    """A mark is left out of the key, and still goes to an origin whose parser may read it otherwise."""
    assert refused(**user(TEXT | {"cache_control": {"x": value}})) == word
    assert refused(system=[TEXT | {"cache_control": {"x": value}}]) == word


TYPES = {
    **{key: {"x"} for key in ["service_tier", "inference_geo", "speed"]},
    "stream": {"true"},
    **{key: {"1"} for key in ["max_tokens", "top_k"]},
    **{key: {"1", "1.5"} for key in ["temperature", "top_p"]},
    **{key: {"[]"} for key in ["models", "stop_sequences", "tools", "mcp_servers"]},
    **{key: {"{}"} for key in ["tool_choice", "thinking", "output_config", "context_management", "thread"]},
    **{key: {"{}"} for key in ["metadata", "requesty"]},
    "system": {"x", "[]"},
    "container": {"x", "{}"},
}
"""What each field takes, written a second time; null apart, of which the other tests tell."""


@pytest.mark.parametrize("name", TYPES)
def test_each_field_takes_its_types_and_no_others(name: str) -> None:
    samples = {"x": "x", "1": 1, "1.5": 1.5, "true": True, "[]": [], "{}": {}}
    made = {
        told: canonicalise("messages", compact(BODY | {name: value}), KeyOptions())
        for told, value in samples.items()
    }
    assert {told for told, form in made.items() if isinstance(form, Canonical)} == TYPES[name]
    assert {form.detail for form in made.values() if isinstance(form, Bypass)} == {"field-type"}


def test_the_types_of_every_field_are_tested() -> None:
    apart = {"model", "messages", "output_format"}
    assert {field.name for field in BODY_FIELDS} == TYPES.keys() | apart


def test_nesting_and_numbers_have_their_bounds_in_every_place() -> None:
    deep: Any = 1
    for _ in range(130):
        deep = [deep]
    for fields in ({"x": deep}, user({"type": "new", "x": deep}), {"tools": [TOOL | {"x": deep}]}):
        assert refused(**fields) == "nesting"
    assert refused(**user({"type": "tool_result", "content": [{"type": "new", "x": deep}]})) == "nesting"
    assert refused(**user({"type": "tool_use", "input": {"x": 10**40}})) == "number"


# --- facts


@pytest.mark.parametrize(
    "fields, determinism",
    [
        ({}, Determinism.UNSTATED),
        ({"temperature": None}, Determinism.UNSTATED),
        ({"temperature": 0}, Determinism.DETERMINISTIC),
        ({"temperature": 0.0}, Determinism.DETERMINISTIC),
        ({"temperature": 0.5}, Determinism.SAMPLED),
        ({"temperature": 0.5, "top_k": 1}, Determinism.DETERMINISTIC),
        ({"temperature": 0.5, "top_k": 2}, Determinism.SAMPLED),
        ({"temperature": 0.5, "seed": 2}, Determinism.SAMPLED),
        ({"thinking": {"type": "adaptive"}}, Determinism.UNSTATED),
    ],
)
def test_determinism_is_what_the_request_says_about_sampling(fields: Any, determinism: Determinism) -> None:
    call = form(**fields).call
    assert call.determinism is determinism
    assert plan(PROFILES["balanced"], call).store is (determinism is not Determinism.SAMPLED)


@pytest.mark.parametrize(
    "fields, bypass",
    [
        ({}, None),
        ({"model": None}, "no-model"),
        ({"model": "policy/x"}, "policy-model"),
        ({"models": ["a", "policy/x"]}, "policy-model"),
        ({"container": "c"}, "side-effect"),
        ({"container": {"id": "c"}}, "side-effect"),
        ({"thread": {"type": "create"}}, "side-effect"),
        ({"mcp_servers": [{}]}, "origin-tool"),
        ({"mcp_servers": []}, "origin-tool"),
        ({"tools": [TOOL]}, None),
        ({"tools": [TOOL | {"type": "custom"}]}, None),
        ({"tools": [TOOL | {"type": None}]}, None),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, None),
        ({"tools": [{"type": "text_editor_20250728", "name": "e"}]}, None),
        ({"tools": [{"type": "computer_20251124", "name": "c"}]}, None),
        ({"tools": [{"type": "bash_20990101", "name": "bash"}]}, "origin-tool"),
        ({"tools": [{"type": "code_execution_20250825", "name": "c"}]}, "origin-tool"),
        ({"tools": [{"type": "web_fetch_20250910", "name": "f"}]}, "origin-tool"),
        ({"tools": [{"type": "memory_20250818", "name": "m"}]}, "origin-tool"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "origin-tool"),
        ({"tools": [TOOL, {"type": "web_search_20250305"}, {"type": "mcp_toolset"}]}, "origin-tool"),
    ],
)
def test_side_effects_and_what_the_origin_executes_bypass(fields: Any, bypass: str | None) -> None:
    assert form(**fields).call.bypass == bypass


def test_searches_are_known_by_tool_model_and_field() -> None:
    assert form(tools=[{"type": "web_search_20250305", "name": "web_search"}]).call.web_search
    assert form(model="perplexity/sonar").call.web_search
    assert form(plugins=[{"id": "web"}]).call.web_search
    assert not form(tools=[TOOL]).call.web_search


@pytest.mark.parametrize(
    "block, remote",
    [
        ({"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}}, True),
        ({"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}}, True),
        ({"type": "image", "source": {"type": "base64", "data": "AA=="}}, False),
        ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, False),
        ({"type": "document", "source": {"type": "text", "data": "https://e.com"}}, False),
        ({"type": "document", "source": {"type": "content", "content": [{"source": {"url": "https://e.com"}}]}}, True),
        ({"type": "text", "text": "https://e.com"}, False),
        ({"type": "tool_use", "id": "a", "name": "f", "input": {"url": "https://e.com"}}, False),
        ({"type": "tool_result", "tool_use_id": "a", "content": "https://e.com"}, False),
        (
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image", "source": {"type": "url"}}]},
            True,
        ),
        ({"type": "search_result", "source": "https://e.com"}, False),
        ({"type": "new", "x": {"y": ["https://e.com"]}}, True),
    ],
)  # fmt: skip
def test_what_the_origin_fetches_is_flagged(block: dict[str, Any], remote: bool) -> None:
    assert form(**user(block)).call.remote_urls is remote


def test_file_ids_are_in_the_key() -> None:
    one, other = ({"type": "image", "source": {"type": "file", "file_id": name}} for name in "ab")
    assert not same(user(one), user(other))


def test_json_output_is_known_by_either_name() -> None:
    schema = {"type": "json_schema", "schema": {}}
    assert form(output_config={"format": schema}).call.json_output
    assert form(output_format=schema).call.json_output
    for fields in (
        {},
        {"output_config": {"effort": "low"}},
        {"output_config": {"format": None}},
        {"output_format": None},
    ):
        assert not form(**fields).call.json_output


def test_other_facts() -> None:
    call = form(stream=True, service_tier="auto", models=["a", "b"]).call
    assert (call.shape, call.include_usage, call.service_tier, call.choices) == ("sse", False, "auto", 1)
    assert (call.endpoint, call.model, call.fallback_models) == ("messages", BODY["model"], ("a", "b"))
    assert form(fallbacks=[{"model": "c"}]).call.fallback_models == (BODY["model"],)
    assert form().call.shape == "json"


# --- what the SDK can send

HEADERS = {"betas", "user_profile_id", "workspace_id"}
"""Parameters that the SDK sends as header fields."""


def test_the_tables_know_every_field_of_the_sdk() -> None:
    kinds = (*get_args(MessageCreateParams), beta_params.MessageCreateParamsStreaming)
    sent = {name for kind in kinds for name in get_type_hints(kind)} - HEADERS
    known = {field.name for field in BODY_FIELDS} | KEYED_AS_IS
    assert len(sent) > 15
    assert sent - known == set(), "new in the SDK: put a row into the table, or the name into KEYED_AS_IS"


def test_no_field_is_in_both_lists() -> None:
    assert KEYED_AS_IS & {field.name for field in BODY_FIELDS} == set()
    assert KEYED_AS_IS & {drop.path for drop in DROPS} == set()
    assert set(MESSAGES_STATE_FIELDS) & {drop.path for drop in DROPS} == set()


def test_the_tables_know_every_type_of_tool_of_the_sdk() -> None:
    types = {
        name
        for tool in get_args(BetaToolUnionParam)
        for name in re.findall(r"'([a-z_0-9]+)'", str(get_type_hints(tool).get("type", "")))
    }
    assert len(types) > 15
    unknown = {
        name
        for name in types
        if name not in CLIENT_TOOLS | {CUSTOM} and not name.startswith((*ORIGIN_TOOLS, SEARCH_TOOLS))
    }
    assert unknown == set(), "new in the SDK: say who executes it"
    assert types >= CLIENT_TOOLS
    assert all(not name.startswith((*ORIGIN_TOOLS, SEARCH_TOOLS)) for name in CLIENT_TOOLS)
