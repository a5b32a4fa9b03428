"""The figures of one demonstration, as they are shown and written as JSON."""

from msgspec import Struct

from tiered_cache.cli.demo.books import Books, Check
from tiered_cache.cli.demo.tally import SAVED, Tally
from tiered_cache.core.accounting import PICO

HOWS = (*SAVED, "miss", "bypass", "failed")


class Group(Struct, frozen=True):
    """Calls that were answered in the same way; durations as their callers saw them."""

    calls: int
    share: float
    p50_ms: float | None
    p99_ms: float | None


class Stampede(Struct, frozen=True):
    """Identical calls at one moment, and how many of them the origin saw."""

    callers: int
    origin_calls: int
    slowest_ms: float


class Joined(Struct, frozen=True):
    """Callers of one stream while it was written, at so many nodes, and what of that the origin saw."""

    callers: int
    nodes: int
    origin_calls: int
    texts: int


class Crowds(Struct, frozen=True):
    """What many callers of one answer came to."""

    stampede: Stampede
    joined: Joined


class Report(Struct, frozen=True, kw_only=True):
    """What the traffic came to. No figure means anything without its workload.

    Attributes:
        answered: by where the answer came from; ways that did not occur are left out.
        hit_ratio: hits and collapsed calls over calls.
        best_hit_ratio: what a perfect cache would reach: repeats of calls that are not sampled.
        upstream_calls: calls that the origin counted, retried ones included.
        spent_usd, saved_usd: what the origin billed, and what the nodes booked as not paid again.
        saved_s: origin time that callers did not wait, as the nodes booked it.
        checks: figures that must agree.
    """

    workload: str
    seed: int
    seconds: float
    shared_tier: bool
    calls: int
    failed: int
    wrong: int
    retried: int
    answered: dict[str, Group]
    hits: Group
    hit_ratio: float
    best_hit_ratio: float
    upstream_calls: int
    spent_usd: float
    saved_usd: float
    saved_s: float
    saved_tokens: int
    stampede: Stampede
    joined: Joined
    checks: tuple[Check, ...]

    @property
    def attained(self) -> float | None:
        """Share of the best hit ratio that was reached; None where nothing repeats."""
        return self.hit_ratio / self.best_hit_ratio if self.best_hit_ratio else None

    @property
    def sound(self) -> bool:
        """Everything adds up, every answer was right."""
        return all(check.agrees for check in self.checks) and not self.failed


class Money(Struct, frozen=True):
    """What the origin and the nodes had counted at one moment."""

    upstream_calls: int
    spent_picousd: int
    books: Books


class Facts(Struct, frozen=True):
    """What was run, beside its figures."""

    workload: str
    seed: int
    seconds: float
    shared_tier: bool


def report(
    facts: Facts, traffic: Tally, before: Money, after: Money, crowds: Crowds, checks: list[Check]
) -> Report:
    """Put the figures of the traffic together; `before` is when it began."""
    return Report(
        workload=facts.workload,
        seed=facts.seed,
        seconds=round(facts.seconds, 3),
        shared_tier=facts.shared_tier,
        calls=traffic.calls,
        failed=traffic.failed,
        wrong=traffic.wrong,
        retried=traffic.retried,
        answered={how: group(traffic, (how,)) for how in HOWS if traffic.by_how[how]},
        hits=group(traffic, tuple(how for how in SAVED if how != "collapsed")),
        hit_ratio=traffic.hit_ratio,
        best_hit_ratio=traffic.reusable / traffic.calls if traffic.calls else 0.0,
        upstream_calls=after.upstream_calls - before.upstream_calls,
        spent_usd=(after.spent_picousd - before.spent_picousd) / PICO,
        saved_usd=(after.books.saved_picousd - before.books.saved_picousd) / PICO,
        saved_s=after.books.saved_s - before.books.saved_s,
        saved_tokens=after.books.saved_tokens - before.books.saved_tokens,
        stampede=crowds.stampede,
        joined=crowds.joined,
        checks=tuple(checks),
    )


def group(tally: Tally, hows: tuple[str, ...]) -> Group:
    """Count, share and durations of the calls answered in one of these ways."""
    return Group(
        sum(tally.by_how[how] for how in hows),
        tally.share(hows),
        _ms(tally.quantile_s(hows, 0.5)),
        _ms(tally.quantile_s(hows, 0.99)),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
