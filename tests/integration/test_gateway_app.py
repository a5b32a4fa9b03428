"""The ASGI app: routes, limits, refusals, framing, forwarding, callers that leave."""

import asyncio
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.gateway_kit import (
    CHAT,
    JSON,
    KEY,
    OTHER_KEY,
    Pieces,
    Upstream,
    Wire,
    ask,
    chat,
    gateway,
)
from tiered_cache.core.vocabulary import Response
from tiered_cache.errors import OriginCutError, OriginTimeoutError, OriginUnreachableError


async def test_an_equal_call_hits_and_is_framed_for_the_wire():
    upstream = Upstream()
    async with gateway(upstream) as app:
        first = await ask(app, chat())
        second = await ask(app, chat())
    assert (first.status, second.status) == (200, 200)
    assert "fwd=uri-miss" in first.cache_status
    assert "; hit" in second.cache_status
    assert "detail=L1" in second.cache_status
    assert len(upstream.requests) == 1
    for answered in (first, second):
        assert answered.whole
        assert answered.value("content-length") == str(len(answered.body))
        assert answered.value("date").endswith(" GMT")
        assert answered.value("transfer-encoding") is None
        assert answered.json["choices"][0]["message"]["content"] == "hi"
    assert second.value("x-tiered-cache-saved-usd") == "0.00125"


async def test_another_credential_never_shares():
    upstream = Upstream()
    async with gateway(upstream) as app:
        await ask(app, chat())
        other = await ask(app, chat(), headers=(OTHER_KEY, JSON))
        none = await ask(app, chat(), headers=(JSON,))
    assert "; hit" not in other.cache_status
    assert "detail=no-credential" in none.cache_status
    assert len(upstream.requests) == 3


async def test_a_validator_that_matches_gives_304_without_a_body():
    async with gateway() as app:
        await ask(app, chat())
        etag = (await ask(app, chat())).value("etag")
        fresh = await ask(app, chat(), headers=(KEY, JSON, (b"if-none-match", etag.encode())))
        changed = await ask(app, chat(), headers=(KEY, JSON, (b"if-none-match", b'"another"')))
    assert (fresh.status, fresh.body, fresh.whole) == (304, b"", True)
    assert fresh.value("content-length") is None
    assert fresh.value("etag") == etag
    assert changed.status == 200


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models", "/chat/completions", "/healthz/x", "/v1x/models"])
async def test_paths_that_are_nobodys_are_404_in_openais_shape(path):
    upstream = Upstream()
    async with gateway(upstream) as app:
        answered = await ask(app, method="GET", path=path)
    assert answered.status == 404
    assert answered.error["type"] == "invalid_request_error"
    assert answered.cache_status == ""
    assert answered.value("x-request-id")
    assert upstream.calls == []


@pytest.mark.parametrize(
    "path", ["/v1/../admin", "/v1/%2E%2E/admin", "/v1/models/..%2F..%2Fadmin", "/v1/./models"]
)
async def test_no_path_climbs_out_of_the_upstreams_api(path):
    upstream = Upstream()
    async with gateway(upstream) as app:
        assert (await ask(app, method="GET", path=path)).status == 404
    assert upstream.calls == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "QUERY"])
async def test_a_cacheable_path_takes_post_alone(method):
    upstream = Upstream()
    async with gateway(upstream) as app:
        answered = await ask(app, method=method)
    assert answered.status == 405
    assert answered.value("allow") == "POST, OPTIONS"
    assert answered.cache_status == ""
    assert upstream.calls == []


async def test_options_goes_to_the_upstream():
    upstream = Upstream(forwarded=Response(204, ((b"access-control-allow-origin", b"*"),), b""))
    async with gateway(upstream) as app:
        answered = await ask(app, method="OPTIONS")
    assert (answered.status, upstream.calls[0][:2]) == (204, ("OPTIONS", "chat/completions"))
    assert answered.value("content-length") is None


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"application/json", 200),
        (b"application/json; charset=utf-8", 200),
        (b"Application/JSON", 200),
        (b"application/vnd.api+json", 200),
        (None, 200),
        (b"text/plain", 415),
        (b"application/x-www-form-urlencoded", 415),
        (b"application/jsonx", 415),
        (b"", 415),
    ],
)
async def test_a_cacheable_call_is_json_or_415(content_type, status):
    lines = (KEY,) if content_type is None else (KEY, (b"content-type", content_type))
    async with gateway() as app:
        answered = await ask(app, chat(), headers=lines)
    assert answered.status == status
    if status == 415:
        assert answered.error["code"] == "unsupported_media_type"


