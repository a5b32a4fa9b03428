"""Real processes, real sockets, the real OpenAI SDK against the simulated Requesty."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import signal
import socket
import time

import openai
import pytest
import redis

from tests.integration.gateway_process import SECRET, GatewayProcess, until
from tests.integration.raw_server import RawServer
from tiered_cache.gateway.admission import key_digest
from tiered_cache.simulation.process import SimulatedRequesty
from tiered_cache.simulation.requesty import expected_text

QUESTION = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    "temperature": 0,
}


@pytest.fixture(scope="module")
def requesty():
    with SimulatedRequesty() as simulated:
        yield simulated


@pytest.fixture(scope="module")
def node(requesty):
    with GatewayProcess("--upstream", requesty.url) as gateway:
        yield gateway


def client(node: GatewayProcess, key: str = "rqy_one") -> openai.OpenAI:
    return openai.OpenAI(base_url=node.url, api_key=key, max_retries=0, timeout=20)


def ask(sdk: openai.OpenAI, text: str, **fields):
    """The answer's words, Cache-Status and usage, whatever the shape."""
    call = QUESTION | {"messages": [{"role": "user", "content": text}]} | fields
    raw = sdk.chat.completions.with_raw_response.create(**call)
    status, parsed = raw.headers["cache-status"], raw.parse()
    if not fields.get("stream"):
        return parsed.choices[0].message.content, status, parsed.usage
    chunks = list(parsed)
    words = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return words, status, chunks[-1].usage


class TestTheSdk:
    """Through the gateway the SDK cannot tell a hit from the origin's answer."""

    @pytest.mark.parametrize("first", [False, True])
    @pytest.mark.parametrize("then", [False, True])
    def test_each_shape_is_answered_from_the_others_entry(self, node, first, then):
        text = f"first {first} then {then}"
        expected = expected_text(QUESTION | {"messages": [{"role": "user", "content": text}]})
        with client(node) as sdk:
            words, status, _ = ask(sdk, text, stream=first)
            assert (words, "; hit" in status) == (expected, False)
            words, status, _ = ask(sdk, text, stream=then)
            assert words == expected
            assert "; hit" in status
            assert "detail=L1" in status

    def test_usage_comes_to_stream_callers_that_ask_and_costs_nothing_on_a_hit(self, node):
        with client(node) as sdk:
            _, _, silent = ask(sdk, "usage?", stream=True)
            _, status, told = ask(sdk, "usage?", stream=True, stream_options={"include_usage": True})
        assert silent is None
        assert "; hit" in status
        assert told.completion_tokens > 0
        assert told.cost == 0

    def test_equal_meaning_in_another_spelling_hits_and_another_meaning_misses(self, node):
        spelled = [
            '{"model":"openai/gpt-4o-mini","temperature":0,"messages":[{"role":"user","content":"caf\\u00e9"}]}',
            """{ "messages": [{"content": "café", "role": "user"}], "n": 1, "temperature": 0.0,
                 "user": "me", "model": "openai/gpt-4o-mini", "stop": null }""",
        ]
        others = [
            spelled[0].replace("caf", "Caf"),
            spelled[0].replace('"temperature":0', '"temperature":0,"top_p":1'),
        ]
        statuses = [post(node, body)[1]["cache-status"] for body in spelled + others]
        assert ["; hit" in status for status in statuses] == [False, True, False, False]

    def test_another_credential_never_shares(self, node, requesty):
        before = requesty.stats().chat_calls
        for key in ("rqy_a", "rqy_b"):
            with client(node, key) as sdk:
                assert "; hit" not in ask(sdk, "mine alone")[1]
        assert requesty.stats().chat_calls == before + 2

    def test_models_are_forwarded(self, node):
        with client(node) as sdk:
            assert "openai/gpt-4o-mini" in [model.id for model in sdk.models.list()]

    @pytest.mark.parametrize("status", [400, 402, 429, 503])
    def test_errors_of_the_upstream_reach_the_sdk_and_are_not_stored(self, node, status):
        with client(node) as sdk:
            for _ in range(2):
                with pytest.raises(openai.APIStatusError) as caught:
                    ask(
                        sdk, f"fail {status}", extra_headers={"x-simulate": f"status={status}, retry-after=2"}
                    )
                assert caught.value.status_code == status
                assert caught.value.response.headers["retry-after"] == "2"
                assert "; hit" not in caught.value.response.headers["cache-status"]

    def test_a_cut_stream_is_no_whole_answer_and_is_not_stored(self, node):
        cut = {"stream": True, "extra_headers": {"x-simulate": "cut=2"}}
        whole = expected_text(QUESTION | {"messages": [{"role": "user", "content": "cut"}]})
        with client(node) as sdk:
            # The SDK raises for the error event that ends the stream.
            with pytest.raises(openai.APIError):
                ask(sdk, "cut", **cut)
            words, status, _ = ask(sdk, "cut", stream=True)
        assert words == whole
        assert "; hit" not in status


