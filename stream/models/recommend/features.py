"""Candidates for what comes next, and the features by which the blend tells them apart.

Rules: each source gives items with scores; a candidate's features are, for each source, its share
of the source's total (log) and of its best score, then how common it is, then what the session
itself says of it (the session's own items).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.kernel import kernel
from stream.models.base.vocabulary import Numbering, Numbers, lives

SOURCES: Final = ("similar", "next", "together", "two_step", "taste")
SIMILAR, NEXT, TOGETHER, TWO_STEP, TASTE = range(len(SOURCES))
OWN: Final = (
    "own", "distance", "relative_distance", "count", "last", "successor",
    "own_repeats", "last_repeats",
)  # fmt: skip
SHARE_FLOOR: Final = 1e-3  # a share below a thousandth is as good as none
COMMON: Final = 2 * len(SOURCES)
OWN_AT: Final = COMMON + 1
FEATURES: Final = OWN_AT + len(OWN)
LOOK_BACK: Final = 32  # newest items of a session that can be own items
LEAST: Final = 1e-30  # divides where a source says nothing
LEAST_RARITY: Final = np.float32(0.1)

SIZE, HEAD, TURN = range(3)  # of `Candidates.tally`


class Candidates(NamedTuple):
    """Candidates being gathered; scratch, but for one answer.

    Attributes
    ----------
    tally
        int64 ``[3]``: how many candidates there are; how many of them the newest item brought;
        how often one was named.
    place
        int64 ``[capacity]``: which candidate a slot's item is, if ``slots`` agrees.
    slots, turns
        int32, int64 ``[most]``: each candidate's slot, and its turn among equals: when it was
        named last, but those that the newest item brought before all others.
    scores
        float64 ``[most, sources]``: what each source says.
    features, odds
        float32 ``[most, OWN_AT]``, float64 ``[most]``: made of the scores.
    numbers, weights, others
        int32, float64, float64 ``[most entries]``: what a source says, before it is merged.
    current, own, said
        int32, int64 ``[LOOK_BACK]``, float32 ``[LOOK_BACK, len(OWN)]``: the session's own items,
        each once, the newest first; which candidates they are; what the session says of them.
    rarity, taste
        float64 ``[LOOK_BACK]``, ``[size of a vector]``: how rare the own items are, and what
        their vectors say together.
    context
        float64 ``[2]``: always 1; whether one item is all there is.
    """

    tally: NDArray[np.int64]
    place: NDArray[np.int64]
    slots: Numbers
    turns: NDArray[np.int64]
    scores: NDArray[np.float64]
    features: NDArray[np.float32]
    odds: NDArray[np.float64]
    numbers: Numbers
    weights: NDArray[np.float64]
    others: NDArray[np.float64]
    current: Numbers
    own: NDArray[np.int64]
    said: NDArray[np.float32]
    rarity: NDArray[np.float64]
    taste: NDArray[np.float64]
    context: NDArray[np.float64]


def room(capacity: int, most: int, entries: int, taste: int) -> Candidates:
    """Room for at most so many candidates, of so many slots, and a taste of so many numbers."""
    return Candidates(
        np.zeros(3, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(most, np.int32),
        np.zeros(most, np.int64),
        np.zeros((most, len(SOURCES))),
        np.zeros((most, OWN_AT), np.float32),
        np.zeros(most),
        np.zeros(entries, np.int32),
        np.zeros(entries),
        np.zeros(entries),
        np.zeros(LOOK_BACK, np.int32),
        np.zeros(LOOK_BACK, np.int64),
        np.zeros((LOOK_BACK, len(OWN)), np.float32),
        np.zeros(LOOK_BACK),
        np.zeros(taste),
        np.zeros(2),
    )


@kernel
def merge(
    numbers: Numbers,
    weights: NDArray[np.float64],
    source: int,
    numbering: Numbering,
    candidates: Candidates,
) -> None:
    """Add what one source says: live items become candidates, and their scores grow.

    Parameters
    ----------
    numbers, weights
        int32, float64 ``[entries]``: items, of which one may come repeatedly, and their weights.
    source
        Whose scores grow.
    """
    tally, places, slots = candidates.tally, candidates.place, candidates.slots
    turns, scores = candidates.turns, candidates.scores
    size, head, turn = tally[SIZE], tally[HEAD], tally[TURN]
    for at in range(len(numbers)):
        if not lives(numbers[at], numbering.numbers, numbering.mask):
            continue
        slot = numbers[at] & numbering.mask
        place = places[slot]
        if place >= size or slots[place] != slot:
            place = size
            places[slot], slots[place] = place, slot
            for each in range(len(SOURCES)):
                scores[place, each] = 0.0
            size += 1
        scores[place, source] += weights[at]
        if place >= head:
            turns[place] = turn
            turn += 1
    tally[SIZE], tally[TURN] = size, turn


@kernel
def logarithm(value: float) -> float:
    """Of a value that is rounded to float32 first."""
    return math.log(np.float64(np.float32(value)))


@kernel
def common(slot: int, numbering: Numbering, now: float) -> np.float32:
    """Logarithm of one plus the sessions with an item; ``now`` is what a session weighs now."""
    return np.float32(logarithm(numbering.use[slot] / now + 1.0))


@kernel
def rarity(common: np.float32, most: np.float32) -> np.float32:
    """Logarithm of all sessions, ``most``, less that of an item's."""
    return max(most - common, LEAST_RARITY)


