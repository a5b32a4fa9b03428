"""The canonical form of chat/completions, promise by promise (SEMANTICS §1)."""

import json

import pytest

from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS, Canonical, KeyOptions, canonicalise
from tiered_cache.core.canonical.catalogue import catalogue_of
from tiered_cache.core.canonical.chat_tables import BODY_FIELDS, DROPS, ELISIONS
from tiered_cache.core.canonical.router_tables import REQUESTY_EMPTY
from tiered_cache.core.vocabulary import Bypass, Determinism

CHAT = "chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f"}}
OPENAI = "openai/gpt-4o-mini"


def form(model=OPENAI, identity="drop", **fields) -> Canonical:
    body = {"model": model, "messages": MESSAGES, **fields}
    made = canonicalise(CHAT, json.dumps(body).encode(), KeyOptions(identity_fields=identity))
    assert isinstance(made, Canonical), made
    return made


def detail(**fields) -> str:
    body = {"model": OPENAI, "messages": MESSAGES, **fields}
    made = canonicalise(CHAT, json.dumps(body).encode(), KeyOptions())
    assert isinstance(made, Bypass), made
    assert made.model == (body["model"] if isinstance(body["model"], str) else "")
    return made.detail


def same(left: dict, right: dict, **options) -> bool:
    return form(**left, **options).text == form(**right, **options).text


def content(*parts, model=OPENAI, role="user") -> Canonical:
    return form(model=model, messages=[{"role": role, "content": list(parts)}])


def test_only_listed_routes_are_keyed():
    routes = {CHAT, "completions", "messages", "responses", "embeddings", "rerank", "moderations"}
    routes |= {"images/generations", "audio/speech", "audio/transcriptions"}
    assert routes == CACHEABLE_ENDPOINTS
    assert canonicalise("chat/completions/", b"{}", KeyOptions()) == Bypass("route")
    assert canonicalise("audio/translations", b"", KeyOptions()) == Bypass("route")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream", True),
        ("stream_options", {"include_usage": True}),
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
def test_transport_and_identity_are_dropped_and_noted(field, value):
    assert same({field: value}, {})
    assert any(note.startswith(field) for note in form(**{field: value}).dropped)
    assert form().dropped == ()


@pytest.mark.parametrize("field", ["user", "safety_identifier", "metadata"])
def test_the_identity_switch_keeps_identity_in_the_key(field):
    one, two = ({"a": "b"}, {"a": "c"}) if field == "metadata" else ("a", "b")

    assert not same({field: one}, {field: two}, identity="key")
    assert not same({field: one}, {}, identity="key")
    assert same({"stream": True}, {}, identity="key")


def test_the_identity_switch_reaches_into_requesty():
    assert not same({"requesty": {"user_id": "a"}}, {"requesty": {"user_id": "b"}}, identity="key")
    assert same({"requesty": {"auto_cache": True}}, {}, identity="key")


def test_a_requesty_object_that_says_nothing_is_a_default_of_the_table():
    """No row, no equivalence: what is left out is what the tables print."""
    assert (REQUESTY_EMPTY.path, REQUESTY_EMPTY.value) == ("requesty", {})
    assert REQUESTY_EMPTY in catalogue_of(CHAT).elisions
    assert form(requesty={}).dropped == ("requesty: default",)
    assert form(requesty={"auto_cache": True}).dropped == (
        "requesty.auto_cache: transport",
        "requesty: default",
    )
    assert same({"requesty": {}}, {}) and same({"requesty": {}}, {}, identity="key")
    assert form(requesty={"user_id": "a"}, identity="key").dropped == ()
    assert not same({"requesty": {"x": {}}}, {"requesty": {}})


def test_only_what_the_semantics_name_is_dropped():
    """`prompt_cache_*` and `cache_control` stand for transport at the top and in blocks, in no other place."""
    part = {"type": "text", "text": "hi"}
    assert content({**part, "prompt_cache_breakpoint": {"mode": "explicit"}}).text != content(part).text
    assert not same({"prompt_cache_other": 1}, {})
    assert not same({"messages": [{**MESSAGES[0], "cache_control": {}}]}, {})
    assert not same({"cache_control": {}}, {})


