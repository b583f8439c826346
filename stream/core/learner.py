"""The learner: examples in, models out; its state is a function of the examples' order alone.

Rules: labels and session steps are learned in steps of a fixed number, whatever the size of the
records that they came in; what was learned already, by source and offset, is dropped; predictions
are made before learning (prequentially), and their quality is kept beside the models. Challengers
score a share of the labels in the champion's shadow; nothing that is published depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from stream.config import LearningSettings
from stream.core.columns import Columns, Labels
from stream.core.estimators import Estimators, States
from stream.core.example import Basket, Example
from stream.core.features import FEATURES
from stream.models.names import Names
from stream.models.shadow import Shadow, Standing
from stream.models.steps import Steps

BASKET_WEIGHT = 5.0
STEPS = 4  # session steps are cheaper in larger steps, and lose nothing
QUALITY_WINDOW = 4_096
LOG: Final = "examples"  # in ``through``: the log of examples itself
SHADOW_SHARE = 0.01  # of the labels: river's forest alone costs more than all else for a label


class Quality(NamedTuple):
    """How good the propensity was on the latest labels, before it learned them.

    ``standings`` compare champion and challengers on the labels that all of them scored.
    """

    auc: float
    log_loss: float
    calibration_ratio: float
    labels: int
    standings: tuple[Standing, ...] = ()


class Learner(Estimators):
    """All models, learned together."""

    def __init__(self, settings: LearningSettings, seed: int) -> None:
        super().__init__(settings, seed)
        self.step = settings.step
        self._scored: list[tuple[float, int]] = []
        self._shadow = Shadow(SHADOW_SHARE, seed)

    def learn(
        self, key: str, offset: int, examples: Iterable[Example], *, again: bool = False
    ) -> bool:
        """Learn the examples of one event; False if they were learned before.

        ``key`` names the event's source and partition, within which offsets only grow; ``again``
        says that the same record of the log taught something of it before.
        """
        if not self.places.reach(self.through, key, offset, again=again):
            return False
        self.take(Columns.of(examples, self.names))
        return True

    @property
    def names(self) -> Names:
        """In whose codes to give it what comes next."""
        if self.steps.names.many:
            self.steps.name_anew()
        return self.steps.names

    def take(self, examples: Columns) -> None:
        """Learn examples, whose places were reached, in codes of `names`."""
        self._learn_steps(examples)
        self.items.learn_many(examples.told, self.steps.names)
        for labels in self.labels.put(examples.labels, self.step):
            self._learn_labels(labels)
        self.segments.learn_many(examples.portraits)
        self.learned += examples.examples

    def settle(self, learned: int) -> None:
        """Learn what waits for its step to fill, as the log of examples says at this place.

        ``learned`` is the number of examples that whoever wrote so had learned: a log that says
        it twice says it once.
        """
        if learned > self.steps.settled:
            self.steps.settled = learned
            self.recommender.learn_steps(self.steps.take(), self.steps.names)
            self._learn_labels(self.labels.take())

    @property
    def waits(self) -> bool:
        """Whether anything waits for its step to fill."""
        return bool(len(self.steps) or len(self.labels))

    def passed(self, offset: int) -> None:
        """Note that all of the log of examples has been learned up to and with this offset."""
        self.through[LOG] = max(offset, self.position - 1)

    @property
    def position(self) -> int:
        """The offset at which the log of examples is to be read on."""
        return self.through.get(LOG, -1) + 1

    def restore(self, states: States, through: Mapping[str, int], learned: int) -> None:
        """Go on from a snapshot."""
        restored = Estimators.from_states(states, through, learned)
        if type(restored.segments) is not type(self.segments):
            restored.segments = self.segments  # another segmenter was set, and starts anew
        vars(self).update(vars(restored))

    def quality(self) -> Quality:
        """Prequential quality over the last few thousand labels."""
        return _quality(self._scored)._replace(standings=self._shadow.standings())

    def _learn_steps(self, examples: Columns) -> None:
        """Learn steps and orders as they came: both count for what is trending."""
        steps, first = examples.steps, 0
        for last, basket in examples.baskets:
            self._learn_clicks(steps.part(first, last))
            self._learn_basket(basket)
            first = last
        self._learn_clicks(steps.part(first, len(steps.items)))

    def _learn_clicks(self, steps: Steps) -> None:
        for full in self.steps.put(steps, self.step * STEPS):
            self.recommender.learn_steps(full, self.steps.names)

    def _learn_basket(self, basket: Basket) -> None:
        self.baskets.learn_basket(basket.items, basket.time)
        self.rules.learn_basket(basket.items)
        for item in basket.items:
            self.recommender.trending.learn(item, basket.segment, basket.time, BASKET_WEIGHT)

    def _learn_labels(self, batch: Labels) -> None:
        if not len(batch.times):
            return
        rows, labels, first = batch.rows, batch.labels.tolist(), self.propensity.examples
        predicted = self.propensity.learn(rows, batch.labels, batch.segments).tolist()
        self._scored.extend(zip(predicted, labels, strict=True))
        del self._scored[:-QUALITY_WINDOW]
        for number in self._shadow.seen(first, len(labels)):
            at = number - first
            told = _told(rows[at].tolist())
            self._shadow.learn(number, told, labels[at], predicted[at])


def _told(row: Sequence[int]) -> dict[str, str]:
    """A row as river's classifiers take it: hashes are names, not numbers."""
    return {name: str(value) for name, value in zip(FEATURES, row, strict=False)}


def _quality(scored: list[tuple[float, int]]) -> Quality:
    p = np.array([prediction for prediction, _ in scored])
    y = np.array([label for _, label in scored])
    positives = int(y.sum())
    if not 0 < positives < len(y):
        return Quality(0.5, 0.0, 1.0, len(y))
    ranks = np.searchsorted(np.sort(p), p, "left") + np.searchsorted(np.sort(p), p, "right")
    mean_rank = (ranks[y == 1] + 1) / 2
    auc = (mean_rank.sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives))
    loss = -np.mean(np.where(y == 1, np.log(p), np.log1p(-p)))
    return Quality(float(auc), float(loss), float(p.sum() / positives), len(y))
