"""Metrics: what an operator alerts on, by the names of Prometheus' conventions.

Rules:

- One prefix, ``offerstream_``; base units; every label bounded, and none holds a customer or an
  item. Consumer lag is also there by the name that people already alert on.
- The hot path reports once a batch, with counts: nothing here is called for each event.
- A registry for each app, so that two apps in one process don't meet.
- What grows by itself (ages, lag in time) is reckoned when scraped: a worker that is stuck shows.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from numpy.typing import ArrayLike
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

import stream
from stream.decide.policy import Denial
from stream.decide.rows.admission import Outcome
from stream.domain.event import RejectionCode
from stream.models.base.metrics import ProbabilityScores as ModelQuality
from stream.worker.telemetry.comparing import GroupCount
from stream.worker.telemetry.instruments import AgeGauge, BatchHistogram, BoundedLabel

Label = TypeVar("Label", bound=str)

PREFIX: Final = "offerstream_"
CAMPAIGNS: Final = 100  # campaigns with series of their own; more are counted as "other"
PROCESSING_BUCKETS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
"""In seconds; 0.25 is the objective that an alert watches."""
STAGE_BUCKETS: Final = (0.0001, 0.00025, *PROCESSING_BUCKETS[:13])

_OUTCOMES: Final = {
    Outcome.APPLIED: ("events_applied", "Events that changed a customer's record."),
    Outcome.DUPLICATE: ("duplicates", "Events whose id was seen before: dropped."),
    Outcome.LATE: ("late_events", "Events beyond the grace: sent to the topic for late ones."),
    Outcome.SUPPRESSED: ("events_suppressed", "Events beyond a person's pace: counted only."),
    Outcome.REPLAYED: ("events_replayed", "Events at or below their stamp: their effect stands."),
}

_STANDINGS: Final = {
    "ece": "Expected calibration error over ten bins, test then learn.",
    "accuracy": "Share called right at the decision threshold, test then learn.",
    "recall": "Share of the conversions that were called, test then learn.",
    "f1": "Harmonic mean of precision and recall, test then learn.",
}


class Internal(StrEnum):
    """The topics that only workers write and read."""

    CHANGELOG = "changelog"
    EXAMPLES = "examples"
    MODELS = "models"
    RULES = "rules"
    BUDGETS = "budgets"


class BatchCounts(NamedTuple):
    """What became of one batch.

    ``consumed`` by topic, ``outcomes`` by :class:`Outcome`, ``rejected`` by
    :class:`RejectionCode`, ``offers`` by campaign and arm, ``denied`` by :class:`Denial`,
    ``unknown_fields`` by topic; ``passed`` are campaigns that stood in line and made no offer, by
    :class:`Denial`; ``recalls`` are of offers, ``unknown_offers`` what feedback was about.
    """

    consumed: Mapping[str, int] = {}
    outcomes: Mapping[Outcome, int] = {}
    rejected: Mapping[RejectionCode, int] = {}
    offers: Mapping[tuple[str, str], int] = {}
    denied: Mapping[Denial, int] = {}
    examples: int = 0
    unknown_fields: Mapping[str, int] = {}
    passed: Mapping[Denial, int] = {}
    left_out: Mapping[Denial, int] = {}
    recalls: int = 0
    unknown_offers: int = 0


class Metrics:
    """The metrics of one app.

    Parameters
    ----------
    registry
        Where they are registered; by default a registry of their own, with the process's memory,
        descriptors and garbage collection beside them.
    group
        The consumer group, for the lag by Kafka's name.
    clock
        The wall clock, in seconds since the epoch.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        group: str = "offerstream",
        clock: Callable[[], float] = time.time,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each
        self.registry: Final = registry or _process_registry()
        self._group, self._clock = group, clock
        self._campaign = BoundedLabel(CAMPAIGNS)
        self._declare_events()
        self._declare_progress()
        self._declare_models()
        self._info()

    def text(self) -> bytes:
        """Everything in Prometheus' text format, for a scrape."""
        return generate_latest(self.registry)

    # Events and offers, once a batch.

    def batch_decided(self, counts: BatchCounts) -> None:
        """Count what became of a batch."""
        _add(self._consumed, counts.consumed)
        _add(self._rejected, counts.rejected)
        _add(self._denied, counts.denied)
        _add(self._passed, counts.passed)
        _add(self._left_out, counts.left_out)
        _add(self._unknown, counts.unknown_fields)
        for outcome, number in counts.outcomes.items():
            if outcome in self._by_outcome:  # rejections are counted with their reason
                self._by_outcome[outcome].inc(number)
        for (campaign, arm), number in counts.offers.items():
            self._offers.labels(self._campaign(campaign), arm).inc(number)
        self._examples.inc(counts.examples)
        self._recalled.inc(counts.recalls)
        self._strange.inc(counts.unknown_offers)

    def extensions_failed(self, failures: Mapping[tuple[str, str], int]) -> None:
        """Count what extensions raised, by point and name."""
        for (point, name), number in failures.items():
            self._extension_failures.labels(point, name).inc(number)

    def groups_met(self, counted: Iterable[GroupCount]) -> None:
        """Count what came of moments, by groups of customers."""
        for group, value, *numbers in counted:
            for counter, number in zip(self._by_group, numbers, strict=True):
                counter.labels(group, value).inc(number)

    def batch_done(self, events: int, seconds: float, stages: Mapping[str, float] = {}) -> None:
        """Note that a batch was acked, ``seconds`` after it was fetched.

        ``stages`` are the seconds that the batch spent in each stage.
        """
        self._processing.observe_same(seconds, events)
        for stage, spent in stages.items():
            self._stage.observe_same(spent, 1, stage)

    def offers_sent(self, seconds: ArrayLike) -> None:
        """Note each offer's time from its event's producer timestamp to its being durable."""
        self._end_to_end.observe(seconds)

    # Progress, as often as it changes.

    def broker(self, silent: float, is_there: bool) -> None:
        """Note for how many seconds no broker has answered, and whether one counts as there."""
        self._silence.set(silent)
        self._connected.set(is_there)

    def lag_unknown(self, topic: str, partition: int) -> None:
        """Show that nobody knows how many records wait."""
        self.lag(topic, partition, math.nan, math.nan)

    def lag(self, topic: str, partition: int, records: float, seconds: float) -> None:
        """Note how many records wait, and for how long the oldest of them has."""
        labels = (topic, str(partition))
        self._lag.labels(*labels).set(records)
        self._group_lag.labels(self._group, *labels).set(records)
        self._group_lag_seconds.labels(self._group, *labels).set(seconds)

    def watermark(self, partition: int, stream_time: int) -> None:
        """Note a partition's stream time, in ms since the epoch."""
        self._watermark.since(stream_time / 1000, str(partition))

    def unacked_since(self, partition: int, fetched: float | None) -> None:
        """Note when the oldest batch not yet acked was fetched (s); None where all are acked."""
        if fetched is None:
            self._unacked.forget(str(partition))
        else:
            self._unacked.since(fetched, str(partition))

    def records_lost(self, topic: str, number: int) -> None:
        """Count records that were removed from a topic before they were read."""
        self._lost.labels(topic).inc(number)

    def committed(self) -> None:
        """Note that offsets were committed now."""
        self._commit.since(self._clock())

    def rebalanced(self, seconds: float) -> None:
        """Count a rebalance, from the first revocation to the last recovered table."""
        self._rebalances.inc()
        self._rebalance.observe_same(seconds, 1)

    def lag_gone(self, topic: str, partition: int) -> None:
        """Show the lag of a partition no more: another worker reads it."""
        labels = (topic, str(partition))
        with suppress(KeyError):  # older clients raise where nothing was shown
            self._lag.remove(*labels)
            self._group_lag.remove(self._group, *labels)
            self._group_lag_seconds.remove(self._group, *labels)

    def partition_gone(self, partition: int) -> None:
        """Show the customers' partition no more: it is another worker's."""
        self._watermark.forget(str(partition))
        self._unacked.forget(str(partition))

    def recovering(self, remaining: int) -> None:
        """Note how many changelog records are still to be read."""
        self._recovery.set(remaining)

    def ready(self, is_ready: bool) -> None:
        """Note whether the worker takes events."""
        self._ready.set(is_ready)

    def loop_lag(self, seconds: float) -> None:
        """Note how late the event loop ran what was due."""
        self._loop.set(seconds)

    def store_rebuilt(self) -> None:
        """Count a damaged store that was emptied, to be filled from its changelog."""
        self._store_rebuilt.inc()

    def record_unreadable(self) -> None:
        """Count a record of a changelog that cannot be read."""
        self._unreadable.inc()

    def loop_tasks(self, number: int) -> None:
        """Note how many tasks the event loop has."""
        self._tasks.set(number)

    def learner_waited(self, seconds: float) -> None:
        """Note for how long the learner's process has owed an answer."""
        self._learner.set(seconds)

    def schema_asked(self, outcome: str) -> None:
        """Count an answer of the Schema Registry: ``found``, ``unknown`` or ``failed``."""
        self._schemas.labels(outcome).inc()

    def schema_waited(self, seconds: float) -> None:
        """Note for how long partitions have waited for a schema."""
        self._schema_wait.set(seconds)

    def state_keys(self, table: str, keys: int) -> None:
        """Note how many keys a table holds on this worker."""
        self._keys.labels(table).set(keys)

    # Models, about once a second.

    def model_quality(
        self, model: str, *, auc: float, log_loss: float, calibration_ratio: float
    ) -> None:
        """Note a model's prequential quality; the ratio is predicted over observed."""
        self._auc.labels(model).set(auc)
        self._log_loss.labels(model).set(log_loss)
        self._calibration.labels(model).set(calibration_ratio)

    def model_standing(self, model: str, quality: ModelQuality) -> None:
        """Note where a model stands in the comparison of champion and challengers."""
        gauges = {"auc": self._auc, "log_loss": self._log_loss, **self._standings}
        for name, gauge in gauges.items():
            value = getattr(quality, name)
            if value is not None:
                gauge.labels(model).set(value)

    def model_gone(self, model: str) -> None:
        """Show a model's standing no more."""
        for gauge in (self._auc, self._log_loss, *self._standings.values()):
            with suppress(KeyError):  # as in `lag_gone`
                gauge.remove(model)

    def model_drifted(self, model: str, times: int) -> None:
        """Count changes that the model's drift detector saw."""
        self._drift.labels(model).inc(times)

    def model_snapshot(self, model: str, published: float) -> None:
        """Note when the snapshot in use was published, in seconds since the epoch."""
        self._snapshot.since(published, model)

    def variants_stopped(self, campaign: str, number: int) -> None:
        """Note how many of a campaign's variants are stopped, since they hurt."""
        self._stopped.labels(self._campaign(campaign)).set(number)

    def models_refused(self) -> None:
        """Count a publication of models that was damaged, forged, or did not fit."""
        self._refused.inc()
        self.internal_refused(Internal.MODELS)

    def internal_refused(self, topic: Internal, records: int = 1) -> None:
        """Count records of a topic of our own that were not what we write there, and passed."""
        self._internal.labels(topic).inc(records)

    def evicted(self, table: str, keys: int) -> None:
        """Count what gave way in memory that is bounded."""
        self._evicted.labels(table).inc(keys)

    def learned(self, examples: int) -> None:
        """Count the examples that the learner took."""
        self._learned.inc(examples)

    def _declare_events(self) -> None:
        counter = self._counter
        self._consumed = counter("events_consumed", "Records taken from the topics.", "topic")
        self._by_outcome = {
            outcome: counter(name, text) for outcome, (name, text) in _OUTCOMES.items()
        }
        text = "Records that were no event: dead letters."
        self._rejected = counter("events_rejected", text, "reason")
        text = "Fields of valid events that nobody knew: ignored."
        self._unknown = counter("unknown_fields", text, "topic")
        self._offers = counter("offers_emitted", "Offers sent out.", "campaign", "arm")
        self._denied = counter("offers_suppressed", "Offers that the policy withheld.", "reason")
        self._passed = counter(
            "campaigns_passed_over", "Campaigns that stood in line and made no offer.", "reason"
        )
        text = "Variants of a campaign that are stopped, since they hurt."
        self._stopped = self._gauge("variants_stopped", text, "campaign")
        text = "Items that offers did not hold, though they were better than some."
        self._left_out = counter("items_left_out", text, "reason")
        self._recalled = counter("offers_recalled", "Offers that are not to be shown any more.")
        by = ("group", "value")
        self._by_group = [
            counter(
                "group_moments", "Moments of a group's customers, of core.fairness_groups.", *by
            ),
            counter("group_offers", "Of these, with an offer.", *by),
            counter("group_incentives", "Of these, with an offer that has an incentive.", *by),
        ]
        self._extension_failures = counter(
            "extension_failures", "What extensions of other packages raised.", "point", "name"
        )
        text = "Feedback about an offer that is none of the customer's."
        self._strange = counter("feedback_unknown_offer", text)
        self._examples = counter("examples_emitted", "Examples sent to the learner.")
        for code in RejectionCode:
            self._rejected.labels(code)
        for denial in Denial:
            self._denied.labels(denial)
        text = "From fetch to ack, of each event."
        self._processing = self._histogram("event_processing_seconds", text, PROCESSING_BUCKETS)
        text = "From the event's producer timestamp to its offer's being durable."
        self._end_to_end = self._histogram("offer_end_to_end_seconds", text, PROCESSING_BUCKETS)
        text = "Time of a batch in one stage."
        self._stage = self._histogram("stage_seconds", text, STAGE_BUCKETS, "stage")

    def _declare_progress(self) -> None:
        gauge, where = self._gauge, ("topic", "partition")
        self._lag = gauge("consumer_lag_records", "Records that wait to be taken.", *where)
        name, labels = "kafka_consumergroup_group_lag", ("group", *where)
        text = "Records that wait to be taken, by the usual name."
        self._group_lag = Gauge(name, text, labels, registry=self.registry)
        text = "How long the oldest record has waited."
        self._group_lag_seconds = Gauge(name + "_seconds", text, labels, registry=self.registry)
        text = "Wall time less stream time: how old the newest event is."
        self._watermark = self._age("watermark_lag_seconds", text, "partition")
        text = "Age of the oldest batch fetched and not yet acked."
        self._unacked = self._age("oldest_unacked_seconds", text, "partition")
        text = "Records that were removed from their topic before they were read."
        self._lost = self._counter("records_lost", text, "topic")
        self._connected = gauge("broker_connected", "1 while a broker answers.")
        self._silence = gauge("broker_silent_seconds", "Since a broker last answered.")
        self._commit = self._age("commit_age_seconds", "Since the last commit of offsets.")
        self._rebalances = self._counter("rebalances", "Times that partitions moved.")
        text = "From the first revocation until the tables were whole again."
        self._rebalance = self._histogram("rebalance_duration_seconds", text, PROCESSING_BUCKETS)
        text = "Changelog records still to be read before the tables are whole."
        self._recovery = gauge("recovery_remaining_records", text)
        self._ready = gauge("ready", "1 while the worker takes events.")
        self._loop = gauge("event_loop_lag_seconds", "How late the event loop ran what was due.")
        self._tasks = gauge("event_loop_tasks", "Tasks of the event loop that are not done.")
        text = "How long the learner's process has owed an answer; 0 while it answers."
        self._learner = gauge("learner_unanswered_seconds", text)
        text = "Answers of the Schema Registry to questions for a schema."
        self._schemas = self._counter("schema_requests", text, "outcome")
        text = "How long partitions have waited for a schema; 0 while none does."
        self._schema_wait = gauge("schema_wait_seconds", text)
        self._keys = gauge("state_keys", "Keys of a table on this worker.", "table")
        text = "Damaged stores that were emptied and filled from their changelogs."
        self._store_rebuilt = self._counter("store_rebuilt", text)
        text = "Records of changelogs that could not be read: their customers are nobody's."
        self._unreadable = self._counter("state_records_unreadable", text)
        self._evicted = self._counter("evictions", "Keys that gave way to others.", "table")

    def _declare_models(self) -> None:
        gauge = self._gauge
        self._auc = gauge("model_auc", "Area under the ROC curve, test then learn.", "model")
        self._log_loss = gauge("model_log_loss", "Log loss, test then learn.", "model")
        text = "Conversions predicted over conversions observed; 1 is right."
        self._calibration = gauge("model_calibration_ratio", text, "model")
        self._drift = self._counter("model_drift", "Changes that drift detectors saw.", "model")
        self._standings = {
            name: gauge(f"model_{name}", text, "model") for name, text in _STANDINGS.items()
        }
        text = "Since the snapshot in use was published."
        self._snapshot = self._age("model_snapshot_age_seconds", text, "model")
        text = "Publications of models that were damaged, forged, or did not fit."
        self._refused = self._counter("models_refused", text)
        text = "Records of our own topics that we had not written so: passed over."
        self._internal = self._counter("internal_records_refused", text, "topic")
        for topic in Internal:
            self._internal.labels(topic)
        self._learned = self._counter("examples_learned", "Examples that the learner took.")

    def _info(self) -> None:
        info = self._gauge("build_info", "1, with the versions as labels.", "version", "python")
        info.labels(stream.__version__, platform.python_version()).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, bounds: tuple[float, ...], *labels: str
    ) -> BatchHistogram:
        histogram = BatchHistogram(PREFIX + name, text, bounds, labels)
        self.registry.register(histogram)
        return histogram

    def _age(self, name: str, text: str, *labels: str) -> AgeGauge:
        gauge = AgeGauge(PREFIX + name, text, self._clock, labels)
        self.registry.register(gauge)
        return gauge


def _process_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _add(counter: Counter, counts: Mapping[Label, int]) -> None:
    for label, number in counts.items():
        counter.labels(label).inc(number)
