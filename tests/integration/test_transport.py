"""The transports under the real OpenAI SDK over real sockets: pay once, and otherwise as if they were not there."""

import asyncio
import contextlib
import gzip
import json
import socket
import threading
from collections.abc import AsyncIterator

import httpx2
import openai
import pytest

from tests.integration.chat_server import ChatServer, answer, events, text_for
from tests.integration.raw_server import Exchange, until
from tiered_cache.engine.blocking import BlockingCache
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig
from tiered_cache.errors import CacheClosedError
from tiered_cache.integrations.origin import HttpOrigin
from tiered_cache.integrations.transport import AsyncCacheTransport, CacheTransport, async_client, client

QUESTION = {"model": "openai/gpt-4o-mini", "temperature": 0, "messages": [{"role": "user", "content": "Hi"}]}
USAGE = {"include_usage": True}


@pytest.fixture
def server():
    with ChatServer() as running:
        yield running


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    async with Cache.open() as opened:
        yield opened


@pytest.fixture
def blocking():
    with BlockingCache.open() as opened:
        yield opened


@contextlib.asynccontextmanager
async def sdk(cache: Cache, url: str, *, key: str = "k1", scope=None, max_retries: int = 0):
    async with openai.AsyncOpenAI(
        base_url=url,
        api_key=key,
        max_retries=max_retries,
        timeout=20,
        http_client=async_client(cache, scope=scope),
    ) as opened:
        yield opened


@contextlib.contextmanager
def blocking_sdk(cache: BlockingCache, url: str, *, key: str = "k1", max_retries: int = 0):
    with openai.OpenAI(
        base_url=url, api_key=key, max_retries=max_retries, timeout=20, http_client=client(cache)
    ) as opened:
        yield opened


async def ask(opened: openai.AsyncOpenAI, **changes):
    return await opened.chat.completions.create(**(QUESTION | changes))


async def status_of(opened: openai.AsyncOpenAI, **changes) -> tuple[str, str]:
    raw = await opened.chat.completions.with_raw_response.create(**(QUESTION | changes))
    return raw.headers.get("cache-status", ""), raw.parse().choices[0].message.content


def told(chunks) -> tuple[str, list[str], list]:
    """Text, finish reasons and usages of a stream."""
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    ends = [choice.finish_reason for choice in choices if choice.finish_reason]
    return text, ends, [chunk.usage for chunk in chunks if chunk.usage]


async def collect(stream, into: list[str]) -> None:
    async for chunk in stream:
        into.append(chunk.choices[0].delta.content)


async def first_event_only(exchange: Exchange) -> None:
    await exchange.begin_chunked()
    await exchange.chunk(events(QUESTION)[1])
    await exchange.wait_gone()


