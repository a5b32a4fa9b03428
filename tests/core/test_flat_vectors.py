"""Golden vectors of embeddings, rerank and moderations: a changed line needs a new KEY_VERSION."""

import json
from pathlib import Path

import pytest

from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.keys import Keyer, key_text
from tiered_cache.core.vocabulary import Bypass, Keyed, Request, Scope

VECTORS = json.loads((Path(__file__).parent / "vectors" / "flat_v1.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", VECTORS["rows"], ids=lambda row: f"{row['endpoint']}, {row['name']}")
def test_golden_vectors_stay_as_they_are(row):
    raw, scope = row["raw"].encode(), Scope(VECTORS["tenant"], VECTORS["origin_id"])
    keyed = Keyer(VECTORS["secret"].encode()).key(Request(row["endpoint"], raw, scope))
    if "bypass" in row:
        assert isinstance(keyed, Bypass)
        assert keyed.detail == row["bypass"]
        return
    assert isinstance(keyed, Keyed)
    form = canonicalise(row["endpoint"], raw, KeyOptions())
    assert isinstance(form, Canonical)
    assert form.text.decode() == row["canonical"]
    assert key_text(keyed.key) == row["key"]
    assert [key_text(key) for key in keyed.elements] == row.get("elements", [])