def test_a_name_is_dropped_at_its_path_only():
    assert not same({"foo": {"stream": True}}, {"foo": {}})
    assert not same({"foo": {"user": "a"}}, {"foo": {"user": "b"}})
    assert not same({"messages": [{**MESSAGES[0], "user": "a"}]}, {})
    assert not same({"requesty": {"stream": True}}, {})
    assert not same({"auto_cache": True}, {})
    assert not same({"tools": [{**TOOL, "user": "a"}]}, {"tools": [TOOL]})


@pytest.mark.parametrize(
    ("field", "value", "impostors"),
    [
        ("n", 1, [2]),
        ("logprobs", False, [True]),
        ("logit_bias", {}, [{"1": 0}]),
        ("store", False, [None]),
        ("response_format", {"type": "text"}, [{"type": "text", "x": 1}, {"type": "json_object"}, None]),
        ("frequency_penalty", 0, [1, 0.1]),
        ("presence_penalty", -0.0, [5e-324]),
    ],
)
def test_a_stated_default_is_as_good_as_absent_by_type_and_value(field, value, impostors):
    assert same({field: value}, {})
    assert form(**{field: value}).dropped == (f"{field}: default",)
    for impostor in impostors:
        assert not same({field: impostor}, {})


@pytest.mark.parametrize("prefix", ["openai/", "azure/", "anthropic/", "google/", "vertex/", "mistral/"])
def test_zero_penalties_are_the_default_of_the_providers_that_document_it(prefix):
    assert same({"presence_penalty": 0, "model": prefix + "m"}, {"model": prefix + "m"})


@pytest.mark.parametrize(
    "model", ["alibaba/qwen", "coding/best", "gpt-4o", "OpenAI/gpt-4o", "xopenai/m", "deepseek/openai/m"]
)
def test_zero_penalties_stay_for_all_others(model):
    assert not same({"presence_penalty": 0, "model": model}, {"model": model})
    assert not same({"frequency_penalty": 0, "model": model}, {"model": model})


def test_a_list_of_fallbacks_uses_only_the_defaults_of_all_providers():
    models = {"models": [OPENAI, "alibaba/qwen"]}

    assert not same({**models, "presence_penalty": 0}, models)
    assert not same({**models, "tools": [TOOL], "parallel_tool_calls": True}, {**models, "tools": [TOOL]})
    assert same({**models, "n": 1}, models)
    assert form(**models).call.fallback_models == (OPENAI, "alibaba/qwen")


def test_tool_choice_auto_is_the_default_only_with_tools():
    assert same({"tools": [TOOL], "tool_choice": "auto"}, {"tools": [TOOL]})
    assert same({"tools": [TOOL], "tool_choice": "auto", "model": "x/y"}, {"tools": [TOOL], "model": "x/y"})
    assert not same({"tool_choice": "auto"}, {})
    assert not same({"tools": [], "tool_choice": "auto"}, {"tools": []})
    assert not same({"functions": [{"name": "f"}], "tool_choice": "auto"}, {"functions": [{"name": "f"}]})
    assert not same({"tools": [TOOL], "tool_choice": "none"}, {"tools": [TOOL]})


def test_parallel_tool_calls_is_the_default_only_with_tools_of_openai_and_azure():
    assert same({"tools": [TOOL], "parallel_tool_calls": True}, {"tools": [TOOL]})
    assert not same({"tools": [TOOL], "parallel_tool_calls": False}, {"tools": [TOOL]})
    assert not same({"parallel_tool_calls": True}, {})
    for model in ("anthropic/claude", "vertex/gemini"):
        assert not same(
            {"tools": [TOOL], "parallel_tool_calls": True, "model": model}, {"tools": [TOOL], "model": model}
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 1),
        ("top_p", 1),
        ("max_tokens", 4096),
        ("max_completion_tokens", 4096),
        ("reasoning_effort", "medium"),
        ("verbosity", "medium"),
        ("modalities", ["text"]),
        ("seed", 0),
        ("top_logprobs", 0),
        ("tools", []),
        ("stop", []),
        ("top_k", 0),
    ],
)
def test_what_looks_like_a_default_is_never_elided(field, value):
    assert not same({field: value}, {})


