"""How close incremental segments come to batch k-means, whatever the order of the points.

Rules
-----
- The points are learned one by one, each once, in several shuffled orders; then the inertia of all
  points around the centres is compared with that of batch k-means++, the best of twenty starts.
- The ratio is 1 if the stream lost nothing by seeing each point once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stream.config import ConfigError
from stream.models.segments.kmeans import IncrementalKMeans
from stream.models.segments.lloyd import Points, best_of, inertia
from stream.reading.format import FileFormat
from stream.reading.inputs import told
from stream.reading.source import InputSource
from stream.reading.table import Table as Rows
from stream.reading.table import text_of

BATCH_STARTS = 20
CURVE_POINTS = 50


class PointTable(NamedTuple):
    """Points, and how many rows were left out because a cell was no finite number."""

    points: Points
    left_out: int


def read_points(
    found: Sequence[InputSource], columns: Sequence[str], file: FileFormat | None = None
) -> PointTable:
    """Return the points in some columns of files.

    Raises
    ------
    ConfigError
        If a file can't be read, or has no such column, or no such points.
    """
    table = Rows(found, file or FileFormat(), columns)
    rows, left_out = [], 0
    for row in table:
        point = _point(row, columns)
        if point is None:
            left_out += 1
        else:
            rows.append(point)
    if not rows:
        raise ConfigError(f"{told(found)}: no row has numbers in all of {', '.join(columns)}")
    return PointTable(np.array(rows), left_out + table.left_out.total())


def _point(row: Mapping[str, Any], columns: Sequence[str]) -> list[float] | None:
    try:
        point = [float(text_of(row.get(name))) for name in columns]
    except ValueError:
        return None
    return point if all(map(math.isfinite, point)) else None


def log_scaled(points: Points) -> Points:
    """Return sign(x) ln(1 + abs(x)) of all coordinates: money and counts as people compare them.

    Examples
    --------
    >>> log_scaled(np.array([[0.0, -9.0]])).round(2).tolist()
    [[0.0, -2.3]]
    """
    scaled: Points = np.sign(points) * np.log1p(np.abs(points))
    return scaled


def standardised(points: Points) -> Points:
    """Return all coordinates less their mean, in standard deviations."""
    spread = points.std(axis=0)
    scaled: Points = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled


class Comparison:
    """Incremental k-means in several orders, beside batch k-means++.

    Parameters
    ----------
    points
        Of shape (points, coordinates).
    k
        Number of segments.
    seed
        Of the batch's seeding and of the orders.
    """

    def __init__(self, points: Points, k: int, seed: int = 0) -> None:
        self.points = points
        self.k = k
        self.seed = seed
        everything = np.ones(len(points))
        rng = np.random.default_rng([seed, 0])
        self.batch_centres = best_of(points, everything, k, BATCH_STARTS, rng)
        self.batch = inertia(points, self.batch_centres)
        self.ratios: list[float] = []
        self.curve: list[tuple[float, float]] = []
        self.last: IncrementalKMeans | None = None

    def run(self, shuffles: int) -> Iterator[int]:
        """Learn all points in some orders; yield the number of points learned, now and then."""
        done = 0
        for number in range(shuffles):
            model = IncrementalKMeans(self.k, seed=number)
            order = np.random.default_rng([self.seed, 1 + number]).permutation(len(self.points))
            looks = set(np.linspace(0, len(order), CURVE_POINTS + 1).astype(int).tolist())
            for i, at in enumerate(order.tolist(), 1):
                model.learn(self.points[at])
                if number == 0 and i in looks and len(model.centres):
                    self.curve.append((float(i), self._ratio(model)))
                if i % 256 == 0:
                    yield done + i
            done += len(order)
            self.ratios.append(self._ratio(model))
            self.last = model
            yield done

    def _ratio(self, model: IncrementalKMeans) -> float:
        if not len(model.centres):
            return math.inf
        reached = inertia(self.points, model.centres)
        if self.batch > 0:
            return reached / self.batch
        return 1.0 if reached <= 0 else math.inf

    def report(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the result as plain values; see ``offerstream evaluate segments``."""
        ratios = [ratio for ratio in self.ratios if math.isfinite(ratio)]
        return {
            "points": len(self.points),
            "k": self.k,
            "shuffles": len(self.ratios),
            "inertia_ratio": {
                "mean": sum(ratios) / len(ratios) if ratios else None,
                "worst": max(ratios) if ratios else None,
                "each": ratios,
            },
            "batch_inertia": self.batch,
            "segments": self.last.describe(names) if self.last else [],
        }
