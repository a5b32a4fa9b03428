"""The table on the chaos page is the one of the results, and each promise was kept in it."""

import json
from pathlib import Path

import msgspec
import pytest

from benchmarks.chaos.faults import SCENARIOS
from benchmarks.chaos.run import Chaos, table

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "chaos.md").read_text(encoding="utf-8")
RESULT = msgspec.convert(json.loads((ROOT / "benchmarks" / "results" / "chaos.json").read_bytes()), Chaos)


def test_the_table_is_that_of_the_results():
    assert table(RESULT.scenarios) in PAGE


def test_every_scenario_is_in_the_results_and_named_on_the_page():
    assert [row.scenario for row in RESULT.scenarios] == list(SCENARIOS)
    for name, scenario in SCENARIOS.items():
        assert f"| `{name}` | {scenario.what} |" in PAGE


@pytest.mark.parametrize("row", RESULT.scenarios, ids=lambda row: row.scenario)
def test_no_call_failed_and_no_answer_was_wrong(row):
    assert (row.failed, row.wrong) == (0, 0)
    assert row.calls >= 50
