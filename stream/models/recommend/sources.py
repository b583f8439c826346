"""Candidates for what comes next: what follows and goes together, similar sessions, taste.

Rules: a source names items and adds to their scores. What no longer lives in the vocabulary is
nobody's. All live in the number space of one vocabulary. Reading changes nothing but scratch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.kernel import kernel
from stream.models.base.vocabulary import Numbering, Numbers, lives
from stream.models.recommend.blend import Blend, add_slope, log_odds, to_shares
from stream.models.recommend.choosing import best
from stream.models.recommend.cooccurrence import TINY, CoOccurrence
from stream.models.recommend.factors import Factors, Vectors, suits, tasted
from stream.models.recommend.features import (
    COMMON,
    FEATURES,
    HEAD,
    LOOK_BACK,
    NEXT,
    SIMILAR,
    SIZE,
    SOURCES,
    TASTE,
    TOGETHER,
    TWO_STEP,
    Candidates,
    common,
    describe,
    distinct,
    merge,
    rarity,
    room,
    say,
    strongest,
)
from stream.models.recommend.pairs import Cells
from stream.models.recommend.sessions import Met, Rings, SessionIndex, similar

MIDDLE: Final = 8  # successors through which two-step co-occurrence goes

NOBODY: Final = -1  # the number of no session
Weights = NDArray[np.float64]
_NOTHING: Final[Numbers] = np.zeros(0, np.int32)
OWN_ITEM: Final = len(SOURCES)  # the source of the session's own items


class Pool(NamedTuple):
    """Candidates with their features.

    Attributes
    ----------
    slots
        int32 ``[candidates]``: slots of live items, each once.
    features
        float32 ``[candidates, OWN_AT]``: what the sources say, and how common each is.
    own
        int64 ``[own]``: which candidates are items of the session itself, the newest first.
    said
        float32 ``[own, len(OWN)]``: what the session says of them.
    context
        Flags by which the blend picks its weights: always 1, then whether one item is all there is.
    """

    slots: Numbers
    features: NDArray[np.float32]
    own: NDArray[np.int64]
    said: NDArray[np.float32]
    context: tuple[float, float]


class Best(NamedTuple):
    """The best candidates, best first.

    Attributes
    ----------
    places
        int64 ``[k]``: which candidates they are.
    slots, shares, sources
        int32, float64, int64 ``[k]``: their slots, P(each is next), and which source speaks most
        for each, ``OWN_ITEM`` for the session's own.
    """

    places: NDArray[np.int64]
    slots: Numbers
    shares: Weights
    sources: NDArray[np.int64]


def best_room(k: int) -> Best:
    """Room for the best ``k``."""
    return Best(np.zeros(k, np.int64), np.zeros(k, np.int32), np.zeros(k), np.zeros(k, np.int64))


class SourceTables(NamedTuple):
    """What is known, as kernels see it: the vocabulary, pairs, sessions and factors."""

    numbering: Numbering
    cells: Cells
    rings: Rings
    vectors: Vectors


class Query(NamedTuple):
    """A question.

    Attributes
    ----------
    numbers
        int32 ``[visits]``: the session's items, newest last; at least 1, at most ``LOOK_BACK``.
    row
        The session's own in the index, -1 if there is none.
    now, total
        What a session weighs now, and what all weigh together.
    """

    numbers: Numbers
    row: int
    now: float
    total: float


def prior() -> Weights:
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
        self.pairs, self.index = pairs, index
        vocabulary, width = pairs.vocabulary, pairs.pairs.width
        known = SourceTables(vocabulary.numbering, pairs.pairs.cells, index.rings, factors.vectors)
        entries = max(MIDDLE, index.weights.steps) * width + LOOK_BACK
        most = min(vocabulary.capacity, len(index.met.numbers) + 2 * entries)
        self._candidates = room(vocabulary.capacity, most, entries, factors.size)
        self._known, self._scratch = plain(known), plain((index.met, self._candidates))
        self._best = best_room(0)

    def gather(self, items: Sequence[str], session: int = NOBODY) -> Pool | None:
        """Candidates after these items of a session (newest last); None if none is known."""
        asked = self._asked(items, session)
        if asked is None:
            return None
        own = gathered(asked, self._known, self._scratch)
        found, size = self._candidates, self._candidates.tally.item(SIZE)
        return Pool(
            found.slots[:size].copy(),
            found.features[:size].copy(),
            found.own[:own].copy(),
            found.said[:own].copy(),
            (1.0, float(own == 1)),
        )

    def best(
        self, items: Sequence[str], session: int, k: int, exclude: Collection[str], blend: Blend
    ) -> tuple[list[str], list[float], list[int]]:
        """The ``k`` candidates that the blend thinks most of, best first.

        Returns
        -------
        tuple[list[str], list[float], list[int]]
            The items, P(each is next) among the candidates, and the source that speaks most for
            each, of ``SOURCES`` or ``OWN_ITEM``.
        """
        asked = self._asked(items, session)
        if asked is None:
            return [], [], []
        if k > len(self._best.places):
            self._best = best_room(k)
        vocabulary, chosen = self.pairs.vocabulary, self._best
        excluded = _NOTHING
        if exclude:
            left_out = [n & vocabulary.mask for n in map(vocabulary.index.get, exclude) if n]
            excluded = np.array(left_out, np.int32)
        count = recommend(
            asked, self._known, self._scratch, blend.serving, excluded, k, tuple(chosen)
        )
        names = list(map(vocabulary.names.__getitem__, chosen.slots[:count].tolist()))
        return names, chosen.shares[:count].tolist(), chosen.sources[:count].tolist()

    def teach(self, items: Numbers, session: int, chosen: int, blend: Blend) -> None:
        """Have the blend learn that after items of these numbers, 0 for none, ``chosen`` came."""
        asked = self._question(items[items > 0], session)
        if asked is not None and teach(
            asked, self._known, self._scratch, chosen, blend.weights, blend.gradient
        ):
            blend.learned()

    def _asked(self, items: Sequence[str], session: int) -> tuple[Any, ...] | None:
        known = list(filter(None, map(self.pairs.vocabulary.index.get, items[-LOOK_BACK:])))
        return self._question(np.array(known, np.int32), session)

    def _question(self, numbers: Numbers, session: int) -> tuple[Any, ...] | None:
        if not len(numbers):
            return None
        return numbers, self.index.row(session), self.pairs.decay.now, self.pairs.total


def plain(value: Any) -> Any:
    """Named tuples as plain ones: handing these to a kernel costs a third."""
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


@kernel
def gathered(asked: Any, known: Any, scratch: Any) -> int:
    """Gather candidates; the arguments are `plain`, ``scratch`` is of `Met` and `Candidates`."""
    numbering, cells, rings, vectors = known
    return gather(
        Query(*asked),
        SourceTables(Numbering(*numbering), Cells(*cells), Rings(*rings), Vectors(*vectors)),
        Met(*scratch[0]),
        Candidates(*scratch[1]),
    )


@kernel
def recommend(
    asked: Any,
    known: Any,
    scratch: Any,
    weights: Weights,
    excluded: Numbers,
    k: int,
    chosen: Any,
) -> int:
    """Gather candidates and choose the best ``k``: as `gathered`, then as `choose`."""
    own = gathered(asked, known, scratch)
    return choose(own, weights, excluded, Candidates(*scratch[1]), k, Best(*chosen))


@kernel
def teach(
    asked: Any, known: Any, scratch: Any, chosen: int, weights: Weights, gradient: Weights
) -> bool:
    """Add to the blend's gradient what a choice teaches; whether it was among the candidates.

    Parameters
    ----------
    asked, known, scratch
        As of `gathered`.
    chosen
        The number that came.
    weights, gradient
        float64 ``[contexts, FEATURES]``.
    """
    own = gathered(asked, known, scratch)
    candidates = Candidates(*scratch[1])
    slot = chosen & Numbering(*known[0]).mask
    place, size = candidates.place[slot], candidates.tally[SIZE]
    if place >= size or candidates.slots[place] != slot:
        return False
    odds, features = candidates.odds[:size], candidates.features[:size]
    mine, said, flags = candidates.own[:own], candidates.said[:own], candidates.context
    log_odds(weights, flags, features, mine, said, odds)
    add_slope(odds, place, features, mine, said, flags, gradient)
    return True


@kernel
def gather(asked: Query, known: SourceTables, met: Met, candidates: Candidates) -> int:
    """Candidates with their features; how many of them are the session's own.

    Parameters
    ----------
    asked, known
        The session, and the models.
    met, candidates
        Scratch; ``candidates`` hold the answer.
    """
    numbering, rings = known.numbering, known.rings
    most = np.float32(math.log(asked.total / asked.now + 2.0))
    count = distinct(asked.numbers, candidates.current)
    current = candidates.current[:count]
    recent = current[: len(rings.fade)]
    for at in range(len(recent)):
        usual = common(recent[at] & numbering.mask, numbering, asked.now)
        candidates.rarity[at] = rarity(usual, most)
    candidates.tally[:] = 0
    add_row(recent[0], known.cells, numbering, candidates)
    candidates.tally[HEAD] = candidates.tally[SIZE]
    rare = candidates.rarity[: len(recent)]
    items = similar(recent, rare, asked.row, numbering.mask, rings, met)
    merge(met.numbers[:items], met.weights[:items], SIMILAR, numbering, candidates)
    add_older(recent, known.cells, numbering, candidates)
    add_own(current, numbering, candidates)
    say(asked.numbers, current, candidates.said)
    add_taste(current, numbering.mask, known.vectors, candidates)
    describe(candidates, numbering, asked.now, most)
    candidates.context[0], candidates.context[1] = 1.0, count == 1
    return count


@kernel
def cosine(together: np.float32, uses: float) -> float:
    """How much two items go together; ``uses`` is the product of both their uses."""
    return np.float64(together) / math.sqrt(max(uses, TINY))


@kernel
def add_row(number: int, cells: Cells, numbering: Numbering, candidates: Candidates) -> None:
    """What follows an item and goes together with it, and what follows its best successors."""
    row = number & numbering.mask
    if cells.owner[row] != number:
        return
    ids, together, after = cells.ids[row], cells.together[row], cells.after[row]
    numbers, weights, others = candidates.numbers, candidates.weights, candidates.others
    middle = np.zeros(MIDDLE, np.int64)
    heaviest = np.zeros(MIDDLE)
    size = cells.fill[row]
    for cell in range(size):
        slot = ids[cell] & numbering.mask
        numbers[cell], weights[cell] = ids[cell], after[cell]
        others[cell] = np.float32(cosine(together[cell], numbering.use[slot] * numbering.use[row]))
        if weights[cell] > heaviest[-1] and lives(ids[cell], numbering.numbers, numbering.mask):
            insert(slot, weights[cell], middle, heaviest)
    merge(numbers[:size], weights[:size], NEXT, numbering, candidates)
    merge(numbers[:size], others[:size], TOGETHER, numbering, candidates)
    size = two_step(middle, heaviest, cells, numbering, candidates)
    merge(numbers[:size], weights[:size], TWO_STEP, numbering, candidates)


@kernel
def insert(slot: int, weight: float, slots: NDArray[np.int64], weights: Weights) -> None:
    """Put a slot among the heaviest, int64 and float64 ``[so many]``; equals stay in order."""
    place = len(slots)
    while place > 0 and weights[place - 1] < weight:
        place -= 1
        if place + 1 < len(slots):
            slots[place + 1], weights[place + 1] = slots[place], weights[place]
    if place < len(slots):
        slots[place], weights[place] = slot, weight


@kernel
def two_step(
    middle: NDArray[np.int64],
    weights: Weights,
    cells: Cells,
    numbering: Numbering,
    candidates: Candidates,
) -> int:
    """What follows the slots ``middle``, weighed by how often they are reached; how many."""
    count, numbers, reached = 0, candidates.numbers, candidates.weights
    for at in range(len(middle)):
        row = middle[at]
        if weights[at] == 0.0 or cells.owner[row] != numbering.numbers[row]:
            continue
        share = weights[at] / max(numbering.use[row], TINY)
        ids, after = cells.ids[row], cells.after[row]
        for cell in range(cells.fill[row]):
            if after[cell] != 0.0:
                numbers[count], reached[count] = ids[cell], np.float64(after[cell]) * share
                count += 1
    return count


@kernel
def add_older(recent: Numbers, cells: Cells, numbering: Numbering, candidates: Candidates) -> None:
    """What goes together with the items before the newest: the longer ago, the less."""
    count, numbers, weights = 0, candidates.numbers, candidates.weights
    for back in range(1, len(recent)):
        row = recent[back] & numbering.mask
        if cells.owner[row] != recent[back]:
            continue
        share = 1.0 / (back + 1)
        ids, together, use = cells.ids[row], cells.together[row], numbering.use
        for cell in range(cells.fill[row]):
            uses = use[ids[cell] & numbering.mask] * use[row]
            numbers[count], weights[count] = ids[cell], cosine(together[cell], uses) * share
            count += 1
    merge(numbers[:count], weights[:count], TOGETHER, numbering, candidates)


@kernel
def add_own(current: Numbers, numbering: Numbering, candidates: Candidates) -> None:
    """The session's own items, of which no source needs to know."""
    candidates.weights[: len(current)] = 0.0
    merge(current, candidates.weights[: len(current)], SIMILAR, numbering, candidates)
    for at in range(len(current)):
        candidates.own[at] = candidates.place[current[at] & numbering.mask]


