"""The origin client over real sockets: what goes out, what comes back, and how failures are named."""

import asyncio
import gzip
import socket
import zlib

import httpx2
import pytest

from tests.integration.raw_server import Exchange, RawServer
from tiered_cache.core.vocabulary import Headers, Request
from tiered_cache.errors import (
    ConfigError,
    OriginCutError,
    OriginTimeoutError,
    OriginUnreachableError,
    RequestError,
)
from tiered_cache.integrations.origin import HttpOrigin

BODY = b'{ "model":"openai/gpt-4o-mini",  "messages":[{"role":"user","content":"caf\\u00e9"}] }'
ANSWER = b'{"id":"a","choices":[]}'


def call(headers: Headers = (), query: bytes = b"", body: bytes = BODY) -> Request:
    return Request("chat/completions", body, None, headers, query)


async def ok(exchange: Exchange) -> None:
    await exchange.answer(200, ANSWER, "X-Request-Id: r1", "Set-Cookie: a=1", "Keep-Alive: timeout=5")


async def chunks_of(body) -> list[bytes]:
    return [chunk async for chunk in body]


async def test_the_origin_gets_the_callers_bytes_and_fields():
    headers = (
        (b"host", b"gateway.example"),
        (b"authorization", b"Bearer k1"),
        (b"content-type", b"application/json"),
        (b"content-length", b"999"),
        (b"x-unknown", b"caf\xe9"),
        (b"cache-control", b"max-age=3"),
    )
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        response = await origin(call(headers, query=b"api-version=1&x=%2F+%61"))
        await origin.aclose()
        (seen,) = server.seen
    assert (seen.method, seen.target) == ("POST", "/v1/chat/completions?api-version=1&x=%2F+%61")
    assert seen.body == BODY
    assert seen.values("authorization") == ["Bearer k1"]
    assert seen.values("x-unknown") == ["caf\xe9"]
    assert seen.values("cache-control") == ["max-age=3"]
    assert seen.values("host") == [server.base.removeprefix("http://")]
    assert seen.values("content-length") == [str(len(BODY))]
    assert seen.values("accept-encoding") == ["gzip, deflate"]
    assert (response.status, response.body) == (200, ANSWER)
    assert dict(response.headers)[b"x-request-id"] == b"r1"
    assert b"keep-alive" not in dict(response.headers)


@pytest.mark.parametrize(
    "line",
    [
        (b"x-tiered-cache-variant", b"2"),
        (b"x-tiered-cache-anything", b"2"),
        (b"if-none-match", b'"t"'),
        (b"if-modified-since", b"Sat, 01 Jan 2000 00:00:00 GMT"),
        (b"te", b"trailers"),
        (b"upgrade", b"h2c"),
        (b"expect", b"100-continue"),
        (b"transfer-encoding", b"chunked"),
        (b"proxy-authorization", b"Basic eA=="),
        (b"x-hop", b"1"),
    ],
)
async def test_fields_for_the_cache_or_for_one_connection_stay_here(line):
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        await origin(call((line, (b"connection", b"keep-alive, X-Hop"), (b"x-kept", b"1"))))
        await origin.aclose()
        (seen,) = server.seen
    assert seen.values(line[0].decode()) == []
    assert seen.values("connection") == []
    assert seen.values("x-kept") == ["1"]


async def test_an_injected_key_replaces_every_credential_of_the_caller():
    theirs = (
        (b"authorization", b"Bearer client"),
        (b"x-api-key", b"client"),
        (b"api-key", b"client"),
        (b"x-goog-api-key", b"client"),
        (b"cookie", b"s=client"),
    )
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url, api_key="upstream")
        await origin(call(theirs, query=b"key=client&a=1"))
        response = await origin.forward("GET", "models", b"key=client", theirs, b"")
        await response.body.aclose()
        await origin.aclose()
    for seen in server.seen:
        assert seen.values("authorization") == ["Bearer upstream"]
        assert "client" not in f"{seen.target}{seen.lines}"
    assert server.seen[0].target == "/v1/chat/completions?a=1"


