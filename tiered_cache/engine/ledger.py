"""The ledger: what was served, what it would have cost, what was spent; integers only."""

from collections import Counter

from tiered_cache.core.vocabulary import Usage


class LedgerRow:
    """Sums of one tenant, model, tier and kind of outcome.

    Attributes:
        requests: calls answered so.
        prompt_tokens, completion_tokens: of those answers; saved for hits and followers, paid for misses.
        cost_picousd: what those answers cost when they were made; saved for hits and followers.
        unpriced: answers whose cost the origin did not say; they are in no sum of money.
        origin_s: what the origin took to make them.
    """

    __slots__ = (
        "completion_tokens",
        "cost_picousd",
        "kind",
        "model",
        "origin_s",
        "prompt_tokens",
        "requests",
        "tenant",
        "tier",
        "unpriced",
    )

    def __init__(self, tenant: str, model: str, tier: str, kind: str) -> None:
        self.tenant = tenant
        self.model = model
        self.tier = tier
        self.kind = kind
        self.requests = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.cost_picousd = 0
        self.unpriced = 0
        self.origin_s = 0.0

    def add(self, usage: Usage, origin_s: float) -> None:
        """Book one answer."""
        self.requests += 1
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens
        self.origin_s += origin_s
        if usage.cost_picousd is None:
            self.unpriced += 1
        else:
            self.cost_picousd += usage.cost_picousd

    @property
    def saves(self) -> bool:
        """Whether these answers were given without paying for them."""
        return self.kind in SAVING_KINDS


SAVING_KINDS = frozenset({"hit", "stale", "revalidated", "partial", "collapsed"})
"""Outcomes whose cost was saved; every other kind that has a cost was paid. Of a partial hit only what was
stored is booked so: the call for the rest is a miss."""

_LIMIT = 10_000
_LONGEST_MODEL = 200
"""Model ids are the caller's text: what is booked under one is bounded."""


class Ledger:
    """Rows by (tenant, model, tier, kind), and counters by (name, word).

    The number of rows is bounded: what comes after `row_limit` distinct ones is booked as `(other)`.
    """

    def __init__(self, row_limit: int = _LIMIT) -> None:
        self._rows: dict[tuple[str, str, str, str], LedgerRow] = {}
        self._row_limit = row_limit
        self.counts: Counter[tuple[str, str]] = Counter()
        self.upstream_calls = 0
        self.spent_picousd = 0
        self.spent_for_nobody_picousd = 0

    def row(self, tenant: str, model: str, tier: str, kind: str) -> LedgerRow:
        """The row of these words, made at first use."""
        name = (tenant, model[:_LONGEST_MODEL], tier, kind)
        row = self._rows.get(name)
        if row is None:
            row = self._new_row(name)
        return row

    def _new_row(self, name: tuple[str, str, str, str]) -> LedgerRow:
        if len(self._rows) >= self._row_limit:
            name = ("(other)", "(other)", *name[2:])
            if name in self._rows:
                return self._rows[name]
        row = self._rows[name] = LedgerRow(*name)
        return row

    def count(self, name: str, word: str = "") -> None:
        """Add one to a counter, e.g. `("refused", "finish-reason")`."""
        self.counts[name, word] += 1

    def count_avoided(self) -> None:
        """Note a call that was answered by another's call."""
        self.count("upstream-calls-avoided")

    def spend(self, usage: Usage, *, for_nobody: bool = False) -> None:
        """Book what an origin call cost, once, whoever is served by it."""
        cost = usage.cost_picousd
        if cost is None:
            self.count("unpriced-call")
            return
        self.spent_picousd += cost
        if for_nobody:
            self.spent_for_nobody_picousd += cost

    def rows(self) -> list[LedgerRow]:
        """All rows, in order of first use."""
        return list(self._rows.values())
