"""The ledger, the tiers' health and latencies as Prometheus metrics, collected only when they are scraped.

No label holds a credential, a tenant, a prompt or an answer. Model names are the callers' text, so only the
first hundred are told apart.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from tiered_cache.core.vocabulary import Outcome
from tiered_cache.engine.flights import Traffic
from tiered_cache.engine.ledger import Ledger, LedgerRow
from tiered_cache.errors import MissingExtraError
from tiered_cache.tiers.guard import TierHealth

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector, CollectorRegistry
except ImportError as error:
    raise MissingExtraError("the metrics page", "gateway") from error

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

BOUNDS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
"""Upper bounds of the latency buckets in seconds: hits take microseconds, reasoning models minutes."""

_MODELS = 100
_OTHER = "(other)"
_NAME_CHARS = 100
_PICO = 1e12


class Latency:
    """Durations counted by bucket; a plain list, because an observation is on the hit path."""

    __slots__ = ("_counts", "_sum_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus has them."""
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        return [(bound, float(count)) for bound, count in zip(bounds, accumulate(self._counts), strict=True)]

    @property
    def sum_s(self) -> float:
        """All durations together."""
        return self._sum_s


class Latencies:
    """A latency for each way of answering; the words come from us, so there are few."""

    def __init__(self) -> None:
        self.by_outcome: dict[str, Latency] = {}

    def of(self, outcome: str) -> Latency:
        """The latency of this word, made at first use."""
        latency = self.by_outcome.get(outcome)
        if latency is None:
            latency = self.by_outcome[outcome] = Latency()
        return latency


def outcome_word(outcome: Outcome | None) -> str:
    """The label of an answer: `hit-L2`, `stale`, `collapsed`, `miss`, `bypass`, `forward`, `error`."""
    if outcome is None:
        return "error"
    if outcome.kind == "hit":
        return f"hit-{outcome.tier}"
    return "forward" if outcome.detail == "route" else outcome.kind


class Metrics(Collector):
    """One metrics page.

    Args:
        ledger: sums and counters.
        health: the tiers' state, asked at each scrape.
        latencies: of this process' answers.
        traffic: the flights under way, asked at each scrape.
    """

    def __init__(
        self,
        ledger: Ledger,
        health: Callable[[], Iterable[TierHealth]],
        latencies: Latencies,
        traffic: Callable[[], Traffic],
    ) -> None:
        self._ledger = ledger
        self._health = health
        self._latencies = latencies
        self._traffic = traffic
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def page(self) -> bytes:
        """The page in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing is promised before there are numbers."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from row_families(self._ledger.rows())
        yield from event_families(self._ledger.counts)
        yield from self._spending()
        yield from traffic_families(self._traffic())
        yield from tier_families(tuple(self._health()))
        yield latency_family(self._latencies.by_outcome)

    def _spending(self) -> Iterator[Metric]:
        ledger = self._ledger
        yield _counter(
            "upstream_calls", "Calls made to the origin for cacheable routes.", ledger.upstream_calls
        )
        spent = ledger.spent_picousd / _PICO
        yield _counter("spent_usd", "Dollars that the origin's answers cost.", spent)
        nobody = ledger.spent_for_nobody_picousd / _PICO
        yield _counter("spent_for_nobody_usd", "Part of that for answers whose callers had all left.", nobody)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"tiered_cache_{name}", text, value=value)


def row_families(rows: Sequence[LedgerRow]) -> Iterator[Metric]:
    """Requests, tokens, dollars and seconds by kind of outcome, tier and model, over all tenants."""
    sums = _by_model(rows)
    labels = ("kind", "tier", "model")
    requests = CounterMetricFamily("tiered_cache_requests", "Answers given.", labels=labels)
    unpriced = CounterMetricFamily("tiered_cache_unpriced", "Answers of unknown cost.", labels=labels)
    usd = CounterMetricFamily("tiered_cache_saved_usd", "Dollars not paid again.", labels=labels)
    seconds = CounterMetricFamily("tiered_cache_saved_seconds", "Origin time not waited for.", labels=labels)
    tokens = CounterMetricFamily(
        "tiered_cache_saved_tokens", "Tokens not paid again.", labels=(*labels, "direction")
    )
    for words, row in sums.items():
        requests.add_metric(words, row.requests)
        unpriced.add_metric(words, row.unpriced)
        if row.saves:
            usd.add_metric(words, row.cost_picousd / _PICO)
            seconds.add_metric(words, row.origin_s)
            tokens.add_metric((*words, "prompt"), row.prompt_tokens)
            tokens.add_metric((*words, "completion"), row.completion_tokens)
    yield from (requests, unpriced, usd, seconds, tokens)


def _by_model(rows: Sequence[LedgerRow]) -> dict[tuple[str, str, str], LedgerRow]:
    """Rows summed over tenants. Rows come in order of first use, so a model's label never changes."""
    models: dict[str, None] = {}
    sums: dict[tuple[str, str, str], LedgerRow] = {}
    for row in rows:
        name = row.model[:_NAME_CHARS]
        if len(models) < _MODELS:
            models[name] = None
        model = name if name in models else _OTHER
        words = (row.kind, row.tier, model)
        total = sums.setdefault(words, LedgerRow("", model, row.tier, row.kind))
        total.requests += row.requests
        total.prompt_tokens += row.prompt_tokens
        total.completion_tokens += row.completion_tokens
        total.cost_picousd += row.cost_picousd
        total.unpriced += row.unpriced
        total.origin_s += row.origin_s
    return sums


