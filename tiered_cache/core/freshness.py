"""Decides what may be done with a stored answer of a given age (RFC 9111 §4.2, RFC 5861)."""

from enum import Enum

from tiered_cache.core.vocabulary import PLAIN, Ask, Lifetime


class Verdict(Enum):
    """What may be done with a stored answer."""

    FRESH = "fresh"
    """Serve it without asking the origin: it is fresh, or no staler than the caller's max-stale allows."""
    STALE_WHILE_REVALIDATE = "stale-while-revalidate"
    """Serve it, and ask the origin in the background."""
    STALE_IF_ERROR = "stale-if-error"
    """Ask the origin; serve it only when the origin fails."""
    EXPIRED = "expired"
    """Ask the origin; this answer is of no use to this caller."""


ORIGIN_FAILED = frozenset({424, 500, 502, 503, 504, 529})
"""Statuses that stand for an origin that cannot answer now; 429 and the other 4xx are its answer."""


def judge(lifetime: Lifetime, age_s: float, ask: Ask) -> Verdict:
    """What may be done for `ask` with an answer `age_s` old. Fresh iff lifetime > age (RFC 9111 §4.2)."""
    if ask is PLAIN or not _restricted(ask):
        return _by_age(lifetime, age_s)
    if ask.no_store or ask.no_cache:
        return Verdict.EXPIRED
    if not _acceptable(lifetime, age_s, ask):
        return Verdict.STALE_IF_ERROR if _outlives_errors(lifetime, age_s) else Verdict.EXPIRED
    verdict = _by_age(lifetime, age_s)
    return verdict if verdict is Verdict.STALE_WHILE_REVALIDATE else Verdict.FRESH


def stale_if_error_allowed(status: int | None) -> bool:
    """Whether a stale answer may stand in for this outcome; None is a connection error or a time-out."""
    return status is None or status in ORIGIN_FAILED


def _restricted(ask: Ask) -> bool:
    """Whether the caller said anything about age."""
    return (
        ask.no_store
        or ask.no_cache
        or ask.max_age_s is not None
        or ask.min_fresh_s is not None
        or ask.max_stale_s is not None
    )


def _by_age(lifetime: Lifetime, age_s: float) -> Verdict:
    if lifetime.fresh_s > age_s:
        return Verdict.FRESH
    if lifetime.fresh_s + lifetime.stale_while_revalidate_s > age_s:
        return Verdict.STALE_WHILE_REVALIDATE
    return Verdict.STALE_IF_ERROR if _outlives_errors(lifetime, age_s) else Verdict.EXPIRED


def _outlives_errors(lifetime: Lifetime, age_s: float) -> bool:
    """Inside the window, regardless of other freshness information (RFC 5861 §4); zero allows nothing."""
    return lifetime.stale_if_error_s > 0 and lifetime.fresh_s + lifetime.stale_if_error_s > age_s


def _acceptable(lifetime: Lifetime, age_s: float, ask: Ask) -> bool:
    """The caller's max-age, min-fresh and max-stale (RFC 9111 §5.2.1); all that were given must hold."""
    if ask.max_age_s is not None and age_s > ask.max_age_s:
        return False
    if ask.min_fresh_s is not None and lifetime.fresh_s < age_s + ask.min_fresh_s:
        return False
    if lifetime.fresh_s > age_s:
        return True
    return (
        ask.max_stale_s is not None
        and ask.min_fresh_s is None
        and age_s - lifetime.fresh_s <= ask.max_stale_s
    )
