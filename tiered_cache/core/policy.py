"""Decides how long an answer is used and whether equal calls share a flight: the first match wins."""

from math import inf

from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core.profiles import NO_ROW, Caps, Profile, Row
from tiered_cache.core.replay import Replay
from tiered_cache.core.rules import Gives, Rule
from tiered_cache.core.vocabulary import Answer, Ask, CacheKey, Call, ContentClass, Determinism, Lifetime

_FORBIDDEN = "rule"
"""Reason word of a call that an operator's rule keeps out of the cache."""

_NOTHING = Gives()
_NO_KEY = CacheKey(b"")
_FRACTION_BYTES = 8
_FRACTIONS = float(256**_FRACTION_BYTES)
_TOOL_CALL = ContentClass.TOOL_CALL


class Plan(Struct, frozen=True):
    """What is known before the origin is asked.

    Attributes:
        store: its answer may be stored, if the content allows it.
        collapse: equal calls share one flight.
        rule: name of the rule or row that decided.
        detail: word for Cache-Status, e.g. `unstated`, `sampled`.
        gives: what the operator's rule that covers the call gives.
        variants: how many answers to the call are kept; 0 for one under its own key.
    """

    store: bool
    collapse: bool
    rule: str
    detail: str | None
    gives: Gives = _NOTHING
    variants: int = 0

    def replay_for(self, ask: Ask) -> Replay:
        """How fast a stored stream is given: as the caller says, else the rule, else at once."""
        said = self.gives.replay if ask.replay is None else ask.replay
        return "instant" if said is None else said


def plan(profile: Profile, call: Call, tenant: str = "") -> Plan:
    """Whether the answer to a call of this tenant may be stored and shared by equal calls in flight."""
    if call.bypass is not None:
        return Plan(store=False, collapse=False, rule="bypass", detail=call.bypass)
    row, rule = _deciding(profile, call, tenant)
    gives = _NOTHING if rule is None else rule.gives
    store = row.fresh_s > 0
    sampled = store and gives.variants is not None and call.determinism is not Determinism.DETERMINISTIC
    variants = gives.variants if sampled and gives.variants is not None else 0
    collapse = store and (gives.collapse is not False if variants else row.collapse)
    return Plan(store, collapse, row.name, row.detail, gives, variants)


def lifetime(
    profile: Profile,
    call: Call,
    answer: Answer,
    ask: Ask,
    *,
    tenant: str = "",
    key: CacheKey = _NO_KEY,
    wall_now_s: float | None = None,
) -> Lifetime:
    """How long `answer` may be used from now on; zero `fresh_s` means that it is not stored.

    Neither freshness nor the windows after it reach past an instant at which something in the answer ends:
    `wall_now_s` is the unix time to count from, None where it is not known. The caller's `ttl_s` only
    shortens, below the `max_fresh_s` of the rule. `rule` names what decided: the rule or row, the cap that
    binds, or `ttl`. How much a rule's jitter cuts off is in `key`.
    """
    planned = plan(profile, call, tenant)
    row, rule = _deciding(profile, call, tenant, answer)
    if not planned.store or row.fresh_s <= 0:
        return Lifetime(0.0, rule=row.name if planned.store else planned.rule)
    left_s = inf if profile.caps is None else _left(profile.caps, answer, wall_now_s)
    acts = answer.content_class is _TOOL_CALL and not _names_tool_calls(rule)
    fresh_s, binding = min(
        [*_given(row, ask, key), *_ceilings(profile.caps, call, answer, acts), (left_s, "expires")],
        key=_seconds,
    )
    clockless = answer.expires_at_s is not None and wall_now_s is None
    if fresh_s <= 0 or clockless or acts or _ages(call, answer):
        return Lifetime(max(0.0, fresh_s), rule=binding)
    most_s = left_s - fresh_s
    windows = min(row.stale_while_revalidate_s, most_s), min(row.stale_if_error_s, most_s)
    return Lifetime(fresh_s, *windows, binding)


