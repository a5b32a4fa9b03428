"""Decides how long an answer is used and whether equal calls share a flight: tables, the first match wins."""

import re
from collections.abc import Mapping
from math import inf
from types import MappingProxyType

from msgspec import Struct

from tiered_cache.core.vocabulary import Answer, Ask, Call, ContentClass, Determinism, Lifetime

MINUTE_S = 60.0
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S
ENDLESS_S = float(2**31)
"""The longest lifetime that HTTP can say (RFC 9111 §1.2.2), 68 years."""

GENERATION = ("chat/completions", "completions", "messages", "responses")
FUNCTIONS = ("embeddings", "rerank", "moderations", "audio/transcriptions", "audio/speech")

_DATED = re.compile(
    r"[-@.](?:20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))"
    r"(?P<rest>(?:-v[0-9]+(?::[0-9]+)?)?(?:@[a-z0-9-]+)?)\Z",
    re.ASCII,
)


class Row(Struct, frozen=True, kw_only=True):
    """One row of a lifetime table: what it matches, and what it gives.

    Attributes:
        name: what `Plan.rule` and `Lifetime.rule` say.
        endpoints: endpoints it matches; empty matches every one.
        determinism: None matches every kind.
        dated: whether the model id must carry a date; None does not ask.
        fresh_s: zero means that nothing is stored.
        stale_if_error_s: window after `fresh_s`.
        collapse: whether equal calls share one flight.
        detail: word for Cache-Status, of calls that are not stored and of calls that are: the caller of a
            stored `unstated` call never said that equal answers would do, and can see why it got one.
    """

    name: str
    endpoints: tuple[str, ...] = ()
    determinism: Determinism | None = None
    dated: bool | None = None
    fresh_s: float = 0.0
    stale_if_error_s: float = 0.0
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
    """A lifetime table.

    Attributes:
        rows: in order; a call that none covers is neither stored nor collapsed.
        caps: ceilings on every row; None for none.
    """

    name: str
    rows: tuple[Row, ...]
    caps: Caps | None = Caps()


class Plan(Struct, frozen=True):
    """What is known before the origin is asked.

    Attributes:
        store: its answer may be stored, if the content allows it.
        collapse: equal calls share one flight.
        rule: name of the row that decided.
        detail: word for Cache-Status, e.g. `unstated`, `sampled`.
    """

    store: bool
    collapse: bool
    rule: str
    detail: str | None


def plan(profile: Profile, call: Call) -> Plan:
    """Whether the answer to `call` may be stored and shared by equal calls in flight."""
    if call.bypass is not None:
        return Plan(store=False, collapse=False, rule="bypass", detail=call.bypass)
    row = _row(profile, call)
    return Plan(store=row.fresh_s > 0, collapse=row.collapse, rule=row.name, detail=row.detail)


def lifetime(
    profile: Profile, call: Call, answer: Answer, ask: Ask, *, wall_now_s: float | None = None
) -> Lifetime:
    """How long `answer` may be used from now on; zero `fresh_s` means that it is not stored.

    Neither freshness nor the window after an error reaches past an instant at which something in the answer
    ends: `wall_now_s` is the unix time to count from, None where it is not known. The caller's `ttl_s` only
    shortens. `rule` names what decided: the row, the cap that binds, or `ttl`.
    """
    row = _row(profile, call)
    if call.bypass is not None or row.fresh_s <= 0:
        return Lifetime(0.0, rule=row.name)
    left_s = inf if profile.caps is None else _left(profile.caps, answer, wall_now_s)
    fresh_s, rule = _shortest(profile.caps, row, call, answer, ask, left_s)
    if fresh_s <= 0:
        return Lifetime(0.0, rule=rule)
    clockless = answer.expires_at_s is not None and wall_now_s is None
    stale_s = 0.0 if clockless or _never_stale(call, answer) else row.stale_if_error_s
    return Lifetime(fresh_s, 0.0, min(stale_s, left_s - fresh_s), rule)


def unbounded() -> Profile:
    """Every answer is stored and shared for as long as HTTP can say: what a replay compares with."""
    return Profile(
        name="unbounded", rows=(Row(name="unbounded", fresh_s=ENDLESS_S, collapse=True),), caps=None
    )


def is_dated(model: str) -> bool:
    """Whether a model id ends in a whole date, so that it names one version for ever.

    A revision (`-v2:0`) or a region (`@eu-central-1`) may follow. Four digits (`-0613`, `-2411`) are no date
    here: an alias that looks like one would be kept a week.
    """
    return _DATED.search(model) is not None


def undated(model: str) -> str:
    """The model id without its whole date, a revision or region kept; as it is where it has none."""
    return _DATED.sub(r"\g<rest>", model)


def _row(profile: Profile, call: Call) -> Row:
    for row in profile.rows:
        if row.covers(call):
            return row
    return _NO_ROW


def _left(caps: Caps, answer: Answer, wall_now_s: float | None) -> float:
    """Seconds until the first part of the answer ends; infinite where none does."""
    if answer.expires_at_s is None:
        return inf
    return caps.clockless_s if wall_now_s is None else max(0.0, answer.expires_at_s - wall_now_s)


def _shortest(
    caps: Caps | None, row: Row, call: Call, answer: Answer, ask: Ask, left_s: float
) -> tuple[float, str]:
    """The lifetime that binds, with the name of what gave it; of equals the first."""
    given = [(row.fresh_s, row.name)]
    if caps is not None:
        given += [(fresh_s, name) for applies, fresh_s, name in _ceilings(caps, call, answer) if applies]
    given += [(left_s, "expires"), (inf if ask.ttl_s is None else ask.ttl_s, "ttl")]
    return min(given, key=_seconds)


def _ceilings(caps: Caps, call: Call, answer: Answer) -> tuple[tuple[bool, float, str], ...]:
    return (
        (answer.content_class is ContentClass.TOOL_CALL, caps.tool_call_s, "tool-call"),
        (call.web_search or answer.searched, caps.web_search_s, "web-search"),
        (call.remote_urls, caps.remote_urls_s, "remote-urls"),
        (answer.short_lived, caps.fallback_s, "fallback-model"),
        (answer.result_urls, caps.result_urls_s, "result-urls"),
    )


def _seconds(given: tuple[float, str]) -> float:
    return given[0]


def _never_stale(call: Call, answer: Answer) -> bool:
    """Tool calls act, search results age, results are deleted: no window after an error."""
    return (
        call.web_search
        or answer.searched
        or answer.result_urls
        or answer.content_class is ContentClass.TOOL_CALL
    )


_NO_ROW = Row(name="unlisted", detail="policy")

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
    endpoints=GENERATION,
    determinism=Determinism.DETERMINISTIC,
    dated=True,
    fresh_s=7 * DAY_S,
    stale_if_error_s=DAY_S,
    collapse=True,
)
_ALIAS = Row(
    name="deterministic-alias",
    endpoints=GENERATION,
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
