"""Numbers and frequent texts as the inputs of `DenseLogistic`: scaled, and in places that stay.

Rules
-----
- A number has two inputs: in standard deviations from its running mean, cut to -4 … 4, and its
  normal score among quantiles, which no skew, unit or outlier can touch.
- A text, or a number with few values, has an input for each value that came back a few times:
  identifiers that never do get none.
- Places are given as they are asked for, and never again; when all are given, what is new has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from statistics import NormalDist
from typing import Self

import numpy as np

from stream.models.base.state import State, StateError, StateValue, array, integer, length

_OFTEN = 8  # times that a text is seen before it has an input
_COUNTED = 4096  # texts that are counted at once
_CLIP = 4.0  # standard deviations
_MEMORY = 8192  # rows of the running mean
_HUGE = 1e100  # beyond it a square is no number any more


class RunningScale:
    """The running mean and variance of a number."""

    def __init__(self, mean: float = 0.0, var: float = 0.0, count: int = 0) -> None:
        self.mean = mean
        self.var = var
        self.count = count

    def learn(self, value: float) -> None:
        """Take in a finite value."""
        self.count = min(self.count + 1, _MEMORY)
        rate = 1.0 / self.count
        gap = max(-_HUGE, min(_HUGE, value)) - self.mean
        self.mean += rate * gap
        self.var = (1.0 - rate) * (self.var + rate * gap * gap)

    def scaled(self, value: float) -> float:
        """Return a value in standard deviations from the mean, cut to -4 … 4.

        Examples
        --------
        >>> scale = RunningScale()
        >>> for value in (1.0, 3.0):
        ...     scale.learn(value)
        >>> scale.scaled(4.0), scale.scaled(1e300)
        (2.0, 4.0)
        """
        if self.var <= 0.0:
            return 0.0
        return max(-_CLIP, min(_CLIP, (value - self.mean) / math.sqrt(self.var)))


@lru_cache(maxsize=64)
def normal_scores(bins: int) -> tuple[float, ...]:
    """Return the standard normal quantile in the middle of each of some equally full bins.

    Examples
    --------
    >>> [round(score, 2) for score in normal_scores(3)]
    [-0.97, 0.0, 0.97]
    """
    return tuple(NormalDist().inv_cdf((i + 0.5) / bins) for i in range(bins))


class InputPlaces:
    """Gives inputs their places: 1, 2, 3 …, as many as there may be.

    Parameters
    ----------
    most
        Places that there are.

    Examples
    --------
    >>> places = InputPlaces(most=1)
    >>> places.reserve(77)
    >>> places.reserve(99)
    >>> places.find(77), places.find(99)
    (1, 0)
    """

    def __init__(self, most: int = 128) -> None:
        self.most = most
        self._places: dict[int, int] = {}
        self._counted: dict[int, int] = {}

    def find(self, key: int) -> int:
        """Return the place of a feature, by its hash; 0 for none."""
        return self._places.get(key, 0)

    def reserve(self, key: int) -> None:
        """Give a feature a place, if it has none yet and one is left."""
        if key not in self._places and len(self._places) < self.most:
            self._places[key] = len(self._places) + 1

    def count(self, key: int) -> None:
        """Give a feature a place once it has been seen a few times."""
        if key in self._places or len(self._places) >= self.most:
            return
        times = self._counted.pop(key, 0) + 1
        if times >= _OFTEN:
            self.reserve(key)
            return
        self._counted[key] = times
        if len(self._counted) > _COUNTED:
            self._counted.clear()

    def state(self) -> State:
        """Return who has a place, in order, and who is counted."""
        return {
            "most": self.most,
            "given": np.array(list(self._places), dtype=np.uint32),
            "counted": np.array(list(self._counted), dtype=np.uint32),
            "times": np.array(list(self._counted.values()), dtype=np.uint8),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the places that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        places = cls(integer(state, "most", 0, 1000))
        given, counted = length(state, "given"), length(state, "counted")
        if given > places.most or counted > _COUNTED:
            raise StateError("given, counted: more than there may be")
        keys = array(state, "given", np.uint32, (given,)).tolist()
        places._places = {key: at for at, key in enumerate(keys, 1)}
        names = array(state, "counted", np.uint32, (counted,)).tolist()
        times = array(state, "times", np.uint8, (counted,)).tolist()
        places._counted = dict(zip(names, times, strict=True))
        if len(places._places) != given or len(places._counted) != counted:
            raise StateError("given, counted: one twice")
        return places
