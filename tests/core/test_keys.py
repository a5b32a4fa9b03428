"""Keys: golden vectors, what joins them, what bypasses, tenants and credentials."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
import xxhash

from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.keys import KEY_VERSION, Keyer, key_text
from tiered_cache.core.vocabulary import Ask, Bypass, Keyed, Request, Scope
from tiered_cache.errors import ConfigError, RequestError

VECTORS = json.loads((Path(__file__).parent / "vectors" / "chat_v1.json").read_text(encoding="utf-8"))
CHAT = "chat/completions"
SECRET = b"s"
SCOPE = Scope("acme", "https://origin.example:443/v1")
BODY = b'{"model":"m","messages":[]}'


def golden_keyer() -> Keyer:
    return Keyer(VECTORS["secret"].encode())


def request(raw: bytes = BODY, scope: Scope | None = SCOPE, **fields) -> Request:
    return Request(CHAT, raw, scope, **fields)


def name(keyer: Keyer, *args, **fields) -> bytes:
    keyed = keyer.key(request(*args, **fields))
    assert isinstance(keyed, Keyed), keyed
    return keyed.key


@pytest.mark.parametrize("row", VECTORS["rows"], ids=lambda row: row["name"])
def test_golden_vectors_stay_as_they_are(row):
    raw, scope = row["raw"].encode(), Scope(VECTORS["tenant"], VECTORS["origin_id"])
    asked = Request(VECTORS["endpoint"], raw, scope)
    if "error" in row:
        with pytest.raises(RequestError) as raised:
            golden_keyer().key(asked)
        assert raised.value.code == row["error"]
        return
    keyed = golden_keyer().key(asked)
    if "bypass" in row:
        assert isinstance(keyed, Bypass)
        assert keyed.detail == row["bypass"]
        return
    assert isinstance(keyed, Keyed)
    form = canonicalise(VECTORS["endpoint"], raw, KeyOptions())
    assert isinstance(form, Canonical)
    assert form.text.decode() == row["canonical"]
    assert key_text(keyed.key) == row["key"]


def test_there_are_enough_golden_vectors():
    assert len(VECTORS["rows"]) >= 60
    assert len({row["name"] for row in VECTORS["rows"]}) == len(VECTORS["rows"])


def test_a_key_is_version_seeded_xxh3_and_hmac_sha_256_as_written_down():
    """The same bytes from the standard library's HMAC, spelled out a second time."""

    def delimited(*parts):
        return b"".join(len(part).to_bytes(8, "little") + part for part in parts)

    def derived(purpose):
        return hmac.digest(SECRET, b"tiered-cache v1 " + purpose, hashlib.sha256)

    context = delimited(CHAT.encode(), SCOPE.origin_id.encode(), b"acme", b"a=b", b"variant", b"drop")
    text = b'{"messages":[],"model":"m"}'
    seed = int.from_bytes(hmac.digest(derived(b"seed"), context, hashlib.sha256)[:8], "little")
    expected = (
        bytes([KEY_VERSION])
        + xxhash.xxh3_128_digest(text, seed=seed)
        + hmac.digest(derived(b"digest"), context + text, hashlib.sha256)
    )

    assert name(Keyer(SECRET), query=b"a=b", ask=Ask(key_fields=b"variant")) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": Scope("acme2", SCOPE.origin_id)},
        {"scope": Scope("acme", "https://eu.example:443/v1")},
        {"query": b"api-version=1"},
        {"ask": Ask(key_fields=b"1")},
        {"raw": b'{"model":"m2","messages":[]}'},
    ],
)
def test_partition_query_and_header_fields_change_both_digests(fields):
    plain, other = name(Keyer(SECRET)), name(Keyer(SECRET), **fields)

    assert plain[1:17] != other[1:17]
    assert plain[17:] != other[17:]


def test_what_is_not_in_the_partition_does_not_change_the_key():
    plain = name(Keyer(SECRET))

    assert name(Keyer(SECRET), scope=Scope("acme", SCOPE.origin_id, credential=b"other")) == plain
    assert name(Keyer(SECRET), headers=((b"x-title", b"a"),)) == plain
    assert name(Keyer(SECRET), ask=Ask(no_cache=True, max_age_s=0.0)) == plain
    assert name(Keyer(SECRET, memo_bytes=0)) == plain