@pytest.mark.parametrize("body", [b"", b"   ", b"{", b"nonsense", b'{"model":}'])
async def test_what_no_json_parser_reads_is_400_and_goes_nowhere(body):
    upstream = Upstream()
    async with gateway(upstream) as app:
        answered = await ask(app, body)
    assert answered.status == 400
    assert answered.error["message"]
    assert upstream.requests == []


class TestLimits:
    """413 while reading; a limit of zero is zero; the caller reads the refusal although it is still sending."""

    async def test_the_announced_length_is_refused_before_the_body_is_read(self):
        wire = Wire(b"x", b"y")
        headers = (KEY, JSON, (b"content-length", b"1000001"), (b"expect", b"100-continue"))
        async with gateway(max_body_bytes=1_000_000) as app:
            task = asyncio.create_task(ask(app, headers=headers, wire=wire))
            await asyncio.wait_for(wire.begun.wait(), 5)
            answered = await task
        assert answered.status == 413
        assert answered.error["code"] == "request_too_large"
        assert answered.value("connection") == "close"
        assert answered.value("content-length") == str(len(answered.body))

    async def test_a_body_that_grows_over_the_limit_is_refused_before_its_end(self):
        gate = asyncio.Event()
        wire = Wire(b"x" * 60, b"x" * 60, b"the last piece", gate=gate)
        async with gateway(max_body_bytes=100) as app:
            task = asyncio.create_task(ask(app, wire=wire))
            await asyncio.wait_for(wire.begun.wait(), 5)
            assert wire.answered.status == 413
            assert not wire.answered.whole
            gate.set()
            assert (await task).whole

    @pytest.mark.parametrize(("spare", "status"), [(0, 200), (-1, 413)])
    async def test_the_limit_itself_is_allowed(self, spare, status):
        body = chat()
        for pieces in ([body], [body[:10], body[10:]]):
            async with gateway(max_body_bytes=len(body) + spare) as app:
                assert (await ask(app, *pieces)).status == status

    async def test_zero_means_zero(self):
        async with gateway(max_body_bytes=0) as app:
            assert (await ask(app, chat())).status == 413

    async def test_without_an_operators_limit_a_long_body_streams_through_uncached(self):
        upstream = Upstream()
        gate = asyncio.Event()
        wire = Wire(b"x" * 60, b"x" * 60, b"end", gate=gate)
        async with gateway(upstream, max_body_bytes="unlimited", cache={"max_body_bytes": 100}) as app:
            task = asyncio.create_task(ask(app, wire=wire))
            await asyncio.wait_for(upstream.arrived.wait(), 5)
            assert b"".join(upstream.bodies[0]) == b"x" * 120, "it was not sent on while it arrived"
            gate.set()
            answered = await task
        assert b"".join(upstream.bodies[0]) == b"x" * 120 + b"end"
        assert "fwd=bypass" in answered.cache_status
        assert "detail=too-large" in answered.cache_status

    async def test_a_body_over_the_engines_limit_in_one_piece_is_forwarded_uncached(self):
        upstream = Upstream()
        async with gateway(upstream, max_body_bytes="unlimited", cache={"max_body_bytes": 100}) as app:
            for _ in range(2):
                answered = await ask(app, chat("x" * 100))
                assert answered.status == 200
                assert "detail=too-large" in answered.cache_status

    async def test_a_long_body_passing_the_operators_limit_on_its_way_is_413(self):
        wire = Wire(b"x" * 60, b"x" * 60, b"x" * 60, b"end")
        async with gateway(max_body_bytes=150, cache={"max_body_bytes": 100}) as app:
            answered = await ask(app, wire=wire)
        assert answered.status == 413

    async def test_other_routes_have_no_limit(self):
        upstream = Upstream()
        async with gateway(upstream, max_body_bytes=10) as app:
            answered = await ask(app, b"x" * 50, b"y" * 50, path="/v1/files")
        assert answered.status == 200
        assert b"".join(upstream.bodies[0]) == b"x" * 50 + b"y" * 50


