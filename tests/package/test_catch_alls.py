"""Faults are caught whatever they are in two places alone: the guard of a tier, and the engine's outer edge."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "tiered_cache"
BROAD = {"Exception", "BaseException"}

GUARD = {("tiers/guard.py", "GuardedTier._attempt")}
EDGE = {("engine/cache.py", f"Cache.{method}") for method in ("request", "name", "peek", "serve", "_resume")}
EMBEDDER = {("engine/calls.py", "_Fetching.__call__")}
"""What an embedder's own `fetch` raises with a status is the origin's answer; all else it raises again."""


def is_broad(kind):
    if kind is None:
        return True
    if isinstance(kind, ast.Tuple):
        return any(map(is_broad, kind.elts))
    return ast.unparse(kind).rpartition(".")[2] in BROAD


def swallows(handler):
    """Whether it can end without raising: nearly all end in a `raise` of their own."""
    return not isinstance(handler.body[-1], ast.Raise)


def found(node, path, names=()):
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        inner = (*names, child.name) if named else names
        if isinstance(child, ast.ExceptHandler) and is_broad(child.type) and swallows(child):
            yield (path, ".".join(inner))
        if isinstance(child, ast.Call) and ast.unparse(child.func).rpartition(".")[2] == "suppress":
            yield from ((path, ".".join(inner)) for kind in child.args if is_broad(kind))
        yield from found(child, path, inner)


def catch_alls():
    for file in sorted(PACKAGE.rglob("*.py")):
        path = str(file.relative_to(PACKAGE))
        yield from found(ast.parse(file.read_text(encoding="utf-8")), path)


def test_whatever_it_is_is_caught_in_the_guard_and_at_the_outer_edge_alone():
    assert sorted(catch_alls()) == sorted(GUARD | EDGE | EMBEDDER)


def test_the_search_finds_what_it_looks_for():
    text = """
class A:
    def one(self):
        try: pass
        except (ValueError, Exception): pass
    def two(self):
        try: pass
        except: log()
    def three(self):
        with contextlib.suppress(BaseException): pass
    def fine(self):
        try: pass
        except BaseException: raise
"""
    assert [name for _, name in found(ast.parse(text), "x")] == ["A.one", "A.two", "A.three"]
