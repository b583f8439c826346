"""What another policy would have brought, from a log of choices by chance.

Rules
-----
- Every logged choice has the probability with which it was made; where a policy would choose what
  was never tried, nothing can be known, and the effective sample size says so.
- `doubly_robust` [1]_ takes an outcome model and corrects it by what was seen: right if either the
  model or the probabilities are, and never much worse than `snips`.
- The model's answers to a row, and the policy's, must not come from that row: give them from
  rows before it, or from other folds.

References
----------
.. [1] Dudík, Langford and Li, "Doubly robust policy evaluation and learning", ICML 2011.
.. [2] Swaminathan and Joachims, "The self-normalized estimator for counterfactual learning",
   NeurIPS 2015.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
NORMAL: Final = 1.959963984540054  # standard errors in half an interval of 95 %


class PolicyValue(NamedTuple):
    """The value of a policy: reward a choice.

    Attributes
    ----------
    value, standard_error
        NaN where nothing of the policy was seen.
    interval
        95 %, by the normal limit.
    effective
        Effective sample size: choices of the log that count for the policy.
    """

    value: float
    standard_error: float
    interval: tuple[float, float]
    effective: float


def _value(contributions: Floats, weights: Floats) -> PolicyValue:
    count = len(contributions)
    total = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / total if total > 0.0 else 0.0
    if count < 2 or not effective:
        return PolicyValue(float("nan"), float("nan"), (float("nan"), float("nan")), effective)
    mean, error = float(contributions.mean()), float(contributions.std(ddof=1) / np.sqrt(count))
    return PolicyValue(mean, error, (mean - NORMAL * error, mean + NORMAL * error), effective)


def ips(rewards: Floats, chosen: Floats, logged: Floats) -> PolicyValue:
    """Return the inverse propensity score estimate.

    Parameters
    ----------
    rewards
        Of the logged choices, shape (rows,).
    chosen
        The probability with which the policy makes each logged choice.
    logged
        The probability with which it was made, in (0, 1].

    Examples
    --------
    >>> ips(np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.array([0.5, 0.5])).value
    1.0
    """
    weights = chosen / logged
    return _value(weights * rewards, weights)


def snips(rewards: Floats, chosen: Floats, logged: Floats) -> PolicyValue:
    """Return the self-normalised estimate [2]_, with the standard error of a ratio."""
    weights = chosen / logged
    total = float(weights.mean()) if len(weights) else 0.0
    if total <= 0.0:
        return _value(weights * rewards, weights)
    value = float((weights * rewards).mean()) / total
    found = _value(weights * (rewards - value) / total, weights)
    error = found.standard_error
    return PolicyValue(
        value, error, (value - NORMAL * error, value + NORMAL * error), found.effective
    )


def doubly_robust(
    rewards: Floats, arms: npt.NDArray[np.intp], policy: Floats, logged: Floats, model: Floats
) -> PolicyValue:
    """Return the doubly robust estimate [1]_.

    Parameters
    ----------
    rewards, arms, logged
        Of each logged choice, shape (rows,).
    policy, model
        What the policy would choose with which probability, and the reward expected of each arm,
        shape (rows, arms).
    """
    rows = np.arange(len(rewards))
    weights = policy[rows, arms] / logged
    expected = (policy * model).sum(axis=1)
    return _value(expected + weights * (rewards - model[rows, arms]), weights)
