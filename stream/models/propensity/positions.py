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
from itertools import accumulate
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel
from stream.models.base.state import State, StateValue, array, integer, length

Floats: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.int64]

Combines: TypeAlias = tuple[tuple[int, int], ...]
"""How many features go together, and of how many at most."""
Combined: TypeAlias = tuple[Numbers, Numbers, Numbers]
"""How many go together; positions, those for each one behind the other; where these end."""

_MEMORY = 400  # rows
_NONE: Numbers = np.zeros(0, dtype=np.int64)


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
        self._best: dict[tuple[int, int], Numbers] = {}

    def learn(self, weights: Floats) -> None:
        """Learn the weights of a batch, shape (rows, positions)."""
        self._best.clear()
        rows, width = weights.shape
        if width > len(self._mean):
            self._mean = _grown(self._mean, width)
            self._square = _grown(self._square, width)
        self._rows = min(self._rows + rows, _MEMORY)
        rate = rows / max(rows, self._rows)
        _follow(weights, rate, self._mean, self._square)

    def best(self, width: int, count: int) -> Numbers:
        """Return the positions, of a row's first ``width``, that say most, in their order."""
        if (width, count) not in self._best:
            self._best[width, count] = _best(self._mean, self._square, width, count)
        return self._best[width, count]

    def combined(self, width: int, combines: Combines) -> Combined:
        """Return the positions of a row's first ``width`` of which what goes together is made."""
        best = [self.best(width, most) for _, most in combines]
        ends = np.array(list(accumulate(map(len, best), initial=0)), dtype=np.int64)
        sizes = np.array([size for size, _ in combines], dtype=np.int64)
        return sizes, np.concatenate([_NONE, *best]), ends

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


def _grown(values: Floats, size: int) -> Floats:
    return np.concatenate([values, np.zeros(max(0, size - len(values)))])


@kernel
def _follow(weights: Floats, rate: float, mean: Floats, square: Floats) -> None:
    """Move running means of weights and of their squares towards those of a batch.

    Parameters
    ----------
    weights
        Of shape (rows, positions).
    rate
        Share of the way, in (0, 1].
    mean, square
        Of shape (positions,) or longer.
    """
    rows, positions = weights.shape
    for position in range(positions):
        total = squares = 0.0
        for row in range(rows):
            total += weights[row, position]
            squares += weights[row, position] * weights[row, position]
        mean[position] += rate * (total / rows - mean[position])
        square[position] += rate * (squares / rows - square[position])


@kernel
def _best(mean: Floats, square: Floats, width: int, count: int) -> Numbers:
    """Return which ``count`` of the first ``width`` positions vary most, the earlier if alike.

    Running means, of shape (positions,), are those of `_follow`; what has none does not vary.
    """
    variance = np.zeros(width)
    for position in range(min(width, len(mean))):
        variance[position] = square[position] - mean[position] * mean[position]
    best = np.empty(min(width, count), np.int64)
    found = 0
    for position in range(width):
        ahead = 0
        for other in range(width):
            more = variance[other] - variance[position]
            if more > 0.0 or (more == 0.0 and other < position):
                ahead += 1
        if ahead < count:
            best[found] = position
            found += 1
    return best
