"""Segments of any number: a dendrogram over the centroids of many small segments.

Rules
-----
- Incremental k-means keeps `leaves` small segments of the stream; they are what is merged, by
  Ward's method, each weighing as much as it has of the latest points.
- A cut at any number of segments is had from the same tree, so finer ones lie within coarser ones.
- The tree is made anew when it is asked for after something was learned; small segments keep their
  identity, and a segment is numbered by the first of its small ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateValue, array, integer, nested, part_of, texts
from stream.models.segments.kmeans import IncrementalKMeans
from stream.models.segments.linkage import Numbers, Tree, cut, linkage
from stream.models.segments.named_points import NamedPoints
from stream.models.segments.wording import described

Floats = npt.NDArray[np.float64]


class HierarchicalSegments(NamedPoints):
    """Segments by a dendrogram over the centroids of small segments.

    Parameters
    ----------
    k
        Segments that `assign` tells apart, unless it is told another number.
    leaves
        Small segments, at least k.
    seed
        Of the small segments' seeding.

    Examples
    --------
    >>> model = HierarchicalSegments(k=2, leaves=6, seed=1)
    >>> for i in range(128):
    ...     model.learn([i % 4 * 10.0, 1.0])
    >>> [len({model.assign([place, 1.0], k) for place in (0.0, 10.0, 20.0, 30.0)}) for k in (2, 4)]
    [2, 4]
    """

    def __init__(self, k: int = 5, leaves: int = 48, seed: int = 0) -> None:
        self.k = k
        self.leaves = leaves
        self.seed = seed
        self._features: list[str] = []
        self._mean = np.zeros(0)
        self._var = np.zeros(0)
        self._small = IncrementalKMeans(leaves, sample=max(1024, 16 * leaves), seed=seed)
        self._tree: Tree | None = None
        self._used: Numbers = np.zeros(0, dtype=np.int64)
        self._cuts: dict[int, Numbers] = {}

    @property
    def seen(self) -> int:
        """Points learned."""
        return self._small.seen

    def learn(self, x: Sequence[float]) -> None:
        """Learn one point.

        Raises
        ------
        ValueError
            If a coordinate is not finite, or their number is not that of the first point.
        """
        point = self._checked(x)
        if not self._mean.size:
            self._mean, self._var = np.zeros(point.size), np.zeros(point.size)
        self._small.learn(x)
        rate = 1.0 / min(self.seen, self._small.k * self._small.memory)
        gap = point - self._mean
        self._mean = self._mean + rate * gap
        self._var = (1.0 - rate) * (self._var + rate * gap * gap)
        self._tree = None

    def tree(self) -> tuple[Tree, Floats]:
        """Return the dendrogram, and the centroid of each of its leaves; one leaf before a fit."""
        if self._tree is None:
            centres, share = self._small.centres, self._small.shares
            self._used = np.flatnonzero(share > 0) if len(centres) else np.zeros(0, np.int64)
            used = self._used
            self._tree = linkage(centres[used], share[used]) if len(used) else _BARE
            self._cuts = {}
        return self._tree, self._small.centres[self._used] if len(self._used) else np.zeros((0, 0))

    def cut(self, k: int | None = None) -> Numbers:
        """Return the segment of each leaf where the tree is cut at k segments."""
        tree, _ = self.tree()
        wanted = self.k if k is None else k
        if wanted not in self._cuts:
            self._cuts[wanted] = cut(tree, wanted)
        return self._cuts[wanted]

    def assign(self, x: Sequence[float], k: int | None = None) -> int:
        """Return the segment of a point, of k or as many as the model's; 0 before the first fit.

        Raises
        ------
        ValueError
            As `learn`.
        """
        point = self._checked(x)
        _, centres = self.tree()
        if not len(centres):
            return 0
        gaps = centres - point
        return int(self.cut(k)[np.einsum("ij,ij->i", gaps, gaps).argmin()])

    def centres(self, k: int | None = None) -> tuple[Floats, Floats]:
        """Return centroid and share of each segment, where the tree is cut at k."""
        tree, leaves = self.tree()
        if not len(leaves):
            return np.zeros((0, 0)), np.zeros(0)
        owners, weights = self.cut(k), tree.weights[: tree.leaves]
        share = np.bincount(owners, weights)
        sums = [np.bincount(owners, weights * column) for column in leaves.T]
        return np.array(sums).T / share[:, None], share / share.sum()

    def describe(self, names: Sequence[str] | None = None, k: int | None = None) -> list[str]:
        """Return what sets each segment apart, in words a marketer can read."""
        centres, _ = self.centres(k)
        if not len(centres):
            return []
        labels = self._features if names is None else names
        return described(centres, self._mean, self._var, labels)

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {
            "k": self.k,
            "leaves": self.leaves,
            "seed": self.seed,
            "features": list(self._features),
            "mean": self._mean.copy(),
            "var": self._var.copy(),
        }
        return state | nested("small", self._small.state())

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        leaves = integer(state, "leaves", 1, 1_000)
        model = cls(integer(state, "k", 1, 1_000), leaves, integer(state, "seed", -(2**62), 2**62))
        model._features = texts(state, "features")
        model._small = IncrementalKMeans.from_state(part_of(state, "small"))
        size = len(model._small.mean)
        model._mean = array(state, "mean", np.float64, (size,))
        model._var = array(state, "var", np.float64, (size,))
        return model


_BARE = Tree(np.zeros((0, 2), dtype=np.int64), np.zeros(0), np.ones(1))