def event_families(counts: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    """The ledger's counters: a family for each name, the word as its label."""
    families: dict[str, CounterMetricFamily] = {}
    for (name, word), count in sorted(counts.items()):
        family = families.get(name)
        if family is None:
            metric = f"tiered_cache_{name.replace('-', '_')}"
            family = families[name] = CounterMetricFamily(metric, f"Events: {name}.", labels=("reason",))
        family.add_metric((word,), count)
    yield from families.values()


def traffic_families(traffic: Traffic) -> Iterator[Metric]:
    """Flights under way and their callers."""
    flights = GaugeMetricFamily(
        "tiered_cache_flights", "Calls to the origin under way, by their callers.", labels=("state",)
    )
    flights.add_metric(("awaited",), traffic.flights - traffic.lingering)
    flights.add_metric(("lingering",), traffic.lingering)
    yield flights
    text = "Calls that wait for a flight or read its stream."
    yield GaugeMetricFamily("tiered_cache_flight_callers", text, value=traffic.callers)
    streams = "Flights whose stream has begun."
    yield GaugeMetricFamily("tiered_cache_flight_streams", streams, value=traffic.streams)


def tier_families(tiers: Sequence[TierHealth]) -> Iterator[Metric]:
    """Whether each tier is asked, and its faults by reason."""
    up = GaugeMetricFamily(
        "tiered_cache_tier_up", "1 while the tier is used, 0 while it is left alone.", labels=("tier", "use")
    )
    faults = CounterMetricFamily(
        "tiered_cache_tier_faults", "Failed and skipped tier calls.", labels=("tier", "reason")
    )
    for tier in tiers:
        up.add_metric((tier.name, "read"), float(tier.state == "closed"))
        up.add_metric((tier.name, "write"), float(tier.write_state == "closed"))
        for reason, count in sorted(tier.counts.items()):
            faults.add_metric((tier.name, reason), count)
    yield from (up, faults)


def latency_family(by_outcome: Mapping[str, Latency]) -> Metric:
    """From the request read to the answer written, by how it was answered."""
    family = HistogramMetricFamily(
        "tiered_cache_request_seconds",
        "From the request read to the last byte of the answer written.",
        labels=("outcome",),
    )
    for outcome, latency in by_outcome.items():
        family.add_metric((outcome,), latency.buckets(), sum_value=latency.sum_s)
    return family