NULLABLE = [field.name for field in BODY_FIELDS if field.null == "absent"]


@pytest.mark.parametrize("field", NULLABLE)
def test_null_is_absent_at_the_listed_fields(field):
    assert same({field: None}, {})
    assert form(**{field: None}).dropped


@pytest.mark.parametrize(
    "field", ["tool_choice", "store", "tools", "response_format", "foo", "top_k", "requesty"]
)
def test_null_is_a_value_everywhere_else(field):
    assert field not in NULLABLE
    assert not same({field: None}, {})


def test_null_inside_objects_is_a_value():
    assert not same({"foo": {"a": None}}, {"foo": {}})
    assert not same({"messages": [{**MESSAGES[0], "name": None}]}, {})
    assert not same({"audio": {"voice": None}}, {"audio": {}})


def test_one_text_part_is_its_text_whatever_the_role():
    part = {"type": "text", "text": "hi"}
    for role in ("user", "system", "developer", "assistant", "tool"):
        assert content(part, role=role).text == form(messages=[{"role": role, "content": "hi"}]).text
    assert content({**part, "cache_control": {"type": "ephemeral"}}).text == content(part).text
    assert content(part, part).text != form(messages=[{"role": "user", "content": "hihi"}]).text
    assert content({**part, "x": 1}).text != content(part).text
    assert content({**part, "type": "input_text"}).text != content(part).text
    assert content().text != form(messages=[{"role": "user", "content": ""}]).text


def test_a_stop_text_is_a_list_of_one():
    assert same({"stop": "a"}, {"stop": ["a"]})
    assert not same({"stop": "ab"}, {"stop": ["a", "b"]})
    assert not same({"stop": ["a", "b"]}, {"stop": ["b", "a"]})


def test_image_detail_auto_is_the_default_of_openai_and_azure():
    plain = {"type": "image_url", "image_url": {"url": "data:,"}}
    auto = {"type": "image_url", "image_url": {"url": "data:,", "detail": "auto"}}
    high = {"type": "image_url", "image_url": {"url": "data:,", "detail": "high"}}

    assert content(auto).text == content(plain).text
    assert content(auto, model="azure/m").text == content(plain, model="azure/m").text
    assert content(auto, model="google/m").text != content(plain, model="google/m").text
    assert content(high).text != content(plain).text


@pytest.mark.parametrize("holder", ["properties", "patternProperties", "$defs", "definitions"])
def test_order_is_kept_where_it_steers_the_answer_anywhere_in_a_body(holder):
    def bodies(value):
        return [
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {holder: value}}}]},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": {"items": {holder: value}}},
                }
            },
            {"functions": [{"name": "f", "parameters": {holder: value}}]},
            {"foo": [{holder: value}]},
            {"messages": [{**MESSAGES[0], "x": {holder: value}}]},
            {"messages": [{**MESSAGES[0], holder: value}]},
            {"messages": [{"role": "user", "content": [{"type": "x", holder: value}]}]},
            {"requesty": {holder: value}},
            {holder: value},
        ]

    for ab, ba, literal in zip(
        bodies({"a": 1, "b": 2}), bodies({"b": 2, "a": 1}), bodies(["a", 1, "b", 2]), strict=True
    ):
        assert not same(ab, ba)
        assert not same(ab, literal)


