"""What a scrape shows after what was reported."""

from __future__ import annotations

import bisect
import re
import shutil
import subprocess

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from stream.decide.policy import Denial
from stream.decide.rows.admission import Outcome
from stream.domain.event import RejectionCode
from stream.models.base.metrics import quality
from stream.worker.telemetry.comparing import GroupCount
from stream.worker.telemetry.instruments import AgeGauge, BatchHistogram
from stream.worker.telemetry.metrics import CAMPAIGNS, BatchCounts, Metrics

NOW = 1_700_000_000.0
EXPECTED = re.findall(
    r"\w+",
    """
events_consumed_total events_applied_total events_rejected_total duplicates_total
late_events_total events_suppressed_total events_replayed_total unknown_fields_total
offers_emitted_total campaigns_passed_over_total
items_left_out_total group_moments_total group_offers_total group_incentives_total
offers_suppressed_total examples_emitted_total examples_learned_total evictions_total
event_processing_seconds offer_end_to_end_seconds stage_seconds consumer_lag_records
watermark_lag_seconds oldest_unacked_seconds commit_age_seconds rebalances_total
rebalance_duration_seconds recovery_remaining_records ready event_loop_lag_seconds state_keys
model_auc model_log_loss model_calibration_ratio model_drift_total model_snapshot_age_seconds
models_refused_total model_ece model_accuracy model_recall model_f1
build_info
""",
)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(CollectorRegistry(), group="shop", clock=clock)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def report_everything(metrics: Metrics) -> None:
    metrics.batch_decided(
        BatchCounts(
            consumed={"clicks": 7, "purchases": 2},
            outcomes=dict.fromkeys(Outcome, 2),
            rejected={RejectionCode.DECODE: 1},
            offers={("summer", "offer"): 3},
            denied={Denial.CONSENT: 1},
            examples=5,
            unknown_fields={"clicks": 3},
            passed={Denial.AUDIENCE: 2},
            left_out={Denial.TOO_ALIKE: 4},
        )
    )
    metrics.groups_met([GroupCount("age", "30", 5, 3, 1)])
    metrics.batch_done(9, 0.02, {"decode": 0.001, "decide": 0.004})
    metrics.offers_sent([0.01, 0.02, 70.0])
    metrics.lag("clicks", 0, 12, 3.0)
    metrics.watermark(0, int((NOW - 5) * 1000))
    metrics.unacked_since(0, NOW - 1)
    metrics.committed()
    metrics.rebalanced(1.5)
    metrics.recovering(100)
    metrics.ready(True)
    metrics.loop_lag(0.002)
    metrics.state_keys("customers", 40)
    metrics.model_quality("propensity", auc=0.8, log_loss=0.1, calibration_ratio=1.02)
    metrics.model_drifted("propensity", 1)
    metrics.model_standing("logistic", quality(np.array([0.0, 1.0]), np.array([0.2, 0.9])))
    metrics.model_snapshot("propensity", NOW - 2)
    metrics.models_refused()
    metrics.evicted("cooccurrence", 4)
    metrics.learned(5)


def test_every_metric_that_an_operator_expects_is_in_a_scrape(metrics: Metrics) -> None:
    report_everything(metrics)
    text = metrics.text().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert {f"offerstream_{name}" for name in EXPECTED} <= kinds.keys()
    assert {
        "kafka_consumergroup_group_lag",
        "kafka_consumergroup_group_lag_seconds",
    } <= kinds.keys()
    assert not [name for name in kinds if name.endswith("_created")]


def test_a_batch_is_counted_once_under_each_heading(metrics: Metrics) -> None:
    report_everything(metrics)
    assert value(metrics, "offerstream_events_consumed_total", topic="clicks") == 7
    for name in ("events_applied", "duplicates", "late_events", "events_suppressed"):
        assert value(metrics, f"offerstream_{name}_total") == 2
    assert value(metrics, "offerstream_events_rejected_total", reason="decode") == 1
    offers = value(metrics, "offerstream_offers_emitted_total", campaign="summer", arm="offer")
    assert offers == 3
    assert value(metrics, "offerstream_offers_suppressed_total", reason="consent") == 1
    assert value(metrics, "offerstream_campaigns_passed_over_total", reason="audience") == 2
    assert value(metrics, "offerstream_examples_emitted_total") == 5


def test_reasons_are_there_at_zero_before_they_happen(metrics: Metrics) -> None:
    for code in RejectionCode:
        assert value(metrics, "offerstream_events_rejected_total", reason=code) == 0
    for denial in Denial:
        assert value(metrics, "offerstream_offers_suppressed_total", reason=denial) == 0
    assert value(metrics, "offerstream_offer_end_to_end_seconds_count") == 0


def test_each_event_of_a_batch_counts_in_its_processing_time(metrics: Metrics) -> None:
    metrics.batch_done(9, 0.02, {"decode": 0.001})
    metrics.batch_done(1, 0.3)
    assert value(metrics, "offerstream_event_processing_seconds_count") == 10
    assert value(metrics, "offerstream_event_processing_seconds_bucket", le="0.025") == 9
    assert value(metrics, "offerstream_event_processing_seconds_sum") == pytest.approx(0.48)
    assert value(metrics, "offerstream_stage_seconds_count", stage="decode") == 1


