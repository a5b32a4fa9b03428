"""Writes the published golden vectors: `python -m tests.core.vectors.make_vectors`, from the root.

Every vector is a raw call with what the library makes of it: canonical text and key, the reason word of a
bypass, or the code of a 400. The calls are made from hand-written lists and from the tables of every dialect
(each known field with a value of each type, each row both ways), so a new dialect needs a line in `BASES`.
Nothing is drawn at random: the same code writes the same bytes.
"""

import base64
import copy
import json
from pathlib import Path

from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS, Canonical, KeyOptions, canonicalise
from tiered_cache.core.canonical.catalogue import catalogue_of
from tiered_cache.core.directives import FOREIGN_PREFIXES, KEY_HEADERS, read_ask
from tiered_cache.core.keys import KEY_VERSION, Keyer, key_text
from tiered_cache.core.vocabulary import Bypass, Request, Scope
from tiered_cache.errors import RequestError

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "reference" / "canonical-vectors.json"
BY_HAND = json.loads((Path(__file__).parent / "chat_v1.json").read_text(encoding="utf-8"))
SECRET, TENANT, ORIGIN_ID = BY_HAND["secret"], BY_HAND["tenant"], BY_HAND["origin_id"]
ABOUT = (
    "Golden vectors of the canonical form, see canonical-form.md. Defaults of a row: headers [], query '', "
    "identity_fields 'drop', tenant and origin_id as below. A changed line needs a new KEY_VERSION."
)

MODEL = "openai/gpt-4o-mini"
CHAT = "chat/completions"
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
SAMPLES = (None, True, False, 0, 1.0, 2.5, "a", "auto", [], ["a"], [1.0], {}, {"b": 1.0, "a": 1})
"""A value of every JSON type, and of every kind of number; objects out of order."""

VALUES = (
    *(
        "0",
        "-0",
        "0.0",
        "-0.0",
        "0e5",
        "1",
        "1.0",
        "1e0",
        "10E-1",
        "1.5",
        "15e-1",
        "0.1",
        "0.10",
        "-1",
        "1e1",
    ),
    *("0.00001", "0.000001", "1e-7", "123456.789", "1e15", "1e16", "1e17", "1e21", "1e22", "1.5e300"),
    *("5e-324", "2e-324", "1e-400", "1.7976931348623157e308", "1.7976931348623159e308", "1e309", "-1e309"),
    *("9007199254740992", "9007199254740992.0", "9007199254740993", "9007199254740993.0"),
    *("-9007199254740992.0", "-9007199254740994.0", "9007199254740994", "18446744073709551616"),
    *(
        "1234567890123456.5",
        "4503599627370496.5",
        "0.30000000000000004",
        "0.1e1",
        "1E+2",
        "1.0E+2",
        "1.25e-9",
    ),
    *(
        "9" * 40,
        "-" + "9" * 40,
        "9" * 41,
        "1" + "0" * 400,
        "0." + "1" * 39,
        "0." + "1" * 40,
        "1e0" + "0" * 50,
    ),
    *('""', '"a"', '"A"', '" a"', '"\\u0061"', '"a\\/b"', '"a/b"', '"\\"\\\\\\b\\f\\n\\r\\t"', '"\\u000b"'),
    *(
        '"\\u001F\\u007f"',
        '"\\u00e9"',
        '"é"',
        '"e\\u0301"',
        '"\\ud83d\\ude00"',
        '"😀"',
        '"\\u2028"',
        '"\\u0000"',
    ),
    *('"\\ud83d"', '"\\ude00\\ud83d"', '"\\uD83Dx"', '"\\u0022"', '"\\u0022\\u005c"', '"\t"', '"\\x"', '"'),
    *("null", "true", "false", "True", "nul", "NaN", "-NaN", "Infinity", "-Infinity", "+1", "01", "1.", ".5"),
    *("[]", "[1,2]", "[2,1]", "[[],{}]", "[1,]", "{}", '{"a":1,"b":2}', '{"b":2,"a":1}', '{"":0}', "{,}"),
    *('{"é":1,"z":2,"😀":3,"\uffff":4,"Z":5}', '{"__proto__":1,"constructor":2}', '{"10":1,"9":2}'),
    *(
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":2}',
        '[{"b":{"a":1,"c":2,"a":3}}]',
        '[{"a":1},{"a":1}]',
        '{"\\"":1}',
    ),
    *('{"":1,"":2}', '{"a":"\\u0022","b":1,"b":1}', '{"properties":{"a":1,"a":2}}', "[1", "{'a':1}", "/**/1"),
    *('{"properties":{"b":1,"a":2}}', '{"properties":{"a":2,"b":1}}', '{"properties":["a",2,"b",1]}'),
    *('{"properties":null}', '{"properties":"a"}', '{"properties":{}}', '{"properties":[]}'),
    *('{"properties":{"":["a",1]}}', '{"$defs":{"b":{"y":1,"x":1},"a":{}}}', '{"definitions":{"b":1,"a":1}}'),
    *('{"patternProperties":{"b":1,"a":1}}', '{"items":{"b":1,"a":1}}', '{"required":["b","a"]}'),
    *('{"properties":{"a":{"minimum":1.0}}}', '{"properties":{"a":{"minimum":1}}}', '{"minimum":1.0}'),
    *('{"x":1.0,"properties":{}}', '{"x":{"y":1.0},"$defs":{}}', '[{"x":1.0},{"properties":{}}]'),
    *(
        '{"properties":{"properties":{"b":1,"a":1}}}',
        '{"properties":{"a":{"properties":{"c":1.0,"b":-0.0}}}}',
    ),
    *(
        "[" * 127 + "]" * 127,
        "[" * 128 + "]" * 128,
        '{"a":' * 127 + "1" + "}" * 127,
        '{"a":' * 128 + "1" + "}" * 128,
    ),
)
"""JSON texts, good and bad, that stand as an unknown member."""

