"""Session kNN: what similar recent sessions went on with, from an index of bounded size.

Rules: sessions fill a ring of rows, the newest overwriting the oldest; a row holds a session's
items, each once, in order. Each item has a ring of the cells in which it stands, the newest ones.
A cell is valid while it still holds that item, so overwriting needs no clean-up. A session that
outgrows its row goes on in a new one. Reading changes nothing but scratch memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes
from stream.models.base.kernel import kernel
from stream.models.base.state import State
from stream.models.base.vocabulary import Numbers, Vocabulary
from stream.models.recommend.choosing import nth_largest
from stream.models.recommend.pairs import find

Scores = NDArray[np.float64]
Cells = NDArray[np.int64]
Scored = tuple[Numbers, Scores]

POSTINGS: Final = ("owner", "counts", "cells")


class Neighbourhood(NamedTuple):
    """How neighbours are weighed: one choice for all shops, as the blend corrects the rest.

    Attributes
    ----------
    steps
        Newest items of the current session that are looked up.
    nearest
        Neighbours that count.
    position
        Factor per step back in the current session.
    size
        Power of a neighbour's length that divides its similarity.
    reach
        Places over which closeness to the match falls to 1/e.
    before, next
        Factors for items before the match, and for its immediate successor.
    """

    steps: int = 8
    nearest: int = 100
    position: float = 0.6
    size: float = 0.15
    reach: float = 4.0
    before: float = 0.7
    next: float = 1.6

    def closeness(self, length: int) -> NDArray[np.float64]:
        """Weight by place relative to the match, ``[2 length + 1]``; those before it at the end."""
        distance = np.arange(length + 1.0)
        near = np.exp(-(distance - 1.0) / self.reach)
        before = self.before * near[:0:-1]
        near[:2] = 0.0, self.next
        return np.concatenate((near, before))


DEFAULT: Final = Neighbourhood()


class Rings(NamedTuple):
    """A session index as kernels see it.

    Attributes
    ----------
    items, sizes
        int32 ``[sessions * length]``, int64 ``[sessions]``: numbers in each row, and how many.
    owner, counts, cells
        int32 ``[capacity]``, int64 ``[capacity]``, int32 ``[capacity, postings]``: the item of
        each slot, in how many cells it ever stood, and the newest of these.
    near, fade, shrink
        float64 ``[2 length + 1]``, ``[steps]``, ``[length + 1]``: weight by place relative to the
        match, by step back in the current session, by a neighbour's length.
    length, nearest
        Items in one row, neighbours that count.
    """

    items: Numbers
    sizes: NDArray[np.int64]
    owner: Numbers
    counts: NDArray[np.int64]
    cells: Numbers
    near: Scores
    fade: Scores
    shrink: Scores
    length: int
    nearest: int


class Met(NamedTuple):
    """What one look into the index meets; scratch.

    Attributes
    ----------
    cells, rows, similarity, ordered
        int64, int64, float64, float64 ``[matches]``: where a current item stands, that session's
        row and similarity, and room to find the nearest.
    place
        int64 ``[sessions]``: the latest match in each row, of those met this time.
    numbers, weights
        int32, float64 ``[matches * length]``: items of the nearest sessions, and their weights.
    """

    cells: Cells
    rows: Cells
    similarity: Scores
    ordered: Scores
    place: Cells
    numbers: Numbers
    weights: Scores


def met(matches: int, sessions: int, length: int) -> Met:
    """Room for so many matches."""
    return Met(
        np.zeros(matches, np.int64),
        np.zeros(matches, np.int64),
        np.zeros(matches),
        np.zeros(matches),
        np.zeros(sessions, np.int64),
        np.zeros(matches * length, np.int32),
        np.zeros(matches * length),
    )


class Visits(NamedTuple):
    """Items that come to sessions.

    Attributes
    ----------
    keys, rows
        int64 ``[sessions]``: each session once, and its row, -1 if it has none.
    which, numbers
        int64, int32 ``[visits]``: the session's place in ``keys``, and the item.
    moved
        int64 ``[2, visits]``: of each row that is begun the old and the new session's key.
    """

    keys: Cells
    rows: Cells
    which: Cells
    numbers: Numbers
    moved: Cells


@kernel
def extend(visits: Visits, begun: int, keys: Cells, rings: Rings, mask: int) -> int:
    """Put items behind the others of their sessions; how many rows were ever begun.

    Parameters
    ----------
    begun
        How many they were before.
    keys
        int64 ``[sessions]``: the session of each row.
    mask
        Of the vocabulary.
    """
    first, length = begun, rings.length
    for visit in range(len(visits.numbers)):
        number, which = visits.numbers[visit], visits.which[visit]
        key, row = visits.keys[which], visits.rows[which]
        held = row >= 0 and keys[row] == key  # and not overwritten since
        size = rings.sizes[row] if held else 0
        if held and find(number, rings.items[row * length : row * length + size], size) >= 0:
            continue
        if not held or size == length:
            row, size = begun % len(keys), 0
            visits.moved[0, begun - first], visits.moved[1, begun - first] = keys[row], key
            rings.items[row * length : (row + 1) * length] = 0
            keys[row], visits.rows[which] = key, row
            begun += 1
        rings.items[row * length + size] = number
        rings.sizes[row] = size + 1
        post(number, row * length + size, number & mask, rings)
    return begun


@kernel
def post(number: int, cell: int, slot: int, rings: Rings) -> None:
    """Note in which cell an item stands, in place of its oldest one."""
    if rings.owner[slot] != number:
        rings.owner[slot] = number
        rings.counts[slot] = 0
    rings.cells[slot, rings.counts[slot] % rings.cells.shape[1]] = cell
    rings.counts[slot] += 1


@kernel
def similar(current: Numbers, rarity: Scores, own: int, mask: int, rings: Rings, met: Met) -> int:
    """Items of the sessions like the current one, into ``met``; how many they are.

    Parameters
    ----------
    current
        int32 ``[items]``: distinct numbers, newest first.
    rarity
        float64 ``[items]``: their weights (idf).
    own
        The current session's row, which is left out; -1 if there is none.
    mask
        Of the vocabulary.
    """
    matches = matched(current, rarity, mask, rings, met)
    for at in range(matches):
        row = met.rows[at]
        met.similarity[at] *= 0.0 if row == own else rings.shrink[rings.sizes[row]]
    least = 0.0
    if matches > rings.nearest:
        least = nth_largest(met.similarity[:matches], rings.nearest, met.ordered)
    return spread(matches, least, rings, met)


@kernel
def matched(current: Numbers, rarity: Scores, mask: int, rings: Rings, met: Met) -> int:
    """Where the current items stand, the newest item's cells last; how many these are.

    Of several matches in a session the newest item's counts for all.
    """
    count, items = 0, rings.items
    found, rows, similarity, place = met.cells, met.rows, met.similarity, met.place
    for back in range(len(current) - 1, -1, -1):
        number = current[back]
        slot = number & mask
        if rings.owner[slot] != number:
            continue
        weight = rings.fade[back] * rarity[back]
        cells = rings.cells[slot]
        for posting in range(min(rings.counts[slot], len(cells))):
            cell = cells[posting]
            if items[cell] != number:
                continue
            row = cell // rings.length
            found[count], rows[count], similarity[count] = cell, row, weight
            before = place[row]
            if before < count and rows[before] == row:
                similarity[count] += similarity[before]
                similarity[before] = 0.0
            place[row] = count
            count += 1
    return count


@kernel
def spread(matches: int, least: float, rings: Rings, met: Met) -> int:
    """All items of the sessions at least so similar, by similarity and closeness to the match."""
    count, numbers, weights = 0, met.numbers, met.weights
    items, near = rings.items, rings.near
    for match in range(matches):
        similarity = met.similarity[match]
        if similarity == 0.0 or similarity < least:
            continue
        row = met.rows[match]
        first = row * rings.length
        for cell in range(first, first + rings.sizes[row]):
            numbers[count] = items[cell]
            weights[count] = near[cell - met.cells[match]] * similarity
            count += 1
    return count


class SessionIndex:
    """The newest sessions, found by their items.

    Parameters
    ----------
    vocabulary
        Whose numbers the items are.
    sessions
        Rows of the ring.
    length
        Items in one row.
    postings
        Newest sessions found per item.

    References
    ----------
    Jannach, Ludewig: When recurrent neural networks meet the neighborhood for session-based
    recommendation. RecSys 2017. Garg et al.: Sequence and time aware neighborhood for session-based
    recommendations. SIGIR 2019. Kersbergen et al.: Serenade, low-latency session-based
    recommendation in e-commerce at scale. SIGMOD 2022.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        sessions: int = 65_536,
        length: int = 16,
        postings: int = 256,
        weights: Neighbourhood = DEFAULT,
    ) -> None:
        self.vocabulary = vocabulary
        self.sessions, self.length, self.postings = sessions, length, postings
        self.weights = weights
        self.items: Numbers = np.zeros(sessions * length, np.int32)
        self.sizes: NDArray[np.int64] = np.zeros(sessions, np.int64)
        self.owner: Numbers = np.zeros(vocabulary.capacity, np.int32)
        self.counts: NDArray[np.int64] = np.zeros(vocabulary.capacity, np.int64)
        self.cells: Numbers = np.zeros((vocabulary.capacity, postings), np.int32)
        self.begun = 0
        self.keys: Cells = np.zeros(sessions, np.int64)
        self._rows: dict[int, int] = {}
        sizes = np.arange(length + 1, dtype=np.float64).clip(1.0)
        self.rings = Rings(
            self.items,
            self.sizes,
            self.owner,
            self.counts,
            self.cells,
            weights.closeness(length),
            np.array([weights.position**back for back in range(weights.steps)]),
            sizes**-weights.size,
            length,
            weights.nearest,
        )
        self.met = met(weights.steps * postings, sessions, length)

    @property
    def evicted(self) -> int:
        """Rows overwritten so far."""
        return max(0, self.begun - self.sessions)

    def learn(self, session: int, number: int) -> None:
        """Put an item behind the others of its session."""
        self.learn_many([session], [number])

    def learn_many(self, sessions: Sequence[int], numbers: Sequence[int]) -> None:
        """Put items behind the others of their sessions, in order."""
        which = {key: at for at, key in enumerate(dict.fromkeys(sessions))}
        visits = Visits(
            np.array(list(which), np.int64),
            np.array([self._rows.get(key, -1) for key in which], np.int64),
            np.array(list(map(which.__getitem__, sessions)), np.int64),
            np.array(numbers, np.int32),
            np.zeros((2, len(numbers)), np.int64),
        )
        first = self.begun
        self.begun = int(extend(visits, first, self.keys, self.rings, self.vocabulary.mask))
        moves = visits.moved[:, : self.begun - first].T.tolist()
        for begun, (old, new) in enumerate(moves, first):
            row = begun % self.sessions
            if begun >= self.sessions and self._rows.get(old) == row:
                del self._rows[old]
            self._rows[new] = row

    def row(self, session: int) -> int:
        """The row that the session goes on in, -1 if the index does not know of it."""
        return self._rows.get(session, -1)

    def similar(self, current: list[int], rarity: list[float], session: int) -> Scored:
        """Items of the sessions like the current one, each as often as it stands there.

        Parameters
        ----------
        current
            Distinct live numbers, newest first.
        rarity
            Their weights (idf), in the same order.
        session
            The current session's key, whose own row is left out.
        """
        count = similar(
            np.array(current, np.int32),
            np.array(rarity),
            self.row(session),
            self.vocabulary.mask,
            self.rings,
            self.met,
        )
        return self.met.numbers[:count].copy(), self.met.weights[:count].copy()

    def state(self) -> State:
        """Everything that :meth:`from_state` needs beside the vocabulary."""
        used, rows = self.vocabulary.used, min(self.begun, self.sessions)
        return {
            "sessions": self.sessions,
            "length": self.length,
            "postings": self.postings,
            "begun": self.begun,
            "weights": [float(weight) for weight in self.weights],
            "keys": self.keys[:rows].copy(),
            "items": self.items[: rows * self.length].copy(),
            "sizes": self.sizes[:rows].copy(),
            "owner": self.owner[:used].copy(),
            "counts": self.counts[:used].copy(),
            "cells": self.cells[:used].copy(),
        }

    @classmethod
    def from_state(cls, vocabulary: Vocabulary, state: Mapping[str, Any]) -> SessionIndex:
        """The index that gave ``state``, to the bit."""
        steps, nearest, *rest = state["weights"]
        self = cls(
            vocabulary,
            int(state["sessions"]),
            int(state["length"]),
            int(state["postings"]),
            Neighbourhood(int(steps), int(nearest), *rest),
        )
        self.begun = int(state["begun"])
        rows = min(self.begun, self.sessions)
        self.items[: rows * self.length] = state["items"]
        self.sizes[:rows] = state["sizes"]
        self.keys[:rows] = state["keys"]
        for name in POSTINGS:
            getattr(self, name)[: vocabulary.used] = state[name]
        self._find_rows(rows)
        return self

    def _find_rows(self, rows: int) -> None:
        oldest = self.begun % self.sessions if rows == self.sessions else 0
        order = np.roll(np.arange(rows), -oldest)  # a session of several goes on in its newest
        self._rows = dict(zip(self.keys[order].tolist(), order.tolist(), strict=True))

    def patch(self, changes: Changes, used: int) -> None:
        """Take over what changed, in place; ``used`` slots of the vocabulary were in use before."""
        begun, rows = self.begun, min(self.begun, self.sessions)
        now = int(changes.value("begun", begun))
        old = {row: int(self.keys[row]) for row in (n % self.sessions for n in range(begun, now))}
        changes.into("items", self.items, rows * self.length)
        changes.into("sizes", self.sizes, rows)
        changes.into("keys", self.keys, rows)
        for name in POSTINGS:
            changes.into(name, getattr(self, name), used)
        self.begun = now
        if now - begun >= self.sessions:
            self._find_rows(min(now, self.sessions))
            return
        for number in range(begun, now):
            row = number % self.sessions
            if number >= self.sessions and self._rows.get(old[row]) == row:
                del self._rows[old[row]]
            self._rows[int(self.keys[row])] = row
