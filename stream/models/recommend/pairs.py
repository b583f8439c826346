"""A sparse matrix of item pairs in a fixed amount of memory, written in batches.

Rules: each item has one row of ``width`` cells; a cell names the other item and carries two
weights. A full row is cut back to its ``keep`` best cells. Rows and cells of evicted items are
recognised by their numbers (see ``vocabulary``) and never read. Arrays start as untouched zeros,
so memory grows with use up to the bound, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes
from stream.models.base.kernel import kernel
from stream.models.base.state import State
from stream.models.base.vocabulary import Numbering, Numbers, Vocabulary, lives
from stream.models.recommend.choosing import nth_largest
from stream.models.recommend.sorting import sort

Floats = NDArray[np.float32]
Weights = NDArray[np.float64]
Places = NDArray[np.int64]


class Cells(NamedTuple):
    """A table of pairs as kernels see it.

    Attributes
    ----------
    owner, fill
        int32 ``[capacity]``: whose row it is, how many of its cells are in use.
    ids, together, after
        int32, float32, float32 ``[capacity, width]``: the other item's number, the two weights.
    """

    owner: Numbers
    fill: Numbers
    ids: Numbers
    together: Floats
    after: Floats


@kernel
def grouped(
    rows: Numbers,
    others: Numbers,
    numbering: Numbering,
    keys: Places,
    order: Places,
    first: Places,
) -> tuple[int, int]:
    """Find the pairs of live items by row, then by the other; how many pairs, and different ones.

    Parameters
    ----------
    rows, others
        int32 ``[pairs]``.
    keys
        int64 ``[2, pairs]``: scratch.
    order
        Likewise; ``order[0]`` becomes the live pairs' places, those of equal pairs as they came.
    first
        int64 ``[pairs]``: becomes the places in ``order[0]`` at which another pair begins.
    """
    alive, count, mask = 0, 0, numbering.mask
    for at in range(len(rows)):
        if lives(rows[at], numbering.numbers, mask) and lives(others[at], numbering.numbers, mask):
            keys[0, alive], order[0, alive] = np.int64(rows[at]) << 32 | others[at], at
            alive += 1
    sort(keys[:, :alive], order[:, :alive])
    for at in range(alive):
        if at == 0 or keys[0, at] != keys[0, at - 1]:
            first[count] = at
            count += 1
    return alive, count


@kernel
def write(
    rows: Numbers,
    others: Numbers,
    together: Weights,
    after: Weights,
    keep: int,
    cells: Cells,
    numbering: Numbering,
) -> int:
    """Add weights to pairs, each of which comes once, sorted by row; how many cells were given up.

    What a row holds already grows before anything new comes into it.

    Parameters
    ----------
    rows, others, together, after
        int32, int32, float64, float64 ``[pairs]``.
    keep
        Cells that survive when a row is full.
    """
    pruned, first = 0, 0
    new = np.empty(len(rows), np.int64)
    while first < len(rows):
        slot = rows[first] & numbering.mask
        claim(rows[first], slot, cells)
        last, count = first, 0
        while last < len(rows) and rows[last] == rows[first]:
            cell = find(others[last], cells.ids[slot], cells.fill[slot])
            if cell < 0:
                new[count] = last
                count += 1
            else:
                grow(slot, cell, together[last], after[last], cells)
            last += 1
        for at in new[:count]:
            if cells.fill[slot] == cells.ids.shape[1]:
                pruned += prune(slot, keep, cells, numbering)
            cell = cells.fill[slot]
            cells.ids[slot, cell] = others[at]
            cells.together[slot, cell], cells.after[slot, cell] = together[at], after[at]
            cells.fill[slot] += 1
        first = last
    return pruned


@kernel
def claim(row: int, slot: int, cells: Cells) -> None:
    """Empty a slot's row if it still belongs to an evicted item."""
    if cells.owner[slot] != row:
        cells.owner[slot] = row
        cells.fill[slot] = 0
        cells.ids[slot, :] = 0


@kernel
def find(other: int, ids: Numbers, fill: int) -> int:
    """The cell of a row, int32 ``[width]``, that names another item; -1 if none does."""
    for cell in range(fill):
        if ids[cell] == other:
            return cell
    return -1


@kernel
def grow(slot: int, cell: int, together: float, after: float, cells: Cells) -> None:
    """Add to both weights of a cell."""
    cells.together[slot, cell] = np.float64(cells.together[slot, cell]) + together
    cells.after[slot, cell] = np.float64(cells.after[slot, cell]) + after