class TestForwarding:
    """Everything else under /v1 goes on untouched, streaming both ways."""

    async def test_method_path_query_fields_and_body_arrive_as_they_were_sent(self):
        upstream = Upstream()
        headers = (KEY, (b"x-unknown", b"1"), (b"x-unknown", b"2"), (b"content-type", b"text/csv"))
        async with gateway(upstream) as app:
            answered = await ask(
                app,
                b"a,b",
                method="PATCH",
                path="/v1/models/openai%2Fgpt-4o",
                query=b"a=1&a=2",
                headers=headers,
            )
        assert upstream.calls == [("PATCH", "models/openai%2Fgpt-4o", b"a=1&a=2", headers)]
        assert upstream.bodies == [[b"a,b"]]
        assert answered.json == {"data": []}
        assert "fwd=method" in answered.cache_status

    async def test_the_upstreams_own_cache_status_stays_before_ours(self):
        lines = (
            (b"cache-status", b"CDN; hit"),
            (b"cache-status", b"Shield; fwd=miss"),
            (b"content-encoding", b"gzip"),
            (b"cache-control", b"public, max-age=600"),
            (b"date", b"Mon, 01 Jan 2024"),
        )
        upstream = Upstream(forwarded=Response(200, lines, b"\x1f\x8b..."))
        async with gateway(upstream) as app:
            answered = await ask(app, method="GET", path="/v1/models")
        assert answered.cache_status == (
            "CDN; hit, Shield; fwd=miss, tiered-cache; fwd=bypass; fwd-status=200; detail=route"
        )
        assert answered.value("cache-control") == "public, max-age=600"
        assert answered.value("date") == "Mon, 01 Jan 2024"
        assert answered.body == b"\x1f\x8b..."

    async def test_an_upload_goes_on_before_it_has_ended(self):
        upstream = Upstream()
        gate = asyncio.Event()
        wire = Wire(b"first", b"second", b"last", gate=gate)
        async with gateway(upstream) as app:
            task = asyncio.create_task(ask(app, path="/v1/files", wire=wire))
            await asyncio.wait_for(upstream.arrived.wait(), 5)
            assert upstream.bodies[0][0] == b"first"
            gate.set()
            await task
        assert b"".join(upstream.bodies[0]) == b"firstsecondlast"

    async def test_a_stream_comes_back_piece_by_piece(self):
        body = Pieces(b"data: 1\n\n", b"data: 2\n\n")
        upstream = Upstream(forwarded=Response(200, ((b"content-type", b"text/event-stream"),), body))
        async with gateway(upstream) as app:
            answered = await ask(app, b"{}", path="/v1/audio/translations")
        assert answered.pieces == [b"data: 1\n\n", b"data: 2\n\n"]
        assert answered.whole
        assert body.closed
        assert answered.value("content-length") is None

    async def test_an_error_of_the_upstream_is_passed_on_as_it_is(self):
        body = b'{"error":{"origin":"router","message":"no"}}'
        upstream = Upstream(forwarded=Response(404, (JSON, (b"retry-after", b"3")), body))
        async with gateway(upstream) as app:
            answered = await ask(app, method="GET", path="/v1/nothing")
        assert (answered.status, answered.body, answered.value("retry-after")) == (404, body, "3")


FAILURES = [
    (OriginUnreachableError("refused"), 502, "origin_unreachable"),
    (OriginCutError("cut"), 502, "origin_cut"),
    (OriginTimeoutError("slow"), 504, "origin_timeout"),
]


class TestFailures:
    """The upstream gave no answer: 502 or 504 in OpenAI's shape, and no Cache-Status on what we made ourselves."""

    @pytest.mark.parametrize(("error", "status", "code"), FAILURES)
    @pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
    async def test_no_answer_is_502_or_504(self, error, status, code, path):
        async with gateway(Upstream(reply=error, forwarded=error)) as app:
            answered = await ask(app, chat(), path=path)
        assert (answered.status, answered.error["code"]) == (status, code)
        assert answered.error["type"] == "api_error"
        assert answered.cache_status == ""
        assert answered.value("x-request-id")

    async def test_an_answer_that_breaks_off_ends_without_an_end_of_body(self):
        body = Pieces(b"data: 1\n\n", error=OriginCutError("cut"))
        upstream = Upstream(forwarded=Response(200, (), body))
        async with gateway(upstream) as app:
            answered = await ask(app, b"{}", path="/v1/audio/translations")
        assert answered.pieces == [b"data: 1\n\n"]
        assert not answered.whole
        assert body.closed

    async def test_an_unreachable_upstream_is_reported_to_a_caller_that_is_still_sending(self):
        class Refusing(Upstream):
            async def forward(self, *_):
                raise OriginUnreachableError("refused")

        async with gateway(Refusing()) as app:
            answered = await ask(app, b"x" * 70_000, b"y", path="/v1/files")
        assert (answered.status, answered.whole) == (502, True)


async def soon(task: asyncio.Task):
    """The task's result; not by wait_for, whose own cancellation would end what should have ended by itself."""
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done, "it goes on although the caller has left"
    return task.result()


