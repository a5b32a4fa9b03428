"""A second implementation, in another language and without a line of ours, makes the same texts and keys."""

import base64
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.core.vectors.call_parts import NAMED_PATH, raw_of
from tests.core.vectors.make_vectors import ORIGIN_ID, PUBLISHED, SECRET, TENANT, new_keyers, result
from tests.core.vectors.spelling import damaged, spelled
from tests.properties.flat_strategies import (
    embeddings_bodies,
    moderations_bodies,
    rerank_bodies,
    speech_bodies,
)
from tests.properties.messages_strategies import bodies as messages_bodies
from tests.properties.responses_strategies import bodies as responses_bodies
from tests.properties.strategies import chat_bodies
from tests.properties.test_completions_laws import bodies as completions_bodies
from tests.properties.test_images_laws import bodies as images_bodies
from tiered_cache.core.canonical import FORM_ENDPOINTS, JSON_ENDPOINTS

NODE = shutil.which("node")
SCRIPT = Path(__file__).parent / "vectors" / "reference.mjs"
VECTORS = json.loads(PUBLISHED.read_text(encoding="utf-8"))
STATE = ("previous_response_id", "background", "prompt")


def stateless(body: dict) -> dict:
    """A Responses body that may be cached: nothing is stored, or looked up in what is."""
    kept = {name: value for name, value in body.items() if name not in STATE}
    if isinstance(kept["input"], list):
        kept["input"] = [item for item in kept["input"] if "role" in item or "type" in item]
    kept["tools"] = [tool for tool in body.get("tools") or [] if tool["type"] != "mcp"]
    return {**kept, "store": False}


BODIES = {
    "audio/speech": speech_bodies,
    "chat/completions": chat_bodies,
    "completions": completions_bodies,
    "embeddings": embeddings_bodies,
    "images/generations": images_bodies,
    "messages": messages_bodies,
    "moderations": moderations_bodies,
    "rerank": rerank_bodies,
    "responses": responses_bodies.map(stateless) | responses_bodies,
}
DRAWN, COPIES = 120, 18
"""Bodies drawn of each dialect, and what is made of each: two spellings, the rest damaged."""

pytestmark = pytest.mark.skipif(
    NODE is None, reason="the second implementation is written in JavaScript and needs node 20 or later"
)


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
    rows = [
        row for row in VECTORS["rows"] if row["dialect"] not in FORM_ENDPOINTS
    ]  # forms are read by ours alone
    made = second(rows, [each["credentials"] for each in VECTORS["tenants"]])

    assert set(made["dialects"]) == JSON_ENDPOINTS | {NAMED_PATH}
    assert made["tenants"] == [each["tenant"] for each in VECTORS["tenants"]]
    for row, answer in zip(rows, made["calls"], strict=True):
        told = ("canonical", "key", "elements", "bypass", "error")
        assert answer == {name: row[name] for name in told if name in row}, row["name"]


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


def generated(dialect: str) -> list[dict]:
    """Calls of one dialect: spellings of drawn bodies, and damaged copies of them."""
    draw = random.Random(7)
    raws = []
    for body in drawn(BODIES[dialect], DRAWN):
        one, other = (spelled(body, draw).encode() for _ in range(2))
        raws += [one, other, *(damaged(draw.choice((one, other)), draw) for _ in range(COPIES - 2))]
    return [
        {
            "dialect": dialect,
            "raw_base64": base64.b64encode(raw).decode(),
            "identity_fields": draw.choice(["drop", "key"]),
        }
        for raw in raws
    ]


@pytest.mark.slow
def test_it_makes_the_same_of_thousands_of_generated_bodies_of_every_dialect():
    """Two thousand of each dialect, in one process of node."""
    keyers = new_keyers()
    calls = [call for dialect in sorted(JSON_ENDPOINTS) for call in generated(dialect)]

    ours, theirs = [result(call, keyers) for call in calls], second(calls)["calls"]

    for dialect in JSON_ENDPOINTS:
        made = [one for call, one in zip(calls, ours, strict=True) if call["dialect"] == dialect]
        assert len(made) > 2000
        assert sum("key" in one for one in made) > 400, dialect
    for call, one, other in zip(calls, ours, theirs, strict=True):
        if "key" in one or "key" in other:
            assert one == other, raw_of(call)
        else:  # several faults in one body may be found in any order
            assert one.keys() == other.keys() or "number" in (one.get("bypass"), other.get("bypass")), raw_of(
                call
            )
