"""Agglomerative clustering of weighted points by Ward's method: the tree, and cuts through it.

Rules
-----
- Each merge is the one that adds least to the sum of squared distances [1]_; ties go to the lower
  numbers. So each cut is as compact as merging allows, and heights never fall.

References
----------
.. [1] Ward, "Hierarchical grouping to optimize an objective function", JASA 58(301), 1963.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


class Tree(NamedTuple):
    """What was merged, in order.

    Attributes
    ----------
    pairs
        Of shape (leaves - 1, 2): a leaf's number, or the number of leaves plus that of a merge.
    heights
        Square root of twice what each merge adds to the sum of squared distances.
    weights
        Of each leaf, then of each merge.
    """

    pairs: Numbers
    heights: Floats
    weights: Floats

    @property
    def leaves(self) -> int:
        """How many there are."""
        return len(self.pairs) + 1


def linkage(points: Floats, weights: Floats) -> Tree:
    """Return the tree of weighted points by Ward's method.

    Parameters
    ----------
    points
        Of shape (leaves, dimensions), some hundred at most.
    weights
        Over 0, of shape (leaves,).

    Examples
    --------
    >>> tree = linkage(np.array([[0.0], [1.0], [9.0]]), np.ones(3))
    >>> tree.pairs.tolist(), tree.heights.round(1).tolist()
    ([[0, 1], [2, 3]], [1.0, 9.8])
    """
    count = len(points)
    centres, sizes = points.astype(np.float64).copy(), weights.astype(np.float64).copy()
    numbers = np.arange(count)
    pairs = np.zeros((max(0, count - 1), 2), dtype=np.int64)
    heights, all_weights = np.zeros(max(0, count - 1)), list(sizes)
    for step in range(count - 1):
        a, b, cost = _closest(centres, sizes, numbers)
        pairs[step] = sorted((numbers[a], numbers[b]))
        heights[step] = max(np.sqrt(2.0 * cost), heights[step - 1] if step else 0.0)
        total = sizes[a] + sizes[b]
        centres[a] = (centres[a] * sizes[a] + centres[b] * sizes[b]) / total
        sizes[a], numbers[a] = total, count + step
        all_weights.append(float(total))
        centres, sizes = np.delete(centres, b, axis=0), np.delete(sizes, b)
        numbers = np.delete(numbers, b)
    return Tree(pairs, heights, np.array(all_weights))


def _closest(centres: Floats, sizes: Floats, numbers: Numbers) -> tuple[int, int, float]:
    """Return which two to merge, the one that stays first, and what it costs."""
    gaps = ((centres[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    costs = gaps * (sizes[:, None] * sizes[None, :]) / (sizes[:, None] + sizes[None, :])
    costs[np.tril_indices(len(costs))] = np.inf
    a, b = np.unravel_index(int(costs.argmin()), costs.shape)
    return int(a), int(b), float(costs[a, b])


def cut(tree: Tree, k: int) -> Numbers:
    """Return which of k groups each leaf is in; groups are numbered by their first leaf.

    Examples
    --------
    >>> cut(linkage(np.array([[0.0], [9.0], [1.0]]), np.ones(3)), 2).tolist()
    [0, 1, 0]
    """
    leaves = tree.leaves
    leader = list(range(2 * leaves - 1))
    for step in range(leaves - max(1, min(k, leaves))):
        for child in tree.pairs[step].tolist():
            leader[child] = leaves + step
    groups: dict[int, int] = {}
    owners = []
    for leaf in range(leaves):
        at = leaf
        while leader[at] != at:
            at = leader[at]
        owners.append(groups.setdefault(at, len(groups)))
    return np.array(owners, dtype=np.int64)


def order(tree: Tree) -> list[int]:
    """Return the leaves as they stand side by side in a picture without crossings.

    Examples
    --------
    >>> order(linkage(np.array([[0.0], [9.0], [1.0]]), np.ones(3)))
    [1, 0, 2]
    """
    leaves = tree.leaves
    todo, told = [2 * leaves - 2], []
    while todo:
        at = todo.pop()
        if at < leaves:
            told.append(at)
        else:
            todo += tree.pairs[at - leaves].tolist()[::-1]
    return told