def test_offers_beyond_the_last_bound_are_counted(metrics: Metrics) -> None:
    metrics.offers_sent(np.array([0.01, 0.02, 70.0]))
    assert value(metrics, "offerstream_offer_end_to_end_seconds_bucket", le="0.25") == 2
    assert value(metrics, "offerstream_offer_end_to_end_seconds_bucket", le="60.0") == 2
    assert value(metrics, "offerstream_offer_end_to_end_seconds_bucket", le="+Inf") == 3


def test_campaigns_beyond_the_bound_share_one_series(metrics: Metrics) -> None:
    for number in range(CAMPAIGNS + 50):
        metrics.batch_decided(BatchCounts(offers={(f"campaign-{number}", "offer"): 1}))
    family = [m for m in metrics.registry.collect() if m.name == "offerstream_offers_emitted"]
    assert len(family[0].samples) == CAMPAIGNS + 1
    other = value(metrics, "offerstream_offers_emitted_total", campaign="other", arm="offer")
    assert other == 50


def test_ages_grow_while_nothing_happens(metrics: Metrics, clock: Clock) -> None:
    metrics.watermark(3, int((NOW - 5) * 1000))
    metrics.unacked_since(3, NOW - 1)
    metrics.committed()
    clock.now += 10
    assert value(metrics, "offerstream_watermark_lag_seconds", partition="3") == 15
    assert value(metrics, "offerstream_oldest_unacked_seconds", partition="3") == 11
    assert value(metrics, "offerstream_commit_age_seconds") == 10
    metrics.unacked_since(3, None)
    assert value(metrics, "offerstream_oldest_unacked_seconds", partition="3") is None


def test_lag_has_our_name_and_the_usual_one(metrics: Metrics) -> None:
    where = {"topic": "clicks", "partition": "0"}
    metrics.lag("clicks", 0, 12, 3.0)
    assert value(metrics, "offerstream_consumer_lag_records", **where) == 12
    assert value(metrics, "kafka_consumergroup_group_lag", group="shop", **where) == 12
    assert value(metrics, "kafka_consumergroup_group_lag_seconds", group="shop", **where) == 3
    metrics.lag("clicks", 0, 0, 0.0)
    assert value(metrics, "kafka_consumergroup_group_lag_seconds", group="shop", **where) == 0


def test_a_partition_that_moved_away_is_not_shown(metrics: Metrics) -> None:
    for partition in (0, 1):
        metrics.lag("clicks", partition, 12, 3.0)
        metrics.watermark(partition, 1)
        metrics.unacked_since(partition, NOW)
    metrics.lag_gone("clicks", 0)
    metrics.lag_gone("purchases", 0)  # was never shown
    metrics.partition_gone(0)
    shown = [
        sample.labels["partition"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "partition" in sample.labels
    ]
    assert set(shown) == {"1"}
    assert len(shown) == 5


def test_no_label_holds_a_customer_or_an_item(metrics: Metrics) -> None:
    report_everything(metrics)
    labels = {n for f in metrics.registry.collect() for s in f.samples for n in s.labels}
    assert labels == {
        *("topic", "partition", "group", "reason", "campaign", "arm", "stage", "table", "model"),
        *("le", "version", "python", "value"),
    }


def test_two_apps_in_a_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.batch_decided(BatchCounts(consumed={"clicks": 1}))
    assert value(first, "offerstream_events_consumed_total", topic="clicks") == 1
    assert value(second, "offerstream_events_consumed_total", topic="clicks") is None


def test_a_registry_of_its_own_shows_the_process() -> None:
    names = {family.name for family in Metrics().registry.collect()}
    assert {"process_resident_memory_bytes", "python_info"} <= names


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_in_a_histogram_equals_its_values_one_by_one(seed: int) -> None:
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    bounds = sorted(set(random.uniform(0, 10, 8).round(1)))
    values = [*random.uniform(-1, 12, 500), *bounds]
    histogram = BatchHistogram("x", "x", bounds)
    histogram.observe(values)
    histogram.observe_same(bounds[0], 3)
    counts = [0] * (len(bounds) + 1)
    for each in [*values, *[bounds[0]] * 3]:
        counts[bisect.bisect_left(bounds, each)] += 1
    (family,) = histogram.collect()
    buckets = [sample.value for sample in family.samples if sample.name == "x_bucket"]
    assert buckets == np.cumsum(counts).tolist()
    total = next(sample.value for sample in family.samples if sample.name == "x_sum")
    assert total == pytest.approx(sum(values) + 3 * bounds[0])


def test_an_empty_batch_changes_no_histogram() -> None:
    histogram = BatchHistogram("x", "x", (1.0,))
    histogram.observe([])
    (family,) = histogram.collect()
    assert [sample.value for sample in family.samples] == [0, 0, 0, 0]


def test_an_age_is_never_negative_when_the_clock_goes_back(clock: Clock) -> None:
    gauge = AgeGauge("x", "x", clock)
    gauge.since(NOW + 60)
    (family,) = gauge.collect()
    assert family.samples[0].value == 0


def test_the_scrape_is_well_formed(metrics: Metrics) -> None:
    report_everything(metrics)
    families = list(text_string_to_metric_families(metrics.text().decode()))
    assert len(families) >= len(EXPECTED)
    assert all(family.documentation.endswith(".") for family in families)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Prometheus) is not here")
def test_promtool_finds_nothing_to_complain_about() -> None:
    metrics = Metrics()
    report_everything(metrics)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics.text(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
