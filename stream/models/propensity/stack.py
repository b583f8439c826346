"""A tiny logistic regression over a few learners' log-odds: their blend, calibrated.

Rules
-----
- It begins as a mean of its inputs, and leaves that only as far as labels say so. Who learns
  fastest may lead in that mean: the others are mostly noise then.
- The step is the online Newton step [1]_: past curvature and squared gradients, decayed, with a
  prior that never decays. So a lone surprise among thousands of certain negatives moves it little.
- It is learned from predictions made before their labels were: its bias and its slopes are a
  calibration that knows no optimism.

References
----------
.. [1] Hazan, Agarwal and Kale, "Logarithmic regret algorithms for online convex optimization",
   Machine Learning 69, 2007.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import numpy as np

from stream.models.propensity.ftrl import Floats, sigmoid
from stream.models.state import State, StateValue, array, integer, number

_FAR = 30.0  # of log-odds, in the step: beyond it nothing can be learned


class OnlineStack:
    """Blends log-odds by weights learned online.

    Parameters
    ----------
    inputs
        Number of learners.
    lead
        Weight of the last input in the mean at the beginning; 0 for what everyone has.
    prior
        Strength of the belief in that mean, in squared units of log-odds.
    memory
        Rows after which a row counts a third.

    Examples
    --------
    >>> stack = OnlineStack(2)
    >>> stack.logits(np.array([[1.0, 3.0]])).tolist()
    [2.0]
    """

    def __init__(
        self, inputs: int, lead: float = 0.0, prior: float = 40.0, memory: float = 2560.0
    ) -> None:
        self.inputs = inputs
        self.lead = lead
        self.prior = prior
        self.memory = memory
        self._start = np.append(np.full(inputs, 1.0 / inputs), 0.0)
        if lead and inputs > 1:
            self._start[:-2], self._start[-2] = (1.0 - lead) / (inputs - 1), lead
        self._weights = self._start.copy()
        self._floor = prior * np.eye(inputs + 1)
        self._curvature = np.zeros((inputs + 1, inputs + 1))

    def logits(self, inputs: Floats) -> Floats:
        """Return the blended log-odds of rows of log-odds, shape (rows, inputs)."""
        blended: Floats = inputs @ self._weights[:-1]
        blended += self._weights[-1]
        return blended

    def learn(self, inputs: Floats, labels: Floats) -> None:
        """Learn a batch: log-odds of shape (rows, inputs), and a label of 0 or 1 for each row."""
        rows = _with_bias(inputs)
        p = sigmoid(np.maximum(np.minimum(rows @ self._weights, _FAR), -_FAR))
        errors = labels - p
        weight = np.maximum(p - p * p, errors * errors)
        keep = math.exp(-len(rows) / self.memory)
        self._curvature *= keep
        self._curvature += (rows.T * weight) @ rows
        pull = (1.0 - keep) * self.prior * (self._start - self._weights)
        self._weights += np.linalg.solve(self._curvature + self._floor, errors @ rows + pull)

    def forget(self, keep: float) -> None:
        """After a drift, keep this share of what speaks for the present weights."""
        self._curvature *= keep

    def state(self) -> State:
        """Return parameters, weights and curvature."""
        return {
            "inputs": self.inputs,
            "lead": self.lead,
            "prior": self.prior,
            "memory": self.memory,
            "weights": self._weights.copy(),
            "curvature": self._curvature.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the blend that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        size = integer(state, "inputs", 1, 1000)
        stack = cls(size, *(number(state, name) for name in ("lead", "prior", "memory")))
        stack._weights = array(state, "weights", np.float64, (size + 1,))
        stack._curvature = array(state, "curvature", np.float64, (size + 1, size + 1))
        return stack


def _with_bias(inputs: Floats) -> Floats:
    rows = np.ones((len(inputs), inputs.shape[1] + 1))
    rows[:, :-1] = inputs
    return rows
