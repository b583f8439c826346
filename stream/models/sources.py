"""Candidates for what comes next, and the features by which the blend tells them apart.

Rules: each source gives items with scores; a candidate's features are, for each source, its share
of the source's total (log) and of its best score, then how common it is, then what the session
itself says of it (the session's own items). All live in the number space of one vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.cooccurrence import TINY, CoOccurrence
from stream.models.sessions import SessionIndex
from stream.models.vocabulary import Numbers

SOURCES: Final = ("similar", "next", "together", "two_step")
OWN: Final = (
    "own", "distance", "relative_distance", "count", "last", "successor",
    "own_repeats", "last_repeats",
)  # fmt: skip
SHARE_FLOOR: Final = 1e-3  # a share below a thousandth is as good as none
COMMON: Final = 2 * len(SOURCES)
OWN_AT: Final = COMMON + 1
FEATURES: Final = OWN_AT + len(OWN)
LOOK_BACK: Final = 32  # newest items of a session that can be own items
MIDDLE: Final = 8  # successors through which two-step co-occurrence goes
LEAST_RARITY: Final = 0.1
KEPT: Final = 2_048  # items whose two-step block is kept between two batches learned

ALONE: Final = np.array([[float(name in ("own", "last"))] for name in OWN])

Block = tuple[Numbers, NDArray[np.floating]]

NOTHING: Final[Block] = (np.zeros(0, np.int32), np.zeros(0))


class Pool(NamedTuple):
    """Candidates with their features.

    Attributes
    ----------
    numbers
        int32 ``[candidates]``: live item numbers, each once.
    features
        float64 ``[FEATURES, candidates]``.
    own
        bool ``[candidates]``: which are items of the session itself.
    context
        Flags by which the blend picks its weights: always 1, then whether one item is all there is.
    """

    numbers: Numbers
    features: NDArray[np.float64]
    own: NDArray[np.bool_]
    context: tuple[float, float]


def prior() -> NDArray[np.float64]:
    """Weights that make sense before anything was learned: trust the sources, the first most."""
    weights = np.zeros(FEATURES)
    weights[: len(SOURCES)] = 0.3
    weights[len(SOURCES) : COMMON] = 1.0, 0.5, 0.5, 0.3
    return weights


class Sources:
    """Gathers candidates from pairs and similar sessions.

    Parameters
    ----------
    pairs
        Sequential co-occurrence of session items.
    index
        Recent sessions, in the numbers of ``pairs``' vocabulary.
    top
        Candidates taken from each source.
    """

    def __init__(self, pairs: CoOccurrence, index: SessionIndex, top: int = 60) -> None:
        self.pairs, self.index, self.top = pairs, index, top
        self._kept: dict[int, Block] = {}
        self._places: NDArray[np.int64] = np.zeros(
            pairs.vocabulary.capacity + 1, np.int64
        )  # scratch

    def gather(self, items: Sequence[str], session: str = "") -> Pool | None:
        """Candidates after these items of a session (newest last); None if none is known."""
        vocabulary = self.pairs.vocabulary
        known = [number for number in map(vocabulary.find, items[-LOOK_BACK:]) if number]
        if not known:
            return None
        current = list(dict.fromkeys(reversed(known)))
        blocks = self._blocks(current[: self.index.weights.steps], session)
        own = np.array(current, np.int32)
        slots, dense = self._merged(np.concatenate([block[0] for block in blocks] + [own]))
        own_at = dense[-len(own) :]
        scores = _summed(blocks, dense, len(slots))
        if vocabulary.evicted:
            scores[:, slots == vocabulary.capacity] = 0.0
        common = np.log1p(
            (vocabulary.use.take(slots, mode="clip") * self._scale).astype(np.float32)
        )
        scores[0] *= np.maximum(self._common - common, LEAST_RARITY)
        best = self._best(scores, own_at)
        features = _features(scores, best, common)
        own_at = np.searchsorted(best, own_at)
        features[OWN_AT:, own_at] = _own_features(known, current)
        is_own = np.zeros(len(best), bool)
        is_own[own_at] = True
        context = (1.0, float(len(current) == 1))
        return Pool(vocabulary.numbers[slots[best]], features, is_own, context)

    @property
    def _scale(self) -> float:
        """What makes a stored use a count as of the latest event."""
        return 1.0 / self.pairs.decay.now

    @property
    def _common(self) -> float:
        """Logarithm of the number of sessions; less that of an item's it is the item's rarity."""
        return math.log(self.pairs.total * self._scale + 2.0)

    def _merged(self, numbers: Numbers) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Slots of the candidates, each once, and which candidate each entry is.

        What no longer lives becomes a candidate with the slot ``capacity``, which no item has.
        """
        vocabulary = self.pairs.vocabulary
        slots = (numbers & vocabulary.mask).astype(np.intp)
        if vocabulary.evicted:
            slots = np.where(vocabulary.numbers[slots] == numbers, slots, vocabulary.capacity)
        order = np.arange(len(slots))
        self._places[slots] = order
        place = self._places[slots]
        first = np.flatnonzero(place == order)
        ranks = np.empty(len(slots), np.int64)
        ranks[first] = order[: len(first)]
        return slots[first], ranks[place]

    def _blocks(self, recent: list[int], session: str) -> list[Block]:
        """What each source says, item by item; an item may stand in a source repeatedly."""
        table, vocabulary = self.pairs.pairs, self.pairs.vocabulary
        uses = [float(vocabulary.use[number & vocabulary.mask]) for number in recent]
        scale, most = self._scale, self._common
        rarity = [max(most - math.log1p(use * scale), LEAST_RARITY) for use in uses]
        similar = self.index.similar(recent, rarity, session)
        held = [back for back, number in enumerate(recent) if table.holds(number)]
        if not held:
            return [similar]
        slots = [recent[back] & vocabulary.mask for back in held]
        weights = np.array([1.0 / ((1 + back) * math.sqrt(uses[back] or 1.0)) for back in held])
        width = max(int(table.fill[slot]) for slot in slots)
        others = table.ids[slots, :width].ravel()
        together = (table.together[slots, :width] * weights[:, None]).ravel()
        together /= np.sqrt(np.maximum(vocabulary.use[others & vocabulary.mask], TINY))
        blocks = [similar, NOTHING, (others, together), NOTHING]
        if not held[0]:  # the newest item has a row
            after = table.after[slots[0], :width]
            blocks[1] = others[:width], after
            blocks[3] = self._reached(recent[0], others[:width], after)
        return blocks

    def _reached(self, newest: int, ids: Numbers, after: NDArray[np.float32]) -> Block:
        """Two steps from an item, kept until something is learned: many sessions share it."""
        block = self._kept.get(newest)
        if block is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            block = self._kept[newest] = self._two_step(ids, after)
        return block

    def forget(self) -> None:
        """Drop what was kept for reading: something was learned."""
        self._kept.clear()

    def _two_step(self, ids: Numbers, after: NDArray[np.float32]) -> Block:
        """What follows the best successors, each weighed by how often it is reached."""
        table, vocabulary = self.pairs.pairs, self.pairs.vocabulary
        best = np.argsort(-after, kind="stable")[:MIDDLE]
        steps = [
            (number & vocabulary.mask, weight)
            for number, weight in zip(ids[best].tolist(), after[best].tolist(), strict=True)
            if weight > 0.0 and vocabulary.lives(number) and table.holds(number)
        ]
        if not steps:
            return NOTHING
        slots = [slot for slot, _ in steps]
        weights = np.array([weight / float(vocabulary.use[slot] or 1.0) for slot, weight in steps])
        width = max(int(table.fill[slot]) for slot in slots)
        reached = table.after[slots, :width] * weights[:, None]
        return table.ids[slots, :width].ravel(), reached.ravel()

    def _best(self, scores: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.intp]:
        """The best of each source, and all of the session's own."""
        at = max(0, scores.shape[1] - self.top)
        least = np.partition(scores, at, axis=1)[:, at]
        over = scores - np.maximum(least, TINY)[:, None]
        chosen = over.max(axis=0) >= 0.0
        chosen[own] = True
        return np.flatnonzero(chosen)