async def test_no_cookie_of_one_caller_reaches_the_next():
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        await origin(call())
        await origin(call())
        await origin.aclose()
        assert len(server.seen) == 2
    assert server.seen[1].values("cookie") == []


async def test_a_redirect_is_the_callers_own_affair():
    async def elsewhere(exchange: Exchange) -> None:
        await exchange.answer(307, b"{}", "Location: http://127.0.0.1:1/")

    with RawServer(elsewhere) as server:
        origin = HttpOrigin(server.url)
        assert (await origin(call())).status == 307
        await origin.aclose()


@pytest.mark.parametrize(
    ("url", "origin_id"),
    [
        ("https://Router.Requesty.AI/v1", "https://router.requesty.ai/v1"),
        ("https://router.requesty.ai:443/v1/", "https://router.requesty.ai/v1"),
        ("HTTPS://router.eu.requesty.ai/v1", "https://router.eu.requesty.ai/v1"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://localhost:80/a/b", "http://localhost/a/b"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
    ],
)
async def test_one_upstream_has_one_name(url, origin_id):
    assert HttpOrigin(url).origin_id == origin_id


@pytest.mark.parametrize(
    "url",
    [
        "",
        "router.requesty.ai/v1",
        "ftp://a/v1",
        "https://",
        "https://u:s3cret@a/v1",
        "https://a/v1?key=s3cret",
        "http://a:x/",
    ],
)
def test_an_unusable_upstream_is_refused_without_repeating_a_secret(url):
    with pytest.raises(ConfigError) as caught:
        HttpOrigin(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "a\r\nx-evil: 1", "schlüssel"])
def test_an_unusable_key_is_refused_without_repeating_it(key):
    with pytest.raises(ConfigError) as caught:
        HttpOrigin("https://a/v1", api_key=key)
    assert key.strip() == "" or key not in str(caught.value)


async def test_an_empty_prefix_gives_no_double_slash():
    with RawServer(ok) as server:
        for base in (server.base, server.base + "/"):
            origin = HttpOrigin(base)
            await origin(call())
            await origin.aclose()
    assert [seen.target for seen in server.seen] == ["/chat/completions"] * 2


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP"])
async def test_a_coded_answer_arrives_decoded_and_unmarked(coding):
    packed = zlib.compress(ANSWER) if coding == "deflate" else gzip.compress(ANSWER)

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(200, packed, f"Content-Encoding: {coding}")

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        response = await origin(call())
        await origin.aclose()
    assert response.body == ANSWER
    assert {b"content-encoding", b"content-length"}.isdisjoint(dict(response.headers))


async def test_a_coded_stream_is_decoded_as_it_comes():
    def handler_with(release: asyncio.Event):
        async def handler(exchange: Exchange) -> None:
            packer = zlib.compressobj(wbits=31)
            await exchange.begin_chunked("content-encoding: gzip")
            await exchange.chunk(packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH))
            await release.wait()
            await exchange.chunk(packer.compress(b"data: 2\n\n") + packer.flush())
            await exchange.end_chunked()

        return handler

    release = asyncio.Event()
    with RawServer(handler_with(release)) as server:
        origin = HttpOrigin(server.url)
        response = await origin(call())
        assert await anext(response.body) == b"data: 1\n\n"
        server.loop.call_soon_threadsafe(release.set)
        assert await chunks_of(response.body) == [b"data: 2\n\n"]
        await origin.aclose()


@pytest.mark.parametrize(
    ("coding", "data"), [("br", b"x"), ("gzip", b"no gzip at all"), ("x-own, gzip", b"x")]
)
async def test_an_unreadable_coding_is_a_cut_answer_never_garbage(coding, data):
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(200, data, f"content-encoding: {coding}")

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        with pytest.raises(OriginCutError):
            await origin(call())
        await origin.aclose()


