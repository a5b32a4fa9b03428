"""The simulated Requesty over real sockets: the OpenAI SDK cannot tell it from the service it plays."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import httpx2
import openai
import pytest

from tiered_cache.errors import ConfigError
from tiered_cache.simulation.process import ChildProcess, SimulatedRequesty
from tiered_cache.simulation.requesty import (
    Requesty,
    Settings,
    expected_cost_picousd,
    expected_text,
    is_answer_to,
)

BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
}
PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def requesty():
    with SimulatedRequesty() as process:
        yield process


@pytest.fixture
def client(requesty):
    with openai.OpenAI(base_url=requesty.url, api_key="rqy_one", max_retries=0) as client:
        yield client


def ask(client, body, script="", **more):
    headers = {"x-simulate": script} if script else {}
    return client.chat.completions.create(**body, extra_headers=headers, **more)


def heard(stream):
    with stream:
        events = list(stream)
    return events, "".join(event.choices[0].delta.content or "" for event in events if event.choices)


def stats_when(requesty, holds):
    """The stats as soon as `holds` of them."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        stats = requesty.stats()
        if holds(stats) or time.monotonic() > deadline:
            return stats
        time.sleep(0.01)


def test_json_and_stream_say_the_same_and_cost_the_same(client, requesty):
    before = requesty.stats()
    whole = ask(client, BODY)
    events, text = heard(ask(client, BODY, stream=True, stream_options={"include_usage": True}))
    assert whole.choices[0].message.content == text == expected_text(BODY)
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.cost == events[-1].usage.cost == expected_cost_picousd(BODY) / 1e12
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    after = requesty.stats()
    assert after.spent_picousd - before.spent_picousd == 2 * expected_cost_picousd(BODY)
    assert after.chat_calls - before.chat_calls == after.answered - before.answered == 2


def test_a_stream_tells_usage_only_to_who_asked(client):
    events, _ = heard(ask(client, BODY, stream=True))
    assert all(event.usage is None and event.choices for event in events)
    assert [event.choices[0].finish_reason for event in events][-1] == "stop"


def test_the_sdk_reads_tool_calls_from_both_forms(client):
    body = {**BODY, "tools": [TOOL]}
    whole = ask(client, body).choices[0]
    assert whole.finish_reason == "tool_calls"
    assert whole.message.tool_calls[0].function.arguments == expected_text(body)
    with client.chat.completions.stream(**body) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls[0].id == whole.message.tool_calls[0].id
    assert message.tool_calls[0].function.arguments == expected_text(body)


def test_a_sampled_call_has_another_answer_each_time_and_choices_differ(client):
    sampled = {**BODY, "temperature": 0.7}
    texts = {ask(client, sampled).choices[0].message.content for _ in range(3)}
    assert len(texts) == 3
    assert all(is_answer_to(text, sampled) for text in texts)
    choices = ask(client, {**BODY, "temperature": 1, "n": 3}).choices
    assert [choice.index for choice in choices] == [0, 1, 2]
    assert len({choice.message.content for choice in choices}) == 3


def test_a_failure_has_requestys_shape_and_the_sdk_retries_it(requesty):
    with openai.OpenAI(base_url=requesty.url, api_key="k", max_retries=1) as client:
        before = requesty.stats()
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client, BODY, "status=503, retry-after=0")
        assert requesty.stats().chat_calls - before.chat_calls == 2
    error = caught.value
    assert error.response.json() == {"error": {"origin": "provider", "message": "As the test asked"}}
    assert error.response.headers["retry-after"] == "0"
    assert requesty.stats().spent_picousd == before.spent_picousd


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"{"}, 400),
        ({"content": b"[1]"}, 400),
        ({"content": b"[" * 100_000}, 400),
        ({"json": {"model": "openai/gpt-4o-mini"}}, 400),
        ({"json": {**BODY, "messages": [3], "tools": [4]}}, 400),
        ({"json": {**BODY, "model": "nobody/nothing"}}, 404),
        ({"json": BODY, "headers": {"x-simulate": "nonsense=1"}}, 400),
        ({"json": BODY, "headers": {"x-simulate": "status=418"}}, 418),
    ],
)
def test_what_cannot_be_answered_is_an_error_response(requesty, sent, status):
    headers = {"authorization": "Bearer k", **sent.pop("headers", {})}
    with httpx2.Client(trust_env=False) as http:
        answer = http.post(f"{requesty.url}/chat/completions", headers=headers, **sent)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"origin", "message"}


