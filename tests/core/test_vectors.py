"""The published golden vectors: the code makes what they say, and every row of the tables is in some of them."""

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import get_args

import pytest
from msgspec.structs import replace

import tiered_cache.core
from tests.core.vectors.make_vectors import (
    PLACES,
    PUBLISHED,
    SAMPLES,
    new_keyers,
    request_of,
    result,
    tenants,
    text,
)
from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS
from tiered_cache.core.canonical.catalogue import TABLES, catalogue_of, named_tables
from tiered_cache.core.canonical.tables import Drop, Elision, Field
from tiered_cache.core.keys import KEY_VERSION
from tiered_cache.errors import RequestError

VECTORS = json.loads(PUBLISHED.read_text(encoding="utf-8"))
ROWS = VECTORS["rows"]
MADE = ("canonical", "key", "elements", "bypass", "error")


def test_the_code_makes_what_every_vector_says():
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
    assert {each["dialect"] for each in ROWS} == CACHEABLE_ENDPOINTS, "give the new dialect a line in BASES"
    assert len(ROWS) >= 300
    for dialect in CACHEABLE_ENDPOINTS:
        rows = [each for each in ROWS if each["dialect"] == dialect]
        assert len(rows) >= 150
        assert {name for each in rows for name in MADE if name in each} >= {
            "canonical",
            "key",
            "bypass",
            "error",
        }
    assert any("elements" in each for each in ROWS)


def test_equal_texts_in_one_partition_have_one_key_and_others_have_another():
    keys = {}
    for each in ROWS:
        if "key" in each and not each.keys() & {"headers", "query", "tenant", "origin_id", "identity_fields"}:
            assert keys.setdefault((each["dialect"], each["canonical"]), each["key"]) == each["key"]
    assert len(set(keys.values())) == len(keys) > 300


def test_tenants_are_as_published():
    assert list(tenants()) == VECTORS["tenants"]


# Mutation of the tables: each row in turn is dropped, changed, widened, or one is added.

PACKAGE = "tiered_cache.core.canonical"
KEPT = {f"{PACKAGE}.{name}" for name in ("form", "tables", "reading", "json_form", "edits", "catalogue")}
"""Modules without tables; the types and errors in them must stay the same objects."""

NOT_YET = frozenset({"embeddings", "messages", "moderations", "rerank", "responses"})
"""Dialects of which not every row is in a vector; a row that is dropped there may go unnoticed here."""

_WALKED = "is walked by code of its own, which checks its type first"
_WITHOUT_MESSAGES = {
    "ELISIONS with requesty": "REQUESTY_EMPTY says it already",
    "BODY_FIELDS without model": "every body's model is checked before the table is asked",
    "BODY_FIELDS model: with bool": "the same",
    "BODY_FIELDS model: with int": "the same",
    "BODY_FIELDS model: with float": "the same",
    "BODY_FIELDS model: with list": "the same",
    "BODY_FIELDS model: with dict": "the same",
    "BODY_FIELDS requesty: exact False -> True": _WALKED,
    "BODY_FIELDS models: exact False -> True": "it holds texts alone",
    "SEARCH_TOOL_PREFIXES without google_search": "a call with tools bypasses, whatever they are",
    "SEARCH_TOOL_PREFIXES without web_search": "the same",
}
EQUIVALENT = {
    "chat/completions": {
        "ELISIONS with requesty": "REQUESTY_EMPTY says it already",
        "BODY_FIELDS without model": "every body's model is checked before the table is asked",
        "BODY_FIELDS model: with bool": "the same",
        "BODY_FIELDS model: with int": "the same",
        "BODY_FIELDS model: with float": "the same",
        "BODY_FIELDS model: with list": "the same",
        "BODY_FIELDS model: with dict": "the same",
        "BODY_FIELDS messages: null refused -> absent": _WALKED,
        "BODY_FIELDS messages: null refused -> value": _WALKED,
        "BODY_FIELDS messages: with str": _WALKED,
        "BODY_FIELDS messages: exact False -> True": _WALKED,
        "BODY_FIELDS tools: exact True -> False": _WALKED,
        "BODY_FIELDS tools: with str": _WALKED,
        "BODY_FIELDS requesty: exact False -> True": _WALKED,
        "BODY_FIELDS models: exact False -> True": "it holds texts alone",
        "BODY_FIELDS stop: exact False -> True": "it holds texts alone",
        "MESSAGE_FIELDS without role": "every message's role is checked before the table is asked",
        "MESSAGE_FIELDS role: null refused -> absent": "the same",
        "MESSAGE_FIELDS role: null refused -> value": "the same",
        "MESSAGE_FIELDS role: with bool": "the same",
        "MESSAGE_FIELDS role: with int": "the same",
        "MESSAGE_FIELDS role: with float": "the same",
        "MESSAGE_FIELDS role: with list": "the same",
        "MESSAGE_FIELDS role: with dict": "the same",
        "MESSAGE_FIELDS content: exact False -> True": _WALKED,
        "DROPS messages[].content[].cache_control: another kind": "blocks have no identity rows: no switch is read",
        "DROPS tools[].cache_control: another kind": "the same",
        "IMAGE_DETAIL messages[].content[].image_url.detail: with_tools": "the walk over parts reads prefixes alone",
    },
    "completions": {
        **_WITHOUT_MESSAGES,
        "ELISIONS with response_format": "an empty one is refused",
        "BODY_FIELDS stop: exact False -> True": "it holds texts alone",
    },
    "images/generations": {
        **_WITHOUT_MESSAGES,
        "BODY_FIELDS prompt: null refused -> absent": "no prompt is refused too",
        "BODY_FIELDS prompt: null refused -> value": "the same",
    },
}
"""Mutations that no call can tell, each with its reason; a mutation that stands here and is noticed fails too."""


