"""Whose key goes upstream, and who shares with whom."""

import hashlib

import pytest
from msgspec import UNSET

from tests.integration.gateway_kit import JSON, KEY, OTHER_KEY, Upstream, ask, chat, gateway
from tiered_cache.gateway.admission import key_digest, without_key

CREDENTIALS = (
    KEY,
    (b"x-api-key", b"secret-1"),
    (b"api-key", b"secret-2"),
    (b"x-goog-api-key", b"secret-3"),
    (b"cookie", b"session=secret-4"),
)


def bearer(key: str):
    return ((b"authorization", f"Bearer {key}".encode()), JSON)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


KEYS = {digest("acme-old"): "acme", digest("acme-new"): "acme", digest("bolt-1"): "bolt"}
INJECTED = {"upstream_key": "rqy_upstream", "client_keys": KEYS}


async def test_by_default_the_callers_credentials_go_on():
    upstream = Upstream()
    async with gateway(upstream, upstream_key=UNSET) as app:
        await ask(app, chat(), headers=(*CREDENTIALS, JSON), query=b"key=5")
        await ask(app, method="GET", path="/v1/models", headers=CREDENTIALS, query=b"key=5")
    assert set(CREDENTIALS) <= set(upstream.requests[0].headers)
    assert upstream.requests[0].query == b"key=5"
    assert upstream.calls[0][2:] == (b"key=5", CREDENTIALS)


@pytest.mark.parametrize("credentials", ["auto", "pass", "inject"])
async def test_an_upstream_key_is_injected_unless_the_operator_says_pass(credentials):
    upstream = Upstream()
    async with gateway(upstream, upstream_key="rqy_upstream", credentials=credentials) as app:
        await ask(app, chat())
    passed_on = KEY in upstream.requests[0].headers
    assert passed_on is (credentials == "pass")


@pytest.mark.parametrize(
    "headers",
    [
        (JSON,),
        bearer("nobody"),
        bearer(""),
        (OTHER_KEY, JSON),
        (*bearer("nobody"), (b"x-api-key", b"bolt-1")),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/files"])
async def test_an_unknown_client_key_is_401_on_every_path_and_nothing_goes_upstream(headers, path):
    upstream = Upstream()
    async with gateway(upstream, **INJECTED) as app:
        answered = await ask(app, chat(), path=path, headers=headers)
    assert (answered.status, answered.error["code"]) == (401, "invalid_api_key")
    assert answered.cache_status == ""
    assert upstream.requests == upstream.calls == []


@pytest.mark.parametrize("name", [b"x-api-key", b"api-key", b"x-goog-api-key"])
async def test_a_client_key_may_come_in_any_key_field(name):
    async with gateway(**INJECTED) as app:
        assert (await ask(app, chat(), headers=((name, b"bolt-1"), JSON))).status == 200


async def test_keys_of_one_tenant_share_and_other_tenants_do_not():
    upstream = Upstream()
    async with gateway(upstream, **INJECTED) as app:
        await ask(app, chat(), headers=bearer("acme-old"))
        rotated = await ask(app, chat(), headers=bearer("acme-new"))
        stranger = await ask(app, chat(), headers=bearer("bolt-1"))
    assert "; hit" in rotated.cache_status
    assert "; hit" not in stranger.cache_status
    assert len(upstream.requests) == 2


async def test_with_an_injected_key_no_credential_of_the_caller_goes_upstream():
    upstream = Upstream()
    client = (b"authorization", b"bearer bolt-1")
    headers = (client, *CREDENTIALS[1:], JSON, (b"x-kept", b"1"))
    async with gateway(upstream, **INJECTED) as app:
        assert (await ask(app, chat(), headers=headers, query=b"a=1&key=5&b=2")).status == 200
        await ask(app, b"{}", path="/v1/batches", headers=headers, query=b"key=5")
    assert upstream.requests[0].headers == upstream.calls[0][3] == (JSON, (b"x-kept", b"1"))
    assert upstream.requests[0].query == b"a=1&b=2"
    assert upstream.calls[0][2] == b""


async def test_on_this_machine_alone_everybody_is_the_local_tenant():
    upstream = Upstream()
    async with gateway(upstream, upstream_key="rqy_upstream") as app:
        await ask(app, chat(), headers=bearer("whatever"))
        again = await ask(app, chat(), headers=(JSON,))
    assert "; hit" in again.cache_status
    assert upstream.requests[0].scope.tenant == "local"


def test_a_digest_is_what_sha256sum_prints():
    assert key_digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (b"", b""),
        (b"key=1", b""),
        (b"a=1&key=1", b"a=1"),
        (b"monkey=1&key=2&key=3", b"monkey=1"),
        (b"a=key=1", b"a=key=1"),
    ],
)
def test_only_the_key_parameter_leaves_the_query(query, left):
    assert without_key(query) == left
