"""What is bought and looked at just now, overall and by segment, in bounded memory.

Rules: weights halve every half-life of event time. Items share one bounded vocabulary, ranked by
their overall weight; segments beyond the bound count overall only. Reading changes nothing; what
was read is kept until something is learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes
from stream.models.base.kernel import kernel
from stream.models.base.names import Codes, Names
from stream.models.base.state import State, nested, part_of
from stream.models.base.vocabulary import Numbering, Numbers, Vocabulary, best_slots
from stream.models.recommend.decay import Decay
from stream.models.recommend.steps import Steps

Weights = NDArray[np.float64]

KEPT = 64  # of a list that was asked for: a slate, what fills it up, and what is excluded


@kernel
def count(steps: Any, known: Numbers, numbering: Numbering, table: Any, first: int) -> int:
    """Count items from the ``first`` on, up to a stranger; how many are counted by then.

    Parameters
    ----------
    steps
        Items and segments, as of `Steps`, and their weights, float64 ``[steps]``.
    known
        int32 ``[codes]``: numbers of those that are no strangers.
    numbering
        Of the vocabulary.
    table
        Owners, int32 ``[capacity]``, and weights, float32 ``[capacity, segments]``.
    """
    items, segments, weights = steps
    owner, counts = table
    for at in range(first, len(items)):
        number = known[items[at]]
        if number == 0:
            return at
        slot = number & numbering.mask
        numbering.use[slot] += weights[at]
        if owner[slot] != number:
            owner[slot] = number
            counts[slot] = 0.0
        if 0 <= segments[at] < counts.shape[1]:
            counts[slot, segments[at]] += np.float32(weights[at])
    return len(items)


class Trending:
    """Decayed item weights, overall and for each segment.

    Parameters
    ----------
    half_life
        Seconds of event time after which a weight counts half.
    items
        Items held at once; the least trending eighth is evicted when they are all taken.
    segments
        Segments 0 … ``segments - 1`` are kept apart.

    Examples
    --------
    >>> trending = Trending(half_life=3600.0, items=100, segments=2)
    >>> trending.learn("tea", 0, 0, 1.0)
    >>> trending.learn("milk", 1, 0, 1.0)
    >>> trending.learn("milk", None, 3_600_000, 1.0)
    >>> trending.top(None, 2), trending.top(0, 2)
    ([('milk', 1.5), ('tea', 0.5)], [('tea', 0.5)])
    """

    def __init__(
        self, half_life: float = 86_400.0, items: int = 32_768, segments: int = 16
    ) -> None:
        self.vocabulary = Vocabulary(items)
        self.decay = Decay(half_life)
        self.segments = segments
        self.owner: Numbers = np.zeros(items, np.int32)
        self.weights: NDArray[np.float32] = np.zeros((items, segments), np.float32)
        self._tops: dict[int | None, tuple[int, list[tuple[str, float]]]] = {}

    def learn_steps(self, steps: Steps, names: Names) -> None:
        """Count the items of steps, in order, each once."""
        self._tops.clear()
        learned, count = 0, len(steps.items)
        while learned < count:
            self._shift(steps.times.item(learned))
            weights = self.decay.weights(steps.times[learned:])
            last = learned + len(weights)
            self._count(steps.items[learned:last], steps.segments[learned:last], weights, names)
            learned = last

    def _count(self, items: Codes, segments: Codes, weights: Weights, names: Names) -> None:
        counted = 0
        while True:
            known = self.vocabulary.known(names)
            given = items, segments, weights
            table = self.owner, self.weights
            counted = int(count(given, known, self.vocabulary.numbering, table, counted))
            if counted == len(items):
                return
            self.vocabulary.admitted(items.item(counted), names)

    def learn(self, item: str, segment: int | None, time: int, weight: float = 1.0) -> None:
        """Count the item at ``time`` (ms) with ``weight`` ≥ 0, for its segment and overall."""
        self._tops.clear()
        self._shift(time)
        weight *= self.decay.weight(time)
        number = self.vocabulary.admit(item, weight)
        slot = number & self.vocabulary.mask
        if self.owner[slot] != number:
            self.owner[slot] = number
            self.weights[slot] = 0.0
        if segment is not None and 0 <= segment < self.segments:
            self.weights[slot, segment] += weight

    def _shift(self, time: int) -> None:
        factor = self.decay.shift(time)
        if factor != 1.0:
            self.vocabulary.scale(factor)
            self.weights *= np.float32(factor)

    def top(self, segment: int | None, k: int) -> list[tuple[str, float]]:
        """The ``k`` items that trend most in a segment (None: overall), best first."""
        kept = self._tops.get(segment)
        if kept is None or kept[0] < k:
            most = max(k, KEPT)
            kept = self._tops[segment] = most, self._top(segment, most)
        return kept[1][:k]

    def _top(self, segment: int | None, k: int) -> list[tuple[str, float]]:
        used = self.vocabulary.used
        if segment is None:
            weights = self.vocabulary.use[:used]
        elif 0 <= segment < self.segments:
            live = self.vocabulary.live(self.owner[:used])
            weights = np.where(live, self.weights[:used, segment], 0.0)
        else:
            return []
        now = self.decay.now
        slots = best_slots(weights, k).tolist()
        names = [self.vocabulary.name(slot) for slot in slots]
        ranked = sorted(
            zip(names, (weights[slots] / now).tolist(), strict=True),
            key=lambda pair: (-pair[1], pair[0]),
        )
        return ranked[:k]

    @property
    def evicted(self) -> int:
        """Items evicted so far to stay within ``items``."""
        return self.vocabulary.evicted

    def state(self) -> State:
        """Flat, plain state: numbers, text lists and arrays."""
        used = self.vocabulary.used
        return {
            "segments": self.segments,
            "owner": self.owner[:used].copy(),
            "weights": self.weights[:used].copy(),
            **nested("vocabulary", self.vocabulary.state()),
            **nested("decay", self.decay.state()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Trending:
        """The estimator that gave ``state``, to the bit."""
        vocabulary = Vocabulary.from_state(part_of(state, "vocabulary"))
        decay = Decay.from_state(part_of(state, "decay"))
        self = cls(decay.half_life, vocabulary.capacity, int(state["segments"]))
        self.vocabulary, self.decay = vocabulary, decay
        self.owner[: vocabulary.used] = state["owner"]
        self.weights[: vocabulary.used] = state["weights"]
        return self

    def patch(self, changes: Changes) -> None:
        """Take over what changed, in place; see `stream.models.base.changes`."""
        self._tops.clear()
        used = self.vocabulary.used
        self.vocabulary.patch(changes.part("vocabulary"))
        changes.into("owner", self.owner, used)
        changes.into("weights", self.weights, used)
        self.decay = self.decay.patched(changes.part("decay"))
