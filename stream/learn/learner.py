"""The learner: examples in, models out; its state is a function of the examples' order alone.

Rules: labels and session steps are learned in steps of a fixed number, whatever the size of the
records that they came in; what was learned already, by source and offset, is dropped; predictions
are made before learning (prequentially), and their quality is kept beside the models. Challengers
score a share of the labels in the champion's shadow; nothing that is published depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.config import LearningSettings
from stream.decide.example import Basket, Example
from stream.decide.rows.features import FEATURES
from stream.learn.columns import ExampleColumns, Labels
from stream.learn.estimators import Estimators, States
from stream.models.base.names import Names
from stream.models.propensity.foresight import Foresight, Quality
from stream.models.propensity.shadow import Own, Shadow
from stream.models.recommend.steps import Steps

BASKET_WEIGHT = 5.0
STEPS = 4  # session steps are cheaper in larger steps, and lose nothing
LOG: Final = "examples"  # in ``through``: the log of examples itself
_ODD: Final = np.arange(1, 2 * len(FEATURES), 2, dtype=np.int64) * 0x5851F42D4C957F2D
_MIX: Final = np.int64(0x14057B7EF767814F)
SHADOW_SHARE = 0.01  # of the labels: river's forest alone costs more than all else for a label


class Learner(Estimators):
    """All models, learned together.

    Parameters
    ----------
    settings, seed
    own
        Challengers of the shop's own: nothing that is published depends on them.
    """

    def __init__(self, settings: LearningSettings, seed: int, own: Sequence[Own] = ()) -> None:
        super().__init__(settings, seed)
        self.step = settings.step
        self._foresight = Foresight()
        self._shadow = Shadow(SHADOW_SHARE, seed, own=own)

    def learn(
        self, key: str, offset: int, examples: Iterable[Example], *, again: bool = False
    ) -> bool:
        """Learn the examples of one event; False if they were learned before.

        ``key`` names the event's source and partition, within which offsets only grow; ``again``
        says that the same record of the log taught something of it before.
        """
        if not self.places.reach(self.through, key, offset, again=again):
            return False
        self.take(ExampleColumns.of(examples, self.names))
        return True

    @property
    def names(self) -> Names:
        """In whose codes to give it what comes next."""
        if self.steps.names.many:
            self.steps.name_anew()
        return self.steps.names

    def take(self, examples: ExampleColumns) -> None:
        """Learn examples, whose places were reached, in codes of `names`."""
        self._learn_steps(examples)
        self.items.learn_many(examples.told, self.steps.names)
        for labels in self.labels.put(examples.labels, self.step):
            self._learn_labels(labels)
        self.segments.learn_many(examples.portraits)
        for trial in examples.trials:
            told = trial.campaign_id, trial.edition, trial.code, trial.what, trial.spent
            self.trials.learn(*told, trial.time)
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

    @property
    def set_aside(self) -> Sequence[str]:
        """Challengers of the shop's own that failed."""
        return self._shadow.set_aside

    def quality(self) -> Quality:
        """Prequential quality over the last few thousand labels."""
        return self._foresight.quality()._replace(standings=self._shadow.standings())

    def _learn_steps(self, examples: ExampleColumns) -> None:
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
        weights = self.propensity.weigh(batch.times, batch.labels, batch.waits)
        called = self.propensity.learn(rows, batch.labels, batch.segments, weights)
        self.foresaw(batch, called)
        predicted = called.tolist()
        for number in self._shadow.seen(first, len(labels)):
            at = number - first
            told = _told(rows[at].tolist())
            self._shadow.learn(number, told, labels[at], predicted[at])

    def foresaw(self, batch: Labels, predicted: NDArray[np.float64]) -> None:
        """Note what was predicted of labels before they were learned."""
        self._foresight.take(predicted, batch.labels, batch.parts, _exposures(batch))


def _told(row: Sequence[int]) -> dict[str, str]:
    """A row as river's classifiers take it: hashes are names, not numbers."""
    return {name: str(value) for name, value in zip(FEATURES, row, strict=False)}


def _exposures(batch: Labels) -> NDArray[np.int64]:
    """A number for the exposure behind each label: the same for it and for its purchase."""
    since = batch.times - np.maximum(batch.waits, 0)
    return (batch.rows.astype(np.int64) @ _ODD) ^ (since * _MIX)
