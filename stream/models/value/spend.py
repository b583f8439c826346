"""Expected spend in the next days: P(any order) times the amount expected of one who orders.

Rules
-----
- P(any order) is river's logistic regression, calibrated; the amount is a regression of its
  logarithm: river's linear one, and the same on Huber's loss.
- A regression of a logarithm foretells a median; what it lacks to the mean is learned as a factor
  (Duan's smearing [1]_), and what the product lacks, too.
- Of the regressions, the customer's own average and their means that one answers which erred least.
- Labels are late: an example is what was known when the days began.
- The next order's time is the median of a constant rate with that P(any order).

References
----------
.. [1] Duan, "Smearing estimate: a nonparametric retransformation method", JASA 78(383), 1983.
.. [2] Vanderveld, Pandey, Han and Parekh, "An engagement-based customer lifetime value system for
   e-commerce", KDD 2016.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from river import base

from stream.models.base.calibration import Calibration
from stream.models.base.sigmoid import Floats, sigmoid
from stream.models.base.state import State, StateValue, array, integer, nested, number, part_of
from stream.models.base.truth import whole
from stream.models.value.linear import (
    Scaling,
    linear_state,
    logistic,
    regression,
    restore_linear,
    robust,
)

KINDS = ("linear", "robust")
WAYS = (*KINDS, "past", "linear_past", "robust_past")
PAST = "past"
"""The input that is an amount: what a customer spent in so many days of the past, on average."""
_MEMORY = 5_000  # examples that factors and errors look back on
_FACTOR = (0.2, 5.0)
_PRIOR = np.array([1.0, 1.0, 0.5, 0.75, 0.75])  # of those who ordered once, half stay away
_SURE = 50  # orders before which a regression has nothing to say


class Outlook(NamedTuple):
    """What is expected of a customer's next days.

    Attributes
    ----------
    spend
        Expected, in the currency of the labels.
    order
        P(any order), in (0, 1).
    amount
        Expected of one who orders.
    churn
        1 - P(any order).
    next_order
        Median of the time until the next order, in horizons.
    """

    spend: float
    order: float
    amount: float
    churn: float
    next_order: float


class SpendRegressor(base.Regressor):
    """A regressor for what is mostly zero, else of any size: spend.

    Parameters
    ----------
    rate
        Of the gradient steps, over 0.
    least
        Amount above which there was an order.

    Attributes
    ----------
    examples
        Learned so far.

    Notes
    -----
    The input called ``past``, if there is one, is the customer's own average: what is answered
    before any label, and later by itself or in a mean with a regression, where that errs less.

    Examples
    --------
    >>> model = SpendRegressor()
    >>> for n in range(500):
    ...     model.learn_one({"orders": n % 5}, 100.0 if n % 5 == 4 else 0.0)
    >>> model.predict_one({"orders": 4}) > 60.0, model.predict_one({"orders": 0}) < 5.0
    (True, True)
    """

    def __init__(self, rate: float = 0.1, least: float = 0.0) -> None:
        self.rate = rate
        self.least = least
        self.examples = 0
        self._scaling = Scaling()
        self._order: Any = logistic(rate)
        self._calibration = Calibration(segments=1)
        self._amounts: list[Any] = [regression(rate), robust(rate)]
        self._smearing = np.ones(len(KINDS))
        self._told = np.zeros(len(WAYS))  # running means of what was expected, and of what came
        self._came = 0.0
        self._orders = 0
        self._error = np.zeros(len(WAYS))

    @property
    def chosen(self) -> str:
        """Which way counts: a regression, the past, or their mean."""
        return WAYS[self._best(True)]

    def _best(self, with_past: bool) -> int:
        """Return which way erred least lately."""
        if with_past and self._orders < _SURE:
            return WAYS.index("past")
        return int(self._error[: len(WAYS) if with_past else len(KINDS)].argmin())

    def learn_one(self, x: dict[Hashable, Any], y: float) -> None:
        """Learn what came of an example: the spend in the days after it; finite."""
        spend = float(y)
        if not math.isfinite(spend):
            return
        known = _without_past(x)
        self._scaling.learn_one(known)
        inputs = self._scaling.transform_one(known)
        order, amounts = self._parts(inputs)
        ways, _ = self._ways(x, order, amounts)
        answers = ways * self._factors()
        self._calibration.learn(self._logit(inputs), whole(np.array([float(spend > self.least)])))
        self.examples += 1
        rate = max(2.0 / (self.examples + 1), 1.0 / _MEMORY)  # the first were ill foretold
        self._error += rate * (np.abs(answers - spend) - self._error)
        self._told += rate * (ways - self._told)
        self._came += rate * (max(0.0, spend) - self._came)
        self._order.learn_one(inputs, spend > self.least)
        if spend > self.least:
            self._learn_amount(inputs, spend)

    def _learn_amount(self, inputs: dict[Any, float], spend: float) -> None:
        self._orders += 1
        rate = 1.0 / min(self._orders + 10, _MEMORY)
        for at, model in enumerate(self._amounts):
            off = math.exp(max(-3.0, min(3.0, math.log1p(spend) - model.predict_one(inputs))))
            self._smearing[at] += rate * (off - self._smearing[at])
            model.learn_one(inputs, math.log1p(spend))

    def _parts(self, inputs: dict[Any, float]) -> tuple[float, Any]:
        """Return P(any order), and the amount that each regression expects."""
        if not self._orders:
            return 0.0, np.zeros(len(KINDS))
        order = float(sigmoid(self._calibration.corrected(self._logit(inputs))[0]))
        logs = [max(0.0, min(30.0, model.predict_one(inputs))) for model in self._amounts]
        return order, self._smearing * np.expm1(logs)

    def _logit(self, inputs: dict[Any, float]) -> Floats:
        p = float(self._order.predict_proba_one(inputs)[True])
        p = min(max(p, 1e-6), 1.0 - 1e-6)
        return np.array([math.log(p / (1.0 - p))])

    def _ways(self, x: Mapping[Any, Any], order: float, amounts: Any) -> tuple[Any, bool]:
        """Return the spend that each way expects, before its factor, and if the past is known."""
        told, past = order * amounts, x.get(PAST)
        if not isinstance(past, (int, float)):
            return np.concatenate([told, [0.0], told]), False
        return np.concatenate([told, [_amount(past)], (told + _amount(past)) / 2]), True

    def _factors(self) -> Any:
        """Return what each way's sum lacks to what came; at first, by how much averages mislead."""
        ratio = (self._came + 1e-12) / (self._told + 1e-12)
        doubt = _SURE / (_SURE + self.examples)
        return np.clip(doubt * _PRIOR + (1.0 - doubt) * ratio, *_FACTOR)

    def predict_one(self, x: dict[Hashable, Any]) -> float:
        """Return the spend expected in the days after an example; 0 before any order."""
        return self.predict(x).spend

    def predict(self, x: Mapping[Any, Any]) -> Outlook:
        """Return what is expected of a customer's next days."""
        order, amounts = self._parts(self._scaling.transform_one(_without_past(x)))
        ways, with_past = self._ways(x, order, amounts)
        spend = float((ways * self._factors())[self._best(with_past)])
        order = min(max(order, 1e-6), 1.0 - 1e-6)
        wait = math.log(2.0) / -math.log1p(-order)
        return Outlook(spend, order, spend / order, 1.0 - order, wait)

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {
            "rate": self.rate,
            "least": self.least,
            "examples": self.examples,
            "orders": self._orders,
            "came": self._came,
            "smearing": self._smearing.copy(),
            "told": self._told.copy(),
            "error": self._error.copy(),
            **nested("scaling", self._scaling.state()),
            **nested("order", linear_state(self._order)),
            **nested("calibration", self._calibration.state()),
        }
        for kind, model in zip(KINDS, self._amounts, strict=True):
            state |= nested(kind, linear_state(model))
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        model = cls(number(state, "rate"), number(state, "least"))
        model.examples = integer(state, "examples", 0, 2**62)
        model._orders = integer(state, "orders", 0, 2**62)
        model._came = number(state, "came")
        shape = (len(KINDS),)
        model._smearing = array(state, "smearing", np.float64, shape)
        model._told = array(state, "told", np.float64, (len(WAYS),))
        model._error = array(state, "error", np.float64, (len(WAYS),))
        model._scaling.restore(part_of(state, "scaling"))
        restore_linear(model._order, part_of(state, "order"))
        model._calibration = Calibration.from_state(part_of(state, "calibration"))
        for kind, each in zip(KINDS, model._amounts, strict=True):
            restore_linear(each, part_of(state, kind))
        return model


def _amount(value: object) -> float:
    """Return an amount that is one, else 0."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return 0.0
    return max(0.0, float(value))


def _without_past(x: Mapping[Any, Any]) -> dict[Hashable, Any]:
    return {name: value for name, value in x.items() if name != PAST}
