"""The page about the pace says what happens: its snippet runs, its values are those that are read."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.gateway_process import GatewayProcess
from tiered_cache.core.replay import (
    FASTEST_TOKENS_PER_S,
    LONGEST_GAP_MS,
    SLOWEST_TOKENS_PER_S,
    TokenRate,
    read_replay,
)
from tiered_cache.engine.checks import check_cache
from tiered_cache.gateway.config import read_config
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.process import SimulatedRequesty

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "replay-pace.md").read_text()


def test_the_snippet_is_as_fast_as_asked():
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    slow = Settings(per_token_s=0.02)
    with SimulatedRequesty(slow) as requesty, GatewayProcess("--upstream", requesty.url) as node:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code.replace("http://127.0.0.1:8080/v1", node.url)],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert done.stderr == ""
    lines = [re.fullmatch(r"(\S+): (\d+) chunks in (\d+\.\d) s", line) for line in done.stdout.splitlines()]
    paces, counts, seconds = zip(*[line.groups() for line in lines], strict=True)
    miss_s, instant_s, recorded_s, steady_s = map(float, seconds)
    assert paces == ("instant", "instant", "as-recorded", "tokens_per_s=40")
    assert len(set(counts)) == 1
    assert instant_s <= 0.2 < miss_s
    assert recorded_s == pytest.approx(miss_s, rel=0.3, abs=0.1)
    assert steady_s > recorded_s, "25 ms a token instead of 20"


def test_the_file_shown_is_read_and_its_rules_pace():
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    config = read_config(toml.encode(), "page").cache
    check_cache(config)
    assert [rule.gives.replay for rule in config.rules] == [TokenRate(60.0), "as-recorded"]


def test_the_values_in_the_table_are_those_that_are_read():
    values = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert values == ["instant", "as-recorded", "tokens_per_s=N"]
    assert all(read_replay(value.replace("N", "40").encode()) is not None for value in values)


def test_the_bounds_are_as_written():
    assert f"from {SLOWEST_TOKENS_PER_S:.0f} to {FASTEST_TOKENS_PER_S:,.0f}" in PAGE
    assert LONGEST_GAP_MS // 1000 == 65