class TestHits:
    async def test_equal_calls_are_paid_once_whatever_their_spelling(self, server, cache):
        async with sdk(cache, server.url) as opened:
            first = await status_of(opened)
            again = await status_of(
                opened, temperature=0.0, messages=[{"content": "Hi", "role": "user"}], n=1
            )
            other = await status_of(opened, messages=[{"role": "user", "content": "hi"}])
        assert first[1] == again[1] == text_for(QUESTION)
        assert other[1] != first[1]
        assert "hit" not in first[0] and "; hit" in again[0] and "hit" not in other[0]
        assert len(server.chats) == 2

    def test_a_synchronous_program_pays_once_too(self, server, blocking):
        with blocking_sdk(blocking, server.url) as opened:
            texts = [opened.chat.completions.create(**QUESTION).choices[0].message.content for _ in range(2)]
            raw = opened.chat.completions.with_raw_response.create(**QUESTION)
        assert texts == [text_for(QUESTION)] * 2
        assert "; hit" in raw.headers["cache-status"]
        assert raw.headers["x-tiered-cache-saved-usd"] == "0.00125"
        assert len(server.chats) == 1

    @pytest.mark.parametrize("asked", [False, True])
    @pytest.mark.parametrize("filled_by_stream", [False, True])
    async def test_one_entry_answers_json_and_streams(self, server, cache, filled_by_stream, asked):
        options = {"stream_options": USAGE} if asked else {}
        async with sdk(cache, server.url) as opened:
            if filled_by_stream:
                [chunk async for chunk in await ask(opened, stream=True)]
            else:
                await ask(opened)
            whole = await ask(opened)
            text, ends, usages = told([chunk async for chunk in await ask(opened, stream=True, **options)])
        assert (text, ends) == (text_for(QUESTION), ["stop"])
        assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (text, "stop")
        assert whole.usage.total_tokens == 10
        assert [usage.total_tokens for usage in usages] == ([10] if asked else [])
        assert len(server.chats) == 1

    def test_a_synchronous_stream_is_replayed(self, server, blocking):
        with blocking_sdk(blocking, server.url) as opened:
            live = told(list(opened.chat.completions.create(**QUESTION, stream=True)))
            replayed = told(list(opened.chat.completions.create(**QUESTION, stream=True)))
        assert live == replayed == (text_for(QUESTION), ["stop"], [])
        assert len(server.chats) == 1

    async def test_a_hundred_equal_calls_at_once_are_one(self, server, cache):
        server.hold.clear()
        async with sdk(cache, server.url) as opened:
            calls = [asyncio.create_task(ask(opened)) for _ in range(100)]
            await until(lambda: server.chats)
            await asyncio.sleep(0.2)
            server.hold.set()
            answers = await asyncio.gather(*calls)
        assert {one.choices[0].message.content for one in answers} == {text_for(QUESTION)}
        assert len(server.chats) == 1

    def test_threads_share_one_call(self, server, blocking):
        server.hold.clear()
        texts: list[str] = []

        with blocking_sdk(blocking, server.url) as opened:

            def work() -> None:
                texts.append(opened.chat.completions.create(**QUESTION).choices[0].message.content)

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            threads[0].join(0.3)
            server.hold.set()
            for thread in threads:
                thread.join()
        assert texts == [text_for(QUESTION)] * 8
        assert len(server.chats) == 1

    async def test_a_compressed_answer_is_stored_readable(self, server, cache):
        async def packed(exchange: Exchange) -> None:
            body = gzip.compress(answer(json.loads(exchange.seen.body)))
            await exchange.answer(200, body, "content-encoding: gzip")

        server.troubles.append(packed)
        async with sdk(cache, server.url) as opened:
            first, again = await status_of(opened), await status_of(opened)
        assert first[1] == again[1] == text_for(QUESTION)
        assert "; hit" in again[0]


class TestPartitions:
    async def test_another_credential_never_shares(self, server, cache):
        for key in ("k1", "k2", "k1"):
            async with sdk(cache, server.url, key=key) as opened:
                await ask(opened)
        assert [seen.values("authorization") for seen in server.chats] == [["Bearer k1"], ["Bearer k2"]]

    @pytest.mark.parametrize("scoped", [False, True])
    async def test_another_upstream_never_shares(self, server, cache, scoped):
        scope = cache.scope(tenant="acme") if scoped else None
        with ChatServer() as other:
            for url in (server.url, other.url, server.base + "/v1/", server.url):
                async with sdk(cache, url, scope=scope) as opened:
                    await ask(opened)
            assert (len(server.chats), len(other.chats)) == (1, 1)

    async def test_an_upstream_has_the_same_name_here_and_in_a_gateway(self, cache):
        for base in ("https://router.requesty.ai/v1", "http://localhost:81", "http://a/b/c"):
            request = httpx2.Request(
                "POST", f"{base}/chat/completions?x=1", headers={"authorization": "Bearer k"}
            )
            call = AsyncCacheTransport(cache)._call("chat/completions", request, b"{}")
            assert call.scope.origin_id == HttpOrigin(base).origin_id
            assert (call.endpoint, call.query) == ("chat/completions", b"x=1")

    async def test_a_given_scope_is_shared_by_its_keys(self, server, cache):
        for key in ("k1", "k2"):
            async with sdk(cache, server.url, key=key, scope=cache.scope(tenant="acme")) as opened:
                await ask(opened)
        assert len(server.chats) == 1

    async def test_a_variant_is_another_sample_and_stays_here(self, server, cache):
        async with sdk(cache, server.url) as opened:
            for variant in ("1", "2", "1"):
                await ask(opened, extra_headers={"x-tiered-cache-variant": variant})
        assert len(server.chats) == 2
        assert all(not seen.values("x-tiered-cache-variant") for seen in server.chats)


