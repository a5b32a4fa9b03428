"""What canonicalisation is asked, what it gives, and how it refuses."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from tiered_cache.core.rules import Looser, Rule
from tiered_cache.core.vocabulary import Call

kind_of: Callable[[object], type[object]] = type
"""The exact JSON type of a decoded value: true is not 1, so never isinstance. Named for the type checkers,
which take a bare `type(value)` as a narrowing."""


PolicyMode: TypeAlias = Literal["pool", "pin", "bypass"]
"""Which calls of one `policy/…` model are equal: all (`pool`), those with equal sticky ids (`pin`), none."""


MAX_VALUES = 300_000
"""As many as one embeddings call of OpenAI may have tokens."""


class KeyOptions(Struct, frozen=True, kw_only=True):
    """What an operator may change about the keys of one endpoint; `identity_fields` joins the partition.

    Attributes:
        identity_fields: `drop` leaves fields that only name the end user out of the key; `key` keeps them
            in it, for platforms that use `user` as a session; `sticky` keeps only those by which the router
            chooses a model.
        policies: modes of policies, by the name behind `policy/`; others bypass.
        generic_paths: endpoints without a dialect of their own whose bodies are keyed whole.
        default_model: what a body without a model asks for; empty where that is not known.
        max_values: how many JSON values a body may hold; more would keep the event loop.
        rules: those before the answer that may cover a call of this endpoint and tenant, if one of them
            wants looser keys; else empty.
        tenant: for whom they are.
    """

    identity_fields: Literal["drop", "key", "sticky"] = "drop"
    policies: Mapping[str, PolicyMode] = {}
    default_model: str = ""
    max_values: int = MAX_VALUES
    rules: tuple[Rule, ...] = ()
    tenant: str = ""
    generic_paths: frozenset[str] = frozenset()


class Canonical(Struct, frozen=True, gc=False):
    """A request body reduced to what can change its answer.

    Attributes:
        call: the facts about the request.
        text: canonical bytes; equal for two bodies of one dialect exactly when they mean the same call.
        dropped: what was left out, each as `path: table row`.
        elements: canonical texts of the calls that this one is a batch of, in their order; else empty.
        looser: how the text was changed so that more calls are equal.
    """

    call: Call
    text: bytes
    dropped: tuple[str, ...]
    elements: tuple[bytes, ...] = ()
    looser: tuple[Looser, ...] = ()


class UnsafeBodyError(Exception):
    """A body that some parser reads but that has no one safe meaning; never leaves the core.

    Attributes:
        detail: the reason word of the bypass.
        model: as far as it could be read.
    """

    def __init__(self, detail: str, model: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.model = model
