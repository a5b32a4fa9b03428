"""The page of completions says what its tables say."""

import json
import re
from pathlib import Path

from tiered_cache.core.canonical.completions_tables import DROPS, ELISIONS, NEVER_FIELDS
from tiered_cache.core.completions_fields import CHUNK

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "completions.md").read_text()


def rows(heading: str) -> list[list[str]]:
    under = re.split(rf"^## {heading}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in under.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(text: str) -> str:
    return f"`{text}`"


def test_the_drops():
    assert sorted(rows("Not in the key")) == sorted([code(row.path), row.kind] for row in DROPS)


def test_the_defaults():
    told = [
        [code(row.path), code(json.dumps(row.value)), ", ".join(map(code, row.prefixes)) or "all"]
        for row in ELISIONS
    ]
    assert rows("As good as absent") == told


def test_what_is_never_cached():
    assert all(f"`{name}`" in PAGE for name in NEVER_FIELDS)
    assert set(NEVER_FIELDS.values()) == {"origin-tool"}


def of_table(table, path):
    for name, field in table.by_name.items():
        yield [code(path + name), field.rule.value]
        if field.table is not None:
            yield from of_table(field.table, f"{path}{name}{'[]' if name == 'choices' else ''}.")


def test_the_assembly():
    assert rows("One entry, both shapes") == list(of_table(CHUNK, ""))
