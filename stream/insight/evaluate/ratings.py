"""Ratings of a file, each foreseen before it is learned, in the order of their time.

Rules
-----
- All models are judged on the same ratings: all but the first.
- The batch reference is biased matrix factorisation by many passes over all ratings so far, begun
  anew whenever there are a third more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.config import ConfigError
from stream.insight.evaluate.dates import TICK, Tick, times_of
from stream.insight.evaluate.periods import finite
from stream.models.ratings import RatingModel
from stream.models.ratings.steps import descend, expected
from stream.reading.table import Table

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

MODELS: Final = ("model", "mean", "batch", "biases", "factors", "neighbours")
_PASSES: Final = 25
_SIZE: Final = 16
_PACE: Final = (0.01, 0.01, 0.02, 0.08)
_FIRST_FIT: Final = 200
_GROWTH: Final = 1.33
_CURVE: Final = 50


class Rating(NamedTuple):
    """A user's rating of an item, and when, in seconds."""

    time: float
    user: str
    item: str
    value: float


class Ratings(NamedTuple):
    """The ratings of a file in time order, and how many rows were left out."""

    ratings: list[Rating]
    left_out: int


def read_ratings(
    table: Table, wanted: tuple[str, str, str, str], tick: Tick = lambda done: None
) -> Ratings:
    """Return the ratings in a table, in time order.

    Parameters
    ----------
    table
        In any order; it is read twice.
    wanted
        Columns of user, item, rating and time.
    tick
        Told the bytes that were read, up to twice those of the table.

    Raises
    ------
    ConfigError
        If the table can't be read, or its times or ratings can't.
    """
    read = times_of(table, wanted[3], tick)
    ratings, left_out = [], 0
    for number, (user, item, value, when) in enumerate(table.cells(wanted)):
        if number % TICK == 0:
            tick(table.size + table.read)
        moment, rating = read(when), finite(value)
        if not user or not item or moment is None or rating is None:
            left_out += 1
        else:
            ratings.append(Rating(moment, user, item, rating))
    if len(ratings) < 2:
        raise ConfigError(
            f"--rating {wanted[2]}: fewer than two rows have a user, an item, a number and a time"
        )
    ratings.sort(key=lambda rating: rating.time)
    return Ratings(ratings, left_out + table.left_out.total())


class BatchFactors:
    """Biased matrix factorisation, fitted anew to all ratings so far now and then.

    Parameters
    ----------
    users, items, ratings
        Of all ratings in time order: numbers from 0, and values, each of shape (ratings,).
    seed
        Of the start and of the order of steps.
    """

    def __init__(self, users: Numbers, items: Numbers, ratings: Floats, seed: int = 0) -> None:
        self._users, self._items, self._ratings = users, items, ratings
        self._rng = np.random.default_rng(seed)
        self._due = _FIRST_FIT
        self._mean = 0.0
        self._sizes = int(users.max()) + 1, int(items.max()) + 1
        self._fresh()

    def _fresh(self) -> None:
        self._biases = tuple(np.zeros(size) for size in self._sizes)
        self._factors = tuple(self._rng.normal(0, 0.1, (size, _SIZE)) for size in self._sizes)

    def fit(self, count: int) -> None:
        """Fit to the first so many ratings, if that is due."""
        if count < self._due:
            return
        self._due = int(count * _GROWTH) + 1
        self._mean = float(self._ratings[:count].mean())
        self._fresh()
        parts = self._users, self._items, self._ratings
        for _ in range(_PASSES):
            order = self._rng.permutation(count)
            descend(*parts, order, self._mean, self._biases, self._factors, _PACE)

    def predict(self, at: int, mean: float) -> float:
        """Return what is expected of the rating of this number; the mean before the first fit."""
        if not self._mean:
            return mean
        user, item = int(self._users[at]), int(self._items[at])
        return expected(user, item, self._mean, self._biases, self._factors)


class RatingEvaluation:
    """One pass over the ratings of a file.

    Parameters
    ----------
    ratings
        In time order, at least two.
    model
        Under test.
    seed
        Of the batch reference.
    """

    def __init__(self, ratings: Ratings, model: RatingModel, seed: int = 0) -> None:
        self.ratings = ratings
        self.model = model
        rows = ratings.ratings
        self.users = {name: at for at, name in enumerate(dict.fromkeys(row.user for row in rows))}
        self.items = {name: at for at, name in enumerate(dict.fromkeys(row.item for row in rows))}
        self._truth = np.array([row.value for row in rows])
        self._told = np.zeros((len(rows), len(MODELS)))
        self._batch = BatchFactors(
            np.array([self.users[row.user] for row in rows]),
            np.array([self.items[row.item] for row in rows]),
            self._truth,
            seed,
        )

    def run(self) -> Iterator[int]:
        """Foresee and learn everything; yield the number of ratings done, now and then."""
        total, low, high = 0.0, np.inf, -np.inf
        for at, row in enumerate(self.ratings.ratings):
            if at:
                mean = total / at
                said = self.model.predict(row.user, row.item)
                self._batch.fit(at)
                batch = min(max(self._batch.predict(at, mean), low), high)
                self._told[at] = said[0], mean, batch, *said[1:]
            self.model.learn_one(row.user, row.item, row.value)
            total += row.value
            low, high = min(low, row.value), max(high, row.value)
            if at % 256 == 0:
                yield at
        yield len(self.ratings.ratings)

    def report(self) -> dict[str, Any]:
        """Return the result as plain values; see ``offerstream evaluate ratings``."""
        each = {name: self._marks(at) for at, name in enumerate(MODELS)}
        users, items = self.model.evicted()
        return {
            "ratings": len(self._truth),
            "left_out": self.ratings.left_out,
            "users": len(self.users),
            "items": len(self.items),
            **each.pop("model"),
            **each,
            "evicted": {"users": users, "items": items},
        }

    def _marks(self, at: int) -> dict[str, float]:
        off = self._told[1:, at] - self._truth[1:]
        half = off[len(off) // 2 :]
        return {
            "rmse": float(np.sqrt((off**2).mean())),
            "mae": float(np.abs(off).mean()),
            "rmse_last_half": float(np.sqrt((half**2).mean())),
        }

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Return the RMSE of each model over the tenth of the ratings before some points."""
        count = len(self._truth)
        window = max(1, count // 10)
        points = np.unique(np.linspace(min(window + 1, count), count, _CURVE).astype(int)).tolist()
        lines = {}
        for at, name in enumerate(MODELS):
            off = (self._told[:, at] - self._truth) ** 2
            lines[name] = [
                (float(p), float(np.sqrt(off[max(1, p - window) : p].mean()))) for p in points
            ]
        return lines