@kernel
def prune(slot: int, keep: int, cells: Cells, numbering: Numbering) -> int:
    """Keep the best cells of a row, those of evicted items last of all; how many had to go.

    Of equals the newest stay. What is kept stands in the order of its weight.
    """
    ids, together, after = cells.ids[slot], cells.together[slot], cells.after[slot]
    fill, alive = cells.fill[slot], 0
    order = np.empty(fill, np.int64)
    for cell in range(fill):
        if lives(ids[cell], numbering.numbers, numbering.mask):
            place, weight = alive, together[cell] + after[cell]
            while place > 0 and together[order[place - 1]] + after[order[place - 1]] > weight:
                order[place] = order[place - 1]
                place -= 1
            order[place] = cell
            alive += 1
    kept = order[max(0, alive - keep) : alive]
    old = ids.copy(), together.copy(), after.copy()
    ids[:], together[:], after[:] = 0, 0.0, 0.0
    for place in range(len(kept)):
        cell = kept[place]
        ids[place], together[place], after[place] = old[0][cell], old[1][cell], old[2][cell]
    cells.fill[slot] = len(kept)
    pruned: int = fill - len(kept)
    return pruned


@kernel
def heaviest(
    row: int,
    weights: Floats,
    support: np.float32,
    most: np.float32,
    k: int,
    cells: Cells,
    numbering: Numbering,
    found: Any,
) -> int:
    """Live others of a row that fewer than ``k`` outdo, into ``found``; how many they are.

    Parameters
    ----------
    row
        The number of its item.
    weights
        float32 ``[capacity, width]``: one of the two of `cells`.
    support, most
        By what a weight is divided, and what the share is then at most.
    k
        At least 1.
    found
        int32, float64, float64 ``[width]``: their numbers and shares, none of which is 0; scratch.
    """
    numbers, shares, room = found
    slot, count = row & numbering.mask, 0
    if cells.owner[slot] != row:
        return count
    for cell in range(cells.fill[slot]):
        share = min(weights[slot, cell] / support, most)
        if share > 0.0 and lives(cells.ids[slot, cell], numbering.numbers, numbering.mask):
            numbers[count], shares[count] = cells.ids[slot, cell], share
            count += 1
    if count <= k:
        return count
    least, kept = nth_largest(shares[:count], k, room), 0
    for at in range(count):
        if shares[at] >= least:
            numbers[kept], shares[kept] = numbers[at], shares[at]
            kept += 1
    return kept


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
    cells
        All arrays, for kernels.
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
        self.cells = Cells(self.owner, self.fill, self.ids, self.together, self.after)
        self.pruned = 0
        self._found = np.zeros(self.width, np.int32), np.zeros(self.width), np.zeros(self.width)

    def add(
        self,
        rows: Numbers,
        others: Numbers,
        together: Weights,
        after: Weights,
    ) -> None:
        """Add weights to the cells (``rows[i]``, ``others[i]``); a pair may come repeatedly."""
        numbering = self.vocabulary.numbering
        keys, order = np.empty((2, len(rows)), np.int64), np.empty((2, len(rows)), np.int64)
        first = np.empty(len(rows), np.int64)
        alive, count = grouped(rows, others, numbering, keys, order, first)
        if not alive:
            return
        order, first = order[0, :alive], first[:count]
        together = np.add.reduceat(together[order], first)
        after = np.add.reduceat(after[order], first)
        rows, others = rows[order[first]], others[order[first]]
        cut = write(rows, others, together, after, self.keep, self.cells, numbering)
        self.pruned += int(cut)

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

    def best(
        self, row: int, weights: Floats, support: float, most: float, k: int
    ) -> tuple[list[int], list[float]]:
        """The others of an item's row, and their shares, as of `heaviest`, in no order."""
        numbers, shares, _ = found = self._found
        share, cut = np.float32(support), np.float32(most)
        numbering = self.vocabulary.numbering
        count = heaviest(row, weights, share, cut, k, self.cells, numbering, found)
        return numbers[:count].tolist(), shares[:count].tolist()

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
        for name in Cells._fields:
            getattr(self, name)[: vocabulary.used] = state[name]
        return self

    def patch(self, changes: Changes, used: int) -> None:
        """Take over what changed, in place; ``used`` slots of the vocabulary were in use before."""
        for name in Cells._fields:
            changes.into(name, getattr(self, name), used)
        self.pruned = changes.value("pruned", self.pruned)
