"""Forecasts of a file's series, each made before its value is known, beside two references.

Rules
-----
- All are judged on the same periods: those after the first season, which the seasonal naive needs.
- MASE [1]_ divides the mean absolute error by that of the seasonal naive, one step ahead, on the
  same series; sMAPE is in percent, 0 … 200. Both are means over series.
- The batch reference is refitted on all of the past: as often as `REFITS` allow, spread evenly. In
  the first two seasons it is the seasonal naive.
- An interval counts in the coverage from the first that is given on.

References
----------
.. [1] Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal
   of Forecasting 22(4), 2006.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.insight.evaluate.exponential import fitted, smoothed
from stream.insight.evaluate.periods import Series, SeriesTable
from stream.models.forecast import SeriesForecaster

Floats = npt.NDArray[np.float64]

LEVEL: Final = 0.9
REFITS: Final = 60  # of the batch reference, a series; fewer where there are many series
_ALL_REFITS: Final = 3_000
_SHOWN: Final = 120  # periods of the chart


class Judged(NamedTuple):
    """What came of one series: errors by model, and who made the forecasts."""

    name: str
    periods: int
    mase: dict[str, float]
    smape: dict[str, float]
    covered: int
    intervals: int
    best: str


class ForecastEvaluation:
    """One pass over every series of a file.

    Parameters
    ----------
    table
        The series.
    horizon
        Periods ahead that are forecast, at least 1.
    """

    def __init__(self, table: SeriesTable, horizon: int = 1) -> None:
        self.table = table
        self.horizon = horizon
        self.season = table.period.seasons[0]
        self.judged: list[Judged] = []
        self.too_short = 0
        self.chosen: Counter[str] = Counter()
        self.chart: dict[str, list[tuple[float, float]]] = {}

    @property
    def total(self) -> int:
        """Periods of all series."""
        return sum(len(one.values) for one in self.table.series)

    def run(self) -> Iterator[int]:
        """Forecast and learn everything; yield the number of periods done, now and then."""
        done = 0
        for series in self.table.series:
            if np.isfinite(series.values).sum() < self.season + 3:
                self.too_short += 1
            else:
                for at in self._judge(series):
                    yield done + at
            done += len(series.values)
            yield done

    def _judge(self, series: Series) -> Iterator[int]:
        values, horizon = series.values, self.horizon
        model = SeriesForecaster(self.table.period.seasons, horizon, LEVEL)
        told = np.full((len(values), horizon, 3), np.nan)  # after each value
        for at, value in enumerate(values.tolist()):
            model.learn_one(value)
            told[at] = model.predict(horizon)
            self.chosen[model.best() if model.seen else "naive_1"] += 1
            if at % 64 == 0:
                yield at
        models = {
            "model": told[:, :, 0],
            "seasonal_naive": self._naive(values),
            "batch": self._batch(values),
        }
        self._keep(series, models, told, model.best() if model.seen else "naive_1")

    def _naive(self, values: Floats) -> Floats:
        filled = _filled(values)
        told = np.full((len(values), self.horizon), np.nan)
        for lead in range(self.horizon):
            back = self.season - 1 - lead % self.season
            told[back:, lead] = filled[: len(values) - back]
        return told

    def _batch(self, values: Floats) -> Floats:
        filled = _filled(values)
        told = self._naive(values)  # while there are not two seasons to fit to
        allowed = max(3, min(REFITS, _ALL_REFITS // len(self.table.series)))
        first = min(2 * self.season + 1, len(values))
        starts = np.unique(np.linspace(first, len(values), allowed + 1).astype(int))
        for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            fit = fitted(filled[:start], self.table.period.seasons)
            made = smoothed(filled[:end], fit.parameters, fit.season, fit.kind, self.horizon)
            told[start - 1 : end] = made[start - 1 : end]
        return told

    def _keep(self, series: Series, models: dict[str, Floats], told: Floats, best: str) -> None:
        truth = _truth(series.values, self.horizon)
        judged = np.isfinite(truth)
        judged[: self.season - 1] = False
        for made in models.values():
            judged &= np.isfinite(made)
        scale = _scale(series.values, self.season)
        if not judged.any():
            self.too_short += 1
            return
        mase = {name: _mean_error(made, truth, judged) / scale for name, made in models.items()}
        smape = {name: _percentage(made, truth, judged) for name, made in models.items()}
        given = judged & np.isfinite(told[:, :, 1])
        inside = (told[:, :, 1] <= truth) & (truth <= told[:, :, 2])
        counts = int(inside[given].sum()), int(given.sum())
        size = int(np.isfinite(series.values).sum())
        self.judged.append(Judged(series.name, size, mase, smape, *counts, best))
        if not self.chart:
            self._draw(series, told)

    def _draw(self, series: Series, told: Floats) -> None:
        last = range(max(0, len(series.values) - 1 - _SHOWN), len(series.values) - 1)
        lines = {"value": [(float(at + 1), float(series.values[at + 1])) for at in last]}
        for name, part in (("forecast", 0), ("90 %, low", 1), ("90 %, high", 2)):
            lines[name] = [(float(at + 1), float(told[at, 0, part])) for at in last]
        self.chart = lines

    def report(self) -> dict[str, Any]:
        """Return the result as plain values; see ``offerstream evaluate forecast``."""
        intervals = sum(one.intervals for one in self.judged)
        covered = sum(one.covered for one in self.judged)
        return {
            "period": self.table.period.name,
            "seasons": list(self.table.period.seasons),
            "horizon": self.horizon,
            "rows": self.table.rows,
            "left_out": self.table.left_out,
            "series": len(self.judged),
            "too_short": self.too_short,
            **self._means("model"),
            "coverage": covered / intervals if intervals else None,
            "level": LEVEL,
            "intervals": intervals,
            "seasonal_naive": self._means("seasonal_naive"),
            "batch": self._means("batch"),
            "chosen": dict(self.chosen.most_common()),
            "by_series": [_one(each) for each in self.judged[:100]],
        }

    def _means(self, model: str) -> dict[str, float | None]:
        scaled = [one.mase[model] for one in self.judged if math.isfinite(one.mase[model])]
        shares = [one.smape[model] for one in self.judged]
        return {
            "mase": sum(scaled) / len(scaled) if scaled else None,
            "smape": sum(shares) / len(shares) if shares else None,
        }


def _one(judged: Judged) -> dict[str, Any]:
    mase = judged.mase["model"]
    return {
        "name": judged.name,
        "periods": judged.periods,
        "mase": mase if math.isfinite(mase) else None,
        "smape": judged.smape["model"],
        "coverage": judged.covered / judged.intervals if judged.intervals else None,
        "best": judged.best,
    }


def _truth(values: Floats, horizon: int) -> Floats:
    """Return what came 1, 2, … periods after each, of shape (values, horizon); NaN for nothing."""
    truth = np.full((len(values), horizon), np.nan)
    for lead in range(min(horizon, len(values) - 1)):
        truth[: len(values) - 1 - lead, lead] = values[1 + lead :]
    return truth


def _filled(values: Floats) -> Floats:
    """Return the values with each gap filled by what was before it."""
    known = np.isfinite(values)
    latest = np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))
    return np.nan_to_num(values[latest])


def _scale(values: Floats, season: int) -> float:
    """Return the mean absolute error of the seasonal naive; NaN if that is never wrong."""
    steps = np.abs(values[season:] - values[:-season])
    steps = steps[np.isfinite(steps)]
    mean = float(steps.mean()) if len(steps) else 0.0
    return mean if mean > 0 else math.nan


def _mean_error(told: Floats, truth: Floats, judged: npt.NDArray[np.bool_]) -> float:
    return float(np.abs(told[judged] - truth[judged]).mean())


def _percentage(told: Floats, truth: Floats, judged: npt.NDArray[np.bool_]) -> float:
    gaps = np.abs(told[judged] - truth[judged])
    sizes = np.abs(told[judged]) + np.abs(truth[judged])
    return float(200.0 * np.divide(gaps, sizes, out=np.zeros_like(gaps), where=sizes > 0).mean())