async def test_a_stream_arrives_event_by_event():
    release = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await exchange.begin_chunked()
        await exchange.chunk(b"data: 1\n\n")
        await release.wait()
        await exchange.chunk(b"data: [DONE]\n\n")
        await exchange.end_chunked()

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        response = await origin(call())
        assert await anext(response.body) == b"data: 1\n\n"
        server.loop.call_soon_threadsafe(release.set)
        assert await chunks_of(response.body) == [b"data: [DONE]\n\n"]
        await response.body.aclose()
        await origin.aclose()


async def test_a_stream_whose_length_is_known_is_a_stream_all_the_same():
    release = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
        await exchange.send(b"content-length: 18\r\n\r\ndata: 1\n\n")
        await release.wait()
        await exchange.send(b"data: 2\n\n")

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        response = await asyncio.wait_for(origin(call()), 5)
        assert await anext(response.body) == b"data: 1\n\n"
        server.loop.call_soon_threadsafe(release.set)
        assert await chunks_of(response.body) == [b"data: 2\n\n"]
        await origin.aclose()


async def test_closing_a_body_hangs_up_on_the_origin():
    async def handler(exchange: Exchange) -> None:
        await exchange.begin_chunked()
        await exchange.chunk(b"data: 1\n\n")
        await exchange.wait_gone()

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        for read_first in (True, False):
            response = await origin(call())
            if read_first:
                await anext(response.body)
            await response.body.aclose()
            await response.body.aclose()
            gone = server.exchanges[-1].gone
            assert await asyncio.to_thread(gone.wait, 5)
        await origin.aclose()


@pytest.mark.parametrize("stage", ["before the head", "in a JSON body", "in a stream"])
async def test_a_cancelled_call_hangs_up_on_the_origin(stage):
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def handler(exchange: Exchange) -> None:
        if stage == "in a JSON body":
            await exchange.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
            )
        if stage == "in a stream":
            await exchange.begin_chunked()
        loop.call_soon_threadsafe(begun.set)
        await exchange.wait_gone()

    async def whole_call(origin: HttpOrigin) -> None:
        response = await origin(call())
        await response.body.whole()

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        task = asyncio.create_task(whole_call(origin))
        await begun.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.exchanges[0].gone.wait, 5)
        await origin.aclose()


@pytest.mark.parametrize("reset", [True, False])
async def test_a_connection_that_ends_before_the_head_is_unreachable(reset):
    async def handler(exchange: Exchange) -> None:
        if reset:
            exchange.reset()
        raise ConnectionError

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        with pytest.raises(OriginUnreachableError) as caught:
            await origin(call())
        await origin.aclose()
    assert isinstance(caught.value.__cause__, httpx2.TransportError)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\ncontent-", b"SSH-2.0-OpenSSH\r\n\r\n"])
async def test_a_broken_head_is_unreachable(head):
    async def handler(exchange: Exchange) -> None:
        await exchange.send(head)
        raise ConnectionError

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        with pytest.raises(OriginUnreachableError):
            await origin(call())
        await origin.aclose()


async def test_a_refused_connection_is_unreachable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        origin = HttpOrigin(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(OriginUnreachableError) as caught:
            await origin(call())
        await origin.aclose()
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("framing", ["content-length: 100", "transfer-encoding: chunked"])
async def test_a_json_body_cut_in_the_middle_is_no_answer(framing, reset):
    async def handler(exchange: Exchange) -> None:
        await exchange.send(
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{framing}\r\n\r\n".encode()
        )
        await exchange.send(b'5\r\n{"id"\r\n' if "chunked" in framing else b'{"id":')
        if reset:
            exchange.reset()
        raise ConnectionError

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        with pytest.raises(OriginCutError):
            await origin(call())
        await origin.aclose()


@pytest.mark.parametrize("reset", [True, False])
async def test_a_stream_cut_in_the_middle_says_so_after_its_last_event(reset):
    async def handler(exchange: Exchange) -> None:
        await exchange.begin_chunked()
        await exchange.chunk(b"data: 1\n\n")
        await asyncio.sleep(0.05)
        if reset:
            exchange.reset()
        raise ConnectionError

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        response = await origin(call())
        assert await anext(response.body) == b"data: 1\n\n"
        with pytest.raises(OriginCutError):
            await anext(response.body)
        await response.body.aclose()
        await origin.aclose()


@pytest.mark.parametrize("begun", [True, False])
async def test_an_origin_that_falls_silent_is_a_time_out(begun):
    async def handler(exchange: Exchange) -> None:
        if begun:
            await exchange.begin_chunked()
            await exchange.chunk(b"data: 1\n\n")
        await exchange.wait_gone()

    async def read_all(origin: HttpOrigin) -> None:
        response = await origin(call())
        await response.body.whole()

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url, read_timeout_s=0.1)
        with pytest.raises(OriginTimeoutError) as caught:
            await read_all(origin)
        await origin.aclose()
    assert isinstance(caught.value.__cause__, httpx2.ReadTimeout)


