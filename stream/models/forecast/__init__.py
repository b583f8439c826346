"""Forecasts of many series: several models each, the best by prequential error, with intervals."""

from stream.models.forecast.intervals import ConformalIntervals
from stream.models.forecast.series import Forecast, SeriesForecaster
from stream.models.forecast.shelf import SeriesShelf

__all__ = ["ConformalIntervals", "Forecast", "SeriesForecaster", "SeriesShelf"]