@kernel
def distinct(known: Numbers, current: Numbers) -> int:
    """Each number once, the newest (last) first, into ``current``; how many they are."""
    count = 0
    for back in range(len(known) - 1, -1, -1):
        again = False
        for at in range(count):
            again |= current[at] == known[back]
        if not again:
            current[count] = known[back]
            count += 1
    return count


@kernel
def say(known: Numbers, current: Numbers, said: NDArray[np.float32]) -> None:
    """What a session says of its own items.

    Parameters
    ----------
    known
        int32 ``[visits]``: its numbers, newest last.
    current
        int32 ``[own]``: each of them once, newest first.
    said
        float32 ``[own, len(OWN)]``, is written.
    """
    length, newest = len(known), known[-1]
    repeats = 0.0
    for at in range(len(current)):
        last, count, followed = 0, 0, False
        for place in range(length):
            if known[place] == current[at]:
                last, count = place, count + 1
                followed |= place > 0 and known[place - 1] == newest
        said[at, 0] = 1.0
        said[at, 1] = math.log1p(length - 1 - last)
        said[at, 2] = (length - 1 - last) / length
        said[at, 3] = math.log(count)
        said[at, 4] = current[at] == newest
        said[at, 5] = followed
        repeats += count > 1
    repeats /= max(1, length - 1)
    for at in range(len(current)):
        said[at, 6] = repeats
        said[at, 7] = said[at, 4] * repeats


@kernel
def strongest(features: NDArray[np.float32]) -> int:
    """The source by which a candidate, ``[OWN_AT]``, comes closest to the source's best."""
    most = 0
    for source in range(1, len(SOURCES)):
        if features[len(SOURCES) + source] > features[len(SOURCES) + most]:
            most = source
    return most


@kernel
def describe(candidates: Candidates, numbering: Numbering, now: float, most: np.float32) -> None:
    """Make features of scores; ``now`` and ``most`` as of `common` and `rarity`."""
    size = candidates.tally[SIZE]
    scores, features = candidates.scores, candidates.features
    for at in range(size):
        usual = common(candidates.slots[at], numbering, now)
        features[at, COMMON] = usual
        scores[at, SIMILAR] = np.float32(scores[at, SIMILAR]) * rarity(usual, most)
    for source in range(len(SOURCES)):
        whole, highest = 0.0, 0.0
        for at in range(size):
            score = np.float64(np.float32(scores[at, source]))
            whole += score
            highest = max(highest, score)
        whole, highest = max(whole * SHARE_FLOOR, LEAST), max(highest, LEAST)
        for at in range(size):
            score = np.float64(np.float32(scores[at, source]))
            features[at, source] = features[at, len(SOURCES) + source] = 0.0
            if score != 0.0:
                features[at, source] = logarithm(score / whole + 1.0)
                features[at, len(SOURCES) + source] = score / highest
