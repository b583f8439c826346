"""Session kNN: what similar recent sessions went on with, from an index of bounded size.

Rules: sessions fill a ring of rows, the newest overwriting the oldest; a row holds a session's
items, each once, in order. Each item has a ring of the cells in which it stands, the newest ones.
A cell is valid while it still holds that item, so overwriting needs no clean-up. A session that
outgrows its row goes on in a new one. Reading changes nothing but scratch memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.changes import Changes
from stream.models.state import State
from stream.models.vocabulary import Numbers, Vocabulary

Scores = NDArray[np.float64]
Cells = NDArray[np.int64]
Scored = tuple[Numbers, Scores]

POSTINGS: Final = ("owner", "counts", "cells")
NONE: Final[Scored] = (np.zeros(0, np.int32), np.zeros(0))


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
        self._places: NDArray[np.int64] = np.zeros(sessions, np.int64)  # scratch
        self._near = weights.closeness(length)
        self._fade = [weights.position**back for back in range(weights.steps)]
        sizes = np.arange(length + 1, dtype=np.float64).clip(1.0)
        self._shrink: Scores = sizes**-weights.size

    @property
    def evicted(self) -> int:
        """Rows overwritten so far."""
        return max(0, self.begun - self.sessions)

    def holds(self, session: int) -> bool:
        """Whether the index knows of this session."""
        return session in self._rows

    def learn(self, session: int, number: int) -> None:
        """Put an item behind the others of its session."""
        row = self._rows.get(session, -1)
        size = int(self.sizes[row]) if row >= 0 else 0
        start = row * self.length
        if size and (self.items[start : start + size] == number).any():
            return
        if row < 0 or size == self.length:
            row, size = self._begin(session), 0
            start = row * self.length
        self.items[start + size] = number
        self.sizes[row] = size + 1
        slot = number & self.vocabulary.mask
        if self.owner[slot] != number:
            self.owner[slot] = number
            self.counts[slot] = 0
        count = int(self.counts[slot])
        self.cells[slot, count % self.postings] = start + size
        self.counts[slot] = count + 1

    def _begin(self, session: int) -> int:
        row = self.begun % self.sessions
        if self.begun >= self.sessions:
            if self._rows.get(int(self.keys[row])) == row:
                del self._rows[int(self.keys[row])]
            self.items[row * self.length : (row + 1) * self.length] = 0
        self.keys[row] = session
        self._rows[session] = row
        self.begun += 1
        return row

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
        cells, weights = self._matches(current, rarity)
        if not len(cells):
            return NONE
        rows = cells // self.length
        similarity = self._shrink.take(self.sizes.take(rows))
        if len(current) > 1:  # of several matches in a session the newest item's counts for all
            self._places[rows] = np.arange(len(rows))
            similarity *= np.bincount(self._places.take(rows), weights)
        else:
            similarity *= weights
        own = self._rows.get(session, -1)
        if own >= 0:
            similarity[rows == own] = 0.0
        nearest = self.weights.nearest
        least = np.partition(similarity, -nearest)[-nearest] if len(rows) > nearest else 0.0
        best = (similarity >= least if least else similarity).nonzero()[0]
        if not len(best):
            return NONE
        return self._spread(rows.take(best), cells.take(best), similarity.take(best))

    def _matches(self, current: list[int], rarity: list[float]) -> tuple[Cells, Scores]:
        """Cells in which the current items stand, the newest item's last, and their weights."""
        found: list[Numbers] = []
        weights: list[float] = []
        numbers: list[int] = []
        mask = self.vocabulary.mask
        for number, rare, fade in zip(current, rarity, self._fade, strict=False):
            slot = number & mask
            if self.owner[slot] == number:
                found.append(self.cells[slot, : self.counts[slot]])
                weights.append(fade * rare)
                numbers.append(number)
        if not found:
            return np.zeros(0, np.int64), np.zeros(0)
        found.reverse()
        lengths = [len(part) for part in found]
        cells = np.concatenate(found, dtype=np.int64)
        each = np.array(weights[::-1]).repeat(lengths)
        if self.begun > self.sessions:
            valid = self.items.take(cells) == np.array(numbers[::-1]).repeat(lengths)
            cells, each = cells[valid], each[valid]
        return cells, each

    def _spread(self, rows: Cells, cells: Cells, similarity: Scores) -> Scored:
        """All items of these sessions, weighed by similarity and closeness to the match."""
        sizes = self.sizes.take(rows)
        ends = sizes.cumsum()
        at = np.arange(ends[-1]) + (rows * self.length + sizes - ends).repeat(sizes)
        near = self._near.take(at - cells.repeat(sizes))
        near *= similarity.repeat(sizes)
        return self.items.take(at), near

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
