"""River's linear models, whose state is plain values."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, Final

import numpy as np
from river import linear_model, optim, preprocessing, utils

from stream.models.base.hashing import feature_hash
from stream.models.base.state import State, StateValue, array, integer, number, texts

MOST: Final = 1024  # inputs: names of numbers beyond it share places with others
_CLIP: Final = 5.0  # standard deviations
_HUGE: Final = 1e12

Linear = linear_model.LinearRegression | linear_model.LogisticRegression


def regression(rate: float) -> linear_model.LinearRegression:
    """Return linear regression on squared errors, by AdaGrad."""
    return linear_model.LinearRegression(optim.AdaGrad(rate), intercept_lr=0.02)


def robust(rate: float) -> linear_model.LinearRegression:
    """Return linear regression on Huber's loss, which outliers hardly move, by AdaGrad."""
    loss = optim.losses.Huber(epsilon=1.0)
    return linear_model.LinearRegression(optim.AdaGrad(rate), loss=loss, intercept_lr=0.02)


def logistic(rate: float) -> linear_model.LogisticRegression:
    """Return logistic regression by AdaGrad."""
    return linear_model.LogisticRegression(optim.AdaGrad(rate), intercept_lr=0.02)


class Scaling:
    """Numbers by name, less their mean, in standard deviations; texts as indicators.

    Examples
    --------
    >>> scaling = Scaling()
    >>> for value in (1.0, 3.0):
    ...     scaling.learn_one({"a": value})
    >>> scaling.transform_one({"a": 4.0})
    {'a': 2.0}
    """

    def __init__(self) -> None:
        self._scaler: Any = preprocessing.StandardScaler()

    def learn_one(self, x: Mapping[Hashable, Any]) -> None:
        """Learn mean and spread of an example's numbers."""
        self._scaler.learn_one(self._numbers(x))

    def transform_one(self, x: Mapping[Hashable, Any]) -> dict[Any, float]:
        """Return an example scaled; what was never seen, or is not finite, is left out."""
        numbers = {
            name: value for name, value in self._numbers(x).items() if self._scaler.counts[name] > 1
        }
        scaled = self._scaler.transform_one(numbers)
        told = {name: max(-_CLIP, min(_CLIP, value)) for name, value in scaled.items()}
        for name, value in x.items():
            if isinstance(value, str):
                told[f"={feature_hash(str(name), value) % MOST}"] = 1.0
        return dict(sorted(told.items()))

    def _numbers(self, x: Mapping[Hashable, Any]) -> dict[Hashable, float]:
        numbers: dict[Hashable, float] = {}
        for name, value in x.items():
            if not isinstance(value, str) and value is not None and math.isfinite(float(value)):
                place = str(name)
                if place not in self._scaler.counts and len(self._scaler.counts) >= MOST:
                    place = f"#{feature_hash('', place) % MOST}"
                numbers[place] = max(-_HUGE, min(_HUGE, float(value)))
        return numbers

    def state(self) -> State:
        """Return counts, means and variances by name."""
        names = sorted(map(str, self._scaler.counts))
        return {
            "names": names,
            "counts": np.array([self._scaler.counts[name] for name in names], dtype=np.int64),
            "means": np.array([self._scaler.means[name] for name in names], dtype=np.float64),
            "vars": np.array([self._scaler.vars[name] for name in names], dtype=np.float64),
        }

    def restore(self, state: Mapping[str, StateValue]) -> None:
        """Go on from what `state` returned."""
        names = texts(state, "names")
        shape = (len(names),)
        counts = array(state, "counts", np.int64, shape).tolist()
        self._scaler.counts.update(dict(zip(names, counts, strict=True)))
        for part, held in (("means", self._scaler.means), ("vars", self._scaler.vars)):
            values = array(state, part, np.float64, shape).tolist()
            held.update(dict(zip(names, values, strict=True)))


def linear_state(model: Linear) -> State:
    """Return all that a linear model's future depends on."""
    weights, squares = model.weights, model.optimizer.g2
    names = sorted(map(str, weights))
    return {
        "names": names,
        "weights": np.array([weights[name] for name in names], dtype=np.float64),
        "squares": np.array([squares[name] for name in names], dtype=np.float64),
        "intercept": float(model.intercept),
        "steps": int(model.optimizer.n_iterations),
    }


def restore_linear(model: Linear, state: Mapping[str, StateValue]) -> None:
    """Have a fresh linear model go on from what `linear_state` returned.

    Raises
    ------
    StateError
        If the state is not one of a linear model.
    """
    names = texts(state, "names")
    weights = array(state, "weights", np.float64, (len(names),)).tolist()
    squares = array(state, "squares", np.float64, (len(names),)).tolist()
    model._weights = utils.VectorDict(dict(zip(names, weights, strict=True)))
    model.optimizer.g2.update(dict(zip(names, squares, strict=True)))
    model.optimizer.n_iterations = integer(state, "steps", 0, 2**62)
    model.intercept = number(state, "intercept")
