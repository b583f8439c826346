"""Recursive least squares as a river regressor: for few inputs, and no rate to choose.

River's default in SNARIMAX, gradient descent on scaled lags, ran off to 1e11 after two spikes;
least squares have no rate that could be too high.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from river import base

from stream.models.base.state import State, StateValue, array, number, texts

Floats = npt.NDArray[np.float64]

_MOST = 64  # inputs: what comes later is left out


class RecursiveLeastSquares(base.Regressor):
    """Linear regression by exponentially weighted recursive least squares [1]_.

    Parameters
    ----------
    memory
        Share of what was known that an example leaves, in (0, 1].
    ridge
        Weight of the prior that all coefficients are zero, over 0, in squared units of the inputs.

    References
    ----------
    .. [1] Haykin, "Adaptive filter theory", 4th edition, chapter 9, 2002.

    Examples
    --------
    >>> model = RecursiveLeastSquares(ridge=1e-6)
    >>> for i in range(50):
    ...     model.learn_one({"a": float(i % 7)}, 3.0 + 2.0 * (i % 7))
    >>> round(model.predict_one({"a": 10.0}), 3)
    23.0
    """

    def __init__(self, memory: float = 1.0, ridge: float = 0.1) -> None:
        self.memory = memory
        self.ridge = ridge
        self._names: list[str] = []
        self._weights = np.zeros(1)
        self._spread = np.eye(1) / ridge

    def predict_one(self, x: dict[Hashable, Any]) -> float:
        """Return the value that is expected of numbers by name; what is missing counts as 0."""
        return float(self._vector(x) @ self._weights)

    def learn_one(self, x: dict[Hashable, Any], y: float) -> None:
        """Learn an example; one that is not finite is left."""
        self._name(x)
        inputs = self._vector(x)
        if not np.isfinite(inputs).all() or not np.isfinite(y):
            return
        towards = self._spread @ inputs
        gain = towards / (self.memory + inputs @ towards)
        self._weights += gain * (y - inputs @ self._weights)
        self._spread -= np.outer(gain, towards)
        self._spread = (self._spread + self._spread.T) / 2
        if np.trace(self._spread) < 1e6 * len(inputs) / self.ridge:  # else inputs say nothing new
            self._spread /= self.memory

    def _name(self, x: Mapping[Hashable, Any]) -> None:
        known = set(self._names)
        new = sorted(name for name in map(str, x) if name not in known)
        new = new[: _MOST - len(self._names)]
        if new:
            size = len(self._weights)
            self._names += new
            self._weights = np.concatenate([self._weights, np.zeros(len(new))])
            spread = np.eye(size + len(new)) / self.ridge
            spread[:size, :size] = self._spread
            self._spread = spread

    def _vector(self, x: Mapping[Hashable, Any]) -> Floats:
        given = {str(name): value for name, value in x.items()}
        return np.array([1.0, *(float(given.get(name, 0.0)) for name in self._names)])

    def state(self) -> State:
        """Return all that the future depends on."""
        return {
            "memory": self.memory,
            "ridge": self.ridge,
            "names": list(self._names),
            "weights": self._weights.copy(),
            "spread": self._spread.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        model = cls(number(state, "memory"), number(state, "ridge"))
        model._names = texts(state, "names")
        size = 1 + len(model._names)
        model._weights = array(state, "weights", np.float64, (size,))
        model._spread = array(state, "spread", np.float64, (size, size))
        return model
