"""The learner: examples in, models out; its state is a function of the examples' order alone.

Rules: labels and session steps are learned in steps of a fixed number, whatever the size of the
records that they came in; what was learned already, by source and offset, is dropped; predictions
are made before learning (prequentially), and their quality is kept beside the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from stream.config import LearningSettings
from stream.core.event import CatalogItem
from stream.core.example import Basket, Example, Labelled, Step
from stream.core.features import PORTRAIT, unpack
from stream.core.queues import LabelQueue, StepQueue
from stream.core.world import Models, Neighbours
from stream.models.cooccurrence import CoOccurrence
from stream.models.itemfacts import ItemFacts
from stream.models.propensity import Propensity
from stream.models.segmenters import segmenter, segmenter_from
from stream.models.state import State, StateError, StateValue
from stream.models.trending import Trending

BASKET_WEIGHT = 5.0
TOP = 24
QUALITY_WINDOW = 4_096


class Quality(NamedTuple):
    """How good the propensity was on the latest labels, before it learned them."""

    auc: float
    log_loss: float
    calibration_ratio: float
    labels: int


class Learner:
    """All models, learned together.

    Attributes
    ----------
    through : dict[str, int]
        The last offset learned of each ``"source/partition"``.
    learned : int
        Examples learned since the beginning.
    """

    MODELS = ("propensity", "segments", "sessions", "baskets", "trending", "items")
    KINDS = (*MODELS, "labels", "steps")

    def __init__(self, settings: LearningSettings, seed: int) -> None:
        self.step = settings.step
        self.propensity = Propensity(settings.propensity_rate, bits=settings.propensity_bits)
        self.segments = segmenter(settings.segmenter, settings.segments, seed)
        self.sessions = CoOccurrence(settings.items, settings.neighbours)
        self.baskets = CoOccurrence(settings.items, settings.neighbours)
        self.trending = Trending(items=settings.items, segments=settings.segments)
        self.items = ItemFacts(settings.items)
        self.labels = LabelQueue()
        self.steps = StepQueue()
        self.through: dict[str, int] = {}
        self.learned = 0
        self._scored: list[tuple[float, int]] = []

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

    def states(self) -> dict[str, State]:
        """The state of every part, by kind."""
        return {kind: getattr(self, kind).state() for kind in self.KINDS}

    def restore(
        self,
        states: Mapping[str, Mapping[str, StateValue]],
        through: Mapping[str, int],
        learned: int,
    ) -> None:
        """Go on from a snapshot."""
        for kind, state in states.items():
            own = type(getattr(self, kind))
            restored = segmenter_from(state) if kind == "segments" else own.from_state(state)
            if isinstance(restored, own):  # else another segmenter was set, and starts anew
                setattr(self, kind, restored)
        self.through = dict(through)
        self.learned = learned

    def quality(self) -> Quality:
        """Prequential quality over the last few thousand labels."""
        return _quality(self._scored)

    def _learn(self, example: Example) -> None:
        if isinstance(example, Step):
            self.steps.put(example)
            if len(self.steps.waiting) >= self.step:
                steps, self.steps.waiting = self.steps.waiting, []
                self.sessions.learn_many(steps)
            self.trending.learn(example.item, example.segment, example.time)
            self.items.learn(example.item, example.category, example.brand, example.price)
        elif isinstance(example, Labelled):
            self.labels.waiting.append(example)
            if len(self.labels.waiting) >= self.step:
                self._learn_labels()
        elif isinstance(example, Basket):
            self.baskets.learn_basket(example.items, example.time)
            for item in example.items:
                self.trending.learn(item, example.segment, example.time, BASKET_WEIGHT)
        else:
            self.segments.learn(example.vector)

    def _learn_labels(self) -> None:
        batch, self.labels.waiting = self.labels.waiting, []
        rows = [unpack(example.features) for example in batch]
        labels = [example.label for example in batch]
        predicted = self.propensity.learn(rows, labels, [e.segment for e in batch])
        self._scored.extend(zip(predicted.tolist(), labels, strict=True))
        del self._scored[:-QUALITY_WINDOW]


class Tops:
    """The top of each list of :class:`Trending`, ranked once instead of at each decision."""

    def __init__(self, trending: Trending) -> None:
        self._overall = trending.top(None, TOP)
        self._by_segment = [trending.top(s, TOP) for s in range(trending.segments)]

    def top(self, segment: int | None, k: int) -> Neighbours:
        """At most ``k`` (item, decayed count) pairs, the best first."""
        if segment is None:
            return self._overall[:k]
        return self._by_segment[segment][:k] if segment < len(self._by_segment) else ()


def models_from(states: Mapping[str, Mapping[str, StateValue]], version: int) -> Models:
    """The models to decide with, from the states that a learner published.

    Raises
    ------
    StateError
        If a state is missing or not what its class wrote.
    """
    missing = set(Learner.KINDS) - set(states)
    if missing:
        raise StateError(f"no state of {', '.join(sorted(missing))}")
    segments = segmenter_from(states["segments"])
    facts = ItemFacts.from_state(states["items"]).known
    return Models(
        propensity=Propensity.from_state(states["propensity"]),
        segments=segments,
        sessions=CoOccurrence.from_state(states["sessions"]),
        baskets=CoOccurrence.from_state(states["baskets"]),
        trending=Tops(Trending.from_state(states["trending"])),
        items={
            item: CatalogItem(item, category=known.category, brand=known.brand, price=known.price)
            for item, known in facts.items()
        },
        segment_names=tuple(segments.describe(PORTRAIT)) if segments.seen else (),
        versions=tuple((kind, version) for kind in Learner.MODELS),
        learned_through=version,
    )


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
