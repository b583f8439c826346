"""The batch reference of customer value: buy till you die, by maximum likelihood.

Orders follow the BG/NBD model [1]_, spend an order the Gamma-Gamma model [2]_; the two are fitted
anew to all that is known of everybody, and foretell each customer's next days.

References
----------
.. [1] Fader, Hardie and Lee, "'Counting your customers' the easy way: an alternative to the
   Pareto/NBD model", Marketing Science 24(2), 2005.
.. [2] Fader and Hardie, "The Gamma-Gamma model of monetary value", 2013.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1

Floats = npt.NDArray[np.float64]

_PENALTY = 1e-3  # on squared logarithms of parameters: few customers do not settle them
_BOUND = 8.0


class Histories(NamedTuple):
    """Repeat orders, days from the first to the last and to now, and mean spend an order."""

    repeats: Floats
    recency: Floats
    age: Floats
    mean: Floats


class Lifetimes:
    """BG/NBD and Gamma-Gamma, fitted to customers' histories.

    Parameters
    ----------
    histories
        Of at least one customer; each array of shape (customers,).

    Examples
    --------
    >>> many = np.ones(50)
    >>> model = Lifetimes(Histories(3 * many, 90 * many, 100 * many, 20 * many))
    >>> 0.3 < float(
    ...     model.orders(Histories(*(np.array([v]) for v in (3.0, 90, 100, 20))), 30)[0]
    ... ) < 2
    True
    """

    def __init__(self, histories: Histories) -> None:
        found = minimize(
            _purchases_lost, np.array([-0.5, 2.0, -0.5, 0.5]), (histories,), "Nelder-Mead",
            bounds=[(-_BOUND, _BOUND)] * 4,
        )  # fmt: skip
        self.r, self.alpha, self.a, self.b = np.exp(found.x).tolist()
        again = histories.repeats > 0
        some = Histories(*(values[again] for values in histories)) if again.any() else histories
        found = minimize(
            _spend_lost, np.array([1.0, 1.0, 1.0]), (some,), "Nelder-Mead",
            bounds=[(-_BOUND, _BOUND)] * 3,
        )  # fmt: skip
        self.p, self.q, self.v = np.exp(found.x).tolist()
        self.v *= _unit(some)

    def alive(self, histories: Histories) -> Floats:
        """Return the probability that each customer is not gone, of shape (customers,)."""
        return 1.0 / (1.0 + self._gone(histories))

    def _gone(self, histories: Histories) -> Floats:
        """Return the odds that each customer is gone."""
        x = histories.repeats
        power = (self.r + x) * (
            np.log(self.alpha + histories.age) - np.log(self.alpha + histories.recency)
        )
        odds = self.a / np.maximum(self.b + x - 1.0, 1e-9) * np.exp(np.minimum(power, 700.0))
        return np.asarray(np.where(x > 0, odds, 0.0), dtype=np.float64)

    def orders(self, histories: Histories, days: float) -> Floats:
        """Return the orders expected of each customer in the next days, of shape (customers,)."""
        r, alpha, b, x = self.r, self.alpha, self.b, histories.repeats
        a = self.a if abs(self.a - 1.0) > 1e-6 else 1.0 + 1e-6
        whole = alpha + histories.age + days
        series = hyp2f1(r + x, b + x, a + b + x - 1.0, days / whole)
        fading = ((alpha + histories.age) / whole) ** (r + x)
        told = (a + b + x - 1.0) / (a - 1.0) * (1.0 - fading * series)
        expected = told / (1.0 + self._gone(histories))
        return np.asarray(np.maximum(0.0, np.nan_to_num(expected, posinf=0.0)), dtype=np.float64)

    def amount(self, histories: Histories) -> Floats:
        """Return the spend expected of an order, of shape (customers,)."""
        n = histories.repeats + 1.0
        below = np.maximum(self.p * n + self.q - 1.0, 1e-9)
        return np.asarray(self.p * (self.v + n * histories.mean) / below)

    def spend(self, histories: Histories, days: float) -> Floats:
        """Return the spend expected of each customer in the next days, of shape (customers,)."""
        return self.orders(histories, days) * self.amount(histories)


def _purchases_lost(logs: Floats, histories: Histories) -> float:
    r, alpha, a, b = np.exp(logs)
    x = histories.repeats
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    living = -(r + x) * np.log(alpha + histories.age)
    odds = np.log(a) - np.log(np.maximum(b + x - 1.0, 1e-9))
    gone = np.where(x > 0, odds - (r + x) * np.log(alpha + histories.recency), -np.inf)
    likelihood = common + np.logaddexp(living, gone)
    return float(-likelihood.mean() + _PENALTY * (logs**2).sum())


def _spend_lost(logs: Floats, histories: Histories) -> float:
    p, q, v = np.exp(logs)
    n = histories.repeats + 1.0
    mean = np.maximum(histories.mean, 1e-6) / _unit(histories)
    likelihood = (
        gammaln(p * n + q) - gammaln(p * n) - gammaln(q) + q * np.log(v)
        + (p * n - 1.0) * np.log(mean) + p * n * np.log(n) - (p * n + q) * np.log(v + n * mean)
    )  # fmt: skip
    return float(-likelihood.mean() + _PENALTY * (logs**2).sum())


def _unit(histories: Histories) -> float:
    return max(float(np.mean(histories.mean)), 1e-9)
