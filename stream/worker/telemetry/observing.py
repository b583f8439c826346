"""What the worker does, told to the metrics: one call a batch."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from time import time
from typing import TypeVar

from stream.codec.offers import is_recall
from stream.config import Settings
from stream.decide.batch import LEFT_OUT
from stream.decide.policy import OF_RULE, RULE_FAILED, Denial
from stream.decide.rows.admission import Outcome
from stream.domain.event import Rejection, RejectionCode
from stream.domain.stamps import offset_of
from stream.host.guarding import CHALLENGER
from stream.models.propensity.foresight import Quality
from stream.worker.faust.records import Batch
from stream.worker.learning.trainer import Publication
from stream.worker.partition import Flush
from stream.worker.telemetry.comparing import Comparing
from stream.worker.telemetry.metrics import BatchCounts, Internal, Metrics
from stream.worker.telemetry.silence import Silence

WAITS = 10_000
K = TypeVar("K", bound=StrEnum)


class Observing:
    """Turns what happened into counts and times."""

    def __init__(
        self,
        metrics: Metrics,
        settings: Settings,
        unknown: Counter[str],
        failures: Counter[tuple[str, str]],
    ) -> None:
        self._metrics = metrics
        self._unknown = unknown
        self._failures = failures
        self._denials = (*Denial, *_own(settings.extensions.rules))
        self.keep_offers = False  # only where somebody drains them
        self._topics = settings.topics.events
        self._offers: defaultdict[int, list[bytes]] = defaultdict(list)
        self._unacked: defaultdict[int, deque[float]] = defaultdict(deque)
        self._silence = Silence()
        self._comparing = Comparing(settings.core.fairness_least)
        self.waits: deque[float] = deque(maxlen=WAITS)
        self.quality: Quality | None = None

    def decided(self, flush: Flush, seconds: float) -> None:
        """Records were decided."""
        tally, partition = flush.decided.tally, flush.batch.partition
        outcomes = {outcome: tally[outcome] for outcome in Outcome if tally[outcome]}
        outcomes[Outcome.REPLAYED] = len(flush.batch) - sum(outcomes.values())
        denied = _named(tally, "denied:", self._denials)
        self._silence.note(len(flush.decided.offers), denied)
        self._metrics.batch_decided(
            BatchCounts(
                consumed=flush.batch.by_topic(),
                outcomes=outcomes,
                rejected=_named(tally, "rejected:", RejectionCode),
                offers=Counter((o.campaign_id, o.arm) for o in flush.decided.offers),
                denied=denied,
                examples=flush.decided.examples,
                unknown_fields=dict(self._unknown),
                passed=_named(tally, "passed:", self._denials),
                left_out=_named(tally, LEFT_OUT, Denial),
                recalls=tally["recalls"],
                unknown_offers=tally["unknown_offer"],
            )
        )
        self._metrics.groups_met(self._comparing.note(flush.decided.members))
        self._unknown.clear()
        if self._failures:
            self._metrics.extensions_failed(self._failures)
            self._failures.clear()
        waiting = self._unacked[partition]
        waiting.append(time() - seconds)
        self._metrics.unacked_since(partition, waiting[0])
        self._metrics.watermark(partition, flush.decided.ledger.stream_time)

    def done(self, flush: Flush, stages: Mapping[str, float]) -> None:
        """Records are durable and acknowledged."""
        partition = flush.batch.partition
        self._metrics.batch_done(len(flush.batch), sum(stages.values()), stages)
        waiting = self._unacked[partition]
        waiting.popleft()
        self._metrics.unacked_since(partition, waiting[0] if waiting else None)
        if flush.decided.offers:
            waits = self._waits(flush)
            self._metrics.offers_sent(waits)
            self.waits.extend(waits)
        if self.keep_offers:
            made = (value for _, value in flush.offers if not is_recall(value))
            self._offers[partition].extend(made)

    def _waits(self, flush: Flush) -> list[float]:
        """Seconds since the events of offers, by their producers' clocks."""
        now, causes = time(), [offer.cause for offer in flush.decided.offers]
        born: dict[str, dict[int, int]] = {
            topic: {
                one.record.offset: one.record.timestamp
                for one in flush.batch.arrived
                if one.record.topic == topic
            }
            for topic in {self._topics[cause.source] for cause in causes}
        }
        return [
            now - born[self._topics[cause.source]][offset_of(cause.offset)] / 1000
            for cause in causes
        ]

    def forget(self) -> None:
        """No batch is under way any more: a rebalance took them."""
        for partition in self._unacked:
            self._metrics.unacked_since(partition, None)
        self._unacked.clear()

    def drain_offers(self) -> list[bytes]:
        """The offers that became durable since the last call, partition by partition."""
        drained = [offer for _, offers in sorted(self._offers.items()) for offer in offers]
        self._offers.clear()
        return drained

    def take_over(self, before: Observing) -> None:
        """Take over what was not yet drained of an app that another follows."""
        self.keep_offers, self.quality = before.keep_offers, before.quality
        self._comparing = before._comparing
        for partition, offers in before._offers.items():
            self._offers[partition][:0] = offers
        self.waits.extendleft(reversed(before.waits))

    def checked(self, batch: Batch, refused: Sequence[Rejection]) -> None:
        """Entries of the catalog or the campaigns were checked."""
        self._metrics.batch_decided(
            BatchCounts(
                consumed=batch.by_topic(),
                outcomes={Outcome.APPLIED: len(batch) - len(refused)},
                rejected=Counter(rejection.code for rejection in refused),
            )
        )

    def learned(self, publication: Publication) -> None:
        """The learner published."""
        self._metrics.learned(publication.new)
        self._metrics.internal_refused(Internal.EXAMPLES, publication.refused)
        self.quality = quality = publication.quality
        self._metrics.model_snapshot("models", time())
        self._metrics.model_quality(
            "propensity",
            auc=quality.auc,
            log_loss=quality.log_loss,
            calibration_ratio=quality.calibration_ratio,
        )
        for standing in quality.standings:
            self._metrics.model_standing(standing.name, standing.quality)
        for name in publication.set_aside:
            self._metrics.model_gone(name)
            self._metrics.extensions_failed({("challengers", name.removeprefix(CHALLENGER)): 1})
        self._metrics.model_drifted("propensity", publication.drifts)
        for kind, gone in publication.evicted.items():
            self._metrics.evicted(kind, gone)


def _named(tally: Mapping[str, int], prefix: str, kind: Iterable[K]) -> dict[K, int]:
    """The counts under a prefix, by members of an enumeration."""
    return {member: tally[prefix + member] for member in kind if tally.get(prefix + member)}


def _own(rules: Iterable[str]) -> list[Denial]:
    """The words of the shop's own rules, by the names that the settings have."""
    return [Denial(word + name) for name in rules for word in (OF_RULE, RULE_FAILED)]
