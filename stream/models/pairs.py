"""A sparse matrix of item pairs in a fixed amount of memory, written in batches.

Rules: each item has one row of ``width`` cells; a cell names the other item and carries two
weights. A full row is cut back to its ``keep`` best cells. Rows and cells of evicted items are
recognised by their numbers (see ``vocabulary``) and never read. Arrays start as untouched zeros,
so memory grows with use up to the bound, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.models.changes import Changes
from stream.models.state import State
from stream.models.vocabulary import Numbers, Vocabulary

Floats = NDArray[np.float32]

CELLS: Final = ("owner", "fill", "ids", "together", "after")


class PairTable:
    """Weights of pairs (row item, other item).

    Parameters
    ----------
    vocabulary
        Whose numbers the rows and cells are.
    keep
        Cells that survive when a row is full.

    Attributes
    ----------
    ids
        int32 ``[capacity, width]``: the other item's number, 0 where the cell is empty.
    together, after
        float32 ``[capacity, width]``: the two weights; a row's order is by their sum.
    pruned
        Cells given up so far.
    """

    def __init__(self, vocabulary: Vocabulary, keep: int) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self.vocabulary = vocabulary
        self.keep = keep
        self.width = keep + max(1, keep // 2)
        shape = (vocabulary.capacity, self.width)
        self.owner: Numbers = np.zeros(vocabulary.capacity, np.int32)
        self.fill: Numbers = np.zeros(vocabulary.capacity, np.int32)
        self.ids: Numbers = np.zeros(shape, np.int32)
        self.together: Floats = np.zeros(shape, np.float32)
        self.after: Floats = np.zeros(shape, np.float32)
        self.pruned = 0

    def add(
        self,
        rows: Numbers,
        others: Numbers,
        together: NDArray[np.float64],
        after: NDArray[np.float64],
    ) -> None:
        """Add weights to the cells (``rows[i]``, ``others[i]``); a pair may come repeatedly."""
        alive = self.vocabulary.live(rows) & self.vocabulary.live(others)
        keys = (rows.astype(np.int64) << 32 | others)[alive]
        if not len(keys):
            return
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        together = np.add.reduceat(together[alive][order], first)
        after = np.add.reduceat(after[alive][order], first)
        keys = keys[first]
        rows, others = (keys >> 32).astype(np.int32), (keys & 0x7FFFFFFF).astype(np.int32)
        slots = rows & self.vocabulary.mask
        self._claim(rows, slots)
        same = self.ids[slots] == others[:, None]
        places = same.argmax(axis=1)
        found = same[np.arange(len(slots)), places]
        at = slots[found], places[found]
        self.together[at] += together[found]
        self.after[at] += after[found]
        new = ~found
        self._append(slots[new], others[new], together[new], after[new])

    def _claim(self, rows: Numbers, slots: Numbers) -> None:
        """Empty those rows that still belong to an evicted item."""
        stale = self.owner[slots] != rows
        if stale.any():
            slots = slots[stale]
            self.owner[slots] = rows[stale]
            self.fill[slots] = 0
            self.ids[slots] = 0

    def _append(
        self,
        slots: Numbers,
        others: Numbers,
        together: NDArray[np.float64],
        after: NDArray[np.float64],
    ) -> None:
        """Put new pairs, sorted by row, behind the last cell; cut back rows that are full."""
        while len(slots):
            first = np.concatenate(([True], slots[1:] != slots[:-1]))
            starts = np.flatnonzero(first)
            ranks = np.arange(len(slots)) - starts[np.cumsum(first) - 1]
            places = self.fill[slots] + ranks
            fits = places < self.width
            at = slots[fits], places[fits]
            self.ids[at], self.together[at], self.after[at] = (
                others[fits],
                together[fits],
                after[fits],
            )
            np.add.at(self.fill, slots[fits], 1)
            rest = ~fits
            slots, others, together, after = slots[rest], others[rest], together[rest], after[rest]
            self._prune(np.unique(slots))

    def _prune(self, slots: Numbers) -> None:
        """Keep the best cells of these full rows, those of evicted items last of all."""
        if not len(slots):
            return
        ids = self.ids[slots]
        alive = self.vocabulary.live(ids)
        score = np.where(alive, self.together[slots] + self.after[slots], -1.0)
        best = np.argsort(score, axis=1, kind="stable")[:, -self.keep :]  # of equals, the newest
        kept = np.minimum(alive.sum(axis=1), self.keep)
        places = np.arange(self.keep)
        best = np.take_along_axis(best, (places - kept[:, None]) % self.keep, axis=1)
        empty = places >= kept[:, None]
        for cells in (self.ids, self.together, self.after):
            moved = np.take_along_axis(cells[slots], best, axis=1)
            moved[empty] = 0
            cells[slots] = 0
            cells[slots, : self.keep] = moved
        self.pruned += int((self.fill[slots] - kept).sum())
        self.fill[slots] = kept

    def holds(self, row: int) -> bool:
        """Whether the live item ``row`` has a row of its own by now."""
        return int(self.owner[row & self.vocabulary.mask]) == row

    def cell(self, row: int, other: int) -> tuple[float, float]:
        """The two weights of a pair, zeros if it is not held."""
        slot = row & self.vocabulary.mask
        if not row or self.owner[slot] != row:
            return 0.0, 0.0
        place = np.flatnonzero(self.ids[slot] == other)
        if not len(place) or not other:
            return 0.0, 0.0
        return float(self.together[slot, place[0]]), float(self.after[slot, place[0]])

    def row(self, row: int) -> tuple[Numbers, Floats, Floats]:
        """Others, together, after: the live cells of an item's row, in no order."""
        slot = row & self.vocabulary.mask
        size = int(self.fill[slot]) if row and self.owner[slot] == row else 0
        ids = self.ids[slot, :size]
        alive = self.vocabulary.live(ids)
        return ids[alive], self.together[slot, :size][alive], self.after[slot, :size][alive]

    def scale(self, factor: float) -> None:
        """Multiply all weights, as decay asks for."""
        used = self.vocabulary.used
        self.together[:used] *= np.float32(factor)
        self.after[:used] *= np.float32(factor)

    def state(self) -> State:
        """Everything that :meth:`from_state` needs beside the vocabulary."""
        used = self.vocabulary.used
        return {
            "keep": self.keep,
            "pruned": self.pruned,
            "owner": self.owner[:used].copy(),
            "fill": self.fill[:used].copy(),
            "ids": self.ids[:used].copy(),
            "together": self.together[:used].copy(),
            "after": self.after[:used].copy(),
        }

    @classmethod
    def from_state(cls, vocabulary: Vocabulary, state: Mapping[str, Any]) -> PairTable:
        """The table that gave ``state``, to the bit."""
        self = cls(vocabulary, int(state["keep"]))
        self.pruned = int(state["pruned"])
        for name in CELLS:
            getattr(self, name)[: vocabulary.used] = state[name]
        return self

    def patch(self, changes: Changes, used: int) -> None:
        """Take over what changed, in place; ``used`` slots of the vocabulary were in use before."""
        for name in CELLS:
            changes.into(name, getattr(self, name), used)
        self.pruned = changes.value("pruned", self.pruned)
