"""Candidates for what comes next, and the features by which the blend tells them apart.

Rules: each source gives items with scores; a candidate's features are, for each source, its share
of the source's total (log) and of its best score, then how common it is, then what the session
itself says of it (the session's own items). All live in the number space of one vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeVar

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
LEAST: Final = 1e-30  # divides where a source says nothing
LEAST_RARITY: Final = 0.1
KEPT: Final = 1_024  # items whose neighbours are kept between two batches learned

NOBODY: Final = -1  # the number of no session

ALONE: Final = np.array([[name in ("own", "last")] for name in OWN], np.float32)

Slots = NDArray[np.integer]
Weights = NDArray[np.floating]

T = TypeVar("T")


class Pool(NamedTuple):
    """Candidates with their features.

    Attributes
    ----------
    slots
        int ``[candidates]``: slots of live items, each once.
    features
        float32 ``[OWN_AT, candidates]``: what the sources say, and how common each is.
    own
        int ``[own]``: which candidates are items of the session itself, the newest first.
    said
        float32 ``[len(OWN), own]``: what the session says of them.
    context
        Flags by which the blend picks its weights: always 1, then whether one item is all there is.
    """

    slots: NDArray[np.integer]
    features: NDArray[np.float32]
    own: NDArray[np.integer]
    said: NDArray[np.float32]
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
        self._rows: dict[int, Row] = {}
        self._heads: dict[int, Head] = {}
        self._alone: dict[int, Found] = {}
        self._tables: Tables | None = None
        capacity = pairs.vocabulary.capacity
        self._places: NDArray[np.int64] = np.zeros(capacity + 1, np.int64)  # scratch

    def gather(self, items: Sequence[str], session: int = NOBODY) -> Pool | None:
        """Candidates after these items of a session (newest last); None if none is known."""
        known = list(filter(None, map(self.pairs.vocabulary.index.get, items[-LOOK_BACK:])))
        if not known:
            return None
        current = list(dict.fromkeys(reversed(known)))
        alone = len(current) == 1
        if alone and not self.index.holds(session):
            found = _kept(self._alone, known[0], lambda _: self._found(current, session))
        else:
            found = self._found(current, session)
        return Pool(*found, _own_features(known, current), (1.0, float(alone)))

    def forget(self) -> None:
        """Drop what was kept for reading: something was learned."""
        for kept in (self._rows, self._heads, self._alone):
            kept.clear()
        self._tables = None

    def _found(self, current: list[int], session: int) -> Found:
        """All that is the same for sessions of these items, newest first."""
        tables, mask = self._tables or self._tabled(), self.pairs.vocabulary.mask
        own = [number & mask for number in current]
        recent = current[: self.index.weights.steps]
        rarity = [tables.rarity.item(slot) for slot in own[: len(recent)]]
        met, near = self.index.similar(recent, rarity, session)
        older, together = self._older(recent)
        head = _kept(self._heads, recent[0], self._head)
        slots, dense = self._merged(head.slots, [self._slots(met), *older, own])
        size, similar = len(slots), len(met)
        scores = np.zeros((len(SOURCES), size), np.float32)
        scores[1:4, : len(head.slots)] = head.scores
        if similar:
            scores[0] = np.bincount(dense[:similar], near, size)
        if older:
            told = dense[similar : -len(own)]
            scores[2] += np.bincount(told, np.concatenate(together), size)
        slots, scores = slots[1:], scores[:, 1:]  # without nobody
        scores[0] *= tables.rarity.take(slots)
        taste = self.factors.scores(current, slots)
        np.exp(taste - taste.item(taste.argmax()), out=scores[-1])
        return Found(slots, _features(scores, tables.common.take(slots)), dense[-len(own) :] - 1)

    def _tabled(self) -> Tables:
        vocabulary, now = self.pairs.vocabulary, self.pairs.decay.now
        common = np.log((vocabulary.use[: vocabulary.used] / now + 1.0).astype(np.float32))
        most = np.float32(math.log(self.pairs.total / now + 2.0))
        self._tables = Tables(common, np.maximum(most - common, np.float32(LEAST_RARITY)))
        return self._tables

    def _slots(self, numbers: Numbers) -> Slots:
        """Slots of items; what no longer lives has the slot ``capacity``, which is nobody's."""
        vocabulary = self.pairs.vocabulary
        slots = numbers & vocabulary.mask
        if vocabulary.evicted:
            slots[vocabulary.numbers.take(slots) != numbers] = vocabulary.capacity
        return slots

    def _merged(self, head: Slots, others: list[Any]) -> tuple[Slots, Slots]:
        """The head's slots and the others, each once, and which of them each of the others is."""
        entries = np.concatenate(others, dtype=np.intp)
        places, begin = self._places, len(head)
        order = np.arange(begin + len(entries))
        places[entries] = order[begin:]
        places[head] = order[:begin]
        more = entries.take((places.take(entries) == order[begin:]).nonzero()[0])
        places[more] = order[begin : begin + len(more)]
        return np.concatenate((head, more)), places.take(entries)

    def _older(self, recent: list[int]) -> tuple[list[Slots], list[Weights]]:
        """What goes together with the items before the newest: the longer ago, the less."""
        slots, weights = [], []
        for back, number in enumerate(recent[1:], 2):
            row = _kept(self._rows, number, self._row)
            if len(row.slots):
                slots.append(row.slots)
                weights.append(row.together * (1.0 / back))
        return slots, weights

    def _row(self, number: int) -> Row:
        vocabulary = self.pairs.vocabulary
        ids, together, after = self.pairs.pairs.row(number)
        slots = (ids & vocabulary.mask).astype(np.intp)
        uses = vocabulary.use.take(slots) * vocabulary.use.item(number & vocabulary.mask)
        return Row(slots, together / np.sqrt(np.maximum(uses, TINY)), after)

    def _head(self, newest: int) -> Head:
        row = _kept(self._rows, newest, self._row)
        reached, weights = self._two_step(row)
        nobody = np.array([self.pairs.vocabulary.capacity])
        slots, dense = self._merged(nobody, [row.slots, reached])
        scores = np.zeros((3, len(slots)), np.float32)
        first = dense[: len(row.slots)]
        scores[0, first], scores[1, first] = row.after, row.together
        scores[2] = np.bincount(dense[len(first) :], weights, len(slots))
        return Head(slots, scores)

    def _two_step(self, row: Row) -> tuple[Slots, Weights]:
        """What follows the best successors, each weighed by how often it is reached."""
        table, vocabulary = self.pairs.pairs, self.pairs.vocabulary
        best = (-row.after).argsort(kind="stable")[:MIDDLE]
        slots, weights = row.slots.take(best), row.after.take(best).astype(np.float64)
        whole = table.owner.take(slots) == vocabulary.numbers.take(slots)
        held = (whole & (weights > 0.0)).nonzero()[0]
        slots, weights = slots.take(held), weights.take(held)
        weights /= np.maximum(vocabulary.use.take(slots), TINY)
        reached = (table.after.take(slots, axis=0) * weights[:, None]).ravel()
        at = reached.nonzero()[0]
        return self._slots(table.ids.take(slots, axis=0).ravel().take(at)), reached.take(at)


