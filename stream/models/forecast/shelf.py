"""Many series in bounded memory: the one that was longest without a value gives way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from stream.models.base.state import (
    State,
    StateError,
    StateValue,
    integer,
    nested,
    number,
    texts,
)
from stream.models.forecast.series import Forecast, SeriesForecaster


class SeriesShelf:
    """Forecasters of series by name.

    Parameters
    ----------
    seasons, leads, level
        Of each series; see `SeriesForecaster`.
    most
        Series that are kept.

    Attributes
    ----------
    evicted
        Series that gave way so far.

    Examples
    --------
    >>> shelf = SeriesShelf(most=2)
    >>> for name in ("shoes", "hats", "shoes", "ties"):
    ...     shelf.learn_one(name, 3.0)
    >>> shelf.names(), shelf.evicted, shelf.predict_one("shoes").value
    (['shoes', 'ties'], 1, 3.0)
    """

    def __init__(
        self, seasons: Sequence[int] = (1,), leads: int = 1, level: float = 0.9, most: int = 1000
    ) -> None:
        self.seasons = tuple(seasons)
        self.leads = leads
        self.level = level
        self.most = most
        self.evicted = 0
        self._series: OrderedDict[str, SeriesForecaster] = OrderedDict()

    def names(self) -> list[str]:
        """Return the names of the series, the one longest without a value first."""
        return list(self._series)

    def learn_one(self, name: str, y: float) -> None:
        """Learn the next value of a series; NaN where a period has none."""
        if name not in self._series:
            self._series[name] = SeriesForecaster(self.seasons, self.leads, self.level)
        self._series[name].learn_one(y)
        self._series.move_to_end(name)
        if len(self._series) > self.most:
            self._series.popitem(last=False)
            self.evicted += 1

    def predict_one(self, name: str) -> Forecast:
        """Return the forecast of the next period; of a series that is not known, 0."""
        return self.predict(name, 1)[0]

    def predict(self, name: str, horizon: int) -> list[Forecast]:
        """Return forecasts of the next periods, with intervals."""
        model = self._series.get(name)
        if model is None:
            model = SeriesForecaster()
        return model.predict(horizon)

    def best(self, name: str) -> str:
        """Return which candidate forecasts a series' next period; an empty text if none does."""
        model = self._series.get(name)
        return model.best() if model is not None and model.seen else ""

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {
            "seasons": np.array(self.seasons, dtype=np.int64),
            "leads": self.leads,
            "level": self.level,
            "most": self.most,
            "evicted": self.evicted,
            "names": list(self._series),
        }
        for at, model in enumerate(self._series.values()):
            state |= nested(f"series{at}", model.state())
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the shelf that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        fresh = SeriesForecaster.from_state
        seasons = state.get("seasons")
        if not isinstance(seasons, np.ndarray):
            raise StateError("seasons: expected an array")
        shelf = cls(
            tuple(seasons.tolist()),
            integer(state, "leads", 1, 10_000),
            number(state, "level"),
            integer(state, "most", 1, 10_000_000),
        )
        shelf.evicted = integer(state, "evicted", 0, 2**62)
        parts = _parts(state)
        for at, name in enumerate(texts(state, "names")):
            shelf._series[name] = fresh(parts.get(f"series{at}", {}))
        return shelf


def _parts(state: Mapping[str, StateValue]) -> dict[str, State]:
    """Return the parts of a state by their names, in one pass: there may be thousands."""
    parts: dict[str, State] = {}
    for key, value in state.items():
        name, dot, rest = key.partition(".")
        if dot:
            parts.setdefault(name, {})[rest] = value
    return parts