class TestPassingBy:
    async def test_other_routes_are_as_without_us(self, server, cache):
        async with sdk(cache, server.url) as opened:
            models = await opened.models.with_raw_response.list()
            await opened.files.create(file=("a.txt", b"abc" * 1000), purpose="batch")
            await opened.files.create(file=("a.txt", b"abc" * 1000), purpose="batch")
        assert models.headers["x-passed"] == "by"
        assert "cache-status" not in models.headers
        assert [seen.method for seen in server.seen] == ["GET", "POST", "POST"]
        assert b"abc" * 1000 in server.seen[2].body

    def test_a_synchronous_upload_may_be_a_generator(self, server, blocking):
        with client(blocking) as web:
            got = web.post(f"{server.url}/files", content=(piece for piece in [b"ab", b"cd"]))
            listed = web.get(f"{server.url}/models").json()
        assert (got.status_code, server.seen[0].body) == (200, b"abcd")
        assert listed["data"] == []

    @pytest.mark.parametrize("body", [b"", b"{", b"[1,", b"\xff"])
    async def test_what_is_not_json_is_for_the_origin_to_judge(self, server, cache, body):
        async def judge(exchange: Exchange) -> None:
            await exchange.answer(418, b'{"error":{"message":"origin"}}')

        server.troubles.append(judge)
        async with async_client(cache) as web:
            got = await web.post(
                f"{server.url}/chat/completions", content=body, headers={"authorization": "Bearer k"}
            )
        assert (got.status_code, got.json()["error"]["message"]) == (418, "origin")
        assert server.seen[0].body == body

    async def test_a_coded_body_passes_by_even_if_it_reads_as_json(self, server, cache):
        fields = {"authorization": "Bearer k", "content-encoding": "x-own"}
        async with async_client(cache) as web:
            for _ in range(2):
                got = await web.post(f"{server.url}/chat/completions", json=QUESTION, headers=fields)
        assert "cache-status" not in got.headers
        assert len(server.chats) == 2

    async def test_the_origin_sees_the_request_that_the_sdk_wrote(self, server, cache):
        async with openai.AsyncOpenAI(
            base_url=server.url, api_key="k1", http_client=httpx2.AsyncClient()
        ) as plain:
            await ask(plain)
        async with sdk(cache, server.url) as opened:
            await ask(opened)
        without, with_us = server.chats
        timing = {"x-stainless-retry-count", "x-stainless-read-timeout", "connection"}
        assert without.body == with_us.body
        assert {line for line in without.lines if line[0] not in timing} == {
            line for line in with_us.lines if line[0] not in timing
        }

    async def test_a_defect_of_ours_forwards_the_call_and_is_counted(self, server, cache):
        cache._callers = None
        async with sdk(cache, server.url) as opened:
            status, text = await status_of(opened)
        assert (status.partition("detail=")[2], text) == ("engine-fault", text_for(QUESTION))
        assert cache.ledger.counts["fault", "engine:AttributeError"] == 1

    async def test_a_precondition_is_ours_to_answer(self, server, cache):
        async with async_client(cache) as web:
            url, fields = f"{server.url}/chat/completions", {"authorization": "Bearer k"}
            await web.post(url, json=QUESTION, headers=fields | {"if-none-match": '"x"'})
            tag = (await web.post(url, json=QUESTION, headers=fields)).headers["etag"]
            same = await web.post(url, json=QUESTION, headers=fields | {"if-none-match": tag})
        assert same.status_code == 304
        assert same.content == b""
        assert len(server.chats) == 1
        assert server.chats[0].values("if-none-match") == []