def test_another_secret_or_identity_option_never_shares():
    keys = {
        name(Keyer(SECRET)),
        name(Keyer(b"t")),
        name(Keyer(SECRET, KeyOptions(identity_fields="key"))),
    }

    assert len(keys) == 3


def test_the_decoded_body_is_keyed_where_there_is_one():
    keyer = Keyer(SECRET)

    assert name(keyer, raw=b"\x1f\x8b...", plain_body=BODY) == name(keyer)
    with pytest.raises(RequestError):
        keyer.key(request(BODY, plain_body=b""))


def test_a_key_carries_the_facts_and_the_shape():
    keyed = Keyer(SECRET).key(request(b'{"model":"m","messages":[],"stream":true}'))

    assert isinstance(keyed, Keyed)
    assert (keyed.shape, keyed.call.model, keyed.call.stream) == ("sse", "m", True)


@pytest.mark.parametrize("memo_bytes", [0, 2**20])
def test_what_is_not_cached_bypasses_with_its_reason(memo_bytes):
    keyer = Keyer(SECRET, memo_bytes=memo_bytes)
    for _ in range(2):
        assert keyer.key(request(scope=None)) == Bypass("no-credential")
        assert keyer.key(request(ask=Ask(bypass="foreign-control"))) == Bypass("foreign-control")
        assert keyer.key(Request("audio/translations", BODY, SCOPE)) == Bypass("route")
        assert keyer.key(request(b'{"model":"m","messages":[],"store":true}')) == Bypass("side-effect", "m")
        assert keyer.key(request(b'{"model":"m","messages":[],"a":1,"a":1}')) == Bypass("duplicate-key")
        assert keyer.key(request(b'{"model":"m","messages":5}')) == Bypass("field-type", "m")


def test_streams_json_and_identity_share_a_key_but_keep_their_own_facts():
    keyer = Keyer(SECRET)
    json_call = keyer.key(request())
    stream_call = keyer.key(
        request(b'{"model":"m","messages":[],"stream":true,"user":"u","service_tier":"flex"}')
    )

    assert json_call.key == stream_call.key
    assert (json_call.shape, stream_call.shape) == ("json", "sse")
    assert stream_call.call.service_tier == "flex"


def test_what_came_once_only_is_not_remembered(monkeypatch):
    keyer = Keyer(SECRET)
    keyer.key(request())
    monkeypatch.setattr("tiered_cache.core.keys.canonicalise", None)

    with pytest.raises(TypeError):
        keyer.key(request())


def test_what_came_twice_is_not_parsed_again(monkeypatch):
    keyer = Keyer(SECRET)
    first, refused = keyer.key(request()), keyer.key(request(b"[]"))
    assert keyer.key(request()) == first
    assert keyer.key(request(b"[]")) == refused
    first, refused = keyer.key(request()), keyer.key(request(b"[]"))
    monkeypatch.setattr("tiered_cache.core.keys.canonicalise", None)

    assert keyer.key(request(bytes(bytearray(BODY)))) is first
    assert keyer.key(request(b"[]")) is refused
    with pytest.raises(TypeError):
        keyer.key(request(BODY + b" "))
    with pytest.raises(TypeError):
        keyer.key(request(scope=Scope("other", SCOPE.origin_id)))


def test_with_every_fast_hash_colliding_nobody_gets_another_calls_key(monkeypatch):
    """SEMANTICS §1: with the fast hash replaced by a constant the engine must still never mix two calls."""
    monkeypatch.setattr("tiered_cache.core.keys.xxh3_64_intdigest", lambda *_: 1)
    monkeypatch.setattr("tiered_cache.core.keys.xxh3_128_digest", lambda *_: bytes(16))
    keyer = Keyer(SECRET)
    bodies = [b'{"model":"m","messages":[],"foo":%d}' % i for i in range(10)]
    scopes = [SCOPE, Scope("other", SCOPE.origin_id)]

    keys = {name(keyer, raw, scope) for _ in range(3) for scope in scopes for raw in bodies}
    again = {name(keyer, raw, scope) for _ in range(3) for raw in bodies for scope in scopes}

    assert len(keys) == 20
    assert again == keys
    for raw in bodies:
        assert name(keyer, raw) == name(keyer, raw)


