"""Instruments that prometheus-client lacks: a histogram fed by the batch, a gauge of ages.

Both are collectors: they build their samples when scraped, and cost next to nothing between.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class BatchHistogram(Collector):
    """A histogram that takes a whole batch of values at the price of one.

    Parameters
    ----------
    name, documentation
        As Prometheus shows them.
    bounds
        Upper bounds of the buckets, ascending; the bucket above the last is added.
    labels
        Names of the labels.
    """

    def __init__(
        self, name: str, documentation: str, bounds: Sequence[float], labels: Labels = ()
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._bounds: Final = [float(bound) for bound in bounds]
        self._texts: Final = [*map(str, self._bounds), "+Inf"]
        self._counts: dict[Labels, NDArray[np.int64]] = {}
        self._sums: dict[Labels, float] = {}
        self._lock = Lock()
        if not labels:
            self.declare()

    def declare(self, *labels: str) -> None:
        """Show the labels' series from the start, with nothing in it."""
        with self._lock:
            if labels not in self._counts:
                self._counts[labels] = np.zeros(len(self._texts), dtype=np.int64)
                self._sums[labels] = 0.0

    def observe(self, values: ArrayLike, *labels: str) -> None:
        """Count each of ``values`` (one, or an array of any shape) in its bucket."""
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        buckets = np.searchsorted(self._bounds, array.ravel(), side="left")
        counts = np.bincount(buckets, minlength=len(self._texts))
        self.declare(*labels)
        with self._lock:
            self._counts[labels] += counts
            self._sums[labels] += float(array.sum())

    def observe_same(self, value: float, times: int, *labels: str) -> None:
        """Count ``value`` as often as ``times`` says: what a batch's events have in common."""
        self.declare(*labels)
        with self._lock:
            self._counts[labels][bisect_left(self._bounds, value)] += times
            self._sums[labels] += value * times

    def collect(self) -> Iterator[Metric]:
        """Build the family, as Prometheus wants it: cumulative buckets."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            state = [
                (key, counts.cumsum(), self._sums[key]) for key, counts in self._counts.items()
            ]
        for labels, counts, total in state:
            buckets = list(zip(self._texts, map(float, counts), strict=True))
            family.add_metric(labels, buckets, total)
        yield family


class AgeGauge(Collector):
    """Seconds since something last happened, reckoned when scraped.

    Parameters
    ----------
    name, documentation
        As Prometheus shows them.
    clock
        The time now, in seconds since the epoch.
    labels
        Names of the labels.
    """

    def __init__(
        self, name: str, documentation: str, clock: Callable[[], float], labels: Labels = ()
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._clock = clock
        self._since: dict[Labels, float] = {}

    def since(self, time: float, *labels: str) -> None:
        """Reckon the age from ``time``, in seconds since the epoch."""
        self._since[labels] = time

    def forget(self, *labels: str) -> None:
        """Show no age: the thing is not there."""
        self._since.pop(labels, None)

    def collect(self) -> Iterator[Metric]:
        """Build the family."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        now = self._clock()
        for labels, time in list(self._since.items()):
            family.add_metric(labels, max(now - time, 0.0))
        yield family


class BoundedLabel:
    """A label's values, at most ``limit`` of them: later ones are all ``other``.

    >>> campaigns = BoundedLabel(2)
    >>> [campaigns(name) for name in ("summer", "winter", "spring", "summer")]
    ['summer', 'winter', 'other', 'summer']
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return the value, or ``other``."""
        if value in self._known:
            return value
        if len(self._known) >= self._limit:
            return "other"
        self._known.add(value)
        return value