class TestStreams:
    async def test_events_arrive_while_the_origin_is_still_speaking(self, server, cache):
        server.hold.clear()
        async with sdk(cache, server.url) as opened:
            stream = await ask(opened, stream=True)
            await anext(stream)
            assert (await anext(stream)).choices[0].delta.content == "Caf\u00e9"
            server.hold.set()
            rest = [chunk async for chunk in stream]
        assert rest[-1].choices[0].finish_reason == "stop"

    def test_events_arrive_while_the_origin_is_still_speaking_to_a_synchronous_program(
        self, server, blocking
    ):
        server.hold.clear()
        with blocking_sdk(blocking, server.url) as opened:
            stream = iter(opened.chat.completions.create(**QUESTION, stream=True))
            next(stream)
            assert next(stream).choices[0].delta.content == "Caf\u00e9"
            server.hold.set()
            assert list(stream)[-1].choices[0].finish_reason == "stop"

    async def test_a_reader_who_leaves_early_may_come_back(self, server, cache):
        server.hold.clear()
        async with sdk(cache, server.url) as opened:
            async with await ask(opened, stream=True) as stream:
                await anext(stream)
            server.hold.set()
            assert (await ask(opened)).choices[0].message.content == text_for(QUESTION)
        assert len(server.chats) == 1

    def test_a_synchronous_reader_who_leaves_early_may_come_back(self, server, blocking):
        server.hold.clear()
        with blocking_sdk(blocking, server.url) as opened:
            with opened.chat.completions.create(**QUESTION, stream=True) as stream:
                next(iter(stream))
            server.hold.set()
            assert opened.chat.completions.create(**QUESTION).choices[0].message.content == text_for(QUESTION)
        assert len(server.chats) == 1

    async def test_a_stream_that_everybody_left_ends_at_the_origin(self, server):
        server.troubles.append(first_event_only)
        async with Cache.open(CacheConfig(linger_s=0)) as cache, sdk(cache, server.url) as opened:
            async with await ask(opened, stream=True) as stream:
                await anext(stream)
            assert await asyncio.to_thread(server.exchanges[0].gone.wait, 5)

    def test_a_stream_that_a_synchronous_program_left_ends_at_the_origin(self, server):
        server.troubles.append(first_event_only)
        with BlockingCache.open(CacheConfig(linger_s=0)) as cache, blocking_sdk(cache, server.url) as opened:
            with opened.chat.completions.create(**QUESTION, stream=True) as stream:
                next(iter(stream))
            assert server.exchanges[0].gone.wait(5)

    @pytest.mark.parametrize("reset", [False, True])
    async def test_a_cut_stream_is_an_error_and_is_asked_again(self, server, cache, reset):
        async def cut(exchange: Exchange) -> None:
            await exchange.begin_chunked()
            told_so_far = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            chunk = told_so_far | {
                "choices": [{"index": 0, "delta": {"content": "Half"}, "finish_reason": None}]
            }
            await exchange.chunk(b"data: %b\n\n" % json.dumps(chunk).encode())
            await asyncio.sleep(0.05)
            if reset:
                exchange.reset()
            raise ConnectionError

        server.troubles.append(cut)
        async with sdk(cache, server.url) as opened:
            seen = []
            stream = await ask(opened, stream=True)
            with pytest.raises((openai.APIError, httpx2.TransportError)):
                await collect(stream, seen)
            assert seen == ["Half"]
            text, _, _ = told([chunk async for chunk in await ask(opened, stream=True)])
        assert text == text_for(QUESTION)
        assert len(server.chats) == 2


async def close_it(exchange: Exchange) -> None:
    raise ConnectionError


