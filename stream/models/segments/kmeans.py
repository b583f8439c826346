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

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel
from stream.models.base.state import (
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
from stream.models.segments.coreset import Coreset, Numbers, put
from stream.models.segments.lloyd import (
    Points,
    Weights,
    best_of,
    distance,
    inertia,
    nearest,
    settled,
)
from stream.models.segments.named_points import NamedPoints
from stream.models.segments.naming import Naming, places
from stream.models.segments.wording import described

_FIRST_FIT = 32
_STARTS = 10  # while all points are in the sample
_LATER_STARTS = 4
_SAME = 0.25


class IncrementalKMeans(NamedPoints):
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
        self._naming = Naming()
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
    def shares(self) -> npt.NDArray[np.float64]:
        """Share of the latest points that each centre has."""
        return self._share.copy()

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """Mean of the points; empty before the first."""
        return self._mean.copy()

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
        self.learn_many(self._checked(x).reshape(1, -1))

    def learn_many(self, points: Points) -> None:
        """Learn points, of shape (points, dimensions), as `learn` does each in order."""
        for point in points[:1]:
            self._checked(point)
        if not _finite(points.reshape(-1)):
            raise ValueError(f"a point must be {points.shape[1]} finite numbers")
        while len(points):
            due = self._due()
            now, points = np.split(points, [due - self.seen])
            self._keep(now)
            if self.seen == due:
                self._refit()

    def assign(self, x: Sequence[float]) -> int:
        """Return the identity of the nearest centre; 0 before the first fit.

        Raises
        ------
        ValueError
            As `learn`.
        """
        point = self._checked(x)
        if not len(self._centres):
            return 0
        which, _ = nearest(point.reshape(1, -1), self._centres)
        return int(which[0])

    def _checked(self, x: Sequence[float]) -> Points:
        point = np.array(x, dtype=np.float64)
        size = self._mean.size or point.size
        if point.shape != (size,) or not _finite(point):
            raise ValueError(f"a point must be {size} finite numbers")
        return point

    def _keep(self, points: Points) -> None:
        """Add points to the sample, to the overall mean, variance and distance, and to centres.

        What is far from its centre, or in a small cluster, is kept more likely: those few decide
        where a centre has to be [2]_.
        """
        if not self.seen:
            self._mean, self._var = np.zeros(points.shape[1]), np.zeros(points.shape[1])
        drawn, kept = self._coreset.room(*points.shape)
        distance = np.array([self._distance])
        limits = self.seen, self.k, self.memory, self._coreset.window
        spread = self._centres, self._counts, self._share, self._mean, self._var, distance
        _keep(points, drawn, limits, spread, kept, self._coreset.arrays)
        self._coreset.took(len(points), kept)
        self._distance = distance.item()

    def _due(self) -> int:
        """How many points will have been seen when the next fresh start is due."""
        power = max(_FIRST_FIT, 1 << self.seen.bit_length())
        if power <= self.sample:
            return power
        return (max(self.seen, self.sample) // self.sample + 1) * self.sample

    def _refit(self) -> None:
        self._fit()
        if len(self._centres):
            told = described(self._centres, self._mean, self._var, places(self._mean.size))
            self._naming.look(told, self.seen)

    def _fit(self) -> None:
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
        served, _ = nearest(points, self._centres)
        dead = len(np.unique(served)) < min(self.k, len(np.unique(points, axis=0)))
        needed = 1.0 if self._coreset.whole else self.better
        now = inertia(points, self._centres, weights)
        if dead or inertia(points, fresh, weights) < needed * now:
            serves, _ = nearest(points, fresh)
            order, same = _successors(serves, served, weights, self.k)
            self._born[~same] = self.seen
            self._adopt(fresh[order], points, weights)

    def _adopt(self, centres: Points, points: Points, weights: Weights) -> None:
        self._centres = np.ascontiguousarray(centres)
        serves, _ = nearest(points, self._centres)
        sizes = np.bincount(serves, weights, minlength=self.k)
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
            By identity, e.g. ``"far above average spend"``: names that stay, see
            `stream.models.segments.naming`.
        """
        if not len(self._centres):
            return []
        labels = self._features if names is None else names
        if not self._naming.names:  # restored from a state of before there were any
            return described(self._centres, self._mean, self._var, labels)
        return self._naming.named(labels)

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
        state |= nested("naming", self._naming.state())
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
        if naming := part_of(state, "naming"):
            model._naming = Naming.from_state(naming)
        model._coreset = Coreset.from_state(part_of(state, "coreset"))
        if model._coreset.size != model.sample:
            raise StateError("coreset: not of the size that the parameters say")
        if size != model._coreset.dimensions or (fitted and not size):
            raise StateError("centres, mean, coreset: not of one number of dimensions")
        return model


@kernel
def _finite(point: Points) -> bool:
    """Return whether all coordinates are finite, of shape (dimensions,)."""
    return bool(np.isfinite(point).all())


@kernel
def _keep(
    points: Points, drawn: Weights, limits: Any, spread: Any, kept: Numbers, sample: Any
) -> None:
    """Keep points; see `IncrementalKMeans._keep`.

    Parameters
    ----------
    points, drawn
        Of shape (points, dimensions), and what each draws, in [0, 1).
    limits
        Points seen before, k, the points that a centre remembers, and the window of the sample.
    spread
        Centres, counts, shares, mean and variance, as of `_follow`; the mean squared distance to
        the nearest centre, of shape (1,).
    kept, sample
        As of `stream.models.segments.coreset.put`.
    """
    seen, k, memory, window = limits
    centres, counts, share, mean, var, distance = spread
    for at in range(len(points)):
        rate = 1.0 / min(seen + at + 1, k * memory)
        point = points[at : at + 1]
        squared, own = _follow(point, rate, centres, counts, share, float(memory), mean, var)
        far = min(squared / distance[0], 1e12) if distance[0] > 0.0 else 0.0
        small = 1.0 / (k * own) if len(centres) > 0 else 0.0
        put(points[at], 1.0 + far + small, drawn[at], seen + at + 1, window, kept, sample)
        distance[0] += rate * (squared - distance[0])


@kernel
def _follow(
    point: Points,
    rate: float,
    centres: Points,
    counts: Weights,
    share: Weights,
    memory: float,
    mean: Weights,
    var: Weights,
) -> tuple[float, float]:
    """Move what is known of all points, and the centre nearest to this one, towards it.

    Parameters
    ----------
    point
        Of shape (1, dimensions).
    rate
        Share of the way for what is known of all.
    centres
        Of shape (k, dimensions), or empty.
    counts, share
        Points that a centre remembers, ``memory`` at most, and its share of all, of shape (k,).
    mean, var
        Of shape (dimensions,).

    Returns
    -------
    squared
        Distance of the point from where its centre was; from the mean, where there is no centre.
    share
        Of the nearest centre; 1 where there is none.
    """
    squared, own = distance(point, 0, mean.reshape(1, -1), 0), 1.0
    if len(centres) > 0:
        which, least = nearest(point, centres)
        at, squared = which[0], least[0]
        share *= 1.0 - rate
        share[at] += rate
        own = share[at]
        counts[at] = min(counts[at] + 1.0, memory)
        for axis in range(len(mean)):
            centres[at, axis] += (point[0, axis] - centres[at, axis]) / counts[at]
    for axis in range(len(mean)):
        gap = point[0, axis] - mean[axis]
        mean[axis] += rate * gap
        var[axis] = (1.0 - rate) * (var[axis] + rate * gap * gap)
    return float(squared), float(own)


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
