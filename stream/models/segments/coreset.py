"""A bounded, weighted sample of a stream that keeps what matters: outliers, and the latest.

Rules
-----
- A point is kept with a probability in proportion to its importance, by priority sampling [1]_:
  of all keys u / importance the smallest are kept, and the smallest that was not tells how likely
  each was to be. One over that is its weight, so weighted sums are those of the stream, on average.
- Importance grows with a point's number (forward decay [2]_): old points fade, and the sample
  stands for about the last `window` points. After four windows a point is gone.

References
----------
.. [1] Duffield, Lund and Thorup, "Priority sampling for estimation of arbitrary subset sums",
   JACM 54(6), 2007.
.. [2] Cormode, Shkapenyuk, Srivastava and Xu, "Forward decay: a practical time decay model for
   streaming systems", ICDE 2009.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.hashing import draws
from stream.models.base.kernel import kernel
from stream.models.base.state import State, StateError, StateValue, array, integer, length

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_FORGOTTEN = 4.0  # windows after which a point is nothing, however important it was


@kernel
def put(
    point: Floats,
    importance: float,
    drawn: float,
    number: int,
    window: int,
    kept: Numbers,
    arrays: Any,
) -> None:
    """Take a point in, if it draws a low key.

    Parameters
    ----------
    point
        Of shape (dimensions,).
    importance, drawn, number
        Its own: over 0; in [0, 1); from 1 on.
    window
        Points after which one counts a third.
    kept
        How many are, of shape (1,).
    arrays
        As of `Coreset.arrays`.
    """
    points, keys, importances, numbers = arrays
    key = math.log(drawn + 2.0**-60) - math.log(importance) - number / window
    slot = kept[0]
    if slot < len(keys):
        kept[0] += 1
    else:
        slot = keys.argmax()
        if key >= keys[slot]:
            return
    for axis in range(len(point)):
        points[slot, axis] = point[axis]
    keys[slot], importances[slot], numbers[slot] = key, math.log(importance), number


class Coreset:
    """A weighted sample of points.

    Parameters
    ----------
    size
        Points kept.
    window
        Points after which one counts a third.
    seed
        Of the draws.

    Examples
    --------
    >>> coreset = Coreset(size=100, window=100_000)
    >>> for i in range(5000):
    ...     coreset.add(np.array([float(i % 10)]), importance=1.0)
    >>> points, weights = coreset.weighted()
    >>> len(points), bool(3000 < weights.sum() < 7000)
    (100, True)
    """

    def __init__(self, size: int, window: int, seed: int = 0) -> None:
        self.size = size
        self.window = window
        self.seed = seed
        self.seen = 0
        self._kept = 0
        self._points = np.zeros((0, 0))
        self._keys = np.zeros(size + 1)  # logarithms, as are importances
        self._importance = np.zeros(size + 1)
        self._numbers = np.zeros(size + 1, dtype=np.int64)

    @property
    def whole(self) -> bool:
        """Whether every point is still kept."""
        return self.seen <= self.size

    @property
    def dimensions(self) -> int:
        """Coordinates of a point; 0 before the first."""
        return self._points.shape[1]

    def add(self, point: Floats, importance: float) -> None:
        """Take a point in, if it draws a low key; importance is over 0, and 1 for most."""
        drawn, kept = self.room(1, point.size)
        put(point, importance, drawn.item(), self.seen + 1, self.window, kept, self.arrays)
        self.took(1, kept)

    def room(self, count: int, dimensions: int) -> tuple[Floats, Numbers]:
        """Return what so many more points draw, and how many are kept."""
        if not self.seen:
            self._points = np.zeros((self.size + 1, dimensions))
        return draws(self.seed, self.seen + 1, count), np.array([self._kept])

    @property
    def arrays(self) -> tuple[Floats, Floats, Floats, Numbers]:
        """Points, keys, importances and numbers, for kernels."""
        return self._points, self._keys, self._importance, self._numbers

    def took(self, count: int, kept: Numbers) -> None:
        """Note that a kernel took so many more points in."""
        self.seen += count
        self._kept = kept.item()

    def weighted(self) -> tuple[Floats, Floats]:
        """Return the points kept, and for how many of the stream, old ones faded, each stands."""
        kept = np.arange(self._kept)
        odds = np.zeros(self._kept)
        if self._kept > self.size:
            last = int(self._keys.argmax())
            kept = np.delete(kept, last)
            grown = self._importance[kept] + self._numbers[kept] / self.window
            odds = np.minimum(0.0, grown + self._keys[last])
        faded = (self._numbers[kept] - self.seen) / self.window
        there = faded > -_FORGOTTEN
        return self._points[kept[there]], np.exp((faded - odds)[there])

    def state(self) -> State:
        """Return parameters, and what is kept."""
        state: State = {
            "size": self.size,
            "window": self.window,
            "seed": self.seed,
            "seen": self.seen,
        }
        for name, values in zip(_ARRAYS, self.arrays, strict=True):
            state[name] = values[: self._kept].copy()
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the sample that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        coreset = cls(
            integer(state, "size", 1, 10_000_000),
            integer(state, "window", 1, 2**53),
            integer(state, "seed", -(2**63), 2**63 - 1),
        )
        coreset.seen = integer(state, "seen", 0, 2**62)
        kept = coreset._kept = length(state, "keys")
        points = state.get("points")
        if kept != min(coreset.seen, coreset.size + 1) or not isinstance(points, np.ndarray):
            raise StateError("points: not as many as were kept")
        if kept:
            width = points.shape[-1]
            coreset._points = np.zeros((coreset.size + 1, width))
            coreset._points[:kept] = array(state, "points", np.float64, (kept, width))
        coreset._keys[:kept] = array(state, "keys", np.float64, (kept,))
        coreset._importance[:kept] = array(state, "importance", np.float64, (kept,))
        coreset._numbers[:kept] = array(state, "numbers", np.int64, (kept,))
        return coreset


_ARRAYS = ("points", "keys", "importance", "numbers")
