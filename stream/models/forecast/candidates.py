"""What may forecast a series: seasonal naive and median, and river's Holt-Winters and SNARIMAX.

Rules
-----
- A candidate is a river forecaster, of which the state can be taken as plain values and put back.
- What has not seen enough to forecast answers NaN: it is then no candidate.
- Holt-Winters begins with what one season says, and again, better, with what two say: river's own
  beginning takes the rise within a season for the trend.

References
----------
Holt, "Forecasting seasonals and trends by exponentially weighted moving averages", ONR 52, 1957.
Winters, "Forecasting sales by exponentially weighted moving averages", Management Science 6, 1960.
Anava, Hazan, Mannor and Shamir, "Online learning for time series prediction", COLT 2013.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from river import time_series

from stream.models.base.least_squares import RecursiveLeastSquares
from stream.models.base.state import (
    State,
    StateError,
    StateValue,
    array,
    length,
    nested,
    part_of,
)

_LONG = 60  # periods: of a longer season no lag of its own is learned


class Forecaster(Protocol):
    """A forecaster whose state can be taken and put back."""

    def learn_one(self, y: float, x: dict[Any, Any] | None = None) -> None:
        """Learn the next value."""

    def forecast(self, horizon: int, xs: list[dict[Any, Any]] | None = None) -> list[float]:
        """Return the next values expected; NaN where nothing can be told yet."""

    def state(self) -> State:
        """Return all that the future depends on."""

    def restore(self, state: Mapping[str, StateValue]) -> None:
        """Go on from what `state` returned of a like candidate."""


class SeasonalNaive(time_series.base.Forecaster):
    """The value of one season ago; of one period ago where there is no season.

    Parameters
    ----------
    season
        Periods, at least 1.

    Examples
    --------
    >>> model = SeasonalNaive(season=2)
    >>> for y in (1.0, 5.0, 2.0):
    ...     model.learn_one(y)
    >>> model.forecast(3)
    [5.0, 2.0, 5.0]
    """

    def __init__(self, season: int = 1) -> None:
        self.season = season
        self._last: deque[float] = deque(maxlen=season)

    def learn_one(self, y: float, x: dict[Any, Any] | None = None) -> None:
        """Learn the next value."""
        self._last.append(float(y))

    def forecast(self, horizon: int, xs: list[dict[Any, Any]] | None = None) -> list[float]:
        """Return the next values; NaN within the first season."""
        if len(self._last) < self.season:
            return [math.nan] * horizon
        return [self._last[lead % self.season] for lead in range(horizon)]

    def state(self) -> State:
        """Return the last season."""
        return {"last": np.array(self._last, dtype=np.float64)}

    def restore(self, state: Mapping[str, StateValue]) -> None:
        """Go on from a last season."""
        self._last.clear()
        self._last.extend(_most(state, "last", self.season))


class SeasonalMedian(time_series.base.Forecaster):
    """The median of the same period of the last seasons: what demand mostly is, if that is nothing.

    Parameters
    ----------
    season
        Periods, at least 1.
    seasons
        How many are looked back on.

    Examples
    --------
    >>> model = SeasonalMedian(season=1, seasons=5)
    >>> for y in (0.0, 0.0, 9.0, 0.0):
    ...     model.learn_one(y)
    >>> model.forecast(2)
    [0.0, 0.0]
    """

    def __init__(self, season: int = 1, seasons: int = 7) -> None:
        self.season = season
        self.seasons = seasons
        self._last: deque[float] = deque(maxlen=season * seasons)

    def learn_one(self, y: float, x: dict[Any, Any] | None = None) -> None:
        """Learn the next value."""
        self._last.append(float(y))

    def forecast(self, horizon: int, xs: list[dict[Any, Any]] | None = None) -> list[float]:
        """Return the next values; NaN within the first two seasons."""
        if len(self._last) < 2 * self.season:
            return [math.nan] * horizon
        values, told = list(self._last), list[float]()
        for lead in range(min(horizon, self.season)):
            told.append(statistics.median(values[lead - self.season :: -self.season]))
        return [told[lead % self.season] for lead in range(horizon)]

    def state(self) -> State:
        """Return the last seasons."""
        return {"last": np.array(self._last, dtype=np.float64)}

    def restore(self, state: Mapping[str, StateValue]) -> None:
        """Go on from last seasons."""
        self._last.clear()
        self._last.extend(_most(state, "last", self.season * self.seasons))


class Smoothing(time_series.HoltWinters):
    """River's Holt-Winters, with a better beginning, and a state of plain values.

    Parameters
    ----------
    alpha, beta, gamma
        Of level, trend and season, in (0, 1).
    seasonality
        Periods; 0 for none.
    multiplicative
        Whether the season is a factor: for values over zero only.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float | None = 0.01,
        gamma: float | None = None,
        seasonality: int = 0,
        multiplicative: bool = False,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            alpha, beta, gamma, seasonality, multiplicative
        )
        self._early: list[float] = []
        self._begun = False

    def learn_one(self, y: float, x: dict[Any, Any] | None = None) -> None:
        """Learn the next value."""
        if self._initialized:
            super().learn_one(float(y))  # type: ignore[no-untyped-call]
        if not self._begun:
            span = max(2, self.seasonality)
            self._early.append(float(y))
            if len(self._early) in (span, 2 * span):
                self._begin(np.array(self._early), span)

    def _begin(self, values: Any, span: int) -> None:
        """Set level, trend and season from one or two seasons."""
        means = values.reshape(-1, span).mean(axis=1)
        trend = (means[-1] - means[0]) / span if self.trend is not None else 0.0
        middles = means[0] + trend * (np.arange(len(values)) - (span - 1) / 2)
        self.level.extend([float(middles[-1])] * 2)
        if self.trend is not None:
            self.trend.extend([float(trend)] * 2)
        if self.season is not None:
            gaps = values / middles if self.multiplicative else values - middles
            self.season.extend(gaps.reshape(-1, span).mean(axis=0).tolist())
        self._initialized = True
        if len(values) == 2 * span:
            self._early, self._begun = [], True

    def forecast(self, horizon: int, xs: list[dict[Any, Any]] | None = None) -> list[float]:
        """Return the next values; NaN within the first season."""
        if not self._initialized:
            return [math.nan] * horizon
        told: list[float] = super().forecast(horizon)  # type: ignore[no-untyped-call]
        return told

    def state(self) -> State:
        """Return the components."""
        return {
            "early": np.array(self._early, dtype=np.float64),
            **{name: np.array(part, dtype=np.float64) for name, part in self._parts().items()},
        }

    def restore(self, state: Mapping[str, StateValue]) -> None:
        """Go on from components."""
        span = max(2, self.seasonality)
        self._early = _most(state, "early", 2 * span)
        for name, part in self._parts().items():
            part.clear()
            part.extend(_most(state, name, part.maxlen))
        self._initialized = bool(self.level)
        self._begun = self._initialized and not self._early

    def _parts(self) -> dict[str, Any]:
        parts = {"level": self.level, "trend": self.trend, "season": self.season}
        return {name: part for name, part in parts.items() if part is not None}