async def cut_json(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
    raise ConnectionError


async def busy(exchange: Exchange) -> None:
    await exchange.answer(429, b'{"error":{"message":"slow down","origin":"provider"}}', "retry-after: 0")


async def broken(exchange: Exchange) -> None:
    await exchange.answer(500, b'{"error":{"message":"oops"}}')


async def silent(exchange: Exchange) -> None:
    await exchange.wait_gone()


class TestFailures:
    @pytest.mark.parametrize("trouble", [close_it, cut_json, silent])
    async def test_the_sdk_sees_the_exception_that_it_would_see_without_us(self, server, cache, trouble):
        causes = []
        server.troubles += [trouble, trouble]
        plain = openai.AsyncOpenAI(
            base_url=server.url, api_key="k", max_retries=0, http_client=httpx2.AsyncClient()
        )
        async with plain, sdk(cache, server.url) as opened:
            for one in (plain, opened):
                with pytest.raises(openai.APIConnectionError) as caught:
                    await ask(one, timeout=0.3 if trouble is silent else 20)
                causes.append((type(caught.value), type(caught.value.__cause__)))
        assert causes[0] == causes[1]

    @pytest.mark.parametrize("trouble", [close_it, cut_json])
    def test_so_does_the_synchronous_sdk(self, server, blocking, trouble):
        server.troubles.append(trouble)
        with blocking_sdk(blocking, server.url) as opened:
            with pytest.raises(openai.APIConnectionError) as caught:
                opened.chat.completions.create(**QUESTION)
            assert isinstance(caught.value.__cause__, httpx2.RemoteProtocolError)
            assert opened.chat.completions.create(**QUESTION).choices[0].message.content == text_for(QUESTION)

    async def test_a_refused_connection_is_a_connection_error(self, cache):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            async with sdk(cache, f"http://127.0.0.1:{taken.getsockname()[1]}/v1") as opened:
                with pytest.raises(openai.APIConnectionError) as caught:
                    await ask(opened)
        assert isinstance(caught.value.__cause__, httpx2.ConnectError)
        assert str(caught.value.__cause__.request.url).endswith("/v1/chat/completions")

    @pytest.mark.parametrize("trouble", [close_it, cut_json, busy, broken])
    async def test_the_sdk_retries_as_without_us(self, server, cache, trouble):
        server.troubles.append(trouble)
        async with sdk(cache, server.url, max_retries=1) as opened:
            first, again = await status_of(opened), await status_of(opened)
        assert first[1] == text_for(QUESTION)
        assert "; hit" in again[0]
        assert [seen.values("x-stainless-retry-count") for seen in server.chats] == [["0"], ["1"]]

    @pytest.mark.parametrize(
        ("trouble", "kind"), [(busy, openai.RateLimitError), (broken, openai.InternalServerError)]
    )
    async def test_an_error_status_is_passed_on_and_never_stored(self, server, cache, trouble, kind):
        server.troubles += [trouble, trouble]
        async with sdk(cache, server.url) as opened:
            for _ in range(2):
                with pytest.raises(kind) as caught:
                    await ask(opened)
            assert await ask(opened)
        assert caught.value.body["message"] in {"slow down", "oops"}
        assert len(server.chats) == 3

    async def test_each_follower_of_a_failed_call_gets_an_exception_of_its_own(self, server, cache):
        gate = threading.Event()

        async def fail_late(exchange: Exchange) -> None:
            await server.loop.run_in_executor(None, gate.wait, 10)
            raise ConnectionError

        server.troubles += [fail_late] * 8
        async with sdk(cache, server.url) as opened:
            calls = [asyncio.create_task(ask(opened)) for _ in range(4)]
            await until(lambda: server.chats)
            await asyncio.sleep(0.1)
            gate.set()
            failures = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(failure.__cause__) for failure in failures} == {httpx2.RemoteProtocolError}
        assert len({id(failure.__cause__) for failure in failures}) == 4

    async def test_a_request_that_is_not_http_fails_as_in_httpx2(self, server, cache):
        headers = [(b"authorization", b"Bearer k"), (b"x-bad", b"a\nb")]
        async with async_client(cache) as web:
            with pytest.raises(httpx2.LocalProtocolError):
                await web.post(f"{server.url}/chat/completions", json=QUESTION, headers=headers)
        assert server.seen == []

    async def test_whatever_else_an_inner_transport_raises_comes_through(self, cache):
        class OddError(Exception):
            pass

        def odd(request: httpx2.Request) -> httpx2.Response:
            raise OddError

        async with httpx2.AsyncClient(transport=AsyncCacheTransport(cache, httpx2.MockTransport(odd))) as web:
            with pytest.raises(OddError):
                await web.post(
                    "http://a/v1/chat/completions", json=QUESTION, headers={"authorization": "Bearer k"}
                )


