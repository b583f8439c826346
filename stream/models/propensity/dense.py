"""Logistic regression on a few dense inputs: nearly what a batch fit would say, in one pass.

Rules
-----
- The step is the online Newton step [1]_: curvature, decayed, with a prior that never decays. So
  some hundred rows suffice where a first-order step needs many thousands, whatever the scales.
- The cost of a step grows with the cube of the inputs in use: their number is bounded.
- An input that no row had so far has weight 0. Input 0 is the bias.

References
----------
.. [1] Hazan, Agarwal and Kale, "Logarithmic regret algorithms for online convex optimization",
   Machine Learning 69, 2007.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Self

import numpy as np

from stream.models.base.sigmoid import Floats, sigmoids
from stream.models.base.state import State, StateError, StateValue, array, integer, length, number
from stream.models.base.truth import Truth
from stream.models.propensity.buckets import flat_numbers

_CERTAIN = 8.0  # log-odds
_FREE = 0.1  # prior of the bias


class DenseLogistic:
    """Learns weights of at most so many inputs.

    Parameters
    ----------
    inputs
        Inputs 1 … inputs may occur.
    prior
        Strength of the belief in weight 0, for inputs of unit variance.
    memory
        Rows after which a row counts a third.

    Examples
    --------
    >>> model = DenseLogistic(5)
    >>> rows = model.rows(2, [[1], [1, 2]], [[2.0], [-1.0, 1.0]])
    >>> rows.tolist()
    [[1.0, 2.0, 0.0], [1.0, -1.0, 1.0]]
    >>> for _ in range(50):
    ...     model.learn(rows, (np.array([1.0, 0.0]), np.ones(2)))
    >>> (model.logits(rows) > 0).tolist()
    [True, False]
    """

    def __init__(self, inputs: int, prior: float = 2.0, memory: float = 10_000.0) -> None:
        self.inputs = inputs
        self.prior = prior
        self.memory = memory
        self._weights = np.zeros(1)
        self._curvature = np.zeros((1, 1))

    def rows(
        self, count: int, inputs: Sequence[Sequence[int]], values: Sequence[Sequence[float]]
    ) -> Floats:
        """Return a matrix of rows.

        Parameters
        ----------
        count
            Number of rows.
        inputs, values
            Of each row the numbers of its inputs, and the value of each; both empty if no row has
            any.

        Raises
        ------
        IndexError
            If there are more inputs than there may be.
        """
        places = flat_numbers(inputs)
        size = 1 + int(places.max(initial=0))
        if size > 1 + self.inputs:
            raise IndexError(f"input {size - 1} of at most {self.inputs}")
        dense = np.zeros((count, max(size, len(self._weights))))
        dense[:, 0] = 1.0
        row = np.arange(len(inputs)).repeat([len(which) for which in inputs])
        dense[row, places] = np.fromiter(chain.from_iterable(values), np.float64, len(places))
        return dense

    def logits(self, rows: Floats) -> Floats:
        """Return the log-odds of rows, cut to -8 … 8."""
        known = len(self._weights)
        out: Floats = np.clip(rows[:, :known] @ self._weights, -_CERTAIN, _CERTAIN)
        return out

    def learn(self, rows: Floats, truth: Truth) -> None:
        """Learn a batch of rows, and what became of each."""
        labels, weights = truth
        self._grow(rows.shape[1])
        p = sigmoids(self.logits(rows))
        spread = weights * (p - p * p)
        keep = math.exp(-len(rows) / self.memory)
        self._curvature *= keep
        self._curvature += (rows.T * spread) @ rows
        priors = np.full(rows.shape[1], self.prior)
        priors[0] = _FREE
        pull = (1.0 - keep) * priors * self._weights
        curvature = self._curvature + np.diag(priors)
        self._weights += np.linalg.solve(curvature, (labels - weights * p) @ rows - pull)

    def _grow(self, size: int) -> None:
        more = size - len(self._weights)
        if more > 0:
            self._weights = np.pad(self._weights, (0, more))
            self._curvature = np.pad(self._curvature, ((0, more), (0, more)))

    def forget(self, keep: float) -> None:
        """After a drift, keep this share of what speaks for the present weights."""
        self._curvature *= keep

    def state(self) -> State:
        """Return parameters, weights and curvature."""
        return {
            "inputs": self.inputs,
            "prior": self.prior,
            "memory": self.memory,
            "weights": self._weights.copy(),
            "curvature": self._curvature.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        most = integer(state, "inputs", 0, 1000)
        model = cls(most, number(state, "prior"), number(state, "memory"))
        size = length(state, "weights")
        if not 1 <= size <= 1 + most:
            raise StateError("weights: not as many as there may be inputs, and a bias")
        model._weights = array(state, "weights", np.float64, (size,))
        model._curvature = array(state, "curvature", np.float64, (size, size))
        return model
