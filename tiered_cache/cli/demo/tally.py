"""Sums up what the callers saw."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from tiered_cache.cli.demo.callers import Seen
from tiered_cache.simulation.answers import expected_cost_picousd

TIERS = ("L1", "disk", "L2")
SAVED = (*TIERS, "collapsed")


class Tally:
    """Counts, durations in seconds, and money in 1e-12 USD, of all calls so far."""

    def __init__(self) -> None:
        self.calls = 0
        self.failed = 0
        self.wrong = 0
        self.retried = 0
        self.reusable = 0
        self.asked_picousd = 0
        self.saved_picousd = 0
        self.by_how: Counter[str] = Counter()
        self._took_s: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, seen: Seen) -> None:
        """Count one call."""
        self.calls += 1
        self.retried += seen.retries > 0
        self.reusable += seen.call.reusable
        self.by_how[seen.how] += 1
        if seen.how == "failed":
            self.failed += 1
            return
        self.wrong += not seen.right
        if not seen.retries:
            self._took_s[seen.how].append(seen.took_s)
        cost = expected_cost_picousd(seen.call.body)
        self.asked_picousd += cost
        self.saved_picousd += cost if seen.how in SAVED else 0

    @property
    def hit_ratio(self) -> float:
        """Hits and collapsed calls over all calls."""
        return self.share(SAVED)

    def share(self, hows: Iterable[str]) -> float:
        """Part of all calls that was answered in one of these ways."""
        return sum(self.by_how[how] for how in hows) / self.calls if self.calls else 0.0

    def quantile_s(self, hows: Iterable[str], share: float) -> float | None:
        """Duration that this share of these calls stayed within, retried ones left out; None without any."""
        took_s = sorted(taken for how in hows for taken in self._took_s[how])
        return took_s[min(len(took_s) - 1, int(share * len(took_s)))] if took_s else None