def same_by_rule(dialect: str, name: str, old: object, new: object) -> bool:
    """Whether a changed field means the same: what is dropped anyway, or has nothing in it to be exact about."""
    if not isinstance(old, Field) or not isinstance(new, Field):
        return False
    path = ".".join([str(step) for step in (*PLACES.get(name, ()), old.name)])
    dropped = any(drop.path == path and drop.kind == "transport" for drop in catalogue_of(dialect).drops)
    if old.exact != new.exact:
        return dropped or old.kinds.isdisjoint({list, dict})
    return dropped and {old.null, new.null} == {"value", "absent"}


@contextmanager
def rebuilt(name: str, original: object, table: object) -> Iterator[ModuleType]:
    """The canonical package imported anew with another table in the modules that hold tables."""
    parts = {
        key: part for key, part in sys.modules.items() if key == PACKAGE or key.startswith(PACKAGE + ".")
    }
    tables = {module.__name__ for modules in TABLES.values() for module in modules}
    package = tiered_cache.core.canonical
    holders = [part for part in parts.values() if getattr(part, name, None) is original]
    try:
        for key in parts:
            if key not in KEPT | tables:
                del sys.modules[key]
        for holder in holders:
            setattr(holder, name, table)
        yield _imported_anew()
    finally:
        for holder in holders:
            setattr(holder, name, original)
        for key in [key for key in sys.modules if key == PACKAGE or key.startswith(PACKAGE + ".")]:
            del sys.modules[key]
        sys.modules.update(parts)
        tiered_cache.core.canonical = package


def _imported_anew() -> ModuleType:
    try:
        return importlib.import_module(PACKAGE)
    except StopIteration as error:  # a row that the code looks up by name is not there
        raise KeyError from error


def outcome(package: ModuleType, each: dict) -> object:
    """Text, facts and reason word of a vector's body under some tables."""
    options = package.KeyOptions(identity_fields=each.get("identity_fields", "drop"))
    try:
        form = package.canonicalise(each["dialect"], request_of(each).body, options)
    except RequestError as error:
        return error.code
    # Values of classes that are imported anew compare by what they print.
    return (form.text, repr(form.call)) if hasattr(form, "text") else repr(form)


def noticed(name: str, original: object, table: object, expected: list) -> bool:
    """Whether some vector comes out differently, or the dialect cannot even be loaded."""
    try:
        with rebuilt(name, original, table) as package:
            return any(outcome(package, each) != was for each, was in expected)
    except (IndexError, TypeError, AttributeError, KeyError):  # as loud as a difference
        return True


def mutants(dialect: str, name: str, table: object) -> Iterator[tuple[str, object]]:
    """(what was done, the mutated table), but for what means the same by rule."""
    if isinstance(table, Elision):
        yield from ((f"{name} {what}", row) for what, row in changed_elisions(table) if row is not None)
        return
    if isinstance(table, (frozenset, dict)):
        for word in sorted(table):
            left = (
                {key: table[key] for key in table if key != word}
                if isinstance(table, dict)
                else table - {word}
            )
            yield f"{name} without {word}", left
        return
    for index, row in enumerate(table):
        for what, other in changed(row):
            if same_by_rule(dialect, name, row, other):
                continue
            put = () if other is None else (other,)
            yield f"{name} {what}", table[:index] + put + table[index + 1 :]
    for what, row in added(dialect, table):
        yield f"{name} {what}", (*table, row)


