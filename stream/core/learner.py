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
from stream.core.estimators import Estimators, States
from stream.core.example import Basket, Example, Labelled, Step
from stream.core.features import FEATURES, unpack
from stream.models.shadow import Shadow, Standing

BASKET_WEIGHT = 5.0
STEPS = 4  # session steps are cheaper in larger steps, and lose nothing
QUALITY_WINDOW = 4_096
LOG: Final = "examples"  # in ``through``: the log of examples itself
SHADOW_SHARE = 0.02  # of the labels: river's forest alone costs more than all else for a label


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

    def learn(self, key: str, offset: int, examples: Iterable[Example]) -> bool:
        """Learn the examples of one event; False if they were learned before.

        ``key`` names the event's source and partition, within which offsets only grow.
        """
        if offset <= self.through.get(key, -1):
            return False
        self.through[key] = offset
        for example in examples:
            self._learn(example)
            self.learned += 1
        return True

    def settle(self, learned: int) -> None:
        """Learn what waits for its step to fill, as the log of examples says at this place.

        ``learned`` is the number of examples that whoever wrote so had learned: a log that says
        it twice says it once.
        """
        if learned > self.steps.settled:
            self.steps.settled = learned
            self._learn_steps()
            self._learn_labels()

    @property
    def waits(self) -> bool:
        """Whether anything waits for its step to fill."""
        return bool(self.steps.waiting or self.labels.waiting)

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

    def _learn(self, example: Example) -> None:
        if isinstance(example, Step):
            self.steps.put(example)
            if len(self.steps.waiting) >= self.step * STEPS:
                self._learn_steps()
            self.items.learn(example.item, example.category, example.brand, example.price)
        elif isinstance(example, Labelled):
            self.labels.waiting.append(example)
            if len(self.labels.waiting) >= self.step:
                self._learn_labels()
        elif isinstance(example, Basket):
            self.baskets.learn_basket(example.items, example.time)
            self.rules.learn_basket(example.items)
            for item in example.items:
                self.recommender.trending.learn(item, example.segment, example.time, BASKET_WEIGHT)
        else:
            self.segments.learn(example.vector)

    def _learn_steps(self) -> None:
        steps, self.steps.waiting = self.steps.waiting, []
        self.recommender.learn_many(steps)

    def _learn_labels(self) -> None:
        batch, self.labels.waiting = self.labels.waiting, []
        if not batch:
            return
        rows = [unpack(example.features) for example in batch]
        labels = [example.label for example in batch]
        first = self.propensity.examples
        segments = [example.segment for example in batch]
        predicted = self.propensity.learn(rows, labels, segments).tolist()
        self._scored.extend(zip(predicted, labels, strict=True))
        del self._scored[:-QUALITY_WINDOW]
        for i, (row, label, score) in enumerate(zip(rows, labels, predicted, strict=True), first):
            if self._shadow.sees(i):
                self._shadow.learn(i, _told(row), label, score)


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
