"""The kinds of row that a dialect's tables hold: applied by the code, printed by the reference page."""

from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct


class Drop(Struct, frozen=True):
    """A field that cannot change the answer; forwarded on a miss, never keyed.

    Attributes:
        path: where it stands, `[]` for each element.
        kind: `transport` (how the answer travels or what it costs) or `identity` (whom it is for; may be
            switched into the key).
        source: who says that the answer does not depend on it.
    """

    path: str
    kind: Literal["transport", "identity"]
    source: str

    @property
    def note(self) -> str:
        """The row as `explain` shows it."""
        return f"{self.path}: {self.kind}"


STICKY_PATHS: Final = frozenset({"requesty.user_id", "requesty.trace_id"})
"""Identity fields by which the router's policies choose a model."""


def leaves_out(row: Drop, identity_fields: str) -> bool:
    """Whether a row applies, by what `KeyOptions.identity_fields` is."""
    if row.kind == "transport" or identity_fields == "drop":
        return True
    return identity_fields == "sticky" and row.path not in STICKY_PATHS


class Elision(Struct, frozen=True):
    """A value that says what its absence says.

    Attributes:
        path: where it stands.
        value: the documented default, compared by type and value.
        prefixes: model prefixes whose documentation states it; empty for all providers.
        with_tools: only beside a non-empty `tools`.
        source: where the default is stated.
    """

    path: str
    value: Any
    source: str
    prefixes: tuple[str, ...] = ()
    with_tools: bool = False

    @property
    def note(self) -> str:
        """The row as `explain` shows it."""
        return f"{self.path}: default"


class Field(Struct, frozen=True):
    """A known member: what may stand there.

    Attributes:
        name: the member's name.
        kinds: accepted JSON types; `int` accepts an integral float too.
        null: what null is there: refused, a value of its own, or the same as absent.
        exact: its numbers belong to a schema, where 1 and 1.0 stay different.
    """

    name: str
    kinds: frozenset[type]
    null: Literal["refused", "value", "absent"] = "refused"
    exact: bool = False


Executor: TypeAlias = Literal["client", "search", "origin"]
"""Who executes a tool: the caller, the origin by searching the web, the origin in another way."""


class ExecutedBy(Struct, frozen=True):
    """Who executes the tools of one type.

    Attributes:
        kind: the tool's `type`.
        by: the client, the origin, or the origin by searching the web alone.
        source: who says so.
    """

    kind: str
    by: Executor
    source: str


class Tables(Struct, frozen=True, kw_only=True):
    """Which members of a body are left out of the key, and which have a walk of their own.

    Attributes:
        drops: fields that cannot change the answer.
        elisions: documented defaults of members of the body itself.
        own_walk: paths of containers that the dialect settles by itself.
    """

    drops: tuple[Drop, ...]
    elisions: tuple[Elision, ...]
    own_walk: frozenset[str]


TEXT = frozenset({str})
BOOLEAN = frozenset({bool})
INTEGER = frozenset({int})
NUMBER = frozenset({int, float})
ARRAY = frozenset({list})
OBJECT = frozenset({dict})
TEXT_OR_ARRAY = TEXT | ARRAY
TEXT_OR_OBJECT = TEXT | OBJECT
