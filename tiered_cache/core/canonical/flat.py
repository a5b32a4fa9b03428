"""The dialects whose bodies are flat: a few members, no messages, a JSON answer."""

from collections.abc import Callable
from types import NoneType
from typing import Any

from msgspec import Struct

from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError, kind_of
from tiered_cache.core.canonical.json_form import settle_member, write_canonical
from tiered_cache.core.canonical.members import Dialect, json_dialect
from tiered_cache.core.canonical.router_tables import REQUESTY_DROPS, REQUESTY_EMPTY, REQUESTY_FIELDS
from tiered_cache.core.canonical.tables import Drop, Field, leaves_out
from tiered_cache.core.canonical.tool_memo import ToolMemo
from tiered_cache.core.vocabulary import Call


def _nothing(body: dict[str, Any]) -> frozenset[str]:
    del body
    return frozenset()


def _whole(body: dict[str, Any]) -> tuple[bytes, ...]:
    del body
    return ()


class Flat(Struct, frozen=True, kw_only=True):
    """One such dialect.

    Attributes:
        fields: known members; all others are keyed as they stand.
        drops: members that are left out.
        read: the facts of a body whose known members have their types; may put a member into its one
            spelling. Raises UnsafeBodyError `field-type`.
        kept: members that stay in this body's key whatever `drops` says.
        elements: of a settled body without what is dropped, the canonical text of each call that it is a
            batch of; empty where it is none.
    """

    fields: tuple[Field, ...]
    drops: tuple[Drop, ...] = ()
    read: Callable[[dict[str, Any], str], Call]
    kept: Callable[[dict[str, Any]], frozenset[str]] = _nothing
    elements: Callable[[dict[str, Any]], tuple[bytes, ...]] = _whole


def flat_dialect(flat: Flat) -> Dialect:
    """The dialect that `flat` describes."""

    def settle(body: dict[str, Any], model: str, options: KeyOptions, _tools: ToolMemo | None) -> Canonical:
        return _canonical(body, model, flat, options)

    return json_dialect(settle)


def _canonical(body: dict[str, Any], model: str, dialect: Flat, options: KeyOptions) -> Canonical:
    _settle(body, {field.name: field for field in dialect.fields}, 2, apart="requesty")
    call = dialect.read(body, model)
    kept = dialect.kept(body)
    split = dialect.elements if "requesty" not in body else _whole
    rows = [row for row in dialect.drops if row.path not in kept]
    dropped = _drop(body, rows, "", options)
    if body.get("requesty") is not None:
        dropped += _drop_requesty(body, body["requesty"], options)
    return Canonical(call, write_canonical(body), tuple(dropped), split(body))


def why_never(model: str) -> str | None:
    """The reason word of a call that names no model, or None."""
    return None if model else "no-model"


def texts_of(value: Any) -> tuple[str, ...]:
    """A list of strings, such as `models`; nothing of it where it is absent or null.

    Raises:
        UnsafeBodyError: `field-type`.
    """
    if not value:
        return ()
    if any(type(text) is not str for text in value):
        raise UnsafeBodyError("field-type")
    return tuple(value)


def names_urls(value: Any) -> bool:
    """Whether some object in a settled value has a member that is, or lists, a remote http(s) URL.

    What is in no object is text: the inputs and documents of a batch.
    """
    kind = kind_of(value)
    if kind is list:
        return any(map(names_urls, value))
    return kind is dict and any(map(_has_url, value.values()))


def _has_url(value: Any) -> bool:
    if type(value) is str:
        return value.lstrip()[:8].lower().startswith(("http://", "https://"))
    return any(map(_has_url, value)) if kind_of(value) is list else names_urls(value)


def _settle(members: dict[str, Any], fields: dict[str, Field], depth: int, *, apart: str = "") -> None:
    """Check every member and settle it in place, but for the one that has a walk of its own.

    Raises:
        UnsafeBodyError: a member of the wrong type, a number or nesting that is not keyed.
    """
    for name in members:
        if name != apart:
            settle_member(members, name, depth, exact=False)
    for name, value in members.items():
        field, kind = fields.get(name), kind_of(value)
        if field is None or kind in field.kinds or (kind is NoneType and field.null == "value"):
            continue
        raise UnsafeBodyError("field-type")


def _drop(members: dict[str, Any], rows: list[Drop], prefix: str, options: KeyOptions) -> list[str]:
    """Leave out what the rows say; the notes of those that applied."""
    notes: list[str] = []
    for row in rows:
        name = row.path.removeprefix(prefix)
        if name in members and leaves_out(row, options.identity_fields):
            del members[name]
            notes.append(row.note)
    return notes


def _drop_requesty(body: dict[str, Any], requesty: dict[str, Any], options: KeyOptions) -> list[str]:
    """The router's own object; where nothing of it can change the answer it is as good as absent."""
    _settle(requesty, {field.name: field for field in REQUESTY_FIELDS}, 3)
    notes = _drop(requesty, list(REQUESTY_DROPS), "requesty.", options)
    if not requesty:
        del body["requesty"]
        notes.append(REQUESTY_EMPTY.note)
    return notes
