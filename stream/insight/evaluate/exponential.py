"""The batch reference of forecasts: exponential smoothing, refitted to all of the past.

Additive, multiplicative or no season, with a damped trend; the parameters are those of least
squared one-step error, and the form is the one of least AIC [1]_.

References
----------
.. [1] Hyndman, Koehler, Snyder and Grose, "A state space framework for automatic forecasting using
   exponential smoothing methods", International Journal of Forecasting 18(3), 2002.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from stream.models.base.kernel import kernel

Floats = npt.NDArray[np.float64]

NONE, ADDED, FACTOR = 0, 1, 2
_LATEST: Final = 3_000  # periods that a fit looks back on
_BOUNDS: Final = ((0.01, 0.99), (1e-4, 0.5), (1e-4, 0.9), (0.8, 1.0))


class Fit(NamedTuple):
    """Form and parameters (alpha, beta, gamma, phi) of exponential smoothing."""

    kind: int
    season: int
    parameters: Floats


def fitted(values: Floats, seasons: Sequence[int]) -> Fit:
    """Return the exponential smoothing that fits values best.

    Parameters
    ----------
    values
        All of the past, oldest first, finite.
    seasons
        In periods; 1 for none.
    """
    past = values[-_LATEST:]
    best, least = Fit(NONE, 1, np.array([0.5, 0.01, 0.01, 0.9])), math.inf
    for kind, season in _forms(past, seasons):
        start = np.array([0.3, 0.01, 0.1, 0.98])
        # not by gradients: for four numbers BLAS would start threads, which cost more than the fit
        limits = {"maxiter": 150, "xatol": 1e-3, "fatol": 1e-5 * (1e-12 + float(past.var()))}
        found = minimize(
            _lost, start, (past, season, kind), "Nelder-Mead", bounds=_BOUNDS, options=limits
        )
        known = 4 if kind == NONE else 5 + season
        aic = len(past) * math.log(max(float(found.fun), 1e-300)) + 2 * known
        if aic < least:
            best, least = Fit(kind, season, np.asarray(found.x)), aic
    return best


def _forms(past: Floats, seasons: Sequence[int]) -> list[tuple[int, int]]:
    forms = [(NONE, 1)]
    for season in seasons:
        if season > 1 and len(past) >= 2 * season:
            forms.append((ADDED, season))
            if past.min() > 0:
                forms.append((FACTOR, season))
    return forms


def _lost(parameters: Floats, past: Floats, season: int, kind: int) -> float:
    told = smoothed(past, parameters, season, kind, 1)
    begun = min(len(past) - 1, season)
    lost = float(np.mean((told[begun:-1, 0] - past[begun + 1 :]) ** 2)) if len(past) > 2 else 0.0
    return lost if math.isfinite(lost) else 1e300


@kernel
def smoothed(values: Floats, parameters: Floats, season: int, kind: int, leads: int) -> Floats:
    """Return what is forecast after each value, of shape (values, leads).

    Parameters
    ----------
    values
        Of shape (values,), oldest first.
    parameters
        alpha, beta, gamma, phi, of shape (4,).
    season
        Periods; 1 for none.
    kind
        0 without a season, 1 with one that is added, 2 with one that is a factor.
    leads
        Periods ahead.
    """
    alpha, beta, gamma, phi = parameters[0], parameters[1], parameters[2], parameters[3]
    told = np.zeros((len(values), leads))
    first = min(season, len(values))
    level = 0.0
    for at in range(first):
        level += values[at] / first
    trend = 0.0
    parts = np.zeros(season)
    for at in range(first):
        if kind == 1:
            parts[at] = values[at] - level
        elif kind == 2:
            parts[at] = values[at] / level
    for at in range(len(values)):
        place = at % season
        before = level + phi * trend
        if kind == 0:
            clean = values[at]
        elif kind == 1:
            clean = values[at] - parts[place]
        else:
            clean = values[at] / max(parts[place], 1e-6)
        new = alpha * clean + (1.0 - alpha) * before
        trend = beta * (new - level) + (1.0 - beta) * phi * trend
        level = new
        if kind == 1:
            parts[place] += gamma * (values[at] - before - parts[place])
        elif kind == 2 and abs(before) > 1e-9:
            parts[place] += gamma * (values[at] / before - parts[place])
        ahead, damped = level, phi
        for lead in range(leads):
            ahead += damped * trend
            damped *= phi
            part = parts[(at + 1 + lead) % season]
            told[at, lead] = ahead + part if kind == 1 else (ahead * part if kind == 2 else ahead)
    return told
