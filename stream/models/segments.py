"""Segments: incremental k-means whose clusters keep their identity.

Rules
-----
- A point moves its nearest centre by 1/count (MacQueen [1]_), and never by less than 1/`memory`:
  that is how a centre follows customers that change.
- A bounded sample of the points is kept. When 32, 64, 128 … points have been seen, and later each
  time that `sample` more have, k-means++ starts afresh on the sample; if the result is clearly
  better there than the centres in use, it takes over. So neither a bad start nor drift lasts, and
  a centre that serves none of the sample (a dead one) is replaced at once.
- A segment's identity is a number in 0 … k-1. It passes to the new centre that serves most of the
  same points; only a centre that shares less than a quarter of its points with the one before
  it begins a segment of its own, under the number that is left, and `born` says when.
- `assign` changes nothing. A point that is not finite is refused.

References
----------
.. [1] MacQueen, "Some methods for classification and analysis of multivariate observations",
   1967.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from river import base

from stream.models.hashing import draw
from stream.models.lloyd import Points, best_of, distances, inertia
from stream.models.state import State, StateValue, array, integer, length, number, texts

_FIRST_FIT = 32
_STARTS = 10
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
        self.seen = 0
        self._features: list[str] = []
        self._centres = np.zeros((0, 0))
        self._counts = np.zeros(k)
        self._born = np.zeros(k, dtype=np.int64)
        self._points = np.zeros((0, 0))
        self._mean = np.zeros(0)
        self._var = np.zeros(0)

    @property
    def centres(self) -> Points:
        """A copy of the centres by identity, of shape (k, dimensions); empty before the first fit."""
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
        self.seen += 1
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
        """Add a point to the sample, and to the overall mean and variance."""
        if self.seen == 1:
            self._points = np.zeros((0, point.size))
            self._mean, self._var = np.zeros(point.size), np.zeros(point.size)
        if len(self._points) < self.sample:
            self._points = np.vstack([self._points, point])
        else:
            slot = int(draw(self.seed, self.seen) * min(self.seen, self.k * self.memory))
            if slot < self.sample:
                self._points[slot] = point
        rate = 1.0 / min(self.seen, self.k * self.memory)
        gap = point - self._mean
        self._mean = self._mean + rate * gap
        self._var = (1.0 - rate) * (self._var + rate * gap * gap)

    def _nearest(self, point: Points) -> int:
        return int(((self._centres - point) ** 2).sum(axis=1).argmin())

    def _move(self, point: Points) -> None:
        nearest = self._nearest(point)
        self._counts[nearest] = min(self._counts[nearest] + 1.0, self.memory)
        self._centres[nearest] += (point - self._centres[nearest]) / self._counts[nearest]

    def _is_due(self) -> bool:
        if self.seen <= self.sample:
            return self.seen >= _FIRST_FIT and self.seen & (self.seen - 1) == 0
        return self.seen % self.sample == 0

    def _refit(self) -> None:
        rng = np.random.default_rng([self.seed, self.seen])
        fresh = best_of(self._points, self.k, _STARTS, rng)
        if not len(self._centres):
            self._adopt(fresh[np.lexsort(fresh.T[::-1])])
            return
        served = distances(self._points, self._centres).argmin(axis=1)
        dead = len(np.unique(served)) < min(self.k, len(np.unique(self._points, axis=0)))
        needed = self.better if self.seen > self.sample else 1.0
        now = inertia(self._points, self._centres)
        if dead or inertia(self._points, fresh) < needed * now:
            serves = distances(self._points, fresh).argmin(axis=1)
            order, same = _successors(serves, served, self.k)
            self._born[~same] = self.seen
            self._adopt(fresh[order])

    def _adopt(self, centres: Points) -> None:
        self._centres = np.ascontiguousarray(centres)
        sizes = np.bincount(
            distances(self._points, centres).argmin(axis=1), minlength=self.k
        ).astype(np.float64)
        self._counts = np.minimum(sizes * self.seen / len(self._points), self.memory)

    def describe(self, names: Sequence[str] | None = None) -> list[str]:
        """Return what sets each segment apart, in words a marketer can read.

        Parameters
        ----------
        names
            Of the coordinates, e.g. ``("recency", "frequency", "spend")``.

        Returns
        -------
        list of str
            By identity, e.g. ``"21 % of customers: far above average spend, low recency"``.
        """
        if not len(self._centres):
            return []
        labels = list(names or self._features)
        labels += [f"coordinate {i}" for i in range(len(labels), self._mean.size)]
        spread = np.sqrt(np.maximum(self._var, 1e-12))
        share = np.bincount(
            distances(self._points, self._centres).argmin(axis=1), minlength=self.k
        ) / len(self._points)
        return [
            f"{share[i]:.0%} of customers: {_in_words((self._centres[i] - self._mean) / spread, labels)}"
            for i in range(self.k)
        ]

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
        means = self._mean if self._mean.size else np.zeros(len(self._features))
        return [given.get(name, means[i]) for i, name in enumerate(self._features)]

    def state(self) -> State:
        """Return all that the future depends on."""
        return {
            "k": self.k,
            "sample": self.sample,
            "memory": self.memory,
            "better": self.better,
            "seed": self.seed,
            "seen": self.seen,
            "features": list(self._features),
            "centres": self._centres.copy(),
            "counts": self._counts.copy(),
            "born": self._born.copy(),
            "points": self._points.copy(),
            "mean": self._mean.copy(),
            "var": self._var.copy(),
        }

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
        model.seen = integer(state, "seen", 0, 2**62)
        model._features = texts(state, "features")
        size = length(state, "mean")
        fitted = model.k if length(state, "centres") else 0
        kept = min(model.seen, model.sample)
        model._centres = array(state, "centres", np.float64, (fitted, size if fitted else 0))
        model._counts = array(state, "counts", np.float64, (model.k,))
        model._born = array(state, "born", np.int64, (model.k,))
        model._points = array(state, "points", np.float64, (kept, size))
        model._mean = array(state, "mean", np.float64, (size,))
        model._var = array(state, "var", np.float64, (size,))
        return model


def _successors(
    serves: npt.NDArray[np.int64], served: npt.NDArray[np.int64], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return which new centre takes each identity, and whether it continues that segment."""
    shared = np.zeros((k, k), dtype=np.int64)
    np.add.at(shared, (serves, served), 1)
    sizes = np.maximum(shared.sum(axis=1), 1)
    order = np.full(k, -1, dtype=np.int64)
    same = np.zeros(k, dtype=np.bool_)
    left = shared.copy()
    for _ in range(k):
        new, old = divmod(int(left.argmax()), k)
        order[old] = new
        same[old] = shared[new, old] >= _SAME * sizes[new]
        left[new, :] = -1
        left[:, old] = -1
    return order, same


def _in_words(deviations: Points, names: Sequence[str]) -> str:
    """Return a sentence part on the coordinates that differ most, in standard deviations."""
    words = []
    for i in np.argsort(-np.abs(deviations), kind="stable")[:3]:
        size = abs(float(deviations[i]))
        if size < 0.35:
            continue
        degree = "far " if size >= 1.5 else "" if size >= 0.75 else "somewhat "
        words.append(f"{degree}{'above' if deviations[i] > 0 else 'below'} average {names[i]}")
    return ", ".join(words) or "average in everything"
