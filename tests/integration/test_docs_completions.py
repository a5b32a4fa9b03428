"""The page of completions says what its tables say."""

from pathlib import Path

from tests.integration.dialect_page import code, told_defaults, told_drops
from tests.integration.test_docs_reference import rows
from tiered_cache.core.canonical.completions_tables import DROPS, ELISIONS, NEVER_FIELDS
from tiered_cache.core.completions_fields import CHUNK

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "completions.md").read_text()


def test_the_drops():
    assert sorted(rows(PAGE, "Not in the key")) == sorted(told_drops(DROPS))


def test_the_defaults():
    assert rows(PAGE, "As good as absent") == told_defaults(ELISIONS)


def test_what_is_never_cached():
    assert all(f"`{name}`" in PAGE for name in NEVER_FIELDS)
    assert set(NEVER_FIELDS.values()) == {"origin-tool"}


def of_table(table, path):
    for name, field in table.by_name.items():
        yield [code(path + name), field.rule.value]
        if field.table is not None:
            yield from of_table(field.table, f"{path}{name}{'[]' if name == 'choices' else ''}.")


def test_the_assembly():
    assert rows(PAGE, "One entry, both shapes") == list(of_table(CHUNK, ""))