@pytest.mark.parametrize("status", [400, 429, 500, 529])
async def test_an_error_status_is_an_answer(status):
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(status, b'{"error":{"message":"m"}}', "Retry-After: 7")

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        response = await origin(call())
        await origin.aclose()
    assert (response.status, response.body) == (status, b'{"error":{"message":"m"}}')
    assert dict(response.headers)[b"retry-after"] == b"7"


async def test_a_connection_is_used_again_after_a_whole_answer():
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        for _ in range(3):
            await origin(call())
        connections = len(server.connections)
        await origin.aclose()
    assert (len(server.seen), connections) == (3, 1)


async def test_header_values_that_are_not_http_are_the_callers_fault():
    origin = HttpOrigin("http://127.0.0.1:9/v1")
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        with pytest.raises(RequestError) as caught:
            await origin(call(((b"x-bad", b"a\nx-evil: s3cret"),)))
        await origin.aclose()
    assert server.seen == []
    assert "s3cret" not in str(caught.value)


async def test_forward_leaves_the_answer_as_it_came():
    packed = gzip.compress(b"[1,2]")

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(
            206, packed, "Content-Encoding: gzip", 'ETag: W/"x"', "Connection: X-Hop", "X-Hop: 1"
        )

    headers = ((b"accept-encoding", b"gzip"), (b"if-none-match", b'"a"'), (b"range", b"bytes=0-"))
    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        response = await origin.forward("GET", "models", b"limit=1", headers, b"")
        assert await response.body.whole() == packed
        await origin.aclose()
    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("GET", "/v1/models?limit=1", b"")
    assert seen.values("if-none-match") == ['"a"']
    assert seen.values("accept-encoding") == ["gzip"]
    assert seen.values("content-length") == []
    fields = dict(response.headers)
    assert (response.status, fields[b"content-encoding"], fields[b"etag"]) == (206, b"gzip", b'W/"x"')
    assert fields[b"content-length"] == str(len(packed)).encode()
    assert {b"connection", b"x-hop"}.isdisjoint(fields)


async def test_forward_asks_for_no_coding_that_the_caller_did_not_ask_for():
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        await (await origin.forward("GET", "models", b"", (), b"")).body.whole()
        await origin.aclose()
    assert server.seen[0].values("accept-encoding") == []


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_an_answer_without_a_body_gives_its_connection_back(method, status):
    async def handler(exchange: Exchange) -> None:
        await exchange.send(
            f"HTTP/1.1 {status} X\r\n{'content-length: 7' if status == 200 else 'x-a: 1'}\r\n\r\n".encode()
        )

    with RawServer(handler) as server:
        origin = HttpOrigin(server.url)
        for _ in range(2):
            response = await origin.forward(method, "models", b"", (), b"")
            assert (response.status, response.body) == (status, b"")
        assert len(server.connections) == 1
        await origin.aclose()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
async def test_forward_sends_whole_bodies_with_their_length(method):
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        for body in (b"", b"\x00\xff" * 3):
            await (
                await origin.forward(method, "files/a", b"", ((b"content-type", b"a/b"),), body)
            ).body.whole()
        await origin.aclose()
    assert [seen.body for seen in server.seen] == [b"", b"\x00\xff" * 3]
    assert server.seen[0].values("content-length") == (["0"] if method in {"POST", "PUT"} else [])


