"""`POST /admin/explain`: closed without a token, silent about credentials, else as the cache would take it."""

import hashlib
import json

import pytest

from tests.integration.gateway_kit import CHAT, JSON, Upstream, ask, chat, gateway
from tiered_cache.errors import ConfigError
from tiered_cache.gateway.config import GatewayConfig, check, with_environment

TOKEN = "an admin token for these tests"
ADMIN = (b"authorization", f"Bearer {TOKEN}".encode())
PATH = "/admin/explain"
CALLER = {"Authorization": "Bearer rqy_one"}


async def explained(app, question, *, status=200, headers=(ADMIN, JSON), method="POST"):
    raw = question if isinstance(question, bytes) else json.dumps(question).encode()
    answered = await ask(app, raw, path=PATH, headers=headers, method=method)
    assert answered.status == status, answered.body
    return answered


async def test_without_a_token_in_the_configuration_there_is_nothing_at_this_path():
    async with gateway() as app:
        for headers in ((JSON,), (ADMIN, JSON)):
            assert (await explained(app, {"body": {}}, status=404, headers=headers)).error[
                "code"
            ] == "not_found"


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ((b"authorization", b"Bearer another admin token"),),
        ((b"authorization", b"Bearer "),),
        ((b"authorization", TOKEN.encode()),),
        ((b"x-api-key", TOKEN.encode()),),
        (ADMIN, (b"authorization", b"Bearer another")),
    ],
)
async def test_who_does_not_show_the_token_is_turned_away(lines):
    async with gateway(admin_token=TOKEN) as app:
        answered = await explained(app, {"body": {}}, status=401, headers=(*lines, JSON))
        await explained(app, b"", status=401, headers=lines, method="GET")
    assert answered.error["code"] == "invalid_api_key"
    assert TOKEN not in str(answered.body)


async def test_it_explains_a_call_as_this_gateway_takes_it():
    upstream = Upstream()
    async with gateway(upstream, admin_token=TOKEN) as app:
        answered = await explained(app, {"path": CHAT, "headers": CALLER, "body": json.loads(chat())})
        stored = await ask(app, chat())
        again = await explained(app, {"headers": CALLER, "body": json.loads(chat(stream=True))})
        nobody = await explained(app, {"body": json.loads(chat())})
    told = answered.json
    assert (told["cacheable"], told["rule"]) == (True, "deterministic-alias")
    assert stored.status == 200
    assert told["key"] == again.json["key"] != nobody.json["key"]
    assert [edit["path"] for edit in again.json["edits"]] == ["stream_options.include_usage"]
    assert (nobody.json["key"], nobody.json["reason"]) == (None, "no-credential")
    assert answered.value("cache-control") == "no-store"
    assert "rqy_one" not in str(answered.body)
    assert len(upstream.requests) == 1


async def test_two_calls_are_compared_and_credentials_are_not_shown():
    async with gateway(admin_token=TOKEN, cache={"key_headers": ("x-session",)}) as app:
        body = json.loads(chat())
        same = await explained(app, {"headers": CALLER, "body": body, "other": {"body": body | {"n": 1}}})
        other = {"path": CHAT + "?key=rqy_query", "headers": {"x-api-key": "rqy_two", "x-session": "rqy_3"}}
        differ = await explained(app, {"headers": CALLER, "body": body, "other": other | {"body": body}})
    assert same.json == {"same": True, "differences": []}
    assert not differ.json["same"]
    paths = {difference["path"] for difference in differ.json["differences"]}
    assert paths == {"partition tenant", "query string", "header x-session"}
    assert "rqy_" not in str(differ.body)


async def test_bodies_keep_their_spelling_and_may_be_given_as_text():
    async with gateway(admin_token=TOKEN) as app:
        twice = b'{"headers":{"authorization":"Bearer a"},"body":{"model":"m","messages":[],"n":1,"n":2}}'
        assert (await explained(app, twice)).json["reason"] == "duplicate-key"
        text = {"headers": CALLER, "body": '{"model":"m","messages":[],"x":NaN}'}
        assert (await explained(app, text)).json["reason"] == "number"
        assert (await explained(app, {"body": "{"}, status=400)).error["code"] == "invalid_json"


async def test_client_keys_name_the_tenant():
    keys = {hashlib.sha256(name.encode()).hexdigest(): name for name in ("one", "two")}
    async with gateway(admin_token=TOKEN, client_keys=keys, upstream_key="rqy_up") as app:
        body = json.loads(chat())
        question = {"headers": {"x-api-key": "one"}, "body": body}
        told = await explained(app, question | {"other": {"body": body, "headers": {"x-api-key": "two"}}})
        refused = await explained(app, {"body": body}, status=400)
    assert told.json["differences"] == [{"path": "partition tenant", "a": '"one"', "b": '"two"'}]
    assert refused.error["code"] == "invalid_request"
    assert "client key" in refused.error["message"]


@pytest.mark.parametrize(
    "question",
    [b"", b"[]", b"{}", b"\xff", b'{"body":{},"nothing":1}', b'{"body":{},"path":"/healthz"}', b'{"body":'],
)
async def test_a_question_that_nobody_understands_is_refused(question):
    async with gateway(admin_token=TOKEN) as app:
        assert (await explained(app, question, status=400)).error["code"] == "invalid_request"


async def test_other_methods_and_long_questions_are_refused():
    async with gateway(admin_token=TOKEN, cache={"max_body_bytes": 1000}) as app:
        assert (await explained(app, b"", status=405, method="GET")).error["code"] == "method_not_allowed"
        long = {"headers": CALLER, "body": json.loads(chat("x" * 1000))}
        assert (await explained(app, long, status=413)).error["code"] == "request_too_large"
        await explained(app, b" " * 70_000, status=413)


def test_the_token_comes_from_the_environment_and_is_never_printed():
    config = with_environment(GatewayConfig(), {"TIERED_CACHE_ADMIN_TOKEN": TOKEN})

    assert check(config).admin_token == TOKEN
    assert TOKEN not in repr(config)
    with pytest.raises(ConfigError, match="TIERED_CACHE_ADMIN_TOKEN"):
        check(GatewayConfig(admin_token="short"))
