"""Paths that the operator names, through gateway, transport and dict call; the page says what holds."""

import json
from pathlib import Path

import httpx2

from tests.integration.gateway_kit import JSON, Upstream, ask, gateway
from tests.integration.sdk_ways import BASE, EVENTS, WAYS, ScriptedOrigin, sdk, through_transport
from tests.integration.test_docs_reference import blocks
from tiered_cache import BlockingCache, Cache, CacheConfig
from tiered_cache.cli.main import main
from tiered_cache.core.vocabulary import Scope
from tiered_cache.gateway.config import read_config
from tiered_cache.integrations.transport import CacheTransport

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "generic-paths.md").read_text()
PATHS = {"ocr": 86400.0, "tools/extract": 600.0}


class Origin(ScriptedOrigin):
    """Answers each call with its number; an error where it is asked for one."""

    def reply(self, asked: dict) -> tuple[tuple[bytes, bytes], bytes]:
        if asked.get("stream"):
            return EVENTS, b"data: %d\n\ndata: [DONE]\n\n" % len(self.asked)
        if asked.get("fails"):
            return JSON, b'{"error":"no"}'
        return JSON, json.dumps({"number": len(self.asked), "usage": {"cost": 0.5}}).encode()


async def post(opened, path, **body):
    answer = await opened.post(path, body=body, cast_to=httpx2.Response)
    return answer.headers["cache-status"], answer


@WAYS
async def test_equal_calls_are_paid_once(way):
    origin = Origin()
    async with sdk(way, origin, generic_paths=PATHS) as opened:
        status, first = await post(opened, "/ocr", document="a", pages=[1, 2])
        again, second = await post(opened, "/ocr", pages=[1.0, 2.0], document="a")
        _, other = await post(opened, "/ocr", document="a", pages=[1, 2], user="u")
        _, elsewhere = await post(opened, "/tools/extract", document="a", pages=[1, 2])
    assert "fwd=uri-miss" in status
    assert "; hit; ttl=86" in again
    assert [one.json()["number"] for one in (first, second, other, elsewhere)] == [1, 1, 2, 3]
    assert (first.json()["usage"]["cost"], second.json()["usage"]["cost"]) == (0.5, 0)


@WAYS
async def test_errors_and_streams_are_passed_on(way):
    origin = Origin()
    async with sdk(way, origin, generic_paths=PATHS) as opened:
        for _ in range(2):
            status, _ = await post(opened, "/ocr", fails=True)
            assert "detail=error-body" in status or "detail=hit-for-miss" in status
            status, stream = await post(opened, "/ocr", stream=True)
            assert "detail=stream" in status
            assert stream.text.endswith("data: [DONE]\n\n")
    assert len(origin.asked) == 4


async def test_the_transport_looks_at_no_path_that_nobody_named():
    origin = Origin()
    async with sdk(through_transport, origin, generic_paths=PATHS) as opened:
        for path in ("/ocr/x", "/extract"):
            for _ in range(2):
                answer = await opened.post(path, body={"a": 1}, cast_to=httpx2.Response)
                assert "cache-status" not in answer.headers
    assert len(origin.asked) == 4


async def test_the_gateway_sends_other_paths_and_methods_on():
    upstream = Upstream()
    async with gateway(upstream, cache={"generic_paths": PATHS}) as app:
        await ask(app, method="GET", path="/v1/ocr")
        for path in ("/v1/ocr/x", "/v1/extract"):
            assert "detail=route" in (await ask(app, b"{}", path=path)).cache_status
        refused = await ask(app, method="GET", path="/v1/chat/completions")
    assert [call[:2] for call in upstream.calls] == [("GET", "ocr"), ("POST", "ocr/x"), ("POST", "extract")]
    assert refused.status == 405


def test_a_synchronous_program():
    origin = Origin()
    with (
        BlockingCache.open(CacheConfig(generic_paths=PATHS)) as cache,
        httpx2.Client(transport=CacheTransport(cache, httpx2.MockTransport(origin.handle))) as http,
    ):
        for _ in range(2):
            answer = http.post(f"{BASE}/ocr", json={"a": 1}, headers={"authorization": "Bearer k"})
            assert answer.json()["number"] == 1
        assert "; hit" in answer.headers["cache-status"]


async def test_the_dict_call():
    asked = []

    async def fetch(body: dict) -> dict:
        asked.append(body)
        return {"number": len(asked)}

    async with Cache.open(CacheConfig(generic_paths=PATHS)) as cache:
        said = [
            (await cache.call("ocr", body, fetch, scope=Scope("acme", "origin"))).value
            for body in ({"a": 1, "b": 2}, {"b": 2.0, "a": 1})
        ]
    assert said == [{"number": 1}] * 2
    assert len(asked) == 1


def test_the_page_shows_one_configuration_twice(tmp_path, capsys):
    (toml,), (code,) = blocks(PAGE, "toml"), blocks(PAGE, "python")
    names: dict[str, object] = {}
    exec(code, names)  # the page's own snippet
    config = read_config(toml.encode(), "page").cache
    assert config == names["config"]
    assert config.generic_paths == PATHS
    (tmp_path / "c.toml").write_text(toml)
    (tmp_path / "call.json").write_text('{"document":"a"}')
    given = [
        "explain",
        str(tmp_path / "call.json"),
        "--path",
        "/v1/ocr",
        "--config",
        str(tmp_path / "c.toml"),
    ]
    assert main([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["cacheable"], told["rule"], told["lifetime"]["fresh_s"]) == (True, "generic", 86400)
