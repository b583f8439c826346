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
from stream.models.factors import Factors
from stream.models.sessions import SessionIndex
from stream.models.vocabulary import Numbers

SOURCES: Final = ("similar", "next", "together", "two_step", "taste")
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

NOBODY: Final = -1  # the number of no session

ALONE: Final = np.array([[float(name in ("own", "last"))] for name in OWN])

Block = tuple[Numbers, NDArray[np.floating]]

NOTHING: Final[Block] = (np.zeros(0, np.int32), np.zeros(0))


class Pool(NamedTuple):
    """Candidates with their features.

    Attributes
    ----------
    slots
        int ``[candidates]``: slots of live items, each once.
    features
        float64 ``[OWN_AT, candidates]``: what the sources say, and how common each is.
    own
        int ``[own]``: which candidates are items of the session itself, the newest first.
    said
        float64 ``[len(OWN), own]``: what the session says of them.
    context
        Flags by which the blend picks its weights: always 1, then whether one item is all there is.
    """

    slots: NDArray[np.integer]
    features: NDArray[np.float64]
    own: NDArray[np.integer]
    said: NDArray[np.float64]
    context: tuple[float, float]


def prior() -> NDArray[np.float64]:
    """Weights that make sense before anything was learned: trust the sources, the first most."""
    weights = np.zeros(FEATURES)
    weights[: len(SOURCES)] = 0.3
    weights[len(SOURCES) - 1] = 0.0  # taste is none before it was learned
    weights[len(SOURCES) : COMMON] = 1.0, 0.5, 0.5, 0.3, 0.0
    return weights


