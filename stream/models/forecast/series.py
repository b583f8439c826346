"""One series: candidates that all forecast it, of which the best does so, with intervals.

Rules
-----
- Each period every candidate forecasts all leads; when a value comes, it is the truth of what was
  forecast one, two, … periods before. So all errors are of values not yet seen (prequential).
- For each lead that candidate answers whose error was least lately, held against the seasonal
  naive's where it was seen for less than a season; `blend` is one of them: the
  mean of all, each weighed by its error.
- Values are divided by the mean size of the first season, so that no unit is too large or small.
- A forecast that leaves what was seen by more than its whole range is cut there, and at zero
  where no value was ever less.
- A period without a value (NaN) is passed over: what was forecast stands in for it.

References
----------
Bates and Granger, "The combination of forecasts", Operational Research Quarterly 20(4), 1969.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from river import time_series

from stream.models.base.state import (
    State,
    StateError,
    StateValue,
    array,
    integer,
    nested,
    number,
    part_of,
)
from stream.models.forecast.candidates import Forecaster, candidates, is_factor
from stream.models.forecast.intervals import ConformalIntervals

Floats = npt.NDArray[np.float64]

BLEND = "blend"
_SHARP = 3.0  # how much more a better candidate counts in the blend
_TINY = 1e-12
_HUGE = 1e15


class Forecast(NamedTuple):
    """What is expected of a period, and between which bounds; NaN for what is not known yet."""

    value: float
    low: float
    high: float


class SeriesForecaster(time_series.base.Forecaster):
    """A forecaster that has several, and answers with the best of the recent past.

    Parameters
    ----------
    seasons
        Periods of each season that the series may have, the usual one first.
    leads
        How far forecasts are judged, in periods, at least 1.
    level
        Share of the values that shall lie within the intervals, in (0, 1).

    Attributes
    ----------
    seen
        Values learned.

    Examples
    --------
    >>> model = SeriesForecaster(seasons=(4,))
    >>> for n in range(40):
    ...     model.learn_one([10.0, 20.0, 30.0, 25.0][n % 4])
    >>> [round(value) for value in model.forecast(4)]
    [10, 20, 30, 25]
    """

    def __init__(self, seasons: Sequence[int] = (1,), leads: int = 1, level: float = 0.9) -> None:
        self.seasons = tuple(seasons)
        self.leads = leads
        self.level = level
        self.seen = 0
        self._candidates: dict[str, Forecaster] = candidates(self.seasons)
        self.names = [*self._candidates, BLEND]
        self._kept = 1.0 - 1.0 / max(40, 3 * self.seasons[0])
        self._positive = True
        self._first: list[float] = []  # until the scale is known
        self._scale = 0.0
        self._low, self._high, self._last = math.inf, -math.inf, 0.0
        shape = (len(self.names), leads)
        self._loss, self._weight = np.zeros(shape), np.zeros(shape)
        self._told = np.full((leads, *shape), np.nan)  # the latest forecasts of all, by period
        self._given = np.full((leads, leads, 2), np.nan)  # what was answered, and its half-width
        self._intervals = ConformalIntervals(leads, level)

    def learn_one(self, y: float, x: dict[Any, Any] | None = None) -> None:
        """Learn the value of the next period; NaN where there is none."""
        value = float(y)
        if not self._scale:
            self._begin(value)
            return
        if math.isfinite(value):
            scaled = max(-_HUGE, min(_HUGE, value / self._scale))
            self._judge(scaled)
            self._low, self._high = min(self._low, scaled), max(self._high, scaled)
            self._last = scaled
        else:
            scaled = self._stand_in()
        self._take(scaled)

    def _begin(self, value: float) -> None:
        """Keep values until the scale is known; then learn them all."""
        self._first.append(value)
        sizes = [abs(one) for one in self._first if math.isfinite(one)]
        if len(self._first) >= self.seasons[0] and sum(sizes) > 0:
            self._scale = min(max(sum(sizes) / len(sizes), 1e-300), 1e300)
            kept, self._first = self._first, []
            for one in kept:
                self.learn_one(one)
        elif len(self._first) > 4 * self.seasons[0]:
            self._first.pop(0)  # nothing but zeros

    def _judge(self, scaled: float) -> None:
        """Learn what forecasts of this period were worth."""
        for lead in range(self.leads):
            at = (self.seen - 1 - lead) % self.leads
            told = self._told[at, :, lead]
            known = np.isfinite(told)
            if not known.any():
                continue
            lost = np.abs(told[known] - scaled)
            self._loss[known, lead] = self._kept * self._loss[known, lead] + lost
            self._weight[known, lead] = self._kept * self._weight[known, lead] + 1.0
            answer, width = self._given[at, lead]
            if math.isfinite(answer):
                self._intervals.learn_one(lead, abs(answer - scaled), width)

    def _stand_in(self) -> float:
        told = float(self._given[(self.seen - 1) % self.leads, 0, 0]) if self.seen else math.nan
        return told if math.isfinite(told) else self._last

    def _take(self, scaled: float) -> None:
        """Have all candidates learn a value, and forecast what follows it."""
        self._positive = self._positive and scaled > 0
        for candidate in self._candidates.values():
            if self._positive or not is_factor(candidate):
                candidate.learn_one(scaled)
        at = self.seen % self.leads
        self.seen += 1
        self._told[at] = self._forecasts(self.leads)
        for lead in range(self.leads):
            best = self._best(lead, self._told[at, :, lead])
            self._given[at, lead] = self._told[at, best, lead], self._intervals.width(lead)

    def _forecasts(self, leads: int) -> Floats:
        """Return what each candidate forecasts, and the blend, of shape (names, leads)."""
        room = max(self._high - self._low, 0.0)
        told = np.full((len(self.names), leads), np.nan)
        for row, candidate in enumerate(self._candidates.values()):
            if self._positive or not is_factor(candidate):
                told[row] = candidate.forecast(leads)
        told[~np.isfinite(told)] = np.nan
        if math.isfinite(room):
            told = np.clip(told, self._floor(self._low - room), self._high + room)
        for lead in range(leads):
            told[-1, lead] = self._blended(min(lead, self.leads - 1), told[:-1, lead])
        return told

    def _floor(self, low: float) -> float:
        """Return a bound from below: 0 where no value was ever less."""
        return max(0.0, low) if self._low >= 0 else low

    def _blended(self, lead: int, told: Floats) -> float:
        known = np.isfinite(told) & (self._weight[:-1, lead] > 0)
        if not known.any():
            return math.nan
        errors = self._loss[:-1, lead][known] / self._weight[:-1, lead][known]
        shares = ((errors.min() + _TINY) / (errors + _TINY)) ** _SHARP
        return float(told[known] @ shares / shares.sum())

    def _best(self, lead: int, told: Floats) -> int:
        """Return the row that has erred least at a lead, of those that can tell; 0 if none has."""
        weight = self._weight[:, lead]
        known = np.isfinite(told) & (weight > 0)
        if not known.any():
            able = np.flatnonzero(np.isfinite(told))
            return int(able[0]) if len(able) else 0
        if not known[0] and math.isfinite(told[0]):
            return 0
        # who has been seen for a part of a season only may just have been lucky
        usual = self._loss[0, lead] / weight[0] if known[0] else 0.0
        doubt = max(2.0, self.seasons[0] / 2)
        errors = np.full(len(told), np.inf)
        errors[known] = (self._loss[known, lead] + doubt * usual) / (weight[known] + doubt)
        return int(errors.argmin())

    def forecast(self, horizon: int, xs: list[dict[Any, Any]] | None = None) -> list[float]:
        """Return the values expected of the next periods; 0 before the first was learned."""
        return [told.value for told in self.predict(horizon)]

    def predict(self, horizon: int) -> list[Forecast]:
        """Return forecasts of the next periods, with intervals.

        A lead beyond `leads` is answered by who answers the last of them, and has its width.
        """
        if not self.seen:
            known = [one for one in self._first if math.isfinite(one)]
            return [Forecast(known[-1] if known else 0.0, math.nan, math.nan)] * horizon
        told = self._forecasts(horizon)
        answers = []
        for lead in range(horizon):
            judged = min(lead, self.leads - 1)
            value = float(told[self._best(judged, told[:, lead]), lead])
            value = self._last if math.isnan(value) else value
            width = self._intervals.width(judged)
            bounds = value, self._floor(value - width), value + width
            answers.append(Forecast(*(bound * self._scale for bound in bounds)))
        return answers

    def best(self, lead: int = 0) -> str:
        """Return the name of the candidate that answers a lead, from 0."""
        at = (self.seen - 1) % self.leads
        return self.names[self._best(lead, self._told[at, :, lead])]

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {
            "seasons": np.array(self.seasons, dtype=np.int64),
            "leads": self.leads,
            "level": self.level,
            "seen": self.seen,
            "positive": int(self._positive),
            "first": np.array([one if math.isfinite(one) else _HOLE for one in self._first]),
            "scale": self._scale,
            "range": np.array([self._low, self._high, self._last] if self.seen else []),
            "loss": self._loss.copy(),
            "weight": self._weight.copy(),
            "told": np.where(np.isfinite(self._told), self._told, _HOLE),
            "given": np.where(np.isfinite(self._given), self._given, _HOLE),
            **nested("intervals", self._intervals.state()),
        }
        for row, candidate in enumerate(self._candidates.values()):
            state |= nested(f"candidate{row}", candidate.state())
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the forecaster that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        seasons = state.get("seasons")
        if not isinstance(seasons, np.ndarray) or not 1 <= seasons.size <= 4:
            raise StateError("seasons: expected one to four")
        if seasons.dtype != np.int64 or not 1 <= seasons.min() <= seasons.max() <= 100_000:
            raise StateError("seasons: expected numbers of periods")
        leads = integer(state, "leads", 1, 10_000)
        model = cls(tuple(seasons.tolist()), leads, number(state, "level"))
        model.seen = integer(state, "seen", 0, 2**62)
        model._positive = bool(integer(state, "positive", 0, 1))
        model._scale = number(state, "scale")
        model._first = _holes(array(state, "first", np.float64, _shape(state, "first"))).tolist()
        model._restore(state)
        return model

    def _restore(self, state: Mapping[str, StateValue]) -> None:
        if self.seen:
            self._low, self._high, self._last = array(state, "range", np.float64, (3,)).tolist()
        shape = self._loss.shape
        self._loss = array(state, "loss", np.float64, shape)
        self._weight = array(state, "weight", np.float64, shape)
        self._told = _holes(array(state, "told", np.float64, self._told.shape))
        self._given = _holes(array(state, "given", np.float64, self._given.shape))
        self._intervals = ConformalIntervals.from_state(part_of(state, "intervals"))
        if self._intervals.leads != self.leads:
            raise StateError("intervals: not of as many leads")
        for row, candidate in enumerate(self._candidates.values()):
            candidate.restore(part_of(state, f"candidate{row}"))


_HOLE = -1.7e308  # stands for NaN in a state, which holds finite numbers only


def _holes(values: Floats) -> Floats:
    return np.where(values == _HOLE, np.nan, values)


def _shape(state: Mapping[str, StateValue], name: str) -> tuple[int, ...]:
    value = state.get(name)
    return value.shape if isinstance(value, np.ndarray) and value.ndim == 1 else (0,)