HEADER_LINES = (
    [("anthropic-version", "2023-06-01")],
    [("anthropic-version", "2023-06-02")],
    [("anthropic-beta", "a"), ("anthropic-beta", "b")],
    [("anthropic-beta", "a, b")],
    [("anthropic-beta", "b, a")],
    [("anthropic-beta", " a\t")],
    [("anthropic-beta", "a")],
    [("openai-beta", "a")],
    [("openai-beta", "")],
    [("openai-organization", "o"), ("openai-project", "p")],
    [("openai-project", "p"), ("openai-organization", "o")],
    [("x-tiered-cache-variant", "1")],
    [("x-tiered-cache-variant", "2"), ("cache-control", "no-cache"), ("x-stainless-retry-count", "1")],
    [("x-title", "an app"), ("user-agent", "x"), ("accept-encoding", "gzip"), ("idempotency-key", "k")],
    [("x-unknown", "1")],
    [("x-tiered-cache-ttl", "60")],
    [("x-tiered-cache-ttl", "soon")],
    [("x-tiered-cache-replay", "tokens_per_s=80")],
    [("x-tiered-cache-replay", "slowly")],
    [("x-tiered-cache-scope", "user")],
    [("cache-control", "no-store, max-age=0")],
    *([(prefix.decode() + "cache", "1")] for prefix in FOREIGN_PREFIXES),
    *([(name.decode(), "x")] for name in sorted(KEY_HEADERS)),
)

CREDENTIALS = (
    [("authorization", "Bearer a")],
    [("authorization", "Bearer b")],
    [("x-api-key", "Bearer a")],
    [("authorization", "Bearer a"), ("cookie", "a=b")],
    [("cookie", "a=b"), ("authorization", "Bearer a")],
    [("authorization", "Bearer a"), ("authorization", "Bearer b")],
    [("authorization", "Bearer b"), ("authorization", "Bearer a")],
    [("?key", "a")],
)

BYTES = (
    ("invalid UTF-8", b'{"model":"m","messages":[],"x":"\xff"}'),
    ("overlong UTF-8", b'{"model":"m","messages":[],"x":"\xc0\xaf"}'),
    ("a surrogate in UTF-8", b'{"model":"m","messages":[],"x":"\xed\xa0\x80"}'),
    ("UTF-16", '{"model":"m","messages":[]}'.encode("utf-16")),
    ("cut in a character", '{"model":"m","messages":[],"x":"é'.encode()[:-1]),
    ("two values", b"{} {}"),
    ("white space", b" \t\r\n"),
    ("null byte behind", b'{"model":"m","messages":[]}\0'),
    ("other white space", '{"model":"m",\u00a0"messages":[]}'.encode()),
)


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


