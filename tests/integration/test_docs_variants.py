"""The page about several answers says what happens: its snippet runs against a gateway."""

import re
import subprocess
import sys
from pathlib import Path

from tests.integration.gateway_process import GatewayProcess
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.process import SimulatedRequesty

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "variants.md").read_text()


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
