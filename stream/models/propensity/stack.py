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

from stream.models.base.kernel import kernel
from stream.models.base.sigmoid import Floats, sigmoid
from stream.models.base.state import State, StateValue, array, integer, number
from stream.models.base.truth import Truth
from stream.models.propensity.solving import solved

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

    Attributes
    ----------
    weights
        Of the inputs, and of the bias.

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
        self.weights = self._start.copy()
        self._floor = prior * np.eye(inputs + 1)
        self._curvature = np.zeros((inputs + 1, inputs + 1))

    def logits(self, inputs: Floats) -> Floats:
        """Return the blended log-odds of rows of log-odds, shape (rows, inputs)."""
        return blended(inputs, self.weights)

    def learn(self, inputs: Floats, truth: Truth) -> None:
        """Learn a batch: log-odds of shape (rows, inputs), and what became of each row."""
        keep = math.exp(-len(inputs) / self.memory)
        self._curvature *= keep
        pull = (1.0 - keep) * self.prior * (self._start - self.weights)
        _add(inputs, truth, self.weights, self._curvature, pull)
        self.weights += solved(self._curvature + self._floor, pull)

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
            "weights": self.weights.copy(),
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
        stack.weights = array(state, "weights", np.float64, (size + 1,))
        stack._curvature = array(state, "curvature", np.float64, (size + 1, size + 1))
        return stack


@kernel
def blended(inputs: Floats, weights: Floats) -> Floats:
    """Blend rows of log-odds, shape (rows, inputs), by weights: the inputs', and the bias."""
    last = len(weights) - 1
    out = np.empty(len(inputs))
    for row in range(len(inputs)):
        total = 0.0
        for column in range(last):
            total += inputs[row, column] * weights[column]
        out[row] = total + weights[last]
    return out


@kernel
def _add(inputs: Floats, truth: Truth, weights: Floats, curvature: Floats, pull: Floats) -> None:
    """Add up what rows say of the weights.

    Parameters
    ----------
    inputs, truth
        Log-odds of shape (rows, inputs), and what became of each row.
    weights
        Of the inputs, and of the bias.
    curvature, pull
        Sums of second and first derivatives, of shape (weights, weights) and (weights,).
    """
    last = len(weights) - 1
    labels, counts = truth
    one = np.ones(len(weights))
    logits = blended(inputs, weights)
    for row in range(len(inputs)):
        p = sigmoid(min(max(logits[row], -_FAR), _FAR))
        error = labels[row] - counts[row] * p
        weight = max(counts[row] * (p - p * p), error * error)
        one[:last] = inputs[row]
        for i in range(len(one)):
            pull[i] += error * one[i]
            for j in range(len(one)):
                curvature[i, j] += weight * one[i] * one[j]
