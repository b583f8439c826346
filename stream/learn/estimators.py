"""All estimators together: what a publication holds, and what decisions are made with.

Rules: every kind has one estimator, and ``states`` all that its future depends on. What changed is
taken over in place by the estimators that can, and by a new one elsewhere; so it is for estimators
that nobody decides with: see `stream.learn.editions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from stream.config import LearningSettings
from stream.decide.rows.features import PORTRAIT
from stream.decide.world import Models
from stream.domain.event import CatalogItem
from stream.learn.clock import Clock
from stream.learn.places import Places
from stream.learn.queues import LabelQueue, StepQueue
from stream.models.association import AssociationRules
from stream.models.base.changes import Changes, patched
from stream.models.base.state import State, StateError, StateValue
from stream.models.experiments.trials import Trials
from stream.models.propensity import Propensity
from stream.models.recommend.cooccurrence import CoOccurrence
from stream.models.recommend.itemfacts import ItemFacts
from stream.models.recommend.recommender import Recommender
from stream.models.segments.segmenters import segmenter, segmenter_from

HALF_LIFE: Final = 30 * 86_400.0  # seconds after which what goes together counts half

States = Mapping[str, Mapping[str, StateValue]]


class Estimators:
    """One estimator of each kind; an `ASKED` one has a state as soon as it has learned.

    Attributes
    ----------
    through : dict[str, int]
        The mark of each ``"source/partition"`` (see :mod:`stream.learn.places`), and the last
        offset learned of the log of examples.
    learned : int
        Examples learned since the beginning.
    """

    MODELS: Final = ("propensity", "segments", "recommender", "baskets", "items")
    KINDS: Final = (*MODELS, "rules", "labels", "steps", "places", "clock")
    ASKED: Final = ("trials",)

    def __init__(self, settings: LearningSettings, seed: int) -> None:
        items, neighbours = settings.items, settings.neighbours
        self.propensity = Propensity(
            settings.propensity_rate, bits=settings.propensity_bits, inputs=0
        )
        self.segments = segmenter(settings.segmenter, settings.segments, seed)
        self.recommender = Recommender(
            items,
            neighbours,
            settings.sessions,
            HALF_LIFE,
            segments=settings.segments,
            eager=settings.eager,
            thin=settings.thin,
        )
        self.baskets = CoOccurrence(items, neighbours, HALF_LIFE)
        self.items = ItemFacts(items)
        self.rules = AssociationRules(settings.baskets, items)
        self.labels = LabelQueue()
        self.steps = StepQueue()
        self.places = Places()
        self.clock = Clock()
        self.trials = Trials()
        self.through: dict[str, int] = {}
        self.learned = 0

    @classmethod
    def from_states(cls, states: States, through: Mapping[str, int], learned: int) -> Self:
        """The estimators that gave ``states``.

        Raises
        ------
        StateError
            If a state is missing or not what its class wrote.
        """
        missing = set(cls.KINDS) - set(states)
        if missing:
            raise StateError(f"no state of {', '.join(sorted(missing))}")
        self = cls.__new__(cls)
        for kind in (*cls.KINDS, *cls.ASKED):
            setattr(self, kind, _restored(kind, states.get(kind, {})))
        self.through, self.learned = dict(through), learned
        return self

    def states(self) -> dict[str, State]:
        """The state of every estimator, by kind."""
        asked = [kind for kind in self.ASKED if len(getattr(self, kind))]
        return {kind: getattr(self, kind).state() for kind in (*self.KINDS, *asked)}

    def evicted(self) -> dict[str, int]:
        """What gave way in bounded memory so far, by kind."""
        return {
            **self.recommender.evicted,
            "basket_items": self.baskets.evicted,
            "item_facts": self.items.evicted,
            "orders": self.rules.evicted,
        }

    def patch(
        self, changes: Mapping[str, Changes], through: Mapping[str, int], learned: int
    ) -> None:
        """Take over what changed; what has no ``patch`` is built anew, and swapped whole.

        Raises
        ------
        StateError
            If the changes do not fit; then these estimators are of no more use.
        """
        for kind, known, entries in self._changed(changes):
            if hasattr(known, "patch"):
                known.patch(entries)
            else:
                setattr(self, kind, _restored(kind, patched(known.state(), entries.entries)))
        self.through, self.learned = dict(through), learned

    def follow(self, other: Self, changes: Mapping[str, Changes]) -> None:
        """Take over what ``other`` has, where only these changes lie between the two."""
        for kind, known, entries in self._changed(changes):
            if hasattr(known, "patch"):
                known.patch(entries)
            else:
                setattr(self, kind, getattr(other, kind))
        self.through, self.learned = dict(other.through), other.learned

    def _changed(self, changes: Mapping[str, Changes]) -> Iterator[tuple[str, Any, Changes]]:
        for kind in (*self.KINDS, *self.ASKED):
            if changes.get(kind):
                yield kind, getattr(self, kind), changes[kind]

    def models(self) -> Models:
        """What to decide with; they change when these estimators are patched."""
        return Models(
            propensity=self.propensity,
            segments=self.segments,
            recommender=self.recommender,
            baskets=self.baskets,
            items=ToldItems(self.items),
            trials=self.trials,
            segment_names=tuple(self.segments.describe(PORTRAIT)) if self.segments.seen else (),
            versions=tuple((kind, self.learned) for kind in self.MODELS),
            learned_through=self.learned,
        )


class ToldItems:
    """What events told of items, as the catalog would say it."""

    def __init__(self, facts: ItemFacts) -> None:
        self._facts = facts

    def get(self, item_id: str) -> CatalogItem | None:
        """The item, None if nothing was told of it."""
        told = self._facts.get(item_id)
        if told is None:
            return None
        return CatalogItem(item_id, category=told.category, brand=told.brand, price=told.price)


def _restored(kind: str, state: Mapping[str, StateValue]) -> Any:
    if kind == "segments":
        return segmenter_from(state)
    return CLASSES[kind].from_state(state)


CLASSES: Final[Mapping[str, Any]] = {
    "propensity": Propensity,
    "recommender": Recommender,
    "baskets": CoOccurrence,
    "items": ItemFacts,
    "rules": AssociationRules,
    "labels": LabelQueue,
    "steps": StepQueue,
    "places": Places,
    "clock": Clock,
    "trials": Trials,
}
