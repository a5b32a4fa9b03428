"""Writes the published golden vectors: `python -m tests.core.vectors.make_vectors`, from the root.

Every vector is a raw call with what the library makes of it: canonical text and key, the reason word of a
bypass, or the code of a 400. The calls are made from hand-written lists and from the tables of every dialect
(each known field with a value of each type, each row both ways), so a new dialect needs a line in `BASES`.
Nothing is drawn at random: the same code writes the same bytes.
"""

import json
from pathlib import Path

from tests.core.vectors.call_parts import (
    BASES,
    CHAT,
    MODEL,
    MODELS,
    NAMED_PATH,
    PLACES,
    SAMPLES,
    TOOL,
    TOOLS,
    compact,
    raw_of,
    row,
    with_value,
)
from tests.core.vectors.chat_calls import of_chat
from tests.core.vectors.completions_calls import of_completions
from tests.core.vectors.flat_calls import of_flat
from tests.core.vectors.form_calls import of_forms
from tests.core.vectors.generic_calls import of_generic
from tests.core.vectors.images_calls import of_images
from tests.core.vectors.json_texts import VALUES
from tests.core.vectors.messages_calls import of_messages
from tests.core.vectors.responses_calls import of_responses
from tiered_cache.core.canonical import JSON_ENDPOINTS, Canonical, KeyOptions, canonicalise
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
    "Golden vectors of the canonical form, see canonical-form.md. `ocr` is a path that the operator named. "
    "Defaults of a row: headers [], query '', "
    "identity_fields 'drop', tenant and origin_id as below. A changed line needs a new KEY_VERSION."
)

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
    tools = TOOLS.get(dialect, [TOOL])
    for elision in catalogue_of(dialect).elisions:
        if "[]" in elision.path:
            continue
        said = {**base, elision.path: elision.value}
        shown = f"default {elision.path}"
        for model in MODELS:
            yield row(f"{shown}, {model}", dialect, {**said, "model": model})
            if elision.prefixes or elision.with_tools:
                yield row(f"{shown}, {model}, tools", dialect, {**said, "model": model, "tools": tools})
        yield row(f"{shown}, a list of models", dialect, {**said, "tools": tools, "models": [MODEL]})
        yield row(f"{shown}, models null", dialect, {**said, "tools": tools, "models": None})
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


def calls():
    """Every call, each only once."""
    made = [row(each["name"], CHAT, each["raw"]) for each in BY_HAND["rows"]]
    for own in (of_chat, of_completions, of_generic, of_images, of_messages, of_responses, of_flat):
        made += own()
    made += of_forms()
    for dialect in sorted(JSON_ENDPOINTS):
        base = BASES[dialect]
        for part in (of_values, of_fields, of_elisions, of_words, of_headers):
            made += part(dialect, base)
    seen = set()
    for each in made:
        told = compact({**each, "name": None})
        if told not in seen:
            seen.add(told)
            yield each


def request_of(each) -> Request:
    headers = tuple((name.encode(), value.encode()) for name, value in each.get("headers", []))
    scope = Scope(each.get("tenant", TENANT), each.get("origin_id", ORIGIN_ID))
    query = each.get("query", "").encode()
    return Request(each["dialect"], raw_of(each), scope, headers, query, read_ask(headers))


def options(identity) -> KeyOptions:
    return KeyOptions(identity_fields=identity, generic_paths=frozenset({NAMED_PATH}))


def result(each, keyers) -> dict:
    """What the library makes of a call."""
    identity = each.get("identity_fields", "drop")
    request = request_of(each)
    try:
        keyed = keyers[identity].key(request)
        if isinstance(keyed, Bypass):
            return {"bypass": keyed.detail}
        content_type = dict(request.headers).get(b"content-type", b"")
        form = canonicalise(each["dialect"], request.body, options(identity), content_type=content_type)
        assert isinstance(form, Canonical)
        made = {"canonical": form.text.decode(), "key": key_text(keyed.key)}
        return made | ({"elements": [key_text(key) for key in keyed.elements]} if keyed.elements else {})
    except RequestError as error:
        return {"error": error.code}


def new_keyers() -> dict:
    return {identity: Keyer(SECRET.encode(), options(identity), memo_bytes=0) for identity in ("drop", "key")}


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
