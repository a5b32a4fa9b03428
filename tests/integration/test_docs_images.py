"""The page of images says what its tables say, and its rule does what it says."""

import json
import re
import tomllib
from pathlib import Path

import msgspec

from tests.core.test_images import call_of
from tiered_cache.core.canonical.images_tables import DROPS, ELISIONS
from tiered_cache.core.policy import plan
from tiered_cache.engine.build import profile_of
from tiered_cache.gateway.config import GatewayConfig

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "images.md").read_text()


def rows(heading: str) -> list[list[str]]:
    under = re.split(rf"^## {heading}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in under.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(text: str) -> str:
    return f"`{text}`"


def test_the_drops():
    assert sorted(rows("Not in the key")) == sorted([code(row.path), row.kind] for row in DROPS)


def test_the_defaults():
    told = [
        [code(row.path), code(json.dumps(row.value)), ", ".join(map(code, row.prefixes)) or "all"]
        for row in ELISIONS
    ]
    assert rows("As good as absent") == told


def test_the_rule_keeps_what_no_seed_asks_for():
    block = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    config = msgspec.convert(tomllib.loads(block[1]), GatewayConfig).cache
    call = call_of()
    assert not plan(profile_of(config.__class__()), call).store
    assert plan(profile_of(config), call).store
    assert plan(profile_of(config), call).collapse
