"""The tables of every dialect in one place, for people: `explain` and the reference page show them."""

from types import ModuleType
from typing import Any

from msgspec import Struct

from tiered_cache.core.canonical import (
    chat_tables,
    completions_tables,
    embeddings,
    images_tables,
    messages_tables,
    moderations,
    origin_tables,
    rerank,
    responses_tables,
    router_tables,
    speech,
    transcriptions,
)
from tiered_cache.core.canonical.chat_facts import ENDPOINT as _CHAT
from tiered_cache.core.canonical.form import kind_of
from tiered_cache.core.canonical.tables import Drop, Elision, ExecutedBy, Field

TABLES: dict[str, tuple[ModuleType, ...]] = {
    _CHAT: (chat_tables, origin_tables, router_tables),
    "completions": (completions_tables, origin_tables, router_tables),
    embeddings.ENDPOINT: (embeddings, router_tables),
    "images/generations": (images_tables, origin_tables, router_tables),
    "messages": (messages_tables, origin_tables, router_tables),
    moderations.ENDPOINT: (moderations, router_tables),
    "responses": (responses_tables, origin_tables, router_tables),
    rerank.ENDPOINT: (rerank, router_tables),
    speech.ENDPOINT: (speech, router_tables),
    transcriptions.ENDPOINT: (transcriptions,),
}
"""The modules in which each dialect's rows stand: they hold tables and nothing that is derived from them."""


class Catalogue(Struct, frozen=True):
    """All rows of one dialect.

    Attributes:
        fields: known members by the name of their table.
        drops, elisions: in the order of the tables.
        tools: who executes the tools of a type, where the dialect has a table of it.
        words: further tables of names: tools, models, fields that decide about caching.
    """

    fields: dict[str, tuple[Field, ...]]
    drops: tuple[Drop, ...]
    elisions: tuple[Elision, ...]
    tools: tuple[ExecutedBy, ...]
    words: dict[str, tuple[str, ...]]

    def source(self, note: str) -> str:
        """Who says that the row of this note cannot change the answer; empty for no row of these tables."""
        rows: tuple[Drop | Elision, ...] = (*self.drops, *self.elisions)
        return next((row.source for row in rows if row.note == note), "")


def catalogue_of(endpoint: str) -> Catalogue:
    """The rows of the dialect of `endpoint`, whatever its tables are called; no rows for an unknown one."""
    drops: list[Drop] = []
    elisions: list[Elision] = []
    fields: dict[str, tuple[Field, ...]] = {}
    tools: list[ExecutedBy] = []
    words: dict[str, tuple[str, ...]] = {}
    for name, value in named_tables(endpoint).items():
        rows = _rows(value)
        drops += [row for row in rows if isinstance(row, Drop) and row not in drops]
        elisions += [row for row in rows if isinstance(row, Elision) and row not in elisions]
        tools += [row for row in rows if isinstance(row, ExecutedBy)]
        if all(isinstance(row, Field) for row in rows):
            fields[name] = rows
        elif all(isinstance(row, str) for row in rows):
            words[name] = rows
    return Catalogue(fields, tuple(drops), tuple(elisions), tuple(tools), words)


def named_tables(endpoint: str) -> dict[str, object]:
    """The public tables of a dialect as they stand; a name that several modules have counts once."""
    found: dict[str, object] = {}
    for module in TABLES.get(endpoint, ()):
        for name, value in vars(module).items():
            rows = _rows(value)
            if name.isupper() and name[0] != "_" and rows and all(map(_is_row, rows)):
                found.setdefault(name, value)
    return found


def _is_row(row: object) -> bool:
    return isinstance(row, (Drop, Elision, ExecutedBy, Field, str))


def _rows(value: Any) -> tuple[Any, ...]:
    """The rows of one table: a sequence as it stands, a set or a map in the order of its texts."""
    kind = kind_of(value)
    if kind is Drop or kind is Elision:
        return (value,)
    if kind is frozenset:
        return tuple(sorted(value, key=str))
    return tuple(value) if kind is tuple or kind is dict else ()
