"""Moments of an outcome and of a covariate from before the experiment, kept as sums.

Rules: sums are enough for means, variances and CUPED [1]_, so an arm takes six numbers whatever
its size, and two workers' arms add up. A covariate must be known before the first exposure; else
the arm itself moves it, and what is taken out is the effect.

References
----------
.. [1] Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by
   utilizing pre-experiment data", WSDM 2013.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt


class Moments(NamedTuple):
    """Sums over the customers of one arm: outcomes ``y``, covariates ``x``.

    Examples
    --------
    >>> arm = Moments.of([1.0, 3.0]) + Moments.of([5.0])
    >>> arm.size, arm.mean, arm.variance
    (3, 3.0, 4.0)
    """

    size: int = 0
    y: float = 0.0
    yy: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    @classmethod
    def of(cls, outcomes: npt.ArrayLike, covariates: npt.ArrayLike | None = None) -> Self:
        """Return the sums of outcomes, each with its covariate (0 if there are none)."""
        y = np.asarray(outcomes, np.float64)
        x = np.zeros(len(y)) if covariates is None else np.asarray(covariates, np.float64)
        sums = np.array([y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum()])
        return cls(len(y), *sums.tolist())

    def __add__(self, other: object) -> Self:
        """Return the sums of both."""
        if not isinstance(other, Moments):
            return NotImplemented
        size, *sums = (a + b for a, b in zip(self, other, strict=True))
        return type(self)(int(size), *sums)

    @property
    def mean(self) -> float:
        """The mean outcome; 0 of nobody."""
        return self.y / self.size if self.size else 0.0

    @property
    def variance(self) -> float:
        """The variance of outcomes, unbiased; 0 of fewer than two."""
        return _spread(self.size, self.y, self.y, self.yy)


class Adjusted(NamedTuple):
    """An arm after CUPED: customers, the mean and the variance of what the covariate leaves."""

    size: int
    mean: float
    variance: float


def adjusted(arms: Sequence[Moments]) -> list[Adjusted]:
    """Take out of each arm what the covariate explains, with one slope for all.

    Examples
    --------
    >>> x = np.arange(100.0)
    >>> plain, offered = Moments.of(2 * x, x), Moments.of(2 * x + 1, x)
    >>> [round(arm.variance, 6) for arm in adjusted([plain, offered])]
    [0.0, 0.0]
    """
    slope = _slope(arms)
    everyone = sum(arms, Moments())
    centre = everyone.x / everyone.size if everyone.size else 0.0
    found = []
    for arm in arms:
        mean_x = arm.x / arm.size if arm.size else 0.0
        spread = arm.variance - 2 * slope * _spread(arm.size, arm.x, arm.y, arm.xy)
        spread += slope**2 * _spread(arm.size, arm.x, arm.x, arm.xx)
        found.append(Adjusted(arm.size, arm.mean - slope * (mean_x - centre), max(spread, 0.0)))
    return found


def _slope(arms: Iterable[Moments]) -> float:
    """The slope of outcome on covariate within the arms; 0 if the covariate does not vary."""
    within_xy = within_xx = 0.0
    for arm in arms:
        within_xy += _spread(arm.size, arm.x, arm.y, arm.xy) * (arm.size - 1)
        within_xx += _spread(arm.size, arm.x, arm.x, arm.xx) * (arm.size - 1)
    return within_xy / within_xx if within_xx > 1e-12 else 0.0


def _spread(count: int, a: float, b: float, ab: float) -> float:
    return (ab - a * b / count) / (count - 1) if count > 1 else 0.0