def of_values(dialect, base):
    text = compact(base)
    for value in VALUES:
        shown = value if len(value) <= 60 else f"{value[:50]}… ({len(value)} characters)"
        yield row(f"value {shown}", dialect, f'{text[:-1]},"x":{value}}}')
    for name in ("properties", "$defs", "type", "stream_options_", "Stream", "user_id", "trace_id", "é", ""):
        yield row(f"unknown member {name!r}", dialect, {**base, name: {"b": 1.0, "a": 1}})


def of_fields(dialect, base):
    """Every known field with a value of every type; alone, and for identity in the key."""
    tables = catalogue_of(dialect)
    for table, fields in tables.fields.items():
        if table not in PLACES:
            continue
        for field in fields:
            place = PLACES[table]
            where = ".".join([str(step) for step in (*place, field.name)])
            for value in SAMPLES:
                body = with_value(base, place, field.name, value)
                yield row(f"{where} = {compact(value)}", dialect, body)
    for drop in tables.drops:
        owner, _, name = drop.path.rpartition(".")
        if "[]" not in drop.path:
            for value in (None, "a", "b", True, {"a": 1.0}, [1.0]):
                body = with_value(base, (owner,) if owner else (), name, value)
                shown = f"{drop.path} = {compact(value)}, identity in the key"
                yield row(shown, dialect, body, identity_fields="key")


def of_elisions(dialect, base):
    """Every default that is said or not, for every prefix of a model, with tools, with other models."""
    for elision in catalogue_of(dialect).elisions:
        if "[]" in elision.path:
            continue
        said = {**base, elision.path: elision.value}
        shown = f"default {elision.path}"
        for model in MODELS:
            yield row(f"{shown}, {model}", dialect, {**said, "model": model})
            if elision.prefixes or elision.with_tools:
                yield row(f"{shown}, {model}, tools", dialect, {**said, "model": model, "tools": [TOOL]})
        yield row(f"{shown}, a list of models", dialect, {**said, "tools": [TOOL], "models": [MODEL]})
        yield row(f"{shown}, models null", dialect, {**said, "tools": [TOOL], "models": None})
        yield row(f"{shown}, tools null", dialect, {**said, "tools": None})


def of_words(dialect, base):
    """Every name that decides who executes a tool, who searches, who keeps state."""
    for table, names in catalogue_of(dialect).words.items():
        for name in names:
            if table.endswith("MODELS"):
                yield row(f"model with {name}", dialect, {**base, "model": f"a{name}b"})
            elif table.endswith("FIELDS"):
                for value in ({}, False, None, "a"):
                    yield row(f"{name} = {compact(value)}", dialect, {**base, name: value})
            else:
                tools = [{"type": name, name: {"name": "f"}}]
                yield row(f"a tool of type {name}", dialect, {**base, "tools": tools})


def of_headers(dialect, base):
    for lines in HEADER_LINES:
        shown = "; ".join(f"{name}: {value!r}" for name, value in lines)
        yield row(f"headers {shown}", dialect, base, headers=[list(line) for line in lines])
    for query in ("api-version=1", "a=b&c=d", "c=d&a=b"):
        yield row(f"query {query}", dialect, base, query=query)
    yield row("query and header", dialect, base, query="a", headers=[["openai-beta", "a"]])
    yield row("identity in the key", dialect, base, identity_fields="key")
    yield row("another tenant", dialect, base, tenant="acme2")
    yield row("another origin", dialect, base, origin_id="https://eu.example:443/v1")
    yield row("tenant and origin exchanged", dialect, base, tenant=ORIGIN_ID, origin_id=TENANT)


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