def post(node: GatewayProcess, body: str | bytes, **headers: str):
    """Status, header fields and body of one call made without an SDK."""
    host, port = node.base.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    fields = {"authorization": "Bearer rqy_one", "content-type": "application/json"} | headers
    data = body.encode() if isinstance(body, str) else body
    connection.request("POST", "/v1/chat/completions", data, fields)
    response = connection.getresponse()
    answered = (
        response.status,
        {name.lower(): value for name, value in response.getheaders()},
        response.read(),
    )
    connection.close()
    return answered


def test_if_none_match_is_answered_with_304_on_the_wire(node):
    body = json.dumps(QUESTION | {"seed": 304})
    post(node, body)
    _, headers, whole = post(node, body)
    status, again, nothing = post(node, body, **{"if-none-match": headers["etag"]})
    assert (status, nothing, again["etag"]) == (304, b"", headers["etag"])
    assert whole


def test_concurrent_equal_calls_make_one_upstream_call(node, requesty):
    before = requesty.stats().chat_calls

    async def run() -> set[str]:
        async with openai.AsyncOpenAI(base_url=node.url, api_key="rqy_crowd", max_retries=0) as sdk:
            slow = {"x-simulate": "first-token-s=0.3"}
            calls = [sdk.chat.completions.create(**QUESTION, extra_headers=slow) for _ in range(100)]
            return {answer.choices[0].message.content for answer in await asyncio.gather(*calls)}

    assert asyncio.run(run()) == {expected_text(QUESTION)}
    assert requesty.stats().chat_calls == before + 1


def test_a_refusal_reaches_a_caller_that_sends_its_whole_body_first(requesty):
    with GatewayProcess("--upstream", requesty.url, "--max-body", "64KiB") as gateway:
        for length in (65_537, 8_000_000):
            status, _, body = post(gateway, b"x" * length)
            assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")
        assert post(gateway, json.dumps(QUESTION))[0] == 200


def test_an_unreachable_upstream_is_502():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with GatewayProcess("--upstream", url) as gateway, client(gateway) as sdk:
        with pytest.raises(openai.InternalServerError) as caught:
            ask(sdk, "anyone there?")
        assert (caught.value.status_code, caught.value.code) == (502, "origin_unreachable")
        with pytest.raises(openai.InternalServerError):
            sdk.models.list()


def test_client_keys_are_needed_and_only_the_upstream_key_goes_upstream(tmp_path):
    async def answer(exchange):
        await exchange.answer(200, b'{"object":"list","data":[]}')

    config = tmp_path / "gateway.toml"
    config.write_text(f'[client_keys]\n{key_digest(b"client-one")} = "acme"\n')
    with (
        RawServer(answer) as origin,
        GatewayProcess(
            "--upstream",
            origin.url,
            "--config",
            str(config),
            "--log-level",
            "debug",
            REQUESTY_API_KEY="rqy_upstream",
        ) as gateway,
    ):
        with client(gateway, "client-one") as sdk:
            sdk.models.list()
        with client(gateway, "client-two") as sdk, pytest.raises(openai.AuthenticationError):
            sdk.models.list()
        log = gateway.log
    assert [seen.values("authorization") for seen in origin.seen] == [["Bearer rqy_upstream"]]
    for secret in ("rqy_upstream", "client-one", "client-two"):
        assert secret not in log