def _summed(blocks: list[Block], dense: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Sum of each source's scores for each candidate, ``[sources, size]``."""
    scores = np.zeros((len(SOURCES), size))
    start = 0
    for row, (numbers, values) in enumerate(blocks):
        if len(numbers):
            end = start + len(numbers)
            scores[row] = np.bincount(dense[start:end], values, size)
            start = end
    return scores


def _features(
    scores: NDArray[np.float64], best: NDArray[np.intp], common: NDArray[np.float32]
) -> NDArray[np.float64]:
    """All features but the own items', of the best candidates."""
    features = np.zeros((FEATURES, len(best)))
    total = np.maximum(scores.sum(axis=1), TINY)
    most = np.maximum(scores.max(axis=1), TINY)
    scores = scores[:, best]
    share = scores * (1.0 / (total * SHARE_FLOOR))[:, None]
    features[: len(SOURCES)] = np.log1p(share.astype(np.float32))
    features[len(SOURCES) : COMMON] = scores * (1.0 / most)[:, None]
    features[COMMON] = common[best]
    return features


def _own_features(known: list[int], current: list[int]) -> NDArray[np.float64]:
    """Features of the session's own items (newest first), ``[len(OWN), items]``."""
    length = len(known)
    if length == 1:
        return ALONE
    last: dict[int, int] = {}
    count: dict[int, int] = {}
    for place, number in enumerate(known):
        last[number] = place
        count[number] = count.get(number, 0) + 1
    newest = known[-1]
    followed = {b for a, b in pairwise(known) if a == newest}
    repeats = sum(times > 1 for times in count.values()) / max(1, length - 1)
    rows = []
    for number in current:
        back = length - 1 - last[number]
        is_last = float(number == newest)
        rows.append((
            1.0, math.log1p(back), back / length, math.log(count[number]), is_last,
            float(number in followed), repeats, is_last * repeats,
        ))  # fmt: skip
    return np.array(rows).T