def test_more_partitions_than_are_kept_prepared_change_nothing():
    keyer = Keyer(SECRET)
    first = name(keyer, query=b"0")
    keys = {name(keyer, query=b"%d" % i) for i in range(3000)}

    assert len(keys) == 3000
    assert name(keyer, query=b"0") == first


def test_an_empty_secret_is_a_configuration_error():
    with pytest.raises(ConfigError):
        Keyer(b"")


def test_a_tenant_is_made_of_every_credential_field_with_its_name():
    keyer = Keyer(SECRET)
    bearer, cookie = (b"authorization", b"Bearer a"), (b"cookie", b"a=b")
    tenants = {
        keyer.tenant_of([bearer]),
        keyer.tenant_of([(b"x-api-key", b"Bearer a")]),
        keyer.tenant_of([(b"authorization", b"Bearer b")]),
        keyer.tenant_of([bearer, cookie]),
        keyer.tenant_of([bearer, bearer]),
        keyer.tenant_of([(b"authorizationBearer a", b"")]),
        Keyer(b"t").tenant_of([bearer]),
        keyer.credential_digest([bearer]).hex(),
    }

    assert len(tenants) == 8
    assert all(len(tenant) == 64 for tenant in tenants)
    assert keyer.tenant_of([cookie, bearer]) == keyer.tenant_of((bearer, cookie))
    assert len(keyer.credential_digest([bearer])) == 32


def test_no_credential_is_never_an_anonymous_tenant():
    for method in (Keyer(SECRET).tenant_of, Keyer(SECRET).credential_digest):
        with pytest.raises(ValueError, match="credential"):
            method([])


def test_the_text_of_a_key_is_safe_in_urls_and_redis():
    key = name(Keyer(SECRET))
    text = key_text(key)

    assert len(key) == 49
    assert text.startswith(f"{KEY_VERSION}-")
    assert set(text) <= set("0123456789abcdef-")


def tools_body(tools) -> bytes:
    return json.dumps({"model": "m", "messages": [], "tools": tools}).encode()


def test_remembered_tool_lists_differ_wherever_fresh_ones_do():
    def tool(**parameters):
        return [{"type": "function", "function": {"name": "f", "parameters": parameters}}]

    lists = [
        tool(properties={"a": {}, "b": {}}),
        tool(properties={"b": {}, "a": {}}),
        tool(properties=["a", {}, "b", {}]),
        tool(minimum=1),
        tool(minimum=1.0),
        tool(minimum=True),
        tool(minimum="1"),
        tool(minimum=0.0),
        tool(minimum=-0.0),
        tool() * 2,
        tool(),
    ]
    keyer, fresh = Keyer(SECRET), Keyer(SECRET, memo_bytes=0)
    for extra in (b"", b" ", b"\n"):  # other bytes each time, so that only the tools are remembered
        keys = [name(keyer, tools_body(one) + extra) for one in lists]
        assert keys == [name(fresh, tools_body(one)) for one in lists]
        assert len(set(keys)) == len(lists)


def test_a_remembered_tool_list_keeps_its_facts():
    keyer = Keyer(SECRET)
    search, shell = tools_body([{"type": "web_search"}]), tools_body([{"type": "shell"}])
    for extra in (b"", b" ", b"  "):
        assert keyer.key(request(search + extra)).call.web_search
        assert keyer.key(request(shell + extra)) == Bypass("origin-tool", "m")
        assert keyer.key(request(tools_body([{"type": 1}]) + extra)) == Bypass("field-type", "m")


def test_tools_that_differ_in_order_of_members_share_a_key():
    one = b'{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","strict":true}}]}'
    other = b'{"model":"m","messages":[],"tools":[{"function":{"strict":true,"name":"f"},"type":"function"}]}'
    keyer = Keyer(SECRET)

    assert name(keyer, one) == name(keyer, other) == name(keyer, one + b" ")