def _deciding(
    profile: Profile, call: Call, tenant: str, answer: Answer | None = None
) -> tuple[Row, Rule | None]:
    """The row that covers the call, as the first rule that does changes it, and that rule."""
    row = profile.row(call)
    for rule in profile.rules:
        if rule.covers(call, tenant, answer):
            if answer is not None and answer.content_class is _TOOL_CALL and _names_tool_calls(rule):
                row = _of_tool_calls(row, profile.caps)
            return _ruled(row, rule), rule
    return row, None


def _names_tool_calls(rule: Rule | None) -> bool:
    """Whether an operator has decided about answers that call a tool, so that their ceiling is the rule's."""
    return rule is not None and _TOOL_CALL.value in rule.match.content


def _of_tool_calls(row: Row, caps: Caps | None) -> Row:
    """What such a rule inherits where it gives nothing."""
    if caps is None:
        return row
    return replace(row, fresh_s=min(row.fresh_s, caps.tool_call_s), stale_if_error_s=0.0)


def _ruled(row: Row, rule: Rule) -> Row:
    gives = rule.gives
    fresh_s = 0.0 if gives.store is False else _given_else(gives.fresh_s, row.fresh_s)
    if gives.max_fresh_s is not None:
        fresh_s = min(fresh_s, gives.max_fresh_s)
    return replace(
        row,
        name=rule.name,
        fresh_s=fresh_s,
        max_fresh_s=gives.max_fresh_s,
        stale_while_revalidate_s=_given_else(gives.stale_while_revalidate_s, row.stale_while_revalidate_s),
        stale_if_error_s=_given_else(gives.stale_if_error_s, row.stale_if_error_s),
        jitter=_given_else(gives.jitter, row.jitter),
        collapse=row.collapse if gives.collapse is None else gives.collapse,
        detail=_rule_detail(row, gives, fresh_s),
    )


def _rule_detail(row: Row, gives: Gives, fresh_s: float) -> str | None:
    if fresh_s <= 0 and (gives.store is False or gives.fresh_s is not None or row.fresh_s > 0):
        return _FORBIDDEN
    return None if row is NO_ROW and fresh_s > 0 else row.detail


def _given_else(given: float | None, inherited: float) -> float:
    return inherited if given is None else given


def _given(row: Row, ask: Ask, key: CacheKey) -> list[tuple[float, str]]:
    """What row and caller give; of equals the first binds."""
    if ask.ttl_s is None:
        return [(_jittered(row, key), row.name)]
    most_s = _jittered(row, key) if row.max_fresh_s is None else row.max_fresh_s
    return [(most_s, row.name), (ask.ttl_s, "ttl")]


def _jittered(row: Row, key: CacheKey) -> float:
    """The lifetime less its part of the jitter: the end of a key is as good as random, and equal for all."""
    if not row.jitter:
        return row.fresh_s
    part = int.from_bytes(key[-_FRACTION_BYTES:], "big") / _FRACTIONS
    return row.fresh_s * (1 - row.jitter * part)


def _left(caps: Caps, answer: Answer, wall_now_s: float | None) -> float:
    """Seconds until the first part of the answer ends; infinite where none does."""
    if answer.expires_at_s is None:
        return inf
    return caps.clockless_s if wall_now_s is None else max(0.0, answer.expires_at_s - wall_now_s)


def _ceilings(caps: Caps | None, call: Call, answer: Answer, acts: bool) -> list[tuple[float, str]]:
    if caps is None:
        return []
    ceilings = (
        (acts, caps.tool_call_s, "tool-call"),
        (call.web_search or answer.searched, caps.web_search_s, "web-search"),
        (call.remote_urls, caps.remote_urls_s, "remote-urls"),
        (answer.short_lived, caps.fallback_s, "fallback-model"),
        (answer.result_urls, caps.result_urls_s, "result-urls"),
    )
    return [(fresh_s, name) for applies, fresh_s, name in ceilings if applies]


def _seconds(given: tuple[float, str]) -> float:
    return given[0]


def _ages(call: Call, answer: Answer) -> bool:
    """Search results age, results are deleted: never used after their time."""
    return call.web_search or answer.searched or answer.result_urls