def test_other_objects_have_no_order():
    assert same({"foo": {"a": 1, "b": {"c": 1, "d": 2}}}, {"foo": {"b": {"d": 2, "c": 1}, "a": 1}})
    assert same({"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
                {"tools": [{"function": {"strict": True, "name": "f"}, "type": "function"}]})  # fmt: skip


def test_integer_and_float_differ_inside_schemas_and_tool_inputs_only():
    def tool(number):
        return {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"minimum": number}}}]}

    def output(number):
        return {"response_format": {"type": "json_schema", "json_schema": {"schema": {"const": number}}}}

    def function(number):
        return {"functions": [{"name": "f", "parameters": {"minimum": number}}]}

    def tool_use(number):
        return {
            "messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"a": number}}]}]
        }

    def unknown(number):
        return {"foo": [{"a": number}]}

    def bias(number):
        return {"logit_bias": {"5": number}}

    for exact in (tool, output, function, tool_use):
        assert not same(exact(1), exact(1.0))
        assert same(exact(1.5), exact(1.50))
    for loose in (unknown, bias):
        assert same(loose(1), loose(1.0))
        assert same(loose(0), loose(-0.0))
        assert not same(loose(2**53 + 2), loose(2.0**53 + 2))
        assert not same(loose(1), loose(True))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"model": "openai/a"}, {"model": "openai/A"}),
        ({"messages": [{"role": "user", "content": "a "}]}, {"messages": [{"role": "user", "content": "a"}]}),
        ({"messages": [{"role": "user", "content": "é"}]}, {"messages": [{"role": "user", "content": "e\u0301"}]}),
        ({"messages": [{"role": "system", "content": "a"}]}, {"messages": [{"role": "developer", "content": "a"}]}),
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": "a"}]},
         {"messages": [{"role": "tool", "tool_call_id": "2", "content": "a"}]}),
        ({"messages": [*MESSAGES, {"role": "user", "content": "b"}]}, {"messages": [{"role": "user", "content": "b"}, *MESSAGES]}),
        ({"foo": "5"}, {"foo": 5}),
        ({"seed": 2**53 + 1}, {"seed": 2**53}),
        ({"seed": 10**39}, {"seed": 10**39 + 1}),
        ({"extra_body": {}}, {}),
        ({"foo": [1, [2]]}, {"foo": [[1], 2]}),
    ],
)  # fmt: skip
def test_what_may_change_the_answer_changes_the_form(left, right):
    assert not same(left, right)


def test_tool_call_arguments_are_verbatim():
    def call(arguments):
        made = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
        return {"messages": [{"role": "assistant", "content": None, "tool_calls": [made]}]}

    assert not same(call('{"a":1}'), call('{"a": 1}'))


