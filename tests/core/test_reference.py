"""A second implementation, in another language and without a line of ours, makes the same texts and keys."""

import base64
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.core.vectors.make_vectors import (
    CHAT,
    ORIGIN_ID,
    PUBLISHED,
    SECRET,
    TENANT,
    new_keyers,
    raw_of,
    result,
)
from tests.properties.strategies import chat_bodies, raw_spellings
from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS

NODE = shutil.which("node")
SCRIPT = Path(__file__).parent / "vectors" / "reference.mjs"
VECTORS = json.loads(PUBLISHED.read_text(encoding="utf-8"))
NOT_YET = frozenset({"completions", "embeddings", "messages", "moderations", "rerank", "responses"})
"""Dialects that the second implementation does not have."""

pytestmark = pytest.mark.skipif(NODE is None, reason="the second implementation needs node")


def second(calls: list[dict], tenants: list | None = None) -> dict:
    """What the second implementation makes of calls; one process for all."""
    defaults = {
        "headers": [],
        "query": "",
        "identity_fields": "drop",
        "tenant": TENANT,
        "origin_id": ORIGIN_ID,
    }
    whole = [{**defaults, **call, "raw_base64": base64.b64encode(raw_of(call)).decode()} for call in calls]
    asked = {"secret": SECRET, "calls": whole, "tenants": tenants or []}
    done = subprocess.run(
        [str(NODE), str(SCRIPT)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return json.loads(done.stdout)


def test_it_makes_what_every_vector_says():
    rows = VECTORS["rows"]
    made = second(rows, [each["credentials"] for each in VECTORS["tenants"]])

    assert set(made["dialects"]) | NOT_YET == CACHEABLE_ENDPOINTS
    assert made["tenants"] == [each["tenant"] for each in VECTORS["tenants"]]
    for row, answer in zip(rows, made["calls"], strict=True):
        if row["dialect"] not in NOT_YET:
            said = {name: row[name] for name in ("canonical", "key", "bypass", "error") if name in row}
            assert answer == said, row["name"]


def drawn(strategy, number: int) -> list:
    """Examples of a strategy, the same at every run."""
    found: list = []

    @settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value):
        found.append(value)

    draw()
    return found


def mutated(raw: bytes, draw: random.Random) -> bytes:
    """The body with a few bytes cut out and a piece put in."""
    at, cut = draw.randrange(len(raw)), draw.randrange(3)
    pieces = [
        b"",
        b'"',
        b"1",
        b"0",
        b" ",
        b".0",
        b"e1",
        b"-",
        b"\\",
        b",",
        b"null",
        b"{}",
        b"\\ud800",
        b"\xff",
        b":",
    ]
    return raw[:at] + draw.choice(pieces) + raw[at + cut :]


@pytest.mark.slow
def test_it_makes_the_same_of_thousands_of_generated_bodies():
    spelled = drawn(chat_bodies.flatmap(raw_spellings), 250)
    draw = random.Random(7)
    raws = [*spelled, *(mutated(raw, draw) for raw in spelled for _ in range(11))]
    calls = [
        {
            "name": str(index),
            "dialect": CHAT,
            "raw_base64": base64.b64encode(raw).decode(),
            "identity_fields": draw.choice(["drop", "key"]),
        }
        for index, raw in enumerate(raws)
    ]
    keyers = new_keyers()

    ours, theirs = [result(call, keyers) for call in calls], second(calls)["calls"]

    assert sum("key" in one for one in ours) > 800
    for call, one, other in zip(calls, ours, theirs, strict=True):
        if "key" in one or "key" in other:
            assert one == other, raw_of(call)
        else:  # several faults in one body may be found in any order
            assert one.keys() == other.keys() or "number" in (one.get("bypass"), other.get("bypass")), raw_of(
                call
            )