@kernel
def add_taste(current: Numbers, mask: int, vectors: Vectors, candidates: Candidates) -> None:
    """How much each candidate is to the session's taste, the one that is most being 1."""
    slots, scores, size = candidates.slots, candidates.scores, candidates.tally[SIZE]
    tasted(current & mask, vectors, candidates.taste)
    most = -np.inf
    for at in range(size):
        scores[at, TASTE] = suits(slots[at], vectors, candidates.taste)
        most = max(most, scores[at, TASTE])
    for at in range(size):
        scores[at, TASTE] = math.exp(scores[at, TASTE] - most)


@kernel
def choose(
    own: int,
    weights: Weights,
    excluded: Numbers,
    candidates: Candidates,
    k: int,
    chosen: Best,
) -> int:
    """The best ``k`` of the gathered candidates into ``chosen``; how many they are.

    Parameters
    ----------
    own
        How many are the session's own.
    weights
        float64 ``[contexts, FEATURES]``: the blend's.
    excluded
        int32 ``[excluded]``: slots that are not to be chosen.
    """
    size = candidates.tally[SIZE]
    odds, places = candidates.odds[:size], candidates.own[:own]
    features = candidates.features[:size]
    log_odds(weights, candidates.context, features, places, candidates.said[:own], odds)
    for at in range(len(excluded)):
        place = candidates.place[excluded[at]]
        if place < size and candidates.slots[place] == excluded[at]:
            candidates.turns[place] = -1
    count = best(odds, candidates.turns[:size], chosen.places[:k])
    to_shares(odds)
    for at in range(count):
        place = chosen.places[at]
        chosen.slots[at] = candidates.slots[place]
        chosen.shares[at] = odds[place]
        chosen.sources[at] = strongest(features[place])
        for mine in range(own):
            if places[mine] == place:
                chosen.sources[at] = OWN_ITEM
    return count
