"""The built-in lifetime tables, of which the first row that covers a call decides."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from tiered_cache.core.models import is_dated
from tiered_cache.core.rules import Rule
from tiered_cache.core.vocabulary import Call, Determinism

MINUTE_S = 60.0
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S
ENDLESS_S = float(2**31)
"""The longest lifetime that HTTP can say (RFC 9111 §1.2.2), 68 years."""

GENERATION = ("chat/completions", "completions", "messages", "responses")
SEEDED = (*GENERATION, "images/generations")
"""Where a seed asks for the same answer again."""

FUNCTIONS = ("embeddings", "rerank", "moderations", "audio/transcriptions", "audio/speech")


class Row(Struct, frozen=True, kw_only=True):
    """One row of a lifetime table: what it matches, and what it gives.

    Attributes:
        name: what `Plan.rule` and `Lifetime.rule` say.
        endpoints: endpoints it matches; empty matches every one.
        determinism: None matches every kind.
        dated: whether the model id must carry a date; None does not ask.
        fresh_s: zero means that nothing is stored.
        max_fresh_s: the most that a caller may ask for; None allows no more than `fresh_s`.
        stale_while_revalidate_s, stale_if_error_s: windows after `fresh_s`.
        jitter: the greatest part of `fresh_s` that is cut off, 0 to 1.
        collapse: whether equal calls share one flight.
        detail: word for Cache-Status, of calls that are not stored and of calls that are: the caller of a
            stored `unstated` call never said that equal answers would do, and can see why it got one.
    """

    name: str
    endpoints: tuple[str, ...] = ()
    determinism: Determinism | None = None
    dated: bool | None = None
    fresh_s: float = 0.0
    max_fresh_s: float | None = None
    stale_while_revalidate_s: float = 0.0
    stale_if_error_s: float = 0.0
    jitter: float = 0.0
    collapse: bool = False
    detail: str | None = None

    def covers(self, call: Call) -> bool:
        """Whether `call` belongs to this row."""
        return (
            (not self.endpoints or call.endpoint in self.endpoints)
            and (self.determinism is None or call.determinism is self.determinism)
            and (self.dated is None or is_dated(call.model) is self.dated)
        )


class Caps(Struct, frozen=True, kw_only=True):
    """What no row may exceed, whatever it gives; the shortest that applies binds.

    Attributes:
        tool_call_s, web_search_s: their answers are not used after an error either.
        remote_urls_s: what a URL shows may change.
        fallback_s: an answer by another model than the first one asked for.
        result_urls_s: what the origin made is gone some time; not used after an error either.
        clockless_s: an answer that ends at an instant, where it is not known how far that is.
    """

    tool_call_s: float = 10 * MINUTE_S
    web_search_s: float = 5 * MINUTE_S
    remote_urls_s: float = 10 * MINUTE_S
    fallback_s: float = MINUTE_S
    result_urls_s: float = 10 * MINUTE_S
    clockless_s: float = MINUTE_S


class Profile(Struct, frozen=True, kw_only=True):
    """A lifetime table, and the operator's rules before it.

    Attributes:
        rows: in order; a call that none covers is neither stored nor collapsed.
        caps: ceilings on every row and rule; None for none.
        rules: in order; what the first one that covers a call does not give is the row's.
    """

    name: str
    rows: tuple[Row, ...]
    caps: Caps | None = Caps()
    rules: tuple[Rule, ...] = ()

    def row(self, call: Call) -> Row:
        """The row that covers `call`, whatever the rules say."""
        for row in self.rows:
            if row.covers(call):
                return row
        return NO_ROW


def unbounded() -> Profile:
    """Every answer is stored and shared for as long as HTTP can say: what a replay compares with."""
    return Profile(
        name="unbounded", rows=(Row(name="unbounded", fresh_s=ENDLESS_S, collapse=True),), caps=None
    )


NO_ROW = Row(name="unlisted", detail="policy")

_EMBEDDINGS = Row(
    name="embeddings",
    endpoints=("embeddings",),
    fresh_s=30 * DAY_S,
    stale_if_error_s=DAY_S,
    collapse=True,
)
_FUNCTIONS = Row(name="function", endpoints=FUNCTIONS, fresh_s=30 * DAY_S, collapse=True)
_DATED_MODEL = Row(
    name="deterministic-dated",
    endpoints=SEEDED,
    determinism=Determinism.DETERMINISTIC,
    dated=True,
    fresh_s=7 * DAY_S,
    stale_if_error_s=DAY_S,
    collapse=True,
)
_ALIAS = Row(
    name="deterministic-alias",
    endpoints=SEEDED,
    determinism=Determinism.DETERMINISTIC,
    fresh_s=DAY_S,
    stale_if_error_s=DAY_S,
    collapse=True,
)
_UNSTATED = Row(
    name="unstated",
    endpoints=GENERATION,
    determinism=Determinism.UNSTATED,
    fresh_s=10 * MINUTE_S,
    stale_if_error_s=HOUR_S,
    collapse=True,
    detail="unstated",
)
_UNSTATED_A_DAY = Row(
    name="unstated",
    endpoints=GENERATION,
    determinism=Determinism.UNSTATED,
    fresh_s=DAY_S,
    stale_if_error_s=HOUR_S,
    collapse=True,
    detail="unstated",
)
_UNSTATED_NEVER = Row(
    name="unstated", endpoints=GENERATION, determinism=Determinism.UNSTATED, detail="unstated"
)
_SAMPLED = Row(name="sampled", determinism=Determinism.SAMPLED, detail="sampled")

_CERTAIN = (_EMBEDDINGS, _FUNCTIONS, _SAMPLED, _DATED_MODEL, _ALIAS)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "balanced": Profile(name="balanced", rows=(*_CERTAIN, _UNSTATED)),
        "strict": Profile(name="strict", rows=(*_CERTAIN, _UNSTATED_NEVER)),
        "aggressive": Profile(name="aggressive", rows=(*_CERTAIN, _UNSTATED_A_DAY)),
    }
)
"""The built-in tables by name."""