class Sources:
    """Gathers candidates from pairs and similar sessions.

    Parameters
    ----------
    pairs
        Sequential co-occurrence of session items.
    index
        Recent sessions, in the numbers of ``pairs``' vocabulary.
    factors
        Vectors of items, likewise; they rate what the others bring.
    """

    def __init__(self, pairs: CoOccurrence, index: SessionIndex, factors: Factors) -> None:
        self.pairs, self.index, self.factors = pairs, index, factors
        self._kept: dict[int, Block] = {}
        self._tables: Tables | None = None
        capacity = pairs.vocabulary.capacity
        self._places: NDArray[np.int64] = np.zeros(capacity + 1, np.int64)  # scratch

    def gather(self, items: Sequence[str], session: int = NOBODY) -> Pool | None:
        """Candidates after these items of a session (newest last); None if none is known."""
        vocabulary = self.pairs.vocabulary
        known = [number for number in map(vocabulary.find, items[-LOOK_BACK:]) if number]
        if not known:
            return None
        tables = self._tables or self._tabled()
        current = list(dict.fromkeys(reversed(known)))
        blocks = self._blocks(current[: self.index.weights.steps], session, tables)
        numbers = np.concatenate([block[0] for block in blocks] + [np.array(current, np.int32)])
        slots, dense = self._merged(numbers)
        scores, own = _summed(blocks, dense, len(slots)), dense[-len(current) :]
        if vocabulary.evicted and len(dead := np.flatnonzero(slots == vocabulary.capacity)):
            slots, scores = np.delete(slots, dead), np.delete(scores, dead, axis=1)
            own = own - (own > dead[0])
        scores[0] *= tables.rarity.take(slots)
        taste = self.factors.scores(current, slots)
        np.exp(taste - taste.max(), out=scores[-1])
        features = _features(scores, tables.common.take(slots))
        context = (1.0, float(len(current) == 1))
        return Pool(slots, features, own, _own_features(known, current), context)

    def forget(self) -> None:
        """Drop what was kept for reading: something was learned."""
        self._kept.clear()
        self._tables = None

    def _tabled(self) -> Tables:
        vocabulary, now = self.pairs.vocabulary, self.pairs.decay.now
        use = np.append(vocabulary.use, 0.0)
        common = np.log1p(use / now)
        rarity = np.maximum(math.log(self.pairs.total / now + 2.0) - common, LEAST_RARITY)
        self._tables = Tables(common, rarity, 1.0 / np.sqrt(np.maximum(use, TINY)))
        return self._tables

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
        place = self._places.take(slots)
        first = np.flatnonzero(place == order)
        chosen = slots.take(first)
        self._places[chosen] = order[: len(first)]
        return chosen, self._places.take(slots)

    def _blocks(self, recent: list[int], session: int, tables: Tables) -> list[Block]:
        """What each source says, item by item; an item may stand in a source repeatedly."""
        table, mask = self.pairs.pairs, self.pairs.vocabulary.mask
        rarity = tables.rarity.take([number & mask for number in recent]).tolist()
        similar = self.index.similar(recent, rarity, session)
        held = [back for back, number in enumerate(recent) if table.holds(number)]
        if not held:
            return [similar]
        slots = np.array([recent[back] & mask for back in held])
        weights = tables.root.take(slots) / np.array([1.0 + back for back in held])
        width = max(table.fill.take(slots).tolist())
        others = table.ids.take(slots, axis=0)[:, :width]
        together = table.together.take(slots, axis=0)[:, :width] * weights[:, None]
        together *= tables.root.take(others & mask)
        blocks = [similar, NOTHING, (others.ravel(), together.ravel()), NOTHING]
        if not held[0]:  # the newest item has a row
            after = table.after[recent[0] & mask, :width]
            blocks[1] = others[0], after
            blocks[3] = self._reached(recent[0], others[0], after)
        return blocks

    def _reached(self, newest: int, ids: Numbers, after: NDArray[np.float32]) -> Block:
        """Two steps from an item, kept until something is learned: many sessions share it."""
        block = self._kept.get(newest)
        if block is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            block = self._kept[newest] = self._two_step(ids, after)
        return block

    def _two_step(self, ids: Numbers, after: NDArray[np.float32]) -> Block:
        """What follows the best successors, each weighed by how often it is reached."""
        table, vocabulary = self.pairs.pairs, self.pairs.vocabulary
        best = (-after).argsort(kind="stable")[:MIDDLE]
        numbers, weights = ids.take(best), after.take(best).astype(np.float64)
        slots = numbers & vocabulary.mask
        whole = (vocabulary.numbers.take(slots) == numbers) & (table.owner.take(slots) == numbers)
        held = (whole & (weights > 0.0)).nonzero()[0]
        if not len(held):
            return NOTHING
        slots, weights = slots.take(held), weights.take(held)
        weights /= np.maximum(vocabulary.use.take(slots), TINY)
        reached = (table.after.take(slots, axis=0) * weights[:, None]).ravel()
        at = np.flatnonzero(reached)
        return table.ids.take(slots, axis=0).ravel().take(at), reached.take(at)


class Tables(NamedTuple):
    """What is read of every slot's item, made once for all reads between two steps learned.

    Attributes
    ----------
    common, rarity, root
        float64 ``[capacity + 1]``: logarithm of one plus the item's sessions; logarithm of all
        sessions less that; one over the root of its use. The last is the slot of no item.
    """

    common: NDArray[np.float64]
    rarity: NDArray[np.float64]
    root: NDArray[np.float64]


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


def _features(scores: NDArray[np.float64], common: NDArray[np.float64]) -> NDArray[np.float64]:
    """All features but the own items'."""
    features = np.empty((OWN_AT, scores.shape[1]))
    share, relative = features[: len(SOURCES)], features[len(SOURCES) : COMMON]
    most = np.maximum(np.maximum.reduce(scores, axis=1), TINY)
    total = np.maximum(np.add.reduce(scores, axis=1), TINY * SHARE_FLOOR)
    np.multiply(scores, (1.0 / most)[:, None], out=relative)
    np.multiply(relative, (most / (total * SHARE_FLOOR))[:, None], out=share)
    np.log1p(share, out=share)
    features[COMMON] = common
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
