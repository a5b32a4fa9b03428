"""Every number on the performance page comes from the results."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "performance.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.search(r"\| (l1_hit|key|l2_hit|gateway|sick_l2|live|purge|purge_gateways) \|", line)
]


def measured(file: str, case: str, unit: str) -> str:
    """The number as the page writes it."""
    result = json.loads((ROOT / "benchmarks" / "results" / f"{file}.json").read_bytes())
    if unit == "x":
        return f"{result['ratios'][case]:.2f} x"
    if unit == "µs":
        (found,) = [each["p50_us"] for each in result["timings"] if each["name"] == case]
        return f"{found:.2f} µs"
    return str(result["figures"][case])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_measured_number_is_the_results(row):
    _, _, told, file, case = row
    assert told == measured(file, case, told.rpartition(" ")[2] if " " in told else "")


def test_the_table_is_there():
    assert len(ROWS) == 38
