"""Robust scales: medians and spreads that outliers do not move.

References
----------
Rousseeuw and Croux, "Alternatives to the median absolute deviation", JASA 88(424), 1993.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NORMAL: Final = 1.4826  # a normal distribution's standard deviation, of its median deviation
_TAIL: Final = 0.1  # of the unit interval, on both sides, for what is beyond the usual
_WIDE: Final = 2.5  # spreads: so much is usual
_MOST: Final = 1e9


class RobustScale(NamedTuple):
    """Median and spread of each coordinate, of shape (dimensions,)."""

    median: Floats
    spread: Floats


def scale_of(sample: Floats) -> RobustScale:
    """Return the robust scale of points, of shape (points, dimensions).

    Where more than half of a coordinate's values are equal, its spread is the mean deviation; where
    all are, it is 1.

    Examples
    --------
    >>> scale_of(np.array([[1.0], [2.0], [3.0], [900.0]])).median.tolist()
    [2.5]
    """
    median = np.median(sample, axis=0)
    away = np.abs(sample - median)
    spread = _NORMAL * np.median(away, axis=0)
    mean = away.mean(axis=0)
    spread = np.where(spread > 1e-9 * np.maximum(mean, 1e-300), spread, mean)
    return RobustScale(median, np.where(spread > 0, spread, 1.0))


def deviations(points: Floats, scale: RobustScale) -> Floats:
    """Return by how many spreads coordinates are off the median, with their sign."""
    return np.clip((points - scale.median) / scale.spread, -_MOST, _MOST)


def squeezed(away: Floats) -> Floats:
    """Return deviations as places in 0 … 1: the usual in the middle, the rest in the tails.

    Examples
    --------
    >>> squeezed(np.array([0.0, 2.5, 1e9])).round(3).tolist()
    [0.5, 0.9, 1.0]
    """
    middle = 0.5 + (0.5 - _TAIL) * np.clip(away / _WIDE, -1.0, 1.0)
    beyond = np.maximum(np.abs(away) / _WIDE, 1.0)
    return np.asarray(middle + np.sign(away) * _TAIL * (1.0 - 1.0 / beyond))


def oddness(away: Floats) -> Floats:
    """Return how far off points are: a mean of logarithms, in which the farthest counts most.

    Parameters
    ----------
    away
        Deviations of shape (points, dimensions).

    Returns
    -------
    ndarray of shape (points,)
        From 0 on.
    """
    far = np.log1p(np.maximum(np.abs(away) - 1.0, 0.0))
    return np.asarray(0.5 * far.max(axis=1) + 0.5 * far.mean(axis=1))
