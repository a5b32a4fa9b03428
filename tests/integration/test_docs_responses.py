"""The page of the Responses API says what its tables say."""

import json
import re
from pathlib import Path

from tiered_cache.core.answers import error_event
from tiered_cache.core.canonical.responses_tables import (
    DROPS,
    ELISIONS,
    EMPTY_TEXT,
    MESSAGE_TYPE,
    PROMPT_CACHE_STATE,
    TEXT_FORMAT,
    TOOLS,
)
from tiered_cache.core.responses_fields import ECHOES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "responses.md").read_text()


def rows(heading: str) -> list[list[str]]:
    under = re.split(rf"^## {heading}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in under.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_drops():
    assert sorted(rows("Not in the key")) == sorted([row.path, row.kind] for row in DROPS)


def test_the_defaults():
    elided = [row for row in (*ELISIONS, TEXT_FORMAT, EMPTY_TEXT, MESSAGE_TYPE) if row.prefixes]
    assert sorted(rows("As good as absent")) == sorted([row.path, json.dumps(row.value)] for row in elided)
    assert {row.prefixes for row in elided} == {("openai/", "azure/")}
    assert [row.path for row in ELISIONS if not row.prefixes] == ["requesty"]


def test_the_tools():
    assert rows("Never cached") == [[row.kind, row.by] for row in TOOLS]
    assert all(f"`{name}`" in PAGE for name in PROMPT_CACHE_STATE)


def test_what_is_blank_for_others():
    (sentence,) = [line for line in PAGE.splitlines() if line.startswith("A response object repeats")]
    assert set(re.findall(r"`(\w+)`", sentence)) == set(ECHOES)


def test_the_error_event():
    block = re.search(r"```text\n(event: error.*?\n)```", PAGE, re.DOTALL)
    assert block is not None
    sent = error_event("responses", "the origin's stream broke off", "origin_cut")
    assert sent.decode() == block[1] + "\n"
