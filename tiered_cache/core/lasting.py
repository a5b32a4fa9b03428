"""Says how long the answer to a call would be used, before there is one."""

from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core.policy import lifetime
from tiered_cache.core.profiles import Profile
from tiered_cache.core.vocabulary import (
    Answer,
    Ask,
    Bypass,
    CacheKey,
    Call,
    ContentClass,
    Keyed,
    Lifetime,
    Usage,
)


class Limit(Struct, frozen=True):
    """A lifetime that only the answer can tell.

    Attributes:
        rule: what the answer would have to be, or the operator's rule for such answers.
        fresh_s: how long it would be used then.
    """

    rule: str
    fresh_s: float


class Lasting(Struct, frozen=True):
    """How long an answer to this call would be used.

    Attributes:
        fresh_s, stale_while_revalidate_s, stale_if_error_s: as in `Lifetime`.
        rule: what decided: a rule, a row, a ceiling, or `ttl`.
        by_answer: other lifetimes of answers of some kinds.
    """

    fresh_s: float
    stale_while_revalidate_s: float
    stale_if_error_s: float
    rule: str
    by_answer: tuple[Limit, ...] = ()


def lasting_of(profile: Profile, call: Call, ask: Ask, tenant: str, keyed: Keyed | Bypass) -> Lasting | None:
    """None where rule, ceilings or the caller leave nothing.

    An answer is taken for plain text of unknown media type unless a rule asks for another one.
    """
    key = CacheKey(b"") if isinstance(keyed, Bypass) else keyed.key

    def last(answer: Answer) -> Lifetime:
        return lifetime(profile, call, answer, ask, tenant=tenant, key=key)

    usual = last(_answer(call))
    if usual.fresh_s <= 0:
        return None
    others = [last(answer) for answer in _kinds(profile, call)]
    limits = [Limit(one.rule, one.fresh_s) for one in others if one.fresh_s != usual.fresh_s]
    windows = usual.stale_while_revalidate_s, usual.stale_if_error_s
    return Lasting(usual.fresh_s, *windows, usual.rule, tuple(dict.fromkeys(limits)))


def _kinds(profile: Profile, call: Call) -> list[Answer]:
    """An answer of each kind that some ceiling or rule may know."""
    plain = _answer(call)
    kinds = [replace(plain, content_class=kind) for kind in ContentClass]
    kinds += [
        replace(plain, searched=True),
        replace(plain, short_lived=bool(call.fallback_models)),
        replace(plain, result_urls=True),
    ]
    # A pattern fits itself.
    patterns = [pattern for rule in profile.rules for pattern in rule.match.media_types]
    return kinds + [replace(plain, media_type=pattern) for pattern in patterns]


def _answer(call: Call) -> Answer:
    """An answer of which nothing is known."""
    return Answer("json", b"", False, False, ContentClass.CHAT, call.model, Usage())