def test_the_tables_name_only_known_fields():
    """A misspelt row would be a row that never applies."""
    known = {field.name for field in BODY_FIELDS}

    assert {row.path for row in ELISIONS} <= known
    assert {drop.path for drop in DROPS if "[" not in drop.path and "." not in drop.path} <= known
    assert len({field.name for field in BODY_FIELDS}) == len(BODY_FIELDS)
    assert not {"temperature", "top_p", "max_tokens", "verbosity", "modalities"} & {
        row.path for row in ELISIONS
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"model": 5}, {"messages": "hi"}, {"messages": None}, {"messages": ["hi"]}, {"messages": [{}]},
        {"messages": [{"role": 1}]}, {"messages": [{"role": None, "content": "a"}]},
        {"messages": [{"role": "user", "content": 5}]}, {"messages": [{"role": "user", "content": ["a"]}]},
        {"messages": [{"role": "user", "content": [{}]}]}, {"messages": [{"role": "user", "content": [{"type": 1}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": "x"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": {}}]}, {"messages": [{"role": "assistant", "tool_calls": ["a"]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]},
        {"messages": [{"role": "assistant", "content": "a", "name": 1}]},
        {"temperature": "0"}, {"temperature": True}, {"temperature": []}, {"n": True}, {"n": 1.5}, {"n": 0}, {"n": -1},
        {"seed": "1"}, {"seed": 0.5}, {"max_tokens": "1"}, {"stop": 1}, {"stop": [1]}, {"stop": {}}, {"top_k": "1"},
        {"logit_bias": []}, {"logprobs": 1}, {"tools": {}}, {"tools": ["f"]}, {"tools": [{"type": 1}]},
        {"tools": [{"type": "function"}]}, {"tools": [{"type": "function", "function": {"name": 1}}]},
        {"tools": [{**TOOL, "cache_control": 1}]}, {"tool_choice": 1}, {"response_format": "json"},
        {"response_format": {}}, {"response_format": {"type": 1}}, {"stream": 1}, {"stream": "true"},
        {"stream_options": []}, {"stream_options": {"include_usage": 1}}, {"service_tier": 1}, {"user": 1},
        {"metadata": "a"}, {"store": 0}, {"store": "true"}, {"models": "a"}, {"models": [1]}, {"requesty": "a"},
        {"requesty": {"user_id": 1}}, {"requesty": {"tags": "a"}}, {"parallel_tool_calls": 1}, {"functions": {}},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_a_wrong_field_type_bypasses(fields):
    assert detail(**fields) == "field-type"


def nested(levels: int) -> dict:
    value = []
    for _ in range(levels - 2):
        value = [value]
    return value


@pytest.mark.parametrize(
    "place",
    [
        lambda value: {"foo": value},
        lambda value: {"metadata": {"a": value[0]}},
        lambda value: {"requesty": {"extra": {"k": value[0][0]}}},
        lambda value: {"tools": [{"x": value[0][0], **TOOL}]},
        lambda value: {"messages": [{**MESSAGES[0], "x": value[0][0]}]},
        lambda value: {"messages": [{"role": "user", "content": [{"type": "x", "y": value[0][0][0][0]}]}]},
        lambda value: {"properties": {"a": value[0]}},
        lambda value: {"prediction": {"x": value[0]}},
    ],
)
def test_128_levels_are_keyed_and_129_are_not_wherever_they_are(place):
    form(**place(nested(128)))
    assert detail(**place(nested(129))) == "nesting"


def call(**fields):
    return form(**fields).call


def test_the_shape_facts_are_read_though_they_are_dropped():
    made = call(stream=True, stream_options={"include_usage": True}, service_tier="flex")

    assert (made.shape, made.service_tier, made.model, made.endpoint) == ("sse+usage", "flex", OPENAI, CHAT)
    assert call().shape == "json"
    assert call(stream=True).shape == "sse"
    assert call(stream=True, stream_options=None).shape == "sse"
    assert call(stream=True, stream_options={"include_usage": False}).shape == "sse"
    assert call(stream=None, stream_options={"include_usage": True}).shape == "json"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "unstated"), ({"temperature": None}, "unstated"), ({"top_p": 0.1}, "unstated"), ({"top_k": 5}, "unstated"),
        ({"temperature": 0}, "deterministic"), ({"temperature": -0.0}, "deterministic"), ({"top_k": 1}, "deterministic"),
        ({"top_k": 1.0, "temperature": 1}, "deterministic"), ({"seed": 0}, "deterministic"),
        ({"seed": 5, "temperature": 1}, "deterministic"), ({"seed": None, "temperature": 1}, "sampled"),
        ({"temperature": 1e-9}, "sampled"), ({"temperature": 0.7}, "sampled"), ({"n": 2}, "sampled"),
        ({"n": 2, "seed": 1}, "sampled"), ({"n": 2, "top_k": 1}, "sampled"), ({"n": 2, "temperature": 0}, "deterministic"),
        ({"n": 1}, "unstated"), ({"n": 1.0, "temperature": 0.5}, "sampled"),
    ],
)  # fmt: skip
def test_determinism_is_what_the_request_says_about_sampling(fields, expected):
    assert call(**fields).determinism is Determinism(expected)


