"""A self-organising map: a sheet of cells laid through customers, on which neighbours are alike.

Rules
-----
- Coordinates are scaled by mean and standard deviation of the first `warmup` points; then the scale
  stays.
- The sheet begins in the plane in which these points vary most; a point draws its cell and, less,
  the cells around it [1]_. Reach and rate fall with the points that came, to a floor: so it
  follows drift.
- Segments are cells merged by Ward's method, each weighing as much as it has of the latest points.
- `assign` changes nothing. A point that is not finite is refused.

References
----------
.. [1] Kohonen, "The self-organizing map", Proceedings of the IEEE 78(9), 1990. The U-matrix:
Ultsch and
   Siemon, "Kohonen's self organizing feature maps for exploratory data analysis", INNC 1990.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateError, StateValue, array, integer, length, texts
from stream.models.segments.linkage import Numbers, cut, linkage
from stream.models.segments.named_points import NamedPoints
from stream.models.segments.wording import described

Floats = npt.NDArray[np.float64]

_RATE: Final = (0.3, 0.02)  # in the beginning, and the floor
_FLOOR: Final = 0.6  # cells of reach
_SETTLED: Final = 4_000  # points after which reach and rate are near their floors
_FADES: Final = 5_000  # points that a cell's share remembers


class SelfOrganisingMap(NamedPoints):
    """A map of cells, and segments of like cells.

    Parameters
    ----------
    k
        Segments at most.
    rows, columns
        Cells of the map.
    warmup
        Points by which the scale is found.

    Attributes
    ----------
    seen
        Points learned.

    Examples
    --------
    >>> model = SelfOrganisingMap(k=2, rows=4, columns=4, warmup=32)
    >>> for i in range(300):
    ...     model.learn([i % 2 * 10.0, i % 3])
    >>> model.assign([0.0, 1.0]) != model.assign([10.0, 1.0])
    True
    >>> model.u_matrix().shape
    (4, 4)
    """

    def __init__(self, k: int = 5, rows: int = 8, columns: int = 8, warmup: int = 256) -> None:
        self.k = k
        self.rows = rows
        self.columns = columns
        self.warmup = warmup
        self.seen = 0
        self._features: list[str] = []
        self._mean = np.zeros(0)
        self._var = np.zeros(0)
        self._waiting = np.zeros((0, 0))
        self._offset = np.zeros(0)
        self._scale = np.zeros(0)
        self._cells = np.zeros((0, 0))  # scaled, of shape (rows * columns, dimensions)
        self._share = np.zeros(rows * columns)
        self._owners: Numbers | None = None
        across, down = np.meshgrid(np.arange(columns), np.arange(rows))
        self._grid = np.stack([down.ravel(), across.ravel()], axis=1).astype(np.float64)

    @property
    def is_ready(self) -> bool:
        """Whether the scale is found, and the map laid out."""
        return len(self._cells) > 0

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
            self._waiting = np.zeros((0, point.size))
        self.seen += 1
        rate = 1.0 / min(self.seen, _FADES)
        gap = point - self._mean
        self._mean = self._mean + rate * gap
        self._var = (1.0 - rate) * (self._var + rate * gap * gap)
        if len(self._cells):
            self._take(point)
            return
        self._waiting = np.concatenate([self._waiting, point.reshape(1, -1)])
        if self.seen == self.warmup:
            self._begin()

    def _begin(self) -> None:
        """Lay the sheet into the plane in which the first points vary most, and learn them."""
        points = self._waiting
        spread = points.std(axis=0)
        self._offset, self._scale = points.mean(axis=0), np.where(spread > 0, spread, 1.0)
        scaled = (points - self._offset) / self._scale
        values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
        cells = np.zeros((self.rows * self.columns, points.shape[1]))
        for axis, size in ((0, self.rows), (1, self.columns)):
            if axis < len(values):
                direction = vectors[:, -1 - axis]
                direction = direction * np.sign(direction[np.abs(direction).argmax()] or 1.0)
                place = 2.0 * self._grid[:, axis] / max(1, size - 1) - 1.0
                cells += np.outer(place * math.sqrt(max(0.0, values[-1 - axis])), direction)
        self._cells = cells
        self._waiting = np.zeros((0, points.shape[1]))
        for point in points:
            self._take(point)

    def _take(self, point: Floats) -> None:
        """Have a point draw its cell and those around it."""
        scaled = (point - self._offset) / self._scale
        cell = self._nearest(scaled)
        done = math.exp(-3.0 * self.seen / _SETTLED)
        rate = _RATE[1] + (_RATE[0] - _RATE[1]) * done
        reach = _FLOOR + max(self.rows, self.columns) / 3.0 * done
        away = ((self._grid - self._grid[cell]) ** 2).sum(axis=1)
        pull = rate * np.exp(-away / (2.0 * reach * reach))
        self._cells += pull[:, None] * (scaled - self._cells)
        fading = 1.0 / min(self.seen, _FADES)
        self._share *= 1.0 - fading
        self._share[cell] += fading
        self._owners = None

    def _nearest(self, scaled: Floats) -> int:
        gaps = self._cells - scaled
        return int(np.einsum("ij,ij->i", gaps, gaps).argmin())

    def cell(self, x: Sequence[float]) -> tuple[int, int]:
        """Return row and column of the cell that is most like a point; (0, 0) before the first.

        Raises
        ------
        ValueError
            As `learn`.
        """
        point = self._checked(x)
        if not len(self._cells):
            return 0, 0
        at = self._nearest((point - self._offset) / self._scale)
        return at // self.columns, at % self.columns

    def assign(self, x: Sequence[float]) -> int:
        """Return the segment of the cell that is most like a point; 0 before the first.

        Raises
        ------
        ValueError
            As `learn`.
        """
        row, column = self.cell(x)
        return int(self.owners()[row * self.columns + column]) if len(self._cells) else 0

    def owners(self) -> Numbers:
        """Return the segment of each cell, of shape (rows * columns,)."""
        if self._owners is None:
            weights = np.maximum(self._share, 1e-3 / len(self._share))
            self._owners = cut(linkage(self._cells, weights), self.k)
        return self._owners

    def u_matrix(self) -> Floats:
        """Return each cell's mean distance to those beside it, of shape (rows, columns)."""
        sheet = self._cells.reshape(self.rows, self.columns, -1)
        total, count = np.zeros(sheet.shape[:2]), np.zeros(sheet.shape[:2])
        for axis in (0, 1):
            gap = np.sqrt((np.diff(sheet, axis=axis) ** 2).sum(axis=2))
            lower = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
            upper = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
            for part in (lower, upper):
                total[part] += gap
                count[part] += 1.0
        return np.asarray(total / np.maximum(count, 1.0))

    def planes(self) -> Floats:
        """Return the cells as points, of shape (rows, columns, dimensions)."""
        told = self._cells * self._scale + self._offset
        return np.asarray(told.reshape(self.rows, self.columns, -1))

    def shares(self) -> Floats:
        """Return the share of the latest points that each cell has, of shape (rows, columns)."""
        return self._share.reshape(self.rows, self.columns).copy()

    def describe(self, names: Sequence[str] | None = None) -> list[str]:
        """Return what sets each segment apart, in words a marketer can read."""
        if not len(self._cells):
            return []
        owners = self.owners()
        weights = np.maximum(self._share, 1e-9)
        share = np.bincount(owners, weights)
        points = self._cells * self._scale + self._offset
        centres = np.array([np.bincount(owners, weights * column) for column in points.T]).T
        labels = self._features if names is None else names
        return described(centres / share[:, None], self._mean, self._var, labels)

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {name: getattr(self, name) for name in _RANGES}
        state |= {"seen": self.seen, "features": list(self._features)}
        for name in ("mean", "var", "waiting", "offset", "scale", "cells", "share"):
            state[name] = getattr(self, f"_{name}").copy()
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the map that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        model = cls(**{name: integer(state, name, *limits) for name, limits in _RANGES.items()})
        model.seen = integer(state, "seen", 0, 2**62)
        model._features = texts(state, "features")
        size = length(state, "mean")
        fitted = model.seen >= model.warmup
        model._mean = array(state, "mean", np.float64, (size,))
        model._var = array(state, "var", np.float64, (size,))
        waiting = 0 if fitted else model.seen
        model._waiting = array(state, "waiting", np.float64, (waiting, size))
        scaled, cells = (size, model.rows * model.columns) if fitted else (0, 0)
        model._offset = array(state, "offset", np.float64, (scaled,))
        model._scale = array(state, "scale", np.float64, (scaled,))
        model._cells = array(state, "cells", np.float64, (cells, scaled))
        model._share = array(state, "share", np.float64, model._share.shape)
        if fitted and not (model._scale > 0).all():
            raise StateError("scale: not over zero")
        return model


_RANGES: Final = {"k": (1, 1_000), "rows": (1, 100), "columns": (1, 100), "warmup": (1, 100_000)}