class Regression(time_series.SNARIMAX):
    """River's SNARIMAX on recursive least squares, with a state of plain values.

    Parameters
    ----------
    p, d
        Lags, and differences.
    m, sp, sd
        Periods of a season; seasonal lags, and seasonal differences.
    memory
        Share of what was known that a period leaves, in (0, 1].
    """

    def __init__(
        self, p: int = 1, d: int = 0, m: int = 1, sp: int = 0, sd: int = 0, memory: float = 0.998
    ) -> None:
        super().__init__(p, d, 0, m, sp, sd, 0, RecursiveLeastSquares(memory))
        self.memory = memory

    def forecast(self, horizon: int, xs: list[dict[Any, Any]] | None = None) -> list[float]:
        """Return the next values; NaN before a season and twice its lags were seen."""
        if len(self.y_hist) < (self.y_hist.maxlen or 0) or len(self.y_diff) < self.p + self.sp + 4:
            return [math.nan] * horizon
        told: list[float] = super().forecast(horizon)  # type: ignore[no-untyped-call]
        return told

    def state(self) -> State:
        """Return what was seen, and what is known."""
        assert isinstance(self.regressor, RecursiveLeastSquares)
        return {
            "seen": np.array(self.y_hist, dtype=np.float64),
            "differences": np.array(self.y_diff, dtype=np.float64),
            **nested("regressor", self.regressor.state()),
        }

    def restore(self, state: Mapping[str, StateValue]) -> None:
        """Go on from what was seen and known."""
        for name, held in (("seen", self.y_hist), ("differences", self.y_diff)):
            held.clear()
            held.extend(_most(state, name, held.maxlen or 0))
        self.regressor = RecursiveLeastSquares.from_state(part_of(state, "regressor"))


def candidates(seasons: Sequence[int]) -> dict[str, Forecaster]:
    """Return fresh candidates, by name; the seasonal naive of the first season is the first.

    Parameters
    ----------
    seasons
        Periods of each season that a series may have, the usual one first; (1,) for none.
    """
    chosen: dict[str, Forecaster] = {}
    for season in seasons:
        chosen[f"naive_{season}"] = SeasonalNaive(season)
    chosen.setdefault("naive_1", SeasonalNaive(1))
    chosen["median"] = SeasonalMedian(1, 28)
    for alpha, beta in ((0.1, None), (0.3, None), (0.3, 0.05), (0.6, 0.1)):
        chosen[f"smoothing_{alpha}_{beta or 0}"] = Smoothing(alpha, beta)
    chosen["regression"] = Regression(p=3)
    chosen["regression_d"] = Regression(p=3, d=1)
    for season in seasons:
        if season > 1:
            chosen |= _seasonal(season)
    return chosen


def _seasonal(season: int) -> dict[str, Forecaster]:
    chosen: dict[str, Forecaster] = {f"median_{season}": SeasonalMedian(season, 7)}
    for alpha, beta, gamma in ((0.1, 0.005, 0.1), (0.3, 0.01, 0.2), (0.5, 0.05, 0.4)):
        for kind, factor in (("add", False), ("mul", True)):
            name = f"holt_winters_{season}_{kind}_{alpha}"
            chosen[name] = Smoothing(alpha, beta, gamma, season, factor)
    lags = 1 if season <= _LONG else 0
    chosen[f"snarimax_{season}"] = Regression(p=3, m=season, sp=lags, sd=1)
    chosen[f"snarimax_{season}_d"] = Regression(p=3, d=1, m=season, sp=lags, sd=1)
    return chosen


def is_factor(candidate: Forecaster) -> bool:
    """Return whether a candidate is for values over zero only."""
    return isinstance(candidate, Smoothing) and candidate.multiplicative


def _most(state: Mapping[str, StateValue], name: str, most: int) -> list[float]:
    size = length(state, name)
    if size > most:
        raise StateError(f"{name}: more than {most} values")
    values: list[float] = array(state, name, np.float64, (size,)).tolist()
    return values