def of_completions():
    """What only completions bodies have: prompts of four kinds, several answers, JSON by vLLM's fields."""
    base = BASES["completions"]
    prompts = ["", "hi ", ["hi"], ["a", "b"], ["b", "a"], [1, 2], [1.0, 2.0], [[1, 2]], [[1], [2]], []]
    prompts += [[True], ["a", 1], ["a", [1]], [None], [{}]]
    others = [{"prompt": prompt} for prompt in prompts]
    others += [
        {"n": 0},
        {"n": 2},
        {"n": 2, "temperature": 0},
        {"best_of": 1},
        {"echo": True, "max_tokens": 0, "logprobs": 0},
        {"suffix": ""},
        {"stop": "a"},
        {"stop": ["a"]},
        {"stop": ["a", 1]},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minimum": 1.0}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minimum": 1}}}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": 1}},
        {"guided_json": {"minimum": 1.0}},
        {"structured_outputs": {"json": {"minimum": 1.0}}},
        {"seed": 1},
        {"top_k": 1},
        {"models": [MODEL, "b"]},
        {"models": [MODEL, 1]},
        {"stream": True, "stream_options": {"include_usage": 1}},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"store": True},
        {"service_tier": "flex"},
        {"metadata": {"a": "b"}},
        {"requesty": {"zone": "eu", "user_id": "u", "tags": ["t"], "extra": {"a": 1.0}}},
    ]
    for other in others:
        yield row(compact(other), "completions", {**base, **other})
    for model in ("policy/a", "", None, 1, "sonar"):
        yield row(f"model {compact(model)}", "completions", {**base, "model": model})
    yield row("no prompt", "completions", {"model": MODEL})


def calls():
    """Every call, each only once."""
    made = [row(each["name"], CHAT, each["raw"]) for each in BY_HAND["rows"]]
    made += of_chat()
    made += of_completions()
    for dialect in sorted(CACHEABLE_ENDPOINTS):
        base = BASES[dialect]
        for part in (of_values, of_fields, of_elisions, of_words, of_headers):
            made += part(dialect, base)
    seen = set()
    for each in made:
        told = compact({**each, "name": None})
        if told not in seen:
            seen.add(told)
            yield each


def raw_of(each) -> bytes:
    return base64.b64decode(each["raw_base64"]) if "raw_base64" in each else each["raw"].encode()


def request_of(each) -> Request:
    headers = tuple((name.encode(), value.encode()) for name, value in each.get("headers", []))
    scope = Scope(each.get("tenant", TENANT), each.get("origin_id", ORIGIN_ID))
    query = each.get("query", "").encode()
    return Request(each["dialect"], raw_of(each), scope, headers, query, read_ask(headers))


def result(each, keyers) -> dict:
    """What the library makes of a call."""
    identity = each.get("identity_fields", "drop")
    request = request_of(each)
    try:
        keyed = keyers[identity].key(request)
        if isinstance(keyed, Bypass):
            return {"bypass": keyed.detail}
        form = canonicalise(each["dialect"], request.body, KeyOptions(identity_fields=identity))
        assert isinstance(form, Canonical)
        return {"canonical": form.text.decode(), "key": key_text(keyed.key)}
    except RequestError as error:
        return {"error": error.code}


def new_keyers() -> dict:
    return {
        identity: Keyer(SECRET.encode(), KeyOptions(identity_fields=identity), memo_bytes=0)
        for identity in ("drop", "key")
    }


def tenants():
    keyer = Keyer(SECRET.encode())
    for lines in CREDENTIALS:
        fields = [(name.encode(), value.encode()) for name, value in lines]
        yield {"credentials": [list(line) for line in lines], "tenant": keyer.tenant_of(fields)}


def text() -> str:
    """The whole file: one vector a line, so that a change shows as the lines that it changes."""
    keyers = new_keyers()
    head = {"about": ABOUT, "key_version": KEY_VERSION, "secret": SECRET, "tenant": TENANT}
    lines = [compact({**each, **result(each, keyers)}) for each in calls()]
    credentials = [compact(each) for each in tenants()]
    return (
        compact({**head, "origin_id": ORIGIN_ID})[:-1]
        + ',\n"tenants":[\n'
        + ",\n".join(credentials)
        + '\n],\n"rows":[\n'
        + ",\n".join(lines)
        + "\n]}\n"
    )


if __name__ == "__main__":
    PUBLISHED.write_text(text(), encoding="utf-8")
