"""Points by name: what makes a segmenter of vectors one that takes river's dictionaries."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from river import base

Floats = npt.NDArray[np.float64]


class NamedPoints(base.Clusterer):
    """A clusterer of vectors, all of one length, that takes dictionaries, too."""

    _features: list[str]
    _mean: Floats

    @abstractmethod
    def learn(self, x: Sequence[float]) -> None:
        """Learn one point."""

    @abstractmethod
    def assign(self, x: Sequence[float]) -> int:
        """Return the segment of a point."""

    def learn_many(self, points: Floats) -> None:
        """Learn points, of shape (points, dimensions), in order."""
        for point in points:
            self.learn(point)

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

    def _checked(self, x: Sequence[float]) -> Floats:
        point = np.array(x, dtype=np.float64)
        size = self._mean.size or point.size
        if point.shape != (size,) or not np.isfinite(point).all():
            raise ValueError(f"a point must be {size} finite numbers")
        return point