def test_no_credential_and_no_such_path(requesty):
    with httpx2.Client(trust_env=False) as http:
        assert http.post(f"{requesty.url}/chat/completions", json=BODY).status_code == 401
        assert http.get(f"{requesty.url}/chat/completions").status_code == 404


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_answer_is_cut_on_the_wire(client, stream):
    with pytest.raises((openai.APIConnectionError, httpx2.TransportError)):
        heard(ask(client, BODY, "cut=3", stream=True)) if stream else ask(client, BODY, "cut=3")


def test_an_error_event_ends_a_stream(client):
    with pytest.raises(openai.APIError, match="broke off"):
        heard(ask(client, BODY, "error-event=3", stream=True))


def test_a_client_that_leaves_a_stream_pays_for_what_was_written(client, requesty):
    before = requesty.stats()
    with ask(client, BODY, "per-token-s=0.05", stream=True) as stream:
        for _ in range(3):
            next(iter(stream))
    after = stats_when(requesty, lambda stats: stats.abandoned > before.abandoned)
    assert after.abandoned == before.abandoned + 1
    assert 0 < after.spent_picousd - before.spent_picousd < expected_cost_picousd(BODY)
    assert after.in_flight == 0


def test_a_client_that_leaves_a_slow_json_call_is_noticed(client, requesty):
    before = requesty.stats()
    with pytest.raises(openai.APITimeoutError):
        ask(client, BODY, "first-token-s=60", timeout=0.2)
    after = stats_when(requesty, lambda stats: stats.abandoned > before.abandoned)
    assert (after.abandoned - before.abandoned, after.in_flight) == (1, 0)


def test_a_scripted_reason_and_cache_control_reach_the_caller(client):
    raw = client.chat.completions.with_raw_response.create(
        **BODY, extra_headers={"x-simulate": "finish-reason=length, cache-control=no-store"}
    )
    assert raw.parse().choices[0].finish_reason == "length"
    assert raw.headers["cache-control"] == "no-store"


def test_a_long_prompt_seen_before_costs_less(client):
    body = {**BODY, "messages": [{"role": "user", "content": "long " * 2000}]}
    first, second = ask(client, body).usage, ask(client, body).usage
    assert first.prompt_tokens_details.cached_tokens == 0
    assert second.prompt_tokens_details.cached_tokens > 1024
    assert second.cost < first.cost


def test_the_models_carry_prices_per_token(client):
    rows = {row.id: row for row in client.models.list()}
    row = rows["openai/gpt-4o-mini"]
    assert (row.input_price, row.cached_price, row.output_price) == (1.5e-07, 7.5e-08, 6e-07)


def test_the_same_seed_fails_the_same_calls():
    def statuses(seed):
        found = []
        settings = Settings(error_rate=0.5, seed=seed)
        headers = {"authorization": "Bearer k"}
        with SimulatedRequesty(settings) as process, httpx2.Client(trust_env=False, headers=headers) as http:
            for _ in range(20):
                found.append(http.post(f"{process.url}/chat/completions", json=BODY).status_code)
        return found

    assert statuses(1) == statuses(1) != statuses(2)


async def test_the_app_answers_without_a_server():
    app = Requesty()
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://simulated/v1") as http:
        answer = await http.post("/chat/completions", json=BODY, headers={"authorization": "Bearer k"})
    assert answer.json()["choices"][0]["message"]["content"] == expected_text(BODY)
    assert app.stats.chat_calls == 1


def test_a_port_in_use_is_said_in_one_line(requesty):
    port = requesty.url.split(":")[2].split("/")[0]
    command = [sys.executable, "-m", "tiered_cache.simulation", "requesty", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr == f"cannot listen on port {port}: Address already in use\n"


def test_a_process_that_does_not_start_says_why_and_is_gone():
    child = ChildProcess(["-c", "raise SystemExit('no luck today')"])
    with pytest.raises(ConfigError, match="the child did not start: no luck today"):
        child.first_line("the child")
    assert child.stop() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_it_ends_when_its_parent_is_killed():
    program = (
        "import time; from tiered_cache.simulation.process import SimulatedRequesty\n"
        "process = SimulatedRequesty().start(); print(process.pid, process.url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        pid, url = parent.stdout.readline().split()
        with urllib.request.urlopen(f"{url}/models", timeout=10) as answer:
            assert json.load(answer)["object"] == "list"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + PATIENCE_S
    while runs(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(int(pid))


def test_stop_ends_it_and_may_be_repeated():
    process = SimulatedRequesty().start()
    pid = process.pid
    process.stop()
    process.stop()
    assert not runs(pid)


def runs(pid):
    """The process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
