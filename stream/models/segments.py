"""Segments: incremental k-means whose clusters keep their identity.

Rules
-----
- A point moves its nearest centre by 1/count (MacQueen [1]_), and never by less than 1/`memory`:
  that is how a centre follows customers that change.
- A bounded weighted sample of the points is kept, far ones more likely. When 32, 64, 128 … points
  have been seen, and later each time that `sample` more have, k-means++ starts afresh on it; if
  the result is clearly better there than the centres in use, it takes over. So neither a bad
  start nor drift lasts, and a centre that serves none of the sample (a dead one) is replaced.
- A segment's identity is a number in 0 … k-1. It passes to the new centre that serves most of the
  same points; only a centre that shares less than a quarter of its points with the one before
  it begins a segment of its own, under the number that is left, and `born` says when.
- `assign` changes nothing. A point that is not finite is refused.

References
----------
.. [1] MacQueen, "Some methods for classification and analysis of multivariate observations",
   1967.
.. [2] Bachem, Lucic and Krause, "Scalable k-means clustering via lightweight coresets", KDD 2018.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from river import base

from stream.models.coreset import Coreset
from stream.models.lloyd import Points, Weights, best_of, distances, inertia, settled
from stream.models.state import (
    State,
    StateError,
    StateValue,
    array,
    integer,
    length,
    nested,
    number,
    part_of,
    texts,
)
from stream.models.wording import described

_FIRST_FIT = 32
_STARTS = 10  # while all points are in the sample
_LATER_STARTS = 4
_SAME = 0.25


class IncrementalKMeans(base.Clusterer):
    """Incremental k-means with k-means++ seeding, stable identities and no dead centres.

    Parameters
    ----------
    k
        Number of segments, at least 1.
    sample
        Points kept to start afresh on.
    memory
        Points that a centre remembers: larger is smoother, smaller follows drift faster.
    better
        A fresh start takes over if its inertia on the sample is below this share of the present.
    seed
        Of the sample's and the seeding's randomness.

    Examples
    --------
    >>> model = IncrementalKMeans(k=2, seed=1)
    >>> for i in range(64):
    ...     model.learn([i % 2 * 10.0, 1.0])
    >>> model.assign([0.0, 1.0]) == model.assign([1.0, 1.0]) != model.assign([9.0, 1.0])
    True
    """

    def __init__(
        self,
        k: int = 5,
        sample: int = 1024,
        memory: int = 5000,
        better: float = 0.98,
        seed: int = 0,
    ) -> None:
        self.k = k
        self.sample = sample
        self.memory = memory
        self.better = better
        self.seed = seed
        self._features: list[str] = []
        self._centres = np.zeros((0, 0))
        self._counts = np.zeros(k)
        self._share = np.zeros(k)
        self._born = np.zeros(k, dtype=np.int64)
        self._mean = np.zeros(0)
        self._var = np.zeros(0)
        self._distance = 0.0  # squared, to the nearest centre: a running mean
        self._coreset = Coreset(sample, k * memory, seed)

    @property
    def seen(self) -> int:
        """Points learned."""
        return self._coreset.seen

    @property
    def centres(self) -> Points:
        """A copy of the centres, by identity: (k, dimensions), or empty before the first fit."""
        return self._centres.copy()

    @property
    def counts(self) -> npt.NDArray[np.float64]:
        """Points that each centre remembers, up to `memory`."""
        return self._counts.copy()

    @property
    def born(self) -> npt.NDArray[np.int64]:
        """How many points had been seen when each segment began."""
        return self._born.copy()

    def learn(self, x: Sequence[float]) -> None:
        """Learn one point.

        Raises
        ------
        ValueError
            If a coordinate is not finite, or their number is not that of the first point.
        """
        point = self._checked(x)
        self._keep(point)
        if len(self._centres):
            self._move(point)
        if self._is_due():
            self._refit()

    def assign(self, x: Sequence[float]) -> int:
        """Return the identity of the nearest centre; 0 before the first fit.

        Raises
        ------
        ValueError
            As `learn`.
        """
        point = self._checked(x)
        return self._nearest(point) if len(self._centres) else 0

    def _checked(self, x: Sequence[float]) -> Points:
        point = np.asarray(x, dtype=np.float64)
        size = self._mean.size or point.size
        if point.shape != (size,) or not np.isfinite(point).all():
            raise ValueError(f"a point must be {size} finite numbers")
        return point

    def _keep(self, point: Points) -> None:
        """Add a point to the sample, and to the overall mean, variance and distance.

        What is far from its centre, or in a small cluster, is kept more likely: those few decide
        where a centre has to be [2]_.
        """
        if not self.seen:
            self._mean, self._var = np.zeros(point.size), np.zeros(point.size)
        rate = 1.0 / min(self.seen + 1, self.k * self.memory)
        gap = point - self._mean
        off, small = gap, 0.0
        if len(self._centres):
            nearest = self._nearest(point)
            off = point - self._centres[nearest]
            self._share *= 1.0 - rate
            self._share[nearest] += rate
            small = 1.0 / (self.k * self._share[nearest])
        distance = float(off @ off)
        far = min(distance / self._distance, 1e12) if self._distance > 0.0 else 0.0
        self._coreset.add(point, 1.0 + far + small)
        self._distance += rate * (distance - self._distance)
        self._mean = self._mean + rate * gap
        self._var = (1.0 - rate) * (self._var + rate * gap * gap)

    def _nearest(self, point: Points) -> int:
        gaps = self._centres - point
        return int(np.einsum("ij,ij->i", gaps, gaps).argmin())

    def _move(self, point: Points) -> None:
        nearest = self._nearest(point)
        self._counts[nearest] = min(self._counts[nearest] + 1.0, self.memory)
        self._centres[nearest] += (point - self._centres[nearest]) / self._counts[nearest]

    def _is_due(self) -> bool:
        if self._coreset.whole:
            return self.seen >= _FIRST_FIT and self.seen & (self.seen - 1) == 0
        return self.seen % self.sample == 0

    def _refit(self) -> None:
        points, weights = self._coreset.weighted()
        if len(points) < self.k:
            return
        rng = np.random.default_rng([self.seed % 2**63, self.seen])
        starts = _STARTS if self._coreset.whole else _LATER_STARTS
        fresh = best_of(points, weights, self.k, starts, rng)
        if not len(self._centres):
            self._adopt(fresh[np.lexsort(fresh.T[::-1])], points, weights)
            return
        moved = settled(points, weights, self._centres)
        fresh = min(moved, fresh, key=lambda centres: inertia(points, centres, weights))
        served = distances(points, self._centres).argmin(axis=1)
        dead = len(np.unique(served)) < min(self.k, len(np.unique(points, axis=0)))
        needed = 1.0 if self._coreset.whole else self.better
        now = inertia(points, self._centres, weights)
        if dead or inertia(points, fresh, weights) < needed * now:
            serves = distances(points, fresh).argmin(axis=1)
            order, same = _successors(serves, served, weights, self.k)
            self._born[~same] = self.seen
            self._adopt(fresh[order], points, weights)

    def _adopt(self, centres: Points, points: Points, weights: Weights) -> None:
        self._centres = np.ascontiguousarray(centres)
        nearest = distances(points, centres).argmin(axis=1)
        sizes = np.bincount(nearest, weights, minlength=self.k)
        self._counts = np.minimum(sizes, float(self.memory))
        self._share = sizes / sizes.sum()

    def describe(self, names: Sequence[str] | None = None) -> list[str]:
        """Return what sets each segment apart, in words a marketer can read.

        Parameters
        ----------
        names
            Of the coordinates, e.g. ``("recency", "frequency", "spend")``.

        Returns
        -------
        list of str
            By identity, e.g. ``"21% of customers: far above average spend"``.
        """
        if not len(self._centres):
            return []
        labels = self._features if names is None else names
        return described(self._centres, self._share, self._mean, self._var, labels)

    def learn_one(self, x: dict[Hashable, Any]) -> None:
        """Learn one point given as a dictionary; what is missing in it counts as the mean."""
        if not self._features and x:
            self._features = sorted(str(name) for name in x)
        self.learn(self._vector(x))

    def predict_one(self, x: dict[Hashable, Any]) -> int:
        """Return the segment of a point given as a dictionary, changing nothing."""
        return self.assign(self._vector(x)) if self._features else 0

    def _vector(self, x: Mapping[Hashable, Any]) -> list[float]:
        given = {str(name): float(value) for name, value in x.items()}
        means = self._mean.tolist() or [0.0] * len(self._features)
        told = [given.get(name, mean) for name, mean in zip(self._features, means, strict=True)]
        return [v if math.isfinite(v) else mean for v, mean in zip(told, means, strict=True)]

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {
            "k": self.k,
            "sample": self.sample,
            "memory": self.memory,
            "better": self.better,
            "seed": self.seed,
            "features": list(self._features),
            "centres": self._centres.copy(),
            "counts": self._counts.copy(),
            "share": self._share.copy(),
            "born": self._born.copy(),
            "mean": self._mean.copy(),
            "var": self._var.copy(),
            "distance": self._distance,
        }
        return state | nested("coreset", self._coreset.state())

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        model = cls(
            integer(state, "k", 1, 10_000),
            integer(state, "sample", 1, 10_000_000),
            integer(state, "memory", 1, 2**53),
            number(state, "better"),
            integer(state, "seed", -(2**63), 2**63 - 1),
        )
        model._features = texts(state, "features")
        size = length(state, "mean")
        fitted = model.k if length(state, "centres") else 0
        model._centres = array(state, "centres", np.float64, (fitted, size if fitted else 0))
        model._counts = array(state, "counts", np.float64, (model.k,))
        model._share = array(state, "share", np.float64, (model.k,))
        model._born = array(state, "born", np.int64, (model.k,))
        model._mean = array(state, "mean", np.float64, (size,))
        model._var = array(state, "var", np.float64, (size,))
        model._distance = number(state, "distance")
        model._coreset = Coreset.from_state(part_of(state, "coreset"))
        if model._coreset.size != model.sample:
            raise StateError("coreset: not of the size that the parameters say")
        return model


def _successors(
    serves: npt.NDArray[np.intp], served: npt.NDArray[np.intp], weights: Weights, k: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return which new centre takes each identity, and whether it continues that segment."""
    shared = np.zeros((k, k))
    np.add.at(shared, (serves, served), weights)
    sizes = np.maximum(shared.sum(axis=1), 1e-9)
    order = np.full(k, -1, dtype=np.intp)
    same = np.zeros(k, dtype=np.bool_)
    left = shared.copy()
    for _ in range(k):
        new, old = divmod(int(left.argmax()), k)
        order[old] = new
        same[old] = shared[new, old] >= _SAME * sizes[new]
        left[new, :] = -1
        left[:, old] = -1
    return order, same
