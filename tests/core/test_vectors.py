"""The published golden vectors: the code makes what they say, and every row of the tables is in some of them."""

import json

from tests.core.vectors.call_parts import NAMED_PATH
from tests.core.vectors.make_vectors import (
    PUBLISHED,
    new_keyers,
    result,
    tenants,
    text,
)
from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS, JSON_ENDPOINTS
from tiered_cache.core.keys import KEY_VERSION

VECTORS = json.loads(PUBLISHED.read_text(encoding="utf-8"))
ROWS = VECTORS["rows"]
MADE = ("canonical", "key", "elements", "bypass", "error")


def test_the_code_makes_what_every_vector_says():
    """A change of canonical bytes or keys without a new KEY_VERSION fails here.

    Tried on the code beside the tables, each seen red: floats made integers up to 2**52 alone, `$defs` no longer
    in its order, the wrapping of a literal array there left out, members of a tool's input no longer exact,
    `content` of one text part left a list, the partition without its lengths. The tables have
    `test_table_mutations`.
    """
    keyers = new_keyers()
    changed = []
    for each in ROWS:
        said = {name: each[name] for name in MADE if name in each}
        made = result(each, keyers)
        if made != said:
            changed.append((each["name"], said, made))
    assert changed == [], "calls have other canonical bytes or keys than published: raise KEY_VERSION"


def test_the_file_is_what_the_script_writes():
    assert PUBLISHED.read_text(encoding="utf-8") == text(), "run python -m tests.core.vectors.make_vectors"


def test_there_are_vectors_of_every_dialect_and_every_kind():
    assert VECTORS["key_version"] == KEY_VERSION
    named = CACHEABLE_ENDPOINTS | {NAMED_PATH}
    assert {each["dialect"] for each in ROWS} == named, "give the new dialect a line in BASES"
    assert len(ROWS) >= 300
    for dialect in CACHEABLE_ENDPOINTS:
        rows = [each for each in ROWS if each["dialect"] == dialect]
        assert len(rows) >= 150
        kinds = {"canonical", "key", "bypass"} | ({"error"} if dialect in JSON_ENDPOINTS else set())
        assert {name for each in rows for name in MADE if name in each} >= kinds
    assert any("elements" in each for each in ROWS)


def test_equal_texts_in_one_partition_have_one_key_and_others_have_another():
    keys = {}
    for each in ROWS:
        if "key" in each and not each.keys() & {"headers", "query", "tenant", "origin_id", "identity_fields"}:
            assert keys.setdefault((each["dialect"], each["canonical"]), each["key"]) == each["key"]
    assert len(set(keys.values())) == len(keys) > 300


def test_tenants_are_as_published():
    assert list(tenants()) == VECTORS["tenants"]
