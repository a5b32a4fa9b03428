"""Each row of each table is dropped, changed and widened in turn, others are added: some vector notices.

Such a mutation is a change of the canonical bytes, or of what a body is known to be. The vectors are published
under a KEY_VERSION, and `test_vectors` holds the code against them: so no change of the tables passes without a
new version, or without lines of the file that a reviewer sees changed under the old one.
"""

import json
from collections import defaultdict
from types import ModuleType

import pytest

import tiered_cache.core.canonical
from tests.core.form_kit import typed_as_begun
from tests.core.vectors.call_parts import raw_of
from tests.core.vectors.equivalent import EQUIVALENT, NOT_APPLIED
from tests.core.vectors.make_vectors import PUBLISHED
from tests.core.vectors.mutation import home_of, mutants, rebuilt, tables_of
from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS
from tiered_cache.errors import RequestError

_LOUD = (IndexError, TypeError, AttributeError, KeyError)
"""What the code raises where a table that it counts on is odd: as good as a difference."""

ROWS = json.loads(PUBLISHED.read_text(encoding="utf-8"))["rows"]


def bodies(dialect: str) -> list[tuple[bytes, str]]:
    """(body, identity_fields) of every vector that differs from the others by its body."""
    told = [(raw_of(row), row.get("identity_fields", "drop")) for row in ROWS if row["dialect"] == dialect]
    return list(dict.fromkeys(told))


def outcome(package: ModuleType, dialect: str, body: tuple[bytes, str]) -> object:
    """Text, facts and reason word of a body under some tables."""
    raw, identity = body
    try:
        options = package.KeyOptions(identity_fields=identity)
        form = package.canonicalise(dialect, raw, options, content_type=typed_as_begun(raw))
    except RequestError as error:
        return error.code
    # Values of classes that are imported anew compare by what they print.
    return (form.text, form.elements, repr(form.call)) if hasattr(form, "text") else repr(form)


@pytest.fixture(scope="module")
def expected() -> dict[str, list]:
    """What each body of each dialect comes out as."""
    package = tiered_cache.core.canonical
    return {
        dialect: [(body, outcome(package, dialect, body)) for body in bodies(dialect)]
        for dialect in CACHEABLE_ENDPOINTS
    }


def notices(package: ModuleType, dialect: str, what: str, expected: list) -> bool:
    """Whether some body comes out differently; those that name what was changed are tried first."""
    word = what.partition(" ")[2].removeprefix("without ").removeprefix("with ")
    word = word.partition(":")[0].rpartition(".")[2].encode()
    likely = sorted(expected, key=lambda each: word not in each[0][0])
    try:
        return any(outcome(package, dialect, body) != was for body, was in likely)
    except _LOUD:
        return True


def unnoticed(case: tuple[str, str], expected: dict[str, list]) -> dict[str, set[str]]:
    """Mutations of one table that change no vector, by the dialect that uses the table."""
    made = {dialect: dict(mutants(dialect, case[1], tables_of(dialect)[case[1]])) for dialect in CASES[case]}
    missed: dict[str, set[str]] = {dialect: set() for dialect in made}
    for what, table in {what: table for each in made.values() for what, table in each.items()}.items():
        try:
            with rebuilt(*case, table) as package:
                using = [dialect for dialect, told in made.items() if what in told]
                deaf = [one for one in using if not notices(package, one, what, expected[one])]
        except _LOUD:
            continue
        for dialect in deaf:
            missed[dialect].add(what)
    return missed


CASES: dict[tuple[str, str], list[str]] = defaultdict(list)
for each in sorted(CACHEABLE_ENDPOINTS):
    for table_name in tables_of(each):
        if (each, table_name) not in NOT_APPLIED:
            CASES[home_of(each, table_name), table_name].append(each)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].rpartition('.')[2]}-{case[1]}")
def test_a_mutation_of_a_table_changes_some_vector(case, expected):
    """A row dropped, added or widened is noticed, but for those that are known to mean the same."""
    for dialect, missed in unnoticed(case, expected).items():
        known = {what for known_of, what in EQUIVALENT if known_of == dialect and what.split()[0] == case[1]}
        assert missed == known, dialect


def test_no_exception_is_stale():
    made = {
        (dialect, what)
        for dialect in CACHEABLE_ENDPOINTS
        for name, table in tables_of(dialect).items()
        for what, _ in mutants(dialect, name, table)
    }

    assert EQUIVALENT.keys() <= made
    assert all(name in tables_of(dialect) for dialect, name in NOT_APPLIED)