@pytest.mark.parametrize("length", [None, b"6"])
async def test_forward_streams_an_upload_as_it_comes(length):
    async def upload():
        yield b"abc"
        yield b"def"

    headers = () if length is None else ((b"content-length", length),)
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        await (await origin.forward("POST", "files", b"", headers, upload())).body.whole()
        await origin.aclose()
    (seen,) = server.seen
    assert seen.body == b"abcdef"
    assert seen.values("transfer-encoding") == (["chunked"] if length is None else [])


async def test_what_an_upload_raises_reaches_who_forwards():
    class CallerGoneError(Exception):
        pass

    async def upload():
        yield b"abc"
        raise CallerGoneError

    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        with pytest.raises(CallerGoneError):
            await origin.forward("POST", "files", b"", (), upload())
        await origin.aclose()


@pytest.mark.parametrize(
    "path", ["../admin", "models/../../x", "a/%2e%2E/b", "./models", "a/.", "a%2F..%2Fb"]
)
async def test_a_path_cannot_leave_the_api_base(path):
    origin = HttpOrigin("http://127.0.0.1:9/v1", api_key="k")
    with pytest.raises(RequestError):
        await origin.forward("GET", path, b"", (), b"")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("models", "/v1/models"),
        ("/models", "/v1//models"),
        ("models/openai%2Fgpt-4o", "/v1/models/openai%2Fgpt-4o"),
        ("models/a b", "/v1/models/a%20b"),
        ("models/é?x", "/v1/models/%C3%A9%3Fx"),
        ("models/a..b/...", "/v1/models/a..b/..."),
        ("files/", "/v1/files/"),
        ("a//b", "/v1/a//b"),
        ("", "/v1/"),
    ],
)
async def test_a_path_goes_out_as_it_came(path, target):
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        await (await origin.forward("GET", path, b"", (), b"")).body.whole()
        await origin.aclose()
    assert server.seen[0].target == target


@pytest.mark.parametrize(
    ("query", "raw"), [(b'a=1&b[]=%zz&c={x}|"', 'a=1&b[]=%zz&c={x}|"'), (b"q=\xc3\xa9 x", "q=%C3%A9%20x")]
)
async def test_a_query_goes_out_as_it_came(query, raw):
    with RawServer(ok) as server:
        origin = HttpOrigin(server.url)
        await (await origin.forward("GET", "models", query, (), b"")).body.whole()
        await origin.aclose()
    assert server.seen[0].target == f"/v1/models?{raw}"


async def test_the_environments_proxy_is_used_and_its_exceptions_are_kept(monkeypatch):
    with RawServer(ok) as proxy, RawServer(ok) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.base.removeprefix("http://"))
        monkeypatch.setenv("NO_PROXY", "")
        origin = HttpOrigin("http://origin.example/v1")
        await origin(call())
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        direct = HttpOrigin(server.url)
        await direct(call())
        await origin.aclose()
        await direct.aclose()
    assert [seen.target for seen in proxy.seen] == ["http://origin.example/v1/chat/completions"]
    assert [seen.target for seen in server.seen] == ["/v1/chat/completions"]


async def test_more_calls_than_a_pool_would_hold_wait_for_no_connection():
    """Callers are the bound: no call fails because a thousand others are under way."""
    calls = 1100

    all_are_here = asyncio.Event()

    async def when_all_are_here(exchange: Exchange) -> None:
        if len(server.seen) == calls:
            all_are_here.set()
        await all_are_here.wait()
        await exchange.answer(200, ANSWER)

    with RawServer(when_all_are_here) as server:
        origin = HttpOrigin(server.url, connect_timeout_s=5)
        answers = await asyncio.gather(*[origin(call()) for _ in range(calls)])
        await origin.aclose()
    assert {answer.status for answer in answers} == {200}
