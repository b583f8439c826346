"""Which positions of a row say most: those are worth pairing, when there are many.

Rules
-----
- A position says as much as the weights of the features seen there vary: one that always has the
  same weight tells no row from another.
- Mean and square are running means over the last few hundred rows looked at, so that the choice
  follows drift, and moves slowly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.models.state import State, StateValue, array, integer, length

_MEMORY = 400  # rows


class Positions:
    """Running variance of the weight at each position of a row.

    Examples
    --------
    >>> positions = Positions()
    >>> positions.learn(np.array([[0.5, -1.0, 0.0], [0.5, 1.0, 0.1]]))
    >>> positions.best(3, 2).tolist()
    [1, 2]
    """

    def __init__(self) -> None:
        self._rows = 0
        self._mean = np.zeros(0)
        self._square = np.zeros(0)
        self._best: dict[tuple[int, int], npt.NDArray[np.intp]] = {}

    def learn(self, weights: npt.NDArray[np.floating[Any]]) -> None:
        """Learn the weights of a batch, shape (rows, positions)."""
        self._best.clear()
        rows, width = weights.shape
        if width > len(self._mean):
            self._mean = _grown(self._mean, width)
            self._square = _grown(self._square, width)
        self._rows = min(self._rows + rows, _MEMORY)
        rate = rows / max(rows, self._rows)
        for kept, new in ((self._mean, weights), (self._square, weights * weights)):
            kept[:width] += rate * (np.add.reduce(new, axis=0) / rows - kept[:width])

    def best(self, width: int, count: int) -> npt.NDArray[np.intp]:
        """Return the positions, of a row's first ``width``, that say most, in their order."""
        if (width, count) not in self._best:
            variance = _grown(self._square - self._mean**2, width)[:width]
            self._best[width, count] = np.sort(np.argsort(-variance, kind="stable")[:count])
        return self._best[width, count]

    def state(self) -> State:
        """Return the running means, and how many rows are in them."""
        return {"rows": self._rows, "mean": self._mean.copy(), "square": self._square.copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return what `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        positions = cls()
        positions._rows = integer(state, "rows", 0, _MEMORY)
        size = length(state, "mean")
        positions._mean = array(state, "mean", np.float64, (size,))
        positions._square = array(state, "square", np.float64, (size,))
        return positions


def _grown(values: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    return np.concatenate([values, np.zeros(max(0, size - len(values)))])
