"""Prometheus metrics over a ledger: right sums, bounded labels, nobody named."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tiered_cache.core.vocabulary import Outcome, Usage
from tiered_cache.engine.flights import Flights
from tiered_cache.engine.ledger import Ledger
from tiered_cache.integrations.metrics import BOUNDS_S, Latencies, Latency, Metrics, outcome_word
from tiered_cache.tiers.guard import TierHealth


def samples(ledger: Ledger, tiers=(), latencies: Latencies | None = None) -> dict:
    page = Metrics(ledger, lambda: tiers, latencies or Latencies(), Flights().now).page().decode()
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_rows_are_summed_over_tenants_and_no_tenant_is_named():
    ledger = Ledger()
    for tenant in ("secret-tenant-a", "secret-tenant-b"):
        ledger.row(tenant, "m", "L1", "hit").add(Usage(10, 5, 0, 2_500_000), 0.5)
        ledger.row(tenant, "m", "L1", "hit").add(Usage(1, 1, 0, None), 0.25)
    found = samples(ledger)
    labels = ("kind=hit", "model=m", "tier=L1")
    assert found["tiered_cache_requests_total", *labels] == 4
    assert found["tiered_cache_unpriced_total", *labels] == 2
    assert found["tiered_cache_saved_usd_total", *labels] == pytest.approx(5e-6)
    assert found["tiered_cache_saved_seconds_total", *labels] == 1.5
    assert found["tiered_cache_saved_tokens_total", "direction=prompt", *labels] == 22
    assert "secret-tenant" not in str(found)


def test_what_was_paid_is_not_called_saved():
    ledger = Ledger()
    ledger.row("t", "m", "origin", "miss").add(Usage(10, 5, 0, 7), 1.0)
    ledger.spend(Usage(10, 5, 0, 7_000_000_000_000))
    found = samples(ledger)
    assert not any(name[0].startswith("tiered_cache_saved") for name in found)
    assert found["tiered_cache_spent_usd_total",] == 7


def test_models_are_bounded_and_a_models_label_never_changes():
    ledger = Ledger()
    for number in range(150):
        ledger.row("t", f"model-{number}", "L1", "hit").add(Usage(), 0)
    before = samples(ledger)
    ledger.row("u", "model-3", "L2", "hit").add(Usage(), 0)
    ledger.row("u", "model-140", "L1", "hit").add(Usage(), 0)
    after = samples(ledger)
    models = {label for name in after for label in name[1:] if label.startswith("model=")}
    assert len(models) == 101
    assert before["tiered_cache_requests_total", "kind=hit", "model=(other)", "tier=L1"] == 50
    assert after["tiered_cache_requests_total", "kind=hit", "model=(other)", "tier=L1"] == 51
    assert all(after[name] >= value for name, value in before.items())


def test_a_long_or_hostile_model_name_neither_breaks_the_page_nor_fills_it():
    ledger = Ledger()
    ledger.row("t", 'x"}\n# HELP fake\nfake 1\n' + "y" * 10_000, "L1", "hit").add(Usage(), 0)
    page = Metrics(ledger, tuple, Latencies(), Flights().now).page().decode()
    assert "\nfake 1" not in page
    assert "y" * 101 not in page
    assert list(text_string_to_metric_families(page))


def test_events_and_tiers_have_their_words_as_labels():
    ledger = Ledger()
    ledger.count("refused", "finish-reason")
    ledger.count("dropped-write", "L2")
    tier = TierHealth("L2", "open", "closed", {"timeout": 3})
    found = samples(ledger, [tier])
    assert found["tiered_cache_refused_total", "reason=finish-reason"] == 1
    assert found["tiered_cache_dropped_write_total", "reason=L2"] == 1
    assert found["tiered_cache_tier_up", "tier=L2", "use=read"] == 0
    assert found["tiered_cache_tier_up", "tier=L2", "use=write"] == 1
    assert found["tiered_cache_tier_faults_total", "reason=timeout", "tier=L2"] == 3


def test_a_latency_falls_into_the_bucket_whose_bound_it_does_not_pass():
    latency = Latency()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, 1e9):
        latency.observe(seconds)
    counts = dict(latency.buckets())
    assert (counts["0.0001"], counts["0.00025"], counts["600.0"], counts["+Inf"]) == (2, 3, 3, 4)
    assert latency.sum_s == pytest.approx(1e9)


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (None, "error"),
        (Outcome(kind="hit", tier="disk"), "hit-disk"),
        (Outcome(kind="collapsed"), "collapsed"),
        (Outcome(kind="bypass", detail="sampled"), "bypass"),
        (Outcome(kind="bypass", detail="route"), "forward"),
        (Outcome(kind="stale", tier="L1"), "stale"),
    ],
)
def test_outcomes_have_one_word_each(outcome, word):
    assert outcome_word(outcome) == word