def changed(row) -> Iterator[tuple[str, object]]:
    if isinstance(row, str):
        yield f"without {row}", None
    elif isinstance(row, Elision):
        yield from changed_elisions(row)
    elif isinstance(row, Drop):
        yield f"without {row.path}", None
        yield (
            f"{row.path}: another kind",
            replace(row, kind="identity" if row.kind == "transport" else "transport"),
        )
    elif isinstance(row, Field):
        yield from changed_fields(row)


def changed_elisions(row: Elision) -> Iterator[tuple[str, Elision | None]]:
    yield f"without {row.path}", None
    yield f"{row.path}: another value", replace(row, value="some other value")
    yield f"{row.path}: with_tools", replace(row, with_tools=not row.with_tools)
    if row.prefixes:
        yield f"{row.path}: all providers", replace(row, prefixes=())
        yield f"{row.path}: one more provider", replace(row, prefixes=(*row.prefixes, "alibaba/"))
        for prefix in row.prefixes:
            left = tuple(other for other in row.prefixes if other != prefix)
            yield f"{row.path}: not {prefix}", replace(row, prefixes=left)
    else:
        yield f"{row.path}: one provider", replace(row, prefixes=("openai/",))


def changed_fields(row: Field) -> Iterator[tuple[str, Field | None]]:
    yield f"without {row.name}", None
    for kind in (str, bool, int, float, list, dict):
        kinds = row.kinds ^ {kind}
        yield (
            f"{row.name}: {'with' if kind in kinds else 'without'} {kind.__name__}",
            replace(row, kinds=kinds),
        )
    for null in get_args(Field.__annotations__["null"]):
        if null != row.null:
            yield f"{row.name}: null {row.null} -> {null}", replace(row, null=null)
    yield f"{row.name}: exact {row.exact} -> {not row.exact}", replace(row, exact=not row.exact)


def added(dialect: str, table: tuple) -> Iterator[tuple[str, object]]:
    """A drop for every field of the body that has none, a default for every field that has none."""
    present = {getattr(row, "path", None) for row in table}
    paths = [
        field for field in catalogue_of(dialect).fields.get("BODY_FIELDS", ()) if field.name not in present
    ]
    if isinstance(table[0], Drop):
        for field in paths:
            yield f"with {field.name}", Drop(field.name, "transport", "a mutation")
    if isinstance(table[0], Elision):
        dropped = {drop.path for drop in catalogue_of(dialect).drops}
        for field in paths:
            if field.name not in dropped:
                value = next(value for value in (*SAMPLES, 2) if type(value) in field.kinds)
                yield f"with {field.name}", Elision(field.name, value, "a mutation")


def is_part(dialect: str, name: str) -> bool:
    """Whether all rows of a table stand in a larger one of the same dialect, and are mutated there."""
    tables = {other: set(map(repr, rows)) for other, rows in named_tables(dialect).items() if is_many(rows)}
    return any(tables.get(name, {""}) < rows for rows in tables.values())


def is_many(table: object) -> bool:
    return isinstance(table, (tuple, frozenset, dict))


CASES = [
    (dialect, name)
    for dialect in sorted(TABLES.keys() - NOT_YET)
    for name in named_tables(dialect)
    if not is_part(dialect, name)
]


@pytest.mark.parametrize(("dialect", "name"), CASES, ids=lambda word: word)
def test_a_mutation_of_a_table_changes_some_vector(dialect, name):
    """A row dropped, added or widened is noticed, but for those that are known to mean the same."""
    table = named_tables(dialect)[name]
    rows = [each for each in ROWS if each["dialect"] == dialect]
    expected = [(each, outcome(tiered_cache.core.canonical, each)) for each in rows]
    made = dict(mutants(dialect, name, table))

    unnoticed = {what for what, other in made.items() if not noticed(name, table, other, expected)}

    assert len(made) >= 2
    assert unnoticed == EQUIVALENT.get(dialect, {}).keys() & made.keys()


def test_no_exception_is_stale():
    made = {
        what
        for dialect in TABLES
        for name, table in named_tables(dialect).items()
        for what, _ in mutants(dialect, name, table)
    }

    assert {what for known in EQUIVALENT.values() for what in known} <= made