class TestTwoNodes:
    """Two gateways on one Valkey."""

    def test_what_one_node_paid_for_the_other_serves(self, requesty, redis_url):
        arguments = ("--upstream", requesty.url, "--redis", redis_url)
        with (
            contextlib.closing(redis.Redis.from_url(redis_url)) as valkey,
            GatewayProcess(*arguments, TIERED_CACHE_SECRET=SECRET) as one,
            GatewayProcess(*arguments, TIERED_CACHE_SECRET=SECRET) as two,
            client(one, "rqy_nodes") as first,
            client(two, "rqy_nodes") as second,
        ):
            before = set(valkey.keys())
            words, _, _ = ask(first, "shared?")
            until(lambda: set(valkey.keys()) - before)  # the write to Valkey is behind the answer
            again, status, _ = ask(second, "shared?", stream=True)
            assert (again, "detail=L2" in status) == (words, True)
            assert "detail=L1" in ask(second, "shared?")[1]

    def test_killing_valkey_under_load_fails_no_call_and_slows_none_by_half_a_second(
        self, requesty, own_valkey
    ):
        """Valkey killed and back in mid-traffic: no failed call."""
        arguments = ("--upstream", requesty.url, "--redis", own_valkey.url)
        with GatewayProcess(*arguments, TIERED_CACHE_SECRET=SECRET) as node, client(node) as sdk:

            def timed(number: int) -> float:
                began_s = time.perf_counter()
                ask(sdk, f"under load {number % 40}", temperature=0, seed=number // 80)
                return time.perf_counter() - began_s

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                before = list(pool.map(timed, range(100)))
                calls = [pool.submit(timed, number) for number in range(100, 400)]
                own_valkey.kill()
                during = [call.result() for call in calls]
                degraded = json.loads(node.get("/healthz"))["status"]
                own_valkey.start()
                after = list(pool.map(timed, range(400, 480)))
                until(lambda: _probed(node, sdk))
        assert degraded == "degraded"
        slowest = {
            name: max(times) for name, times in (("before", before), ("during", during), ("after", after))
        }
        seen = f"slowest calls in seconds: {slowest}"
        assert max(during) < max(before) + 0.5, seen
        assert max(after) < max(before) + 0.5, seen


def _probed(node: GatewayProcess, sdk: openai.OpenAI) -> bool:
    """Traffic after the cool-down makes the breaker try Valkey again."""
    ask(sdk, f"probe {time.monotonic_ns()}")
    return json.loads(node.get("/healthz"))["status"] == "ok"


class TestDraining:
    """SIGTERM: answers under way finish within --drain, everything closes, exit 0."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_an_idle_gateway_ends_at_once_with_exit_code_0(self, requesty, number):
        with GatewayProcess("--upstream", requesty.url) as gateway, client(gateway) as sdk:
            ask(sdk, "an idle connection is left")
            gateway.signal(number)
            assert gateway.ended(5) == 0

    @pytest.mark.parametrize("stream", [False, True])
    def test_answers_under_way_finish_and_nobody_new_is_let_in(self, requesty, stream):
        slow = {"x-simulate": "first-token-s=0.4, per-token-s=0.02"}
        with (
            GatewayProcess("--upstream", requesty.url, "--drain", "20") as gateway,
            client(gateway, f"rqy_{stream}") as sdk,
            concurrent.futures.ThreadPoolExecutor(1) as pool,
        ):
            before = requesty.stats().chat_calls
            call = pool.submit(ask, sdk, "slowly", stream=stream, extra_headers=slow)
            until(lambda: requesty.stats().chat_calls > before)
            gateway.signal()
            until(lambda: _refused(gateway))
            words, _, _ = call.result(20)
            assert words == expected_text(QUESTION | {"messages": [{"role": "user", "content": "slowly"}]})
            assert gateway.ended() == 0
            assert "Traceback" not in gateway.log

    def test_what_takes_longer_than_the_drain_is_cut_and_the_exit_code_is_still_0(self, requesty):
        slow = {"x-simulate": "first-token-s=30"}
        with (
            GatewayProcess("--upstream", requesty.url, "--drain", "1") as gateway,
            client(gateway, "rqy_late") as sdk,
            concurrent.futures.ThreadPoolExecutor(1) as pool,
        ):
            before = requesty.stats().chat_calls
            call = pool.submit(ask, sdk, "too slowly", extra_headers=slow)
            until(lambda: requesty.stats().chat_calls > before)
            gateway.signal()
            assert gateway.ended(10) == 0
            with pytest.raises(openai.APIError):
                call.result(10)

    def test_what_was_stored_before_the_signal_is_on_disk_after_it(self, requesty, tmp_path):
        arguments = ("--upstream", requesty.url, "--disk", str(tmp_path / "cache"))
        with GatewayProcess(*arguments) as gateway, client(gateway, "rqy_disk") as sdk:
            words, _, _ = ask(sdk, "kept?")
            gateway.signal()
            assert gateway.ended() == 0
        with GatewayProcess(*arguments) as gateway, client(gateway, "rqy_disk") as sdk:
            again, status, _ = ask(sdk, "kept?")
        assert again == words
        assert "detail=disk" in status
        assert (tmp_path / "cache" / "secret").stat().st_mode & 0o777 == 0o600


def _refused(gateway: GatewayProcess) -> bool:
    host, port = gateway.base.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    ("fields", "linger_s"),
    [({"store": True}, 15), ({"temperature": 1}, 0.2)],
    ids=["bypassed: at once", "sampled: after its linger"],
)
def test_a_client_that_leaves_a_call_that_is_never_stored_frees_the_upstream(
    requesty, tmp_path, fields, linger_s
):
    config = tmp_path / "gateway.toml"
    config.write_text(f"[cache]\nlinger_s = {linger_s}\n")
    with GatewayProcess("--upstream", requesty.url, "--config", str(config)) as gateway:
        before = requesty.stats().abandoned
        with pytest.raises(TimeoutError):
            _abandon(gateway, json.dumps(QUESTION | {"stream": True} | fields))
        until(lambda: requesty.stats().abandoned == before + 1)


def _abandon(gateway: GatewayProcess, body: str) -> None:
    host, port = gateway.base.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=0.3)
    fields = {
        "authorization": "Bearer rqy_gone",
        "content-type": "application/json",
        "x-simulate": "first-token-s=20",
    }
    try:
        connection.request("POST", "/v1/chat/completions", body, fields)
        connection.getresponse().read()
    finally:
        connection.close()