class TestLeaving:
    """A caller that leaves frees what was done for it alone."""

    async def test_the_upstreams_stream_is_closed(self):
        body = Pieces(b"data: 1\n\n", hang=True)
        wire = Wire(b"{}")
        async with gateway(Upstream(forwarded=Response(200, (), body))) as app:
            task = asyncio.create_task(ask(app, path="/v1/audio/translations", wire=wire))
            await asyncio.wait_for(wire.begun.wait(), 5)
            wire.leave()
            answered = await soon(task)
        assert body.closed
        assert not answered.whole

    async def test_a_call_under_way_is_cancelled(self):
        upstream = Upstream()
        upstream.hold = asyncio.Event()
        wire = Wire(b"{}")
        async with gateway(upstream) as app:
            task = asyncio.create_task(ask(app, path="/v1/embeddings", wire=wire))
            await asyncio.wait_for(upstream.arrived.wait(), 5)
            wire.leave()
            answered = await soon(task)
        assert upstream.cancelled.is_set()
        assert answered.status == 0

    async def test_an_upload_that_breaks_off_is_not_sent_on_as_whole(self):
        ended = []

        class Reading(Upstream):
            async def forward(self, method, path, query, headers, body):
                async for piece in body:
                    ended.append(piece)
                    wire.leave()
                ended.append(b"end")

        wire = Wire(b"first", b"second")
        async with gateway(Reading()) as app:
            answered = await ask(app, path="/v1/files", wire=wire)
        assert ended == [b"first"]
        assert answered.status == 0

    async def test_cancellation_from_elsewhere_passes_through(self):
        upstream = Upstream()
        upstream.hold = asyncio.Event()
        async with gateway(upstream) as app:
            task = asyncio.create_task(ask(app, b"{}", path="/v1/embeddings"))
            await asyncio.wait_for(upstream.arrived.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def test_no_task_is_left_behind(self):
        async with gateway() as app:
            before = asyncio.all_tasks()
            await ask(app, chat())
            await ask(app, b"{}", path="/v1/embeddings")
            await asyncio.sleep(0.01)
            assert asyncio.all_tasks() <= before


class TestOwnPages:
    """Health and metrics."""

    async def test_health_says_ok_then_draining(self):
        async with gateway() as app:
            healthy = await ask(app, method="GET", path="/healthz", headers=())
            head = await ask(app, method="HEAD", path="/healthz", headers=())
            app.draining = True
            draining = await ask(app, method="GET", path="/healthz", headers=())
        assert (healthy.status, healthy.json["status"]) == (200, "ok")
        assert head.status == 200
        assert (draining.status, draining.json["status"]) == (503, "draining")

    async def test_health_needs_get(self):
        async with gateway() as app:
            assert (await ask(app, path="/healthz")).status == 405

    async def test_the_metrics_page_can_be_switched_off(self):
        async with gateway(metrics=False) as app:
            assert (await ask(app, method="GET", path="/metrics")).status == 404

    async def test_the_metrics_page_counts_what_was_served_and_names_nobody(self):
        async with gateway() as app:
            for _ in range(3):
                await ask(app, chat("a prompt nobody may read"))
            await ask(app, b"", headers=(KEY, (b"content-type", b"text/plain")))
            page = (await ask(app, method="GET", path="/metrics", headers=())).body.decode()
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }
        model = "openai/gpt-4o-mini"
        assert samples["tiered_cache_requests_total", "L1", "hit", model] == 2
        assert samples["tiered_cache_saved_usd_total", "L1", "hit", model] == pytest.approx(0.0025)
        assert samples["tiered_cache_saved_tokens_total", "L1", "completion", "hit", model] == 6
        assert samples["tiered_cache_upstream_calls_total",] == 1
        assert samples["tiered_cache_stored_total", ""] == 1
        assert samples["tiered_cache_request_seconds_count", "hit-L1"] == 2
        assert samples["tiered_cache_request_seconds_count", "miss"] == 1
        assert samples["tiered_cache_request_seconds_count", "refused"] == 1
        assert "nobody may read" not in page
        assert "rqy_one" not in page


async def test_a_stream_caller_and_a_json_caller_share_one_entry():
    async with gateway() as app:
        await ask(app, chat())
        streamed = await ask(app, chat(stream=True))
    assert "; hit" in streamed.cache_status
    assert streamed.value("content-type").startswith("text/event-stream")
    assert streamed.body.endswith(b"data: [DONE]\n\n")
    first = json.loads(streamed.body.split(b"\n\n")[0].removeprefix(b"data: "))
    assert first["object"] == "chat.completion.chunk"


class Faulty:
    """Fails as no part of ours should."""

    def read(self, headers, query):
        raise ZeroDivisionError


@pytest.mark.parametrize("pieces", [(chat(),), (chat()[:9], chat()[9:])])
async def test_a_defect_in_reading_the_fields_forwards_the_call_and_is_counted(pieces):
    upstream = Upstream()
    async with gateway(upstream) as app:
        app._cache._callers = Faulty()
        answered = await ask(app, *pieces)
        faults = app._cache.ledger.counts["fault", "engine:ZeroDivisionError"]
    assert answered.status == 200
    assert answered.cache_status == "tiered-cache; fwd=bypass; fwd-status=200; detail=engine-fault"
    assert (len(upstream.requests), faults) == (1, 1)
