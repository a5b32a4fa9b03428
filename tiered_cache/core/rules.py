"""An operator's rules: what a call, or its answer, must be, and what it is given then."""

from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core.replay import Replay
from tiered_cache.core.vocabulary import Answer, Call

Kind: TypeAlias = Literal["chat", "tool-call", "structured", "generic"]
"""The words of `ContentClass`."""


Looser: TypeAlias = Literal["trim", "nfc", "fold", "tool-call-ids"]
LOOSER: Final[tuple[Looser, ...]] = get_args(Looser)
"""What a key may overlook, in the order of its bits in the key's version."""


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule covers: all that is given must hold; what is empty or None holds for everything.

    Attributes:
        endpoints: paths below the API base, e.g. `chat/completions`.
        models: patterns of the model as the caller writes it: `*` stands for any characters, `?` for one.
        determinism: what the call says about sampling.
        tools: whether the call brings tools.
        tenants: names of tenants.
        content: what kind of answer it is.
        media_types: patterns of the answer's media type, lower-case.
    """

    endpoints: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    determinism: Literal["deterministic", "unstated", "sampled"] | None = None
    tools: bool | None = None
    tenants: tuple[str, ...] = ()
    content: tuple[Kind, ...] = ()
    media_types: tuple[str, ...] = ()

    @property
    def needs_answer(self) -> bool:
        """Whether only the answer tells if it is covered."""
        return bool(self.content or self.media_types)


class Gives(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule gives; None leaves it as the built-in row has it that covers the call.

    Attributes:
        store: False keeps nothing and looks nothing up; the same as no `fresh_s`.
        fresh_s: how long an answer is used; zero means that nothing is stored.
        max_fresh_s: the most that a caller's `x-tiered-cache-ttl` may ask for, and that `fresh_s` gives.
        stale_while_revalidate_s, stale_if_error_s: windows after that.
        jitter: the greatest part by which a lifetime is cut, so that answers stored together do not end
            together: 0 to 1. How much of it is in the key, so that it is the same everywhere.
        collapse: whether equal calls share a flight.
        looser: what the key overlooks in messages, so that more calls are equal.
        replay: how fast a stored stream is given to a caller who does not say.
        variants: how many answers are kept to each call that asks for a sample: the first calls ask the
            origin, the others get these answers in turn. Needs `fresh_s`.
        follow_json: whether a call for a stream may wait for a JSON answer that is under way, and gets it as
            a stream at its end.
        upstream_stream: whether the origin is asked for a stream whatever the caller asked for, so that every
            other caller can join it.
        linger_s: how long a flight lives on when its last caller has left.
        on_abandon: what becomes of it then; None finishes what is worth it.
        tags: by which its answer can be purged inside the tenant, beside those of caller and origin.
    """

    store: bool | None = None
    fresh_s: float | None = None
    max_fresh_s: float | None = None
    stale_while_revalidate_s: float | None = None
    stale_if_error_s: float | None = None
    jitter: float | None = None
    collapse: bool | None = None
    looser: tuple[Looser, ...] | None = None
    replay: Replay | None = None
    variants: int | None = None
    follow_json: bool | None = None
    upstream_stream: bool | None = None
    linger_s: float | None = None
    on_abandon: Literal["finish", "cancel"] | None = None
    tags: tuple[str, ...] | None = None


BEFORE_THE_ANSWER = (
    *("collapse", "looser", "replay", "variants", "tags"),
    *("follow_json", "upstream_stream", "linger_s", "on_abandon"),
)
"""What has no effect any more once the answer is there."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of an operator's list, of which the first that covers a call decides.

    Attributes:
        name: what `explain` calls it; by default its place in the list.
    """

    name: str = ""
    match: Match = Match()
    gives: Gives = Gives()

    def covers(self, call: Call, tenant: str, answer: Answer | None) -> bool:
        """Whether a call of this tenant is covered; without its answer, a rule about answers never does."""
        if answer is None:
            return not self.match.needs_answer and _covers_call(self.match, call, tenant)
        return _covers_call(self.match, call, tenant) and _covers_answer(self.match, answer)


def named(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules, each with a name."""
    return tuple(
        rule if rule.name else replace(rule, name=f"rules[{place}]") for place, rule in enumerate(rules)
    )


def key_rules(rules: tuple[Rule, ...], endpoint: str, tenant: str) -> tuple[Rule, ...]:
    """The rules that may cover a call of this endpoint and tenant; none, where none wants a looser key."""
    found = tuple(
        rule
        for rule in rules
        if not rule.match.needs_answer
        and (not rule.match.endpoints or endpoint in rule.match.endpoints)
        and (not rule.match.tenants or tenant in rule.match.tenants)
    )
    return found if any(rule.gives.looser for rule in found) else ()


def _covers_call(match: Match, call: Call, tenant: str) -> bool:
    return (
        (not match.endpoints or call.endpoint in match.endpoints)
        and (match.determinism is None or call.determinism.value == match.determinism)
        and (match.tools is None or call.tools is match.tools)
        and (not match.tenants or tenant in match.tenants)
        and (not match.models or _fits(call.model, match.models))
    )


def _covers_answer(match: Match, answer: Answer) -> bool:
    return (not match.content or answer.content_class.value in match.content) and (
        not match.media_types or _fits(answer.media_type, match.media_types)
    )


def _fits(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
