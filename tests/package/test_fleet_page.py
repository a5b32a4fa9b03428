"""The figures on the page of the fleet are those of the results, and each target was reached."""

import json
from pathlib import Path

import msgspec
import pytest

from benchmarks.fleet.run import Lengths, Result, table

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "fleet.md").read_text(encoding="utf-8")
RESULT = msgspec.convert(json.loads((ROOT / "benchmarks" / "results" / "fleet.json").read_bytes()), Result)


def test_the_table_is_that_of_the_results():
    assert table(RESULT.figures) in PAGE


def test_the_results_are_of_a_whole_run_by_the_command_on_the_page():
    assert RESULT.lengths == Lengths()
    assert f"    {RESULT.command}\n" in PAGE


@pytest.mark.parametrize("figure", RESULT.figures, ids=lambda figure: figure.name)
def test_the_target_was_reached(figure):
    assert figure.kept