def test_choices_and_json_output():
    assert (call().choices, call(n=None).choices, call(n=3).choices, call(n=2.0).choices) == (1, 1, 3, 2)
    assert not call(response_format={"type": "text"}).json_output
    assert not call(response_format=None).json_output
    assert call(response_format={"type": "json_object"}).json_output
    assert call(response_format={"type": "json_schema", "json_schema": {}}).json_output


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"guided_json": {"type": "object"}}, True), ({"guided_json": "{}"}, True), ({"guided_json": {}}, True),
        ({"guided_json": None}, False), ({"guided_regex": "a"}, False),
        ({"structured_outputs": {"json": {"type": "object"}}}, True), ({"structured_outputs": {"json": "{}"}}, True),
        ({"structured_outputs": {"json_object": True}}, True), ({"structured_outputs": {"json_object": False}}, False),
        ({"structured_outputs": {"json": None, "regex": "a"}}, False), ({"structured_outputs": None}, False),
        ({"structured_outputs": {}, "response_format": {"type": "json_object"}}, True),
        ({"guided_json": {}, "response_format": {"type": "text"}}, True),
    ],
)  # fmt: skip
def test_json_asked_for_in_another_providers_words_is_json_output(fields, asked):
    assert call(**fields).json_output is asked


@pytest.mark.parametrize(
    "fields",
    [
        {"web_search_options": {}}, {"tools": [{"type": "web_search"}]}, {"tools": [{"type": "web_search_preview"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, {"tools": [TOOL, {"google_search": {}}]},
        {"model": "openai/gpt-4o-search-preview"}, {"model": "openai/gpt-4o-mini-search-preview-2025-03-11"},
        {"model": "perplexity/sonar-pro"}, {"model": "sonar"}, {"model": "openai/gpt-4o:online"},
        {"models": ["a/b", "perplexity/sonar"]}, {"plugins": [{"id": "web"}]}, {"model": "OpenAI/GPT-4o:Online"},
    ],
)  # fmt: skip
def test_web_search_is_recognised_by_tool_field_and_model(fields):
    assert call(**fields).web_search
    assert call(**fields).bypass is None


def test_no_web_search_without_a_sign_of_it():
    assert not call(tools=[TOOL], enable_search=False, web_search_options=None).web_search


@pytest.mark.parametrize(
    ("part", "remote"),
    [
        ({"type": "image_url", "image_url": {"url": "https://e.example/a.png"}}, True),
        ({"type": "image_url", "image_url": {"url": "HTTP://e.example/a.png"}}, True),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, False),
        ({"type": "file", "file": {"file_url": "https://e.example/a.pdf"}}, True),
        ({"type": "video_url", "video_url": "https://e.example/a.mp4"}, True),
        ({"type": "text", "text": "https://e.example is a page"}, False),
        ({"type": "text", "text": "a", "source": {"url": "https://e.example"}}, True),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, False),
    ],
)
def test_remote_urls_are_noticed_in_parts_that_are_fetched(part, remote):
    assert content(part).call.remote_urls is remote
    assert content(part, {"type": "file", "file": {"file_id": "f"}}).call.remote_urls is remote


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, None), ({"store": False}, None), ({"store": None}, None), ({"store": True}, "side-effect"),
        ({"model": "policy/cheap"}, "policy-model"), ({"models": ["a/b", "policy/x"]}, "policy-model"),
        ({"model": None}, "no-model"), ({"model": ""}, "no-model"),
        ({"tools": [TOOL]}, None), ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, None),
        *[({"tools": [TOOL, {"type": kind}]}, "origin-tool") for kind in
          ("mcp", "code_interpreter", "shell", "file_search", "memory", "code_execution", "web_fetch", "never_heard_of", "")],
        ({"tools": [{"name": "f", "input_schema": {}}]}, "origin-tool"), ({"tools": [{}]}, "origin-tool"),
        ({"previous_response_id": "r"}, "side-effect"), ({"previous_response_id": None}, None),
        ({"mcp_servers": [{"url": "u"}]}, "origin-tool"), ({"container": None, "conversation": "c"}, "side-effect"),
    ],
)  # fmt: skip
def test_side_effects_state_and_unresolved_models_bypass(fields, word):
    assert call(**fields).bypass == word


def test_a_body_without_a_model_has_none():
    made = canonicalise(CHAT, b'{"messages":[]}', KeyOptions())

    assert isinstance(made, Canonical)
    assert (made.call.model, made.call.bypass) == ("", "no-model")
