"""Isolation trees: what is odd is told from the rest by few random cuts.

References
----------
Liu, Ting and Zhou, "Isolation forest", ICDM 2008. On streams, with trees of the latest points:
Ding and Fei, "An anomaly detection approach based on isolation forest algorithm for streaming
data using sliding window", IFAC 2013.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateValue, array, integer

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_EULER: Final = 0.5772156649015329


class IsolationTrees:
    """A fixed number of isolation trees, of which some are renewed now and then.

    Parameters
    ----------
    trees
        How many.
    points
        Of which each is grown, at most.

    Examples
    --------
    >>> forest = IsolationTrees(trees=20)
    >>> rng = np.random.default_rng(1)
    >>> forest.renew(rng.normal(size=(200, 2)), 20, rng)
    >>> usual, odd = forest.oddness(np.array([[0.0, 0.0], [6.0, 6.0]]))
    >>> bool(odd > usual)
    True
    """

    def __init__(self, trees: int = 64, points: int = 256) -> None:
        self.trees = trees
        self.points = points
        self.depth = max(1, math.ceil(math.log2(max(2, points))))
        nodes = 2 * points
        self._axis = np.full((trees, nodes), -1, dtype=np.int64)  # -1: no cut, an end
        self._border = np.zeros((trees, nodes))
        self._child = np.zeros((trees, nodes), dtype=np.int64)  # the lower; the other is beside it
        self._length = np.zeros((trees, nodes))
        self._usual = np.zeros(trees)  # length of a way, 0 before a tree is grown
        self._next = 0

    def renew(self, sample: Floats, count: int, rng: np.random.Generator) -> None:
        """Grow so many trees anew, those longest there, of points of shape (points, dimensions)."""
        for _ in range(count):
            size = min(len(sample), self.points)
            chosen = rng.choice(len(sample), size, replace=False)
            self._grow(self._next, sample[chosen], rng)
            self._next = (self._next + 1) % self.trees

    def _grow(self, tree: int, sample: Floats, rng: np.random.Generator) -> None:
        self._axis[tree] = -1
        self._usual[tree] = max(usual_length(len(sample)), 1e-9)
        deepest = math.ceil(math.log2(max(2, len(sample))))
        todo, used = [(0, sample, 0)], 1
        while todo:
            node, points, depth = todo.pop()
            low, high = points.min(axis=0), points.max(axis=0)
            wide = np.flatnonzero(high > low)
            if depth >= deepest or len(points) < 2 or not len(wide):
                self._length[tree, node] = depth + usual_length(len(points))
                continue
            axis = int(wide[int(rng.integers(len(wide)))])
            border = float(low[axis] + (high[axis] - low[axis]) * rng.random())
            under = points[:, axis] < border
            if not under.any():
                under = points[:, axis] <= low[axis]
                border = float(np.nextafter(low[axis], high[axis]))
            self._axis[tree, node], self._border[tree, node] = axis, border
            self._child[tree, node] = used
            todo += [(used, points[under], depth + 1), (used + 1, points[~under], depth + 1)]
            used += 2

    def oddness(self, points: Floats) -> Floats:
        """Return the score of each point, in 0 … 1, of shape (points,): about 0.5 is usual."""
        grown = np.flatnonzero(self._usual > 0)
        if not len(grown):
            return np.zeros(len(points))
        shares = np.zeros(len(points))
        for tree in grown.tolist():
            nodes = np.zeros(len(points), dtype=np.int64)
            for _ in range(self.depth):
                axis = self._axis[tree, nodes]
                inner = axis >= 0
                if not inner.any():
                    break
                values = points[np.arange(len(points)), np.maximum(axis, 0)]
                further = self._child[tree, nodes] + (values >= self._border[tree, nodes])
                nodes = np.where(inner, further, nodes)
            shares += self._length[tree, nodes] / self._usual[tree]
        return np.asarray(2.0 ** (-shares / len(grown)))

    @property
    def most_axis(self) -> int:
        """The last axis that is cut; -1 if none is."""
        return int(self._axis.max())

    def state(self) -> State:
        """Return parameters and trees."""
        return {
            "trees": self.trees,
            "points": self.points,
            "next": self._next,
            "axis": self._axis.copy(),
            "border": self._border.copy(),
            "child": self._child.copy(),
            "length": self._length.copy(),
            "usual": self._usual.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the trees that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        forest = cls(integer(state, "trees", 1, 10_000), integer(state, "points", 2, 10_000))
        forest._next = integer(state, "next", 0, forest.trees - 1)
        shape = forest._axis.shape
        forest._axis = np.minimum(array(state, "axis", np.int64, shape), 10_000)
        forest._border = array(state, "border", np.float64, shape)
        child = array(state, "child", np.int64, shape)
        forest._child = np.clip(child, 0, shape[1] - 2)
        forest._length = array(state, "length", np.float64, shape)
        forest._usual = array(state, "usual", np.float64, shape[:1])
        return forest


def usual_length(points: int) -> float:
    """Return the mean length of a way in a tree of so many points.

    Examples
    --------
    >>> usual_length(1), usual_length(2), round(usual_length(256), 2)
    (0.0, 1.0, 10.24)
    """
    if points <= 2:
        return float(points == 2)
    return 2.0 * (math.log(points - 1) + _EULER) - 2.0 * (points - 1) / points


def batch_scores(points: Floats, trees: int = 100, seed: int = 0) -> Iterator[Floats]:
    """Yield the scores of all points by a forest of all of them, a few thousand at a time.

    Parameters
    ----------
    points
        Of shape (points, dimensions), finite.
    trees, seed
        Of the forest.
    """
    forest, rng = IsolationTrees(trees), np.random.default_rng(seed)
    forest.renew(points, trees, rng)
    for part in range(0, len(points), 8_192):
        yield forest.oddness(points[part : part + 8_192])
