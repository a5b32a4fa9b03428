"""Every chaos scenario in its quick form: no call fails, no answer is wrong, L2 is back by itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.chaos.faults import SCENARIOS
from benchmarks.chaos.run import LEAST_CALLS

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """One run of all scenarios, by the command that users have."""
    folder = tmp_path_factory.mktemp("chaos")
    command = [sys.executable, "-m", "benchmarks.chaos.run", "--quick", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert (folder / "chaos.json").exists(), done.stderr
    written = json.loads((folder / "chaos.json").read_bytes())
    return {row["scenario"]: row for row in written["scenarios"]}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_call_fails_no_answer_is_wrong_and_redis_is_used_again(rows, name):
    row = rows[name]
    assert (row["failed"], row["wrong"]) == (0, 0)
    assert row["cut"] <= row["calls"] // 20
    assert min(row[part]["calls"] for part in ("before", "during", "after")) >= LEAST_CALLS
    assert row["full_service_s"] <= 15.0, "the promise is 2 s on a machine that is not shared"


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.bites])
def test_the_fault_was_one(rows, name):
    """A harness whose faults do not bite would pass everything else."""
    faults = rows[name]["faults"]
    assert sum(faults.get(reason, 0) for reason in SCENARIOS[name].bites) > 0


@pytest.mark.parametrize("name", ["killed", "frozen", "slow", "dripping", "password", "tls"])
def test_calls_did_without_redis_while_it_was_sick(rows, name):
    assert rows[name]["faults"].get("open", 0) > 0
    assert rows[name]["during"]["origin_calls"] > 0


@pytest.mark.parametrize("name", ["full", "read-only"])
def test_reads_went_on_where_writes_alone_failed(rows, name):
    faults = rows[name]["faults"]
    assert faults["write-unavailable"] > 0
    # On a slow machine lookups may come too late, which is another reason to leave Redis alone.
    assert "unavailable" not in faults
    assert "open" not in faults or "timeout" in faults
