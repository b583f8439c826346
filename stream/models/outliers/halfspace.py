"""Half-space trees: how many of the latest points were around a point, at ever finer halves.

Rules
-----
- A tree halves a random axis at each node, before any data; a point passes one node of each depth.
- Points are counted in windows: those of the window before are what a point is compared with [1]_.
- A point's mass is that of the deepest node on its way that still had `_FEW` of them, times two for
  each halving: so masses of different depths compare. Odd is what has little mass.

References
----------
.. [1] Tan, Ting and Liu, "Fast anomaly detection for streaming data", IJCAI 2011.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateValue, array, integer

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_FEW: Final = 0.1  # of a window


class HalfSpaceTrees:
    """Counts of points in random halves of the unit cube, of the window before and of this one.

    Parameters
    ----------
    dimensions
        Of a point, at least 1.
    trees, depth
        How many trees, and how often each halves.
    seed
        Of the halves.

    Examples
    --------
    >>> trees = HalfSpaceTrees(1, seed=1)
    >>> trees.count(np.full((200, 1), 0.3))
    >>> trees.turn()
    >>> usual, odd = trees.oddness(np.array([[0.3], [0.9]]))
    >>> bool(odd > usual)
    True
    """

    def __init__(self, dimensions: int, trees: int = 32, depth: int = 8, seed: int = 0) -> None:
        self.dimensions = dimensions
        self.trees = trees
        self.depth = depth
        self.seed = seed
        self._axis, self._border = _grown(dimensions, trees, depth, seed)
        nodes = 2 ** (depth + 1) - 1
        self._before = np.zeros((trees, nodes))
        self._now = np.zeros((trees, nodes))
        self._size = 0.0  # of the window before
        self._seen = 0.0  # of this one

    def count(self, points: Floats) -> None:
        """Count points of shape (points, dimensions), each within 0 … 1, into this window."""
        rows = np.arange(self.trees)
        for nodes in self._way(points):
            if len(points) == 1:
                self._now[rows, nodes[0]] += 1.0
            else:
                flat = (rows * self._now.shape[1] + nodes).reshape(-1)
                counts = np.bincount(flat, minlength=self._now.size)
                self._now += counts.reshape(self._now.shape)
        self._seen += len(points)

    def turn(self) -> None:
        """Have a new window begin: what was counted is now what points are compared with."""
        self._before, self._size = self._now, self._seen
        self._now, self._seen = np.zeros_like(self._before), 0.0

    def oddness(self, points: Floats) -> Floats:
        """Return how little mass is around each point, of shape (points,); larger is odder."""
        if self._size <= 0:
            return np.zeros(len(points))
        rows = np.arange(self.trees)
        told = np.zeros((len(points), self.trees))
        open_ = np.ones((len(points), self.trees), dtype=np.bool_)
        for depth, nodes in enumerate(self._way(points)):
            mass = self._before[rows, nodes] / self._size
            last = open_ & ((mass < _FEW) if depth < self.depth else True)
            told[last] = (np.log2(mass + 0.1 / self._size) + depth)[last]
            open_ &= ~last
        return np.asarray(-told.mean(axis=1))

    def _way(self, points: Floats) -> list[Numbers]:
        """Return the nodes that points pass, for each depth of shape (points, trees)."""
        rows = np.arange(self.trees)
        nodes = np.zeros((len(points), self.trees), dtype=np.int64)
        way = [nodes]
        for _ in range(self.depth):
            values = np.take_along_axis(points, self._axis[rows, nodes], axis=1)
            nodes = 2 * nodes + 1 + (values >= self._border[rows, nodes])
            way.append(nodes)
        return way

    def state(self) -> State:
        """Return parameters and counts; the halves follow from the seed."""
        return {
            "dimensions": self.dimensions,
            "trees": self.trees,
            "depth": self.depth,
            "seed": self.seed,
            "before": self._before.copy(),
            "now": self._now.copy(),
            "sizes": np.array([self._size, self._seen]),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the trees that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        trees = cls(
            integer(state, "dimensions", 1, 10_000),
            integer(state, "trees", 1, 1_000),
            integer(state, "depth", 1, 16),
            integer(state, "seed", 0, 2**62),
        )
        trees._before = array(state, "before", np.float64, trees._before.shape)
        trees._now = array(state, "now", np.float64, trees._now.shape)
        trees._size, trees._seen = array(state, "sizes", np.float64, (2,)).tolist()
        return trees


def _grown(dimensions: int, trees: int, depth: int, seed: int) -> tuple[Numbers, Floats]:
    """Return axis and border of each node that halves, of shape (trees, nodes)."""
    rng = np.random.default_rng([seed, 1])
    middle = rng.random((trees, dimensions))
    reach = 2.0 * np.maximum(middle, 1.0 - middle)
    inner = 2**depth - 1
    axis = rng.integers(dimensions, size=(trees, inner))
    border = np.zeros((trees, inner))
    low = np.zeros((trees, inner, dimensions))
    high = np.zeros((trees, inner, dimensions))
    low[:, 0], high[:, 0] = middle - reach, middle + reach
    rows = np.arange(trees)
    for node in range(inner):
        chosen = axis[:, node]
        border[:, node] = (low[rows, node, chosen] + high[rows, node, chosen]) / 2
        for side in (0, 1):
            child = 2 * node + 1 + side
            if child < inner:
                low[:, child], high[:, child] = low[:, node], high[:, node]
                bound = (high, low)[side]
                bound[rows, child, chosen] = border[:, node]
    return axis, border
