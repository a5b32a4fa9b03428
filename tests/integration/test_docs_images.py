"""The page of images says what its tables say, and its rule does what it says."""

import re
import tomllib
from pathlib import Path

import msgspec

from tests.core.test_images import call_of
from tests.integration.dialect_page import told_defaults, told_drops
from tests.integration.test_docs_reference import rows
from tiered_cache.core.canonical.images_tables import DROPS, ELISIONS
from tiered_cache.core.policy import plan
from tiered_cache.engine.build import profile_of
from tiered_cache.gateway.config import GatewayConfig

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "images.md").read_text()


def test_the_drops():
    assert sorted(rows(PAGE, "Not in the key")) == sorted(told_drops(DROPS))


def test_the_defaults():
    assert rows(PAGE, "As good as absent") == told_defaults(ELISIONS)


def test_the_rule_keeps_what_no_seed_asks_for():
    block = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    config = msgspec.convert(tomllib.loads(block[1]), GatewayConfig).cache
    call = call_of()
    assert not plan(profile_of(config.__class__()), call).store
    assert plan(profile_of(config), call).store
    assert plan(profile_of(config), call).collapse
