"""The canonical package with one table changed, and every way in which a table is changed."""

import ast
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, get_args

from msgspec.structs import replace

import tiered_cache.core
from tests.core.vectors.call_parts import PLACES, SAMPLES
from tiered_cache.core.canonical.catalogue import TABLES, catalogue_of, named_tables
from tiered_cache.core.canonical.tables import Drop, Elision, ExecutedBy, Executor, Field

PACKAGE = "tiered_cache.core.canonical"


class _Changed(MetaPathFinder, Loader):
    """Loads one module with another value for one of its tables."""

    def __init__(self, module: str, name: str, table: object) -> None:
        self.module, self.name, self.table = module, name, table

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        del path, target
        return ModuleSpec(fullname, self) if fullname == self.module else None

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["_changed_table"] = self.table
        exec(_code(self.module, self.name), vars(module))  # our own source


@cache
def _source(module: str) -> ast.Module:
    return ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8"))


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name


@cache
def _code(module: str, name: str) -> CodeType:
    """The module's code, with `name` set to the changed table where it was made."""
    tree = ast.parse(ast.unparse(_source(module)))
    for node in tree.body:
        if _assigns(node, name):
            assert isinstance(node, ast.AnnAssign)
            node.value = ast.copy_location(ast.Name("_changed_table", ast.Load()), node)
    return compile(ast.fix_missing_locations(tree), module, "exec")


@cache
def _users(module: str) -> frozenset[str]:
    """The module, and all of the package that are made from what it holds, the package itself among them."""
    parts = [part for part in sys.modules if part == PACKAGE or part.startswith(PACKAGE + ".")]
    found = {module, PACKAGE}
    while True:
        more = {part for part in parts if part not in found and _imports(part) & (found - {PACKAGE})}
        if not more:
            return frozenset(found)
        found |= more


@cache
def _imports(module: str) -> frozenset[str]:
    """Modules that a module takes names from."""
    nodes = [node for node in _source(module).body if isinstance(node, ast.ImportFrom)]
    whole = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
    return frozenset({str(node.module) for node in nodes} | whole)


def home_of(dialect: str, name: str) -> str:
    """The module in which a table of a dialect is made; it may have it from another dialect."""
    modules = dict.fromkeys(module for own in (dialect, *TABLES) for module in TABLES[own])
    table = named_tables(dialect)[name]
    holders = [module.__name__ for module in modules if getattr(module, name, None) is table]
    return next(each for each in holders if any(_assigns(node, name) for node in _source(each).body))


@contextmanager
def rebuilt(module: str, name: str, table: object) -> Iterator[ModuleType]:
    """The canonical package with another table, and anew what is made of it."""
    users, finder, package = _users(module), _Changed(module, name, table), tiered_cache.core.canonical
    kept = {user: sys.modules.pop(user) for user in users if user in sys.modules}
    sys.meta_path.insert(0, finder)
    try:
        yield _imported_anew()
    finally:
        sys.meta_path.remove(finder)
        for user in users:
            sys.modules.pop(user, None)
        sys.modules.update(kept)
        tiered_cache.core.canonical = package


def _imported_anew() -> ModuleType:
    try:
        return importlib.import_module(PACKAGE)
    except StopIteration as error:  # a row that the code looks up by name is not there
        raise KeyError from error


def mutants(dialect: str, name: str, table: Any) -> Iterator[tuple[str, object]]:
    """(what was done, the changed table), but for what means the same by rule."""
    if isinstance(table, Elision):
        yield from ((f"{name} {what}", row) for what, row in _elisions(table) if row is not None)
        return
    if isinstance(table, dict):
        yield from (
            (f"{name} without {word}", {key: table[key] for key in table if key != word}) for word in table
        )
        return
    if isinstance(table, frozenset):
        yield from ((f"{name} without {word}", table - {word}) for word in sorted(table))
        return
    for index, row in enumerate(table):
        for what, other in _changes(row):
            if not _same_by_rule(dialect, name, row, other):
                put = () if other is None else (other,)
                yield f"{name} {what}", table[:index] + put + table[index + 1 :]
    for what, row in _additions(dialect, table):
        yield f"{name} {what}", (*table, row)


def _same_by_rule(dialect: str, name: str, old: object, new: object) -> bool:
    """Whether a changed row means the same.

    What is dropped anyway may be any value, and what has nothing in it has nothing to be exact about. Of the
    tools only the caller's are told from all others, by a table.
    """
    if isinstance(old, ExecutedBy):
        return old.by != "client" and (new is None or (isinstance(new, ExecutedBy) and new.by != "client"))
    if not isinstance(old, Field) or not isinstance(new, Field):
        return False
    path = ".".join([str(step) for step in (*PLACES.get(name, ()), old.name)])
    dropped = any(drop.path == path and drop.kind == "transport" for drop in catalogue_of(dialect).drops)
    if old.exact != new.exact:
        return dropped or old.kinds.isdisjoint({list, dict})
    return dropped and {old.null, new.null} == {"value", "absent"}


def _changes(row: object) -> Iterator[tuple[str, object]]:
    if isinstance(row, str):
        yield f"without {row}", None
    elif isinstance(row, Elision):
        yield from _elisions(row)
    elif isinstance(row, Field):
        yield from _fields(row)
    elif isinstance(row, ExecutedBy):
        yield f"without {row.kind}", None
        for who in get_args(Executor):
            if who != row.by:
                yield f"{row.kind}: {row.by} -> {who}", replace(row, by=who)
    elif isinstance(row, Drop):
        yield f"without {row.path}", None
        kind = "identity" if row.kind == "transport" else "transport"
        yield f"{row.path}: another kind", replace(row, kind=kind)


def _elisions(row: Elision) -> Iterator[tuple[str, Elision | None]]:
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


def _fields(row: Field) -> Iterator[tuple[str, Field | None]]:
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


def _additions(dialect: str, table: tuple[Any, ...]) -> Iterator[tuple[str, object]]:
    """A drop for every field of the body that has none, a default for every field that has none."""
    present = {getattr(row, "path", "") for row in table}
    known = catalogue_of(dialect).fields
    fields = [field for name in ("BODY_FIELDS", "FIELDS") for field in known.get(name, ())]
    others = [field for field in fields if field.name not in present]
    if all(path.startswith("requesty.") for path in present):
        return  # of that object alone
    if isinstance(table[0], Drop):
        for field in others:
            yield f"with {field.name}", Drop(field.name, "transport", "a mutation")
    if isinstance(table[0], Elision):
        dropped = {drop.path for drop in catalogue_of(dialect).drops}
        for field in others:
            if field.name not in dropped:
                value = next(value for value in (*SAMPLES, 2) if type(value) in field.kinds)
                yield f"with {field.name}", Elision(field.name, value, "a mutation")


def tables_of(dialect: str) -> dict[str, object]:
    """The tables of a dialect that are not part of a larger one of its own, in which they are changed."""
    named = named_tables(dialect)
    rows = {
        name: set(map(repr, table))
        for name, table in named.items()
        if isinstance(table, (tuple, frozenset, dict))
    }
    return {
        name: table for name, table in named.items() if not any(rows.get(name, {""}) < other for other in rows.values())
    }  # fmt: skip
