"""Segments by density: river's DBSTREAM [1]_, bounded, with identities that last.

Rules
-----
- Coordinates are scaled by mean and standard deviation of the first `warmup` points; then the
  scale stays, so that the radius keeps its meaning.
- Micro-clusters fade, and the faintest give way when there are too many.
- Every `refresh` points, micro-clusters that share enough points are joined into segments. The
  k heaviest are kept; one takes the identity that most of its weight had before.
- `assign` looks for the nearest micro-cluster that belongs to a segment, and changes nothing.

References
----------
.. [1] Hahsler and Bolaños, "Clustering data streams based on shared density between
   micro-clusters", IEEE TKDE 28(6), 2016.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from river import base
from river.cluster import DBSTREAM
from river.cluster.dbstream import DBSTREAMMicroCluster

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
from stream.models.segments.naming import Naming, filled, places
from stream.models.segments.wording import described

Floats = npt.NDArray[np.float64]

_SHARED = 0.2  # of the points of two micro-clusters, from which on they are one segment
_LIGHT = 3.0  # points, faded: below it a micro-cluster is noise


class DensitySegments(base.Clusterer):
    """Segments of any shape and number up to k, where points are dense.

    Parameters
    ----------
    k
        Most segments that there can be.
    radius
        Of a micro-cluster, in standard deviations.
    memory
        Points after which one counts half.
    micro
        Micro-clusters at most.
    warmup, refresh
        Points before the first, and between two, joinings.

    Examples
    --------
    >>> model = DensitySegments(k=4, warmup=64)
    >>> for i in range(512):
    ...     model.learn([i % 2 * 10.0 + i % 7 * 0.1, i % 5 * 0.1])
    >>> model.assign([0.3, 0.2]) != model.assign([10.3, 0.2])
    True
    """

    def __init__(
        self,
        k: int = 5,
        radius: float = 0.5,
        memory: int = 5000,
        micro: int = 200,
        warmup: int = 256,
        refresh: int = 256,
    ) -> None:
        self.k = k
        self.radius = radius
        self.memory = memory
        self.micro = micro
        self.warmup = warmup
        self.refresh = refresh
        self.seen = 0
        self._features: list[str] = []
        self._waiting: list[list[float]] = []
        self._mean = np.zeros(0)
        self._var = np.zeros(0)
        self._offset = np.zeros(0)
        self._scale = np.zeros(0)
        self._stream = self._fresh()
        self._naming = Naming()
        self._numbers: list[int] = []  # of the micro-clusters that belong to a segment
        self._heads = np.zeros((0, 0))  # where they are
        self._owners = np.zeros(0, dtype=np.int64)  # which segment each belongs to
        self._weights = np.zeros(0)

    def _fresh(self) -> DBSTREAM:
        fading = 1.0 / self.memory
        return DBSTREAM(
            self.radius, fading, cleanup_interval=self.memory, intersection_factor=_SHARED
        )

    def learn_many(self, points: Floats) -> None:
        """Learn points, of shape (points, dimensions), in order."""
        for point in points:
            self.learn(point)

    def learn(self, x: Sequence[float]) -> None:
        """Learn one point.

        Raises
        ------
        ValueError
            If a coordinate is not finite, or their number is not that of the first point.
        """
        point = self._checked(x)
        if not self.seen:
            self._mean, self._var = np.zeros(point.size), np.zeros(point.size)
        self.seen += 1
        rate = 1.0 / min(self.seen, self.memory)
        gap = point - self._mean
        self._mean = self._mean + rate * gap
        self._var = (1.0 - rate) * (self._var + rate * gap * gap)
        if self.seen < self.warmup:
            self._waiting.append(point.tolist())
            return
        if not self._scale.size:
            self._offset, self._scale = self._mean, np.sqrt(self._var)
            self._scale[self._scale <= 0] = 1.0
            for earlier in self._waiting:
                self._take(np.array(earlier))
            self._waiting = []
        self._take(point)
        if not len(self._heads) or self.seen % self.refresh == 0:
            self._join()

    def assign(self, x: Sequence[float]) -> int:
        """Return the identity of the segment of the nearest micro-cluster; 0 before the first.

        Raises
        ------
        ValueError
            As `learn`.
        """
        point = self._checked(x)
        if not len(self._heads):
            return 0
        gaps = self._heads - (point - self._offset) / self._scale
        return int(self._owners[np.einsum("ij,ij->i", gaps, gaps).argmin()])

    def _checked(self, x: Sequence[float]) -> Floats:
        point = np.asarray(x, dtype=np.float64)
        size = self._mean.size or point.size
        if point.shape != (size,) or not np.isfinite(point).all():
            raise ValueError(f"a point must be {size} finite numbers")
        return point

    def _take(self, point: Floats) -> None:
        scaled = (point - self._offset) / self._scale
        self._stream.learn_one(  # type: ignore[no-untyped-call]
            dict(enumerate(scaled.tolist()))
        )
        clusters = self._stream._micro_clusters
        if len(clusters) > self.micro:
            faint = min(clusters, key=lambda i: (self._faded(clusters[i]), i))
            del clusters[faint]
            for shared in (self._stream.s, self._stream.s_t):
                shared.pop(faint, None)
                for row in shared.values():
                    row.pop(faint, None)

    def _faded(self, cluster: DBSTREAMMicroCluster) -> float:
        age = self._stream._time_stamp - cluster.last_update
        return float(cluster.weight * 2.0 ** (-age / self.memory))

    def _join(self) -> None:
        """Join micro-clusters into segments, and pass identities on."""
        clusters = self._stream._micro_clusters
        weights = {i: self._faded(cluster) for i, cluster in clusters.items()}
        heavy = {i: w for i, w in weights.items() if w >= _LIGHT} or weights
        groups = sorted(self._groups(heavy), key=lambda group: -sum(heavy[i] for i in group))
        before = dict(zip(self._numbers, self._owners.tolist(), strict=True))
        owners = _identities(groups[: self.k], heavy, before, self.k)
        self._numbers = sorted(owners)
        self._owners = np.array([owners[i] for i in self._numbers], dtype=np.int64)
        self._weights = np.array([heavy[i] for i in self._numbers])
        self._heads = np.array([list(clusters[i].center.values()) for i in self._numbers])
        self._naming.look(self._described(), self.seen)

    def _groups(self, heavy: Mapping[int, float]) -> list[list[int]]:
        """Return the micro-clusters that hang together by shared points."""
        leader = {i: i for i in heavy}

        def find(i: int) -> int:
            while leader[i] != i:
                i = leader[i]
            return i

        for i, row in self._stream.s.items():
            for j, shared in row.items():
                if i in heavy and j in heavy:
                    age = self._stream._time_stamp - self._stream.s_t[i][j]
                    now = shared * 2.0 ** (-age / self.memory)
                    if now > _SHARED * (heavy[i] + heavy[j]) / 2.0:
                        leader[max(find(i), find(j))] = min(find(i), find(j))
        groups: dict[int, list[int]] = {}
        for i in heavy:
            groups.setdefault(find(i), []).append(i)
        return list(groups.values())

    @property
    def centres(self) -> Floats:
        """Weighted means of the segments' micro-clusters, in the units of the points."""
        rows = []
        for owner in sorted(set(self._owners.tolist())):
            own = self._owners == owner
            mean = np.average(self._heads[own], axis=0, weights=self._weights[own])
            rows.append(mean * self._scale + self._offset)
        return np.array(rows)

    def describe(self, names: Sequence[str] | None = None) -> list[str]:
        """Return what sets each segment apart, by identity; one that there is not is empty."""
        labels = self._features if names is None else names
        there = set(self._owners.tolist())
        named = self._naming.names or self._described()
        told = [filled(name, labels) for name in named[: 1 + max(there, default=-1)]]
        return [text if owner in there else "" for owner, text in enumerate(told)]

    def _described(self) -> list[str]:
        """Say what describes each segment now, with places for what coordinates are called."""
        there = sorted(set(self._owners.tolist()))
        told = [""] * (1 + max(there, default=-1))
        if there:
            words = described(self.centres, self._mean, self._var, places(self._mean.size))
            for owner, text in zip(there, words, strict=True):
                told[owner] = text
        return told

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
        return [given.get(n, mean) for n, mean in zip(self._features, means, strict=True)]

    def state(self) -> State:
        """Return all that the future depends on."""
        clusters, stream = self._stream._micro_clusters, self._stream
        size = self._offset.size
        shared = [
            (i, j, v, stream.s_t[i][j]) for i, row in stream.s.items() for j, v in row.items()
        ]
        centres = [list(cluster.center.values()) for cluster in clusters.values()]
        return {
            "k": self.k,
            "radius": self.radius,
            "memory": self.memory,
            "micro": self.micro,
            "warmup": self.warmup,
            "refresh": self.refresh,
            "seen": self.seen,
            "features": list(self._features),
            "waiting": np.array(self._waiting).reshape(len(self._waiting), self._mean.size),
            "mean": self._mean.copy(),
            "var": self._var.copy(),
            "offset": self._offset.copy(),
            "scale": self._scale.copy(),
            "time": int(stream._time_stamp),
            "micro.numbers": np.array(list(clusters), dtype=np.int64),
            "micro.centres": np.array(centres).reshape(len(clusters), size),
            "micro.weights": np.array([float(c.weight) for c in clusters.values()]),
            "micro.updated": np.array([c.last_update for c in clusters.values()], dtype=np.int64),
            "shared.rows": np.array(list(stream.s), dtype=np.int64),
            "shared": np.array(shared, dtype=np.float64).reshape(len(shared), 4),
            "numbers": np.array(self._numbers, dtype=np.int64),
            "owners": self._owners.copy(),
            "weights": self._weights.copy(),
            "heads": self._heads.copy(),
            **nested("naming", self._naming.state()),
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
            number(state, "radius"),
            *(integer(state, name, 1, 2**53) for name in ("memory", "micro", "warmup", "refresh")),
        )
        model.seen = integer(state, "seen", 0, 2**62)
        if naming := part_of(state, "naming"):
            model._naming = Naming.from_state(naming)
        model._features = texts(state, "features")
        size, scaled = length(state, "mean"), length(state, "offset")
        waiting = array(state, "waiting", np.float64, (length(state, "waiting"), size))
        model._waiting = waiting.tolist()
        model._mean = array(state, "mean", np.float64, (size,))
        model._var = array(state, "var", np.float64, (size,))
        model._offset = array(state, "offset", np.float64, (scaled,))
        model._scale = array(state, "scale", np.float64, (scaled,))
        joined = length(state, "numbers")
        model._numbers = array(state, "numbers", np.int64, (joined,)).tolist()
        model._owners = array(state, "owners", np.int64, (joined,))
        model._weights = array(state, "weights", np.float64, (joined,))
        model._heads = array(state, "heads", np.float64, (joined, scaled if joined else 0))
        if joined and not 0 <= int(model._owners.min()) <= int(model._owners.max()) < model.k:
            raise StateError("owners: a segment that there can't be")
        model._restore(state)
        return model

    def _restore(self, state: Mapping[str, StateValue]) -> None:
        """Put the micro-clusters back, in the order in which river met them."""
        stream, count = self._stream, length(state, "micro.numbers")
        numbers = array(state, "micro.numbers", np.int64, (count,)).tolist()
        centres = array(state, "micro.centres", np.float64, (count, self._offset.size))
        weights = array(state, "micro.weights", np.float64, (count,)).tolist()
        updated = array(state, "micro.updated", np.int64, (count,)).tolist()
        stream._time_stamp = integer(state, "time", 0, 2**62)
        for i, centre, weight, at in zip(numbers, centres.tolist(), weights, updated, strict=True):
            stream._micro_clusters[i] = DBSTREAMMicroCluster(  # type: ignore[no-untyped-call]
                x=dict(enumerate(centre)), last_update=at, weight=weight
            )
        for row in array(state, "shared.rows", np.int64, (length(state, "shared.rows"),)).tolist():
            stream.s[row], stream.s_t[row] = {}, {}
        for i, j, value, at in array(state, "shared", np.float64, (length(state, "shared"), 4)):
            if int(i) not in stream.s:
                raise StateError("shared: a row that is not listed")
            stream.s[int(i)][int(j)] = float(value)
            stream.s_t[int(i)][int(j)] = int(at)


def _identities(
    groups: Sequence[Sequence[int]],
    weights: Mapping[int, float],
    before: Mapping[int, int],
    k: int,
) -> dict[int, int]:
    """Return each micro-cluster's segment: that of most of its group's weight, else a free one."""
    votes: dict[tuple[int, int], float] = {}
    for g, group in enumerate(groups):
        for i in group:
            if i in before:
                votes[g, before[i]] = votes.get((g, before[i]), 0.0) + weights[i]
    taken: dict[int, int] = {}
    for g, identity in sorted(votes, key=lambda pair: (-votes[pair], pair)):
        if g not in taken and identity not in taken.values():
            taken[g] = identity
    free = (identity for identity in range(k) if identity not in taken.values())
    for g in range(len(groups)):
        if g not in taken:
            taken[g] = next(free)
    return {i: taken[g] for g, group in enumerate(groups) for i in group}
