"""Confidence sequences: intervals that hold at every look at once.

Rules
-----
- An interval of a fixed sample is wrong far more often than it says if one looks every hour and
  stops when it pleases. A confidence sequence covers the truth at all times together with the
  stated probability [1]_, so one may look, stop or go on at will.
- Means and their differences take the asymptotic sequence of [2]_, from variances; it begins when
  each arm has `FEWEST` customers, and enough of them with an outcome for the normal limit to hold.
- The ``tightest`` number of customers is where the sequence is narrowest; it is valid everywhere.

References
----------
.. [1] Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
   sequences", Annals of Statistics 49, 2021.
.. [2] Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
   asymptotic confidence sequences", Annals of Statistics 52, 2024.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from stream.models.experiments.moments import Adjusted, Moments, adjusted

FEWEST: Final = 100  # customers of an arm behind an interval
EVENTS: Final = 20  # outcomes other than 0, in both arms together
TIGHTEST: Final = 10_000


class Interval(NamedTuple):
    """An estimate, and where the truth is at this look and at all others; infinite for no bound."""

    estimate: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0.0 or self.high < 0.0


def radius(count: float, variance: float, alpha: float, tightest: float = TIGHTEST) -> float:
    """Return half the width of the asymptotic confidence sequence of a mean.

    Parameters
    ----------
    count
        Observations so far.
    variance
        Of an observation.
    alpha
        Chance to miss the truth at any look, in (0, 1).
    tightest
        Observations at which it is to be narrowest.

    Examples
    --------
    >>> round(radius(10_000, 0.25, 0.05), 4), round(1.96 * (0.25 / 10_000) ** 0.5, 4)
    (0.0152, 0.0098)
    """
    if count <= 0 or variance <= 0.0:
        return 0.0 if count > 0 else math.inf
    rate = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / tightest
    intrinsic = count * rate
    level = math.log((intrinsic + 1) / alpha**2)
    return math.sqrt(variance * (intrinsic + 1) / (count * intrinsic) * level)


def difference(
    treated: Moments, control: Moments, alpha: float = 0.05, tightest: float = TIGHTEST
) -> Interval:
    """Return how much more an arm's customers bring than the control's, by CUPED where it helps.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> arms = [Moments.of(rng.random(20_000) < rate) for rate in (0.06, 0.05)]
    >>> found = difference(*arms)
    >>> found.low < 0.01 < found.high
    True
    """
    first, second = adjusted([treated, control])
    estimate = first.mean - second.mean
    happened = _happened(treated) + _happened(control)
    if min(first.size, second.size) < FEWEST or happened < EVENTS:
        return Interval(estimate, -math.inf, math.inf)
    half = _half_width(first, second, alpha, tightest)
    return Interval(estimate, estimate - half, estimate + half)


def _half_width(first: Adjusted, second: Adjusted, alpha: float, tightest: float) -> float:
    count = first.size + second.size
    spread = first.variance / first.size + second.variance / second.size
    return radius(count, spread * count, alpha, tightest)


def _happened(arm: Moments) -> float:
    """How many customers' worth of outcomes there are: exact for 0 and 1, for money by Kish."""
    return arm.y**2 / arm.yy if arm.yy > 0.0 else 0.0
