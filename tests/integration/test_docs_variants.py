"""The page about several answers says what happens: its snippet runs against a gateway."""

import hmac
import re
import subprocess
import sys
from itertools import count
from pathlib import Path

import xxhash

from tests.integration.gateway_kit import JSON, Upstream, answer, ask, chat, gateway
from tests.integration.gateway_process import GatewayProcess
from tiered_cache import Request, Response, Scope
from tiered_cache.cli.main import main
from tiered_cache.core.keys import Keyer
from tiered_cache.core.variants import FEWEST, MOST
from tiered_cache.gateway.config import read_config
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.process import SimulatedRequesty

PAGE_DIR = Path(__file__).parents[2] / "docs"
PAGE = (PAGE_DIR / "how-to" / "variants.md").read_text()


def run(code: str, url: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.replace("http://127.0.0.1:8080/v1", url)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_snippet_gets_an_answer_for_each_variant_and_then_hits():
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    with SimulatedRequesty() as requesty, GatewayProcess("--upstream", requesty.url) as node:
        lines = run(code, node.url)
        calls = requesty.stats().chat_calls
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "1"]
    assert ["fwd=uri-miss" in line for line in lines] == [True, True, True, False]
    assert "; hit" in lines[-1]
    assert calls == 3


TOGETHER = """
import asyncio
from openai import AsyncOpenAI


async def main():
    async with AsyncOpenAI(base_url="http://127.0.0.1:8080/v1", api_key="rqy_samples", max_retries=0) as sdk:
        asked = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Name a river."}]}
        answers = await asyncio.gather(*[sdk.chat.completions.create(**asked) for _ in range(4)])
        print(len({answer.choices[0].message.content for answer in answers}))


asyncio.run(main())
"""


def test_repeats_of_a_real_client_are_counted_and_logged_once():
    slow = Settings(first_token_s=1.0)
    with SimulatedRequesty(slow) as requesty, GatewayProcess("--upstream", requesty.url) as node:
        assert run(TOGETHER, node.url) == ["1"]
        metrics = node.get("/metrics")
        log = node.log
    assert "tiered_cache_repeat_sampling_suspected_total 3" in metrics.replace('{reason=""}', "")
    assert log.count("repeat_sampling_suspected") == 1
    assert "rqy_samples" not in log and "river" not in log


async def test_the_rule_shown_keeps_three_answers_in_a_gateway():
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    rules = read_config(toml.encode(), "page").cache.rules
    numbers = count(1)
    upstream = Upstream(lambda _: Response(200, (JSON,), answer(str(next(numbers)))))
    async with gateway(upstream, cache={"rules": rules}) as app:
        said = [await ask(app, chat(temperature=0.7)) for _ in range(6)]
    texts = [each.json["choices"][0]["message"]["content"] for each in said]
    assert texts == ["1", "2", "3"] * 2
    assert all(
        re.search(r"; hit; ttl=3\d\d\d; detail=L1/variant:[123]/3$", each.cache_status) for each in said[3:]
    )


def test_explain_says_how_many_there_are(tmp_path, capsys):
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "gateway.toml").write_text(toml)
    (tmp_path / "call.json").write_bytes(chat(temperature=0.7))
    assert main(["explain", str(tmp_path / "call.json"), "--config", str(tmp_path / "gateway.toml")]) == 0
    assert re.search(r"variants +3: the first calls ask the origin", capsys.readouterr().out)


def test_the_bounds_are_as_written():
    policy = (PAGE_DIR / "reference" / "policy.md").read_text()
    assert f"| `variants` | {FEWEST} to {MOST} |" in policy


def test_the_key_of_a_variant_is_as_the_page_of_the_canonical_form_says():
    secret = b"a secret for these tests"
    keyer = Keyer(secret)
    key = keyer.key(Request("chat/completions", chat(), Scope("t", "o"))).key

    def derived(use: bytes) -> bytes:
        return hmac.digest(secret, b"tiered-cache v1 " + use, "sha256")

    text = b"2:" + key
    seed = int.from_bytes(derived(b"variant seed")[:8], "little")
    fast = xxhash.xxh3_128_digest(text, seed=seed)
    assert keyer.variant(key, 2) == key[:1] + fast + hmac.digest(derived(b"variant"), text, "sha256")
