"""The arithmetic: rates of a window, medians with their spread, ratios, percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
import orjson


class Sample(NamedTuple):
    """How many outputs there were at a time; times, and the CPU used until then, in seconds."""

    time: float
    outputs: int
    cpu: float = 0.0


class Arrival(NamedTuple):
    """An offer's bytes, and when they were there."""

    time: float
    value: bytes


class Figure(NamedTuple):
    """The median of a figure's repetitions, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest."""
        return self.low, self.high


class Window(NamedTuple):
    """The part of a run that counts: from the end of the warm-up to the last output."""

    start: Sample
    end: Sample

    @property
    def rate(self) -> float:
        """Outputs per second."""
        return self._outputs / (self.end.time - self.start.time)

    @property
    def cpu(self) -> float:
        """Microseconds of CPU for each output."""
        return (self.end.cpu - self.start.cpu) / self._outputs * 1e6

    @property
    def _outputs(self) -> int:
        return self.end.outputs - self.start.outputs


def window(samples: Sequence[Sample], warm_up: float = 0.15) -> Window:
    """The window of a run whose outputs were counted now and then.

    Parameters
    ----------
    samples
        In the order of their times.
    warm_up
        The share of the outputs that does not count, in [0, 1).

    Raises
    ------
    ValueError
        If nothing came after the warm-up.

    >>> counts = [Sample(0.0, 0), Sample(1.0, 20), Sample(2.0, 60), Sample(3.0, 100)]
    >>> window(counts).rate
    40.0
    """
    highest = max((sample.outputs for sample in samples), default=0)
    end = next((sample for sample in samples if sample.outputs == highest), None)
    start = next((s for s in samples if s.outputs and s.outputs >= warm_up * highest), None)
    if start is None or end is None or start.time >= end.time:
        raise ValueError(f"{highest} outputs within one look: too few to measure")
    return Window(start, end)


def figure(values: Sequence[float]) -> Figure:
    """Sum repetitions up.

    >>> figure([3.0, 1.0, 2.0])
    Figure(median=2.0, low=1.0, high=3.0)
    """
    return Figure(median(values), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """How many times theirs ours are, round by round: what slows a round down slows both.

    >>> ratios([10.0, 30.0, 20.0], [1.0, 1.0, 1.0])
    Figure(median=20.0, low=10.0, high=30.0)
    """
    return figure([our / their for our, their in zip(ours, theirs, strict=True)])


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The percentiles by which latency is told; an observed value each, never one in between."""
    ordered = np.asarray(values)
    found = np.percentile(ordered, [50, 99, 99.9], method="higher")
    return dict(zip(("p50", "p99", "p99_9"), map(float, found), strict=True))


def matched(
    sent: Mapping[tuple[int, int], float], arrived: Iterable[Arrival], since: float
) -> list[float]:
    """Seconds from event to offer, of the events sent since a time.

    ``sent`` holds each event's time by its partition and offset.
    """
    waits = []
    for time, value in arrived:
        source = orjson.loads(value)["source"]
        born = sent[source["partition"], source["offset"]]
        if born >= since:
            waits.append(time - born)
    return waits


def stage_costs(sums: Mapping[str, float], events: float) -> dict[str, float]:
    """Microseconds per event of each stage, from the seconds spent there."""
    return {stage: seconds / events * 1e6 for stage, seconds in sums.items()}