class Tables(NamedTuple):
    """What is read of every slot's item, made once for all reads between two steps learned.

    Attributes
    ----------
    common, rarity
        float32 ``[used]``: logarithm of one plus the item's sessions; logarithm of all sessions
        less that.
    """

    common: NDArray[np.float32]
    rarity: NDArray[np.float32]


class Found(NamedTuple):
    """The first fields of a `Pool`."""

    slots: Slots
    features: NDArray[np.float32]
    own: Slots


class Row(NamedTuple):
    """What the pairs say of an item: of each live other its slot, the cosine, what followed."""

    slots: Slots
    together: Weights
    after: Weights


class Head(NamedTuple):
    """What the pairs say after an item.

    Attributes
    ----------
    slots
        Nobody's first, then each other once.
    scores
        float32 ``[3, slots]``: what comes next, goes together, is two steps away.
    """

    slots: Slots
    scores: NDArray[np.float32]


def _kept(kept: dict[int, T], key: int, make: Callable[[int], T]) -> T:
    """What is made for reading, once until something is learned: many sessions share it."""
    known = kept.get(key)
    if known is None:
        known = make(key)
        if len(kept) >= KEPT:
            kept.clear()
        kept[key] = known
    return known


def _features(scores: NDArray[np.float32], common: NDArray[np.float32]) -> NDArray[np.float32]:
    """All features but the own items'."""
    features = np.empty((OWN_AT, scores.shape[1]), np.float32)
    whole = np.empty((2, len(scores), 1), np.float32)
    np.add.reduce(scores, axis=1, out=whole[0], keepdims=True)
    np.maximum.reduce(scores, axis=1, out=whole[1], keepdims=True)
    whole[0] *= SHARE_FLOOR
    np.maximum(whole, LEAST, out=whole)
    np.divide(scores, whole, out=features[:COMMON].reshape(2, *scores.shape))
    share = features[: len(SOURCES)]
    share += 1.0
    np.log(share, out=share)
    features[COMMON] = common
    return features


def _own_features(known: list[int], current: list[int]) -> NDArray[np.float32]:
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
    return np.array(rows, np.float32).T
