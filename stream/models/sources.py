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
BACK: Final = np.array([1.0 / (1 + back) for back in range(32)])

Block = tuple[Numbers, NDArray[np.float64]]


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
        self._places: NDArray[np.int64] = np.zeros(pairs.vocabulary.capacity, np.int64)  # scratch

    def gather(self, items: Sequence[str], session: str = "") -> Pool | None:
        """Candidates after these items of a session (newest last); None if none is known."""
        vocabulary = self.pairs.vocabulary
        known = [number for number in map(vocabulary.find, items[-LOOK_BACK:]) if number]
        if not known:
            return None
        current = list(dict.fromkeys(reversed(known)))
        own = np.array(current, np.int32)
        blocks = self._blocks(own[: self.index.weights.steps], current, session)
        numbers = np.concatenate([block[0] for block in blocks] + [own])
        first, dense = self._merged(numbers)
        scores = self._scores(blocks, dense, len(first))
        own_at = dense[-len(own) :]
        use = np.maximum(vocabulary.use[numbers[first] & vocabulary.mask], 0.0)
        use *= 1.0 / self.pairs.decay.now
        scores[0] *= self._rarity(use)
        best = self._best(scores, own_at)
        features = _features(scores, best, use)
        own_at = np.searchsorted(best, own_at)
        features[OWN_AT:, own_at] = _own_features(known, current)
        is_own = np.zeros(len(best), bool)
        is_own[own_at] = True
        context = (1.0, float(len(current) == 1))
        return Pool(numbers[first[best]], features, is_own, context)

    def _merged(self, numbers: Numbers) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Where each live item stands first, and which of these each entry is.

        What no longer lives is given the number of candidates, one past the last.
        """
        vocabulary = self.pairs.vocabulary
        slots = numbers & vocabulary.mask
        alive = vocabulary.numbers[slots] == numbers
        order = np.arange(len(slots))
        self._places[slots] = -1
        live = slots[alive]
        self._places[live] = order[alive]
        place = self._places[slots]
        first = np.flatnonzero(place == order)
        ranks = np.empty(len(slots) + 1, np.int64)
        ranks[first] = order[: len(first)]
        ranks[-1] = len(first)
        dense = ranks[place]
        dense[~alive] = len(first)
        return first, dense

    def _blocks(self, recent: Numbers, current: list[int], session: str) -> list[Block]:
        """What each source says, item by item; an item may stand in a source repeatedly."""
        pairs = self.pairs.pairs
        use = self.pairs.vocabulary.use
        slots = recent & self.pairs.vocabulary.mask
        now = self.pairs.decay.now
        rarity = self._rarity(np.maximum(use[slots] / now, 0.0)).tolist()
        similar = self.index.similar(current[: len(recent)], rarity, session)
        ids, together, after = pairs.ids[slots], pairs.together[slots], pairs.after[slots]
        stale = pairs.owner[slots] != recent
        if stale.any():
            ids[stale] = together[stale] = after[stale] = 0
        width = max(1, int(pairs.fill[slots].max()))
        ids, after = ids[:, :width], after[:, :width]
        scale = BACK[: len(slots)] / np.sqrt(np.maximum(use[slots], TINY))
        flat = ids.ravel()
        others = np.sqrt(np.maximum(use[flat & self.pairs.vocabulary.mask], TINY))
        cosine = (together[:, :width] * scale[:, None]).ravel() / others
        return [similar, (ids[0], after[0]), (flat, cosine), self._two_step(ids[0], after[0])]

    def _two_step(self, ids: Numbers, after: NDArray[np.float32]) -> Block:
        """What follows the best successors, each weighed by how often it is reached."""
        pairs, mask = self.pairs.pairs, self.pairs.vocabulary.mask
        best = np.argsort(-after, kind="stable")[:MIDDLE]
        middle = ids[best]
        live = (after[best] > 0) & self.pairs.vocabulary.live(middle)
        best, slots = best[live], middle[live] & mask
        if not len(slots):
            return np.zeros(0, np.int32), np.zeros(0)
        weights = after[best] / self.pairs.vocabulary.use[slots]
        weights[pairs.owner[slots] != middle[live]] = 0.0
        width = max(1, int(pairs.fill[slots].max()))
        reached = pairs.after[slots][:, :width] * weights[:, None]
        return pairs.ids[slots][:, :width].ravel(), reached.ravel()

    def _rarity(self, use: NDArray[np.float64]) -> NDArray[np.float64]:
        sessions = self.pairs.total / self.pairs.decay.now
        rarity: NDArray[np.float64] = np.log((sessions + 2.0) / (use + 1.0))
        return np.maximum(rarity, 0.1)

    @staticmethod
    def _scores(blocks: list[Block], dense: NDArray[np.int64], size: int) -> NDArray[np.float64]:
        """Sum of each source's scores for each candidate, ``[sources, size]``."""
        scores = np.empty((len(blocks), size))
        start = 0
        for row, (numbers, values) in enumerate(blocks):
            end = start + len(numbers)
            scores[row] = np.bincount(dense[start:end], values, size + 1)[:size]
            start = end
        return scores

    def _best(self, scores: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.intp]:
        """The best of each source, and all of the session's own."""
        size = scores.shape[1]
        if size <= self.top:
            return np.arange(size)
        least = np.partition(scores, size - self.top, axis=1)[:, size - self.top]
        chosen = np.any(scores >= np.maximum(least, TINY)[:, None], axis=0)
        chosen[own] = True
        return np.flatnonzero(chosen)


def _features(
    scores: NDArray[np.float64], best: NDArray[np.intp], use: NDArray[np.float64]
) -> NDArray[np.float64]:
    """All features but the own items', of the best candidates."""
    features = np.zeros((FEATURES, len(best)))
    total = np.maximum(scores.sum(axis=1), TINY)
    most = np.maximum(scores.max(axis=1), TINY)
    scores = scores[:, best]
    share = scores * (1.0 / (total * SHARE_FLOOR))[:, None]
    features[: len(SOURCES)] = np.log1p(share.astype(np.float32))
    features[len(SOURCES) : COMMON] = scores * (1.0 / most)[:, None]
    features[COMMON] = np.log1p(use[best].astype(np.float32))
    return features


def _own_features(known: list[int], current: list[int]) -> NDArray[np.float64]:
    """Features of the session's own items (newest first), ``[len(OWN), items]``."""
    length = len(known)
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