class TestTimeOuts:
    """A caller's read time-out is its own deadline and nobody else's."""

    async def test_the_leaders_short_time_out_is_not_its_followers(self, server, cache):
        server.hold.clear()
        async with sdk(cache, server.url) as opened:
            hasty = asyncio.create_task(ask(opened, timeout=0.3))
            await until(lambda: server.chats)
            patient = asyncio.create_task(ask(opened))
            with pytest.raises(openai.APITimeoutError) as caught:
                await hasty
            assert isinstance(caught.value.__cause__, httpx2.ReadTimeout)
            server.hold.set()
            assert (await patient).choices[0].message.content == text_for(QUESTION)
        assert len(server.chats) == 1

    async def test_it_counts_without_the_sdks_header_too_and_the_answer_is_kept(self, server, cache):
        server.hold.clear()
        url, fields = f"{server.url}/chat/completions", {"authorization": "Bearer k"}
        async with async_client(cache) as web:
            with pytest.raises(httpx2.ReadTimeout):
                await web.post(url, json=QUESTION, headers=fields, timeout=0.2)
            server.hold.set()
            again = await web.post(url, json=QUESTION, headers=fields)
        assert again.json()["choices"][0]["message"]["content"] == text_for(QUESTION)
        assert len(server.chats) == 1

    async def test_a_stream_that_stalls_ends_for_the_caller_who_does_not_wait(self, server, cache):
        server.hold.clear()
        async with sdk(cache, server.url) as opened:
            stream = await ask(opened, stream=True, timeout=0.3)
            with pytest.raises((openai.APITimeoutError, httpx2.ReadTimeout)):
                await collect(stream, [])
            server.hold.set()
            assert (await ask(opened)).choices[0].message.content == text_for(QUESTION)
        assert len(server.chats) == 1

    async def test_a_call_that_nobody_shares_has_its_callers_time_outs_on_the_wire(self, server, cache):
        server.troubles.append(silent)
        async with sdk(cache, server.url) as opened:
            with pytest.raises(openai.APITimeoutError):
                await ask(opened, extra_headers={"cache-control": "no-store"}, timeout=0.3)
            assert await asyncio.to_thread(server.exchanges[0].gone.wait, 5)

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ({"connect": 0.1, "read": 0.2, "write": 0.3, "pool": 0.4}, (5.0, 600.0, 600.0, None)),
            ({"connect": 9.0, "read": 900.0, "write": None, "pool": 5.0}, (9.0, 900.0, None, None)),
            ({"read": 1.0}, (None, 600.0, None, None)),
        ],
    )
    async def test_a_call_that_others_may_share_is_patient(self, cache, given, sent):
        seen = []

        def record(request: httpx2.Request) -> httpx2.Response:
            seen.append(request.extensions["timeout"])
            return httpx2.Response(
                200, content=answer(QUESTION), headers={"content-type": "application/json"}
            )

        transport = AsyncCacheTransport(cache, httpx2.MockTransport(record))
        request = httpx2.Request(
            "POST",
            "http://a/v1/chat/completions",
            json=QUESTION,
            headers={"authorization": "Bearer k"},
            extensions={"timeout": given},
        )
        await transport.handle_async_request(request)
        assert [tuple(each[name] for name in ("connect", "read", "write", "pool")) for each in seen] == [sent]


class TestClosing:
    async def test_a_closed_cache_says_so(self, server):
        async with Cache.open() as cache:
            web = async_client(cache)
        async with web:
            with pytest.raises(CacheClosedError):
                await web.post(
                    f"{server.url}/chat/completions", json=QUESTION, headers={"authorization": "Bearer k"}
                )

    def test_a_closed_blocking_cache_says_so_and_its_client_still_closes(self, server):
        with BlockingCache.open() as cache:
            web = httpx2.Client(
                transport=CacheTransport(cache, httpx2.MockTransport(lambda _: httpx2.Response(200)))
            )
        with web, pytest.raises(CacheClosedError):
            web.post(f"{server.url}/chat/completions", json=QUESTION)

    async def test_closing_the_client_closes_what_is_inside_and_not_the_cache(self, server, cache):
        async with sdk(cache, server.url) as opened:
            await ask(opened)
        await until(lambda: not server.connections)
        async with sdk(cache, server.url) as opened:
            assert "; hit" in (await status_of(opened))[0]


async def test_another_host_behind_one_address_is_another_origin(cache):
    """SEMANTICS 1: two upstreams never share."""
    with ChatServer() as server:
        async with sdk(cache, server.url) as opened:
            for host in ("eu.example", "us.example", "eu.example"):
                await opened.chat.completions.create(**QUESTION, extra_headers={"Host": host})
    assert cache.ledger.upstream_calls == 2


async def test_an_inner_transport_that_decides_where_calls_go_is_named(cache):
    def answering(text):
        whole = {**json.loads(answer(QUESTION)), "model": text}
        return httpx2.MockTransport(lambda _request: httpx2.Response(200, json=whole))

    said = []
    for name in ("one", "two", "one"):
        through = async_client(cache, inner=answering(name), origin_id=name)
        async with openai.AsyncOpenAI(
            base_url="http://upstream/v1", api_key="k", http_client=through
        ) as opened:
            said.append((await ask(opened)).model)
    assert said == ["one", "two", "one"]
    assert cache.ledger.upstream_calls == 2
