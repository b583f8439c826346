"""Intervals that hold their coverage, however the series drifts: adaptive conformal inference.

Rules
-----
- An interval is the forecast and a width to both sides: a quantile of the latest absolute errors of
  this lead. Which quantile, is what adapts: a miss widens, a hit narrows, so that in the long run
  the share of misses is what was asked for, whatever the errors do [1]_.
- Where the quantile asked for is beyond the largest error, the width goes on growing: that is what
  makes the promise hold where errors grow.
- Until `LEAST` errors of a lead are known, it has no interval.

References
----------
.. [1] Gibbs and Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021.
.. [2] Angelopoulos, Candès and Tibshirani, "Conformal PID control for time series prediction",
   NeurIPS 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Self

import numpy as np

from stream.models.base.state import State, StateValue, array, integer, number

LEAST: Final = 9  # with fewer errors, there is no quantile of 90 %
_BEYOND: Final = 4.0  # how fast a width grows beyond the largest error


class ConformalIntervals:
    """Half-widths of intervals, for each lead.

    Parameters
    ----------
    leads
        How far forecasts reach, in periods.
    level
        Share of the values that shall lie within, in (0, 1).
    window
        Errors of each lead that are looked back on.
    step
        How far a miss moves the quantile, over 0.

    Examples
    --------
    >>> intervals = ConformalIntervals()
    >>> for n in range(200):
    ...     intervals.learn_one(0, float(n % 10))
    >>> intervals.width(0) in (8.0, 9.0)
    True
    """

    def __init__(
        self, leads: int = 1, level: float = 0.9, window: int = 100, step: float = 0.02
    ) -> None:
        self.leads = leads
        self.level = level
        self.window = window
        self.step = step
        self._errors = np.zeros((leads, window))
        self._seen = np.zeros(leads, dtype=np.int64)
        self._missing = np.full(leads, 1.0 - level)

    def width(self, lead: int) -> float:
        """Return the half-width for a lead, from 0; NaN before it is known."""
        seen = int(self._seen[lead])
        if seen < LEAST:
            return math.nan
        kept = np.sort(self._errors[lead, : min(seen, self.window)])
        wanted = 1.0 - float(self._missing[lead])
        rank = math.ceil(wanted * (len(kept) + 1))
        if rank <= 0:
            return 0.0
        if rank <= len(kept):
            return float(kept[rank - 1])
        over = max(0.0, wanted - len(kept) / (len(kept) + 1))
        return float(kept[-1]) * (1.0 + _BEYOND * over)

    def learn_one(self, lead: int, error: float, width: float | None = None) -> None:
        """Learn how far a forecast was off.

        Parameters
        ----------
        lead
            Of the forecast, from 0.
        error
            Absolute, at least 0.
        width
            That was given with the forecast; None for that of now.
        """
        given = self.width(lead) if width is None else width
        if not math.isnan(given):
            missed = 1.0 if error > given else 0.0
            pull = self.step * (missed - (1.0 - self.level))
            self._missing[lead] = min(1.5, max(-4.0, self._missing[lead] - pull))
        self._errors[lead, self._seen[lead] % self.window] = error
        self._seen[lead] += 1

    def state(self) -> State:
        """Return all that the future depends on."""
        return {
            "leads": self.leads,
            "level": self.level,
            "window": self.window,
            "step": self.step,
            "errors": self._errors.copy(),
            "seen": self._seen.copy(),
            "missing": self._missing.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return what `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        model = cls(
            integer(state, "leads", 1, 10_000),
            number(state, "level"),
            integer(state, "window", 1, 100_000),
            number(state, "step"),
        )
        shape = model._errors.shape
        model._errors = array(state, "errors", np.float64, shape)
        model._seen = array(state, "seen", np.int64, shape[:1])
        model._missing = array(state, "missing", np.float64, shape[:1])
        return model
