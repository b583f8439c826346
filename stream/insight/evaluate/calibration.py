"""Purchases foreseen over purchases made, in tenths of a replayed log.

Rules
-----
- What is predicted of an exposure is what the learner predicted when it was told, before it learned
  it; the log of examples is learned again for that, which gives the same models to the bit.
- What was bought is counted from the events themselves, not from labels: an exposure was bought if
  its customer bought its item within the attribution window. So labels that get lost, as those of
  exposures that had to make room, show up as a difference.
- An exposure is what the stream makes one: the first look at an item while no other look of that
  customer at it waits.
- The first exposures (`WARM`) are for learning the base rate, and are in no tenth.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from math import nan
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.codec.examples import LessonError, decode_examples, decode_lesson, read_examples
from stream.config import Settings
from stream.decide.example import Labelled
from stream.domain.event import Click, Purchase, Source, Trade
from stream.domain.stamps import offset_of
from stream.insight.events import Events, decoded_events
from stream.learn.columns import Labels
from stream.learn.learner import Learner

WARM: Final = 2_000
TENTHS: Final = 10
FEWEST: Final = 10  # purchases behind a ratio

Floats = npt.NDArray[np.float64]
Tick = Callable[[int], None]


class Exposures(NamedTuple):
    """Exposures in the order in which they were learned; all arrays have the shape (exposures,).

    Attributes
    ----------
    times
        Of each, in ms.
    predicted
        P(purchase), before it was learned.
    observed
        1 if it was bought within the attribution window, else 0.
    end
        The latest time of the log, in ms.
    seen
        The share of purchases that had come by ``end``, as far as is known how long they take.
    """

    times: npt.NDArray[np.int64]
    predicted: Floats
    observed: Floats
    end: int
    seen: Floats


class _Events:
    """What was looked at, by the place of the event in its topic, and what was bought when."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings, self._events = settings, events
        self._window = settings.core.attribution * 1000
        self._bought: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._looks: dict[tuple[int, int], tuple[str, str]] = {}
        self.end = 0

    def read(self) -> None:
        """Read the topics of purchases and clicks."""
        topics, partitions = self._settings.topics, self._settings.partitions
        read_topic(self._settings, topics.purchases, partitions, self._take_purchase)
        read_topic(self._settings, topics.clicks, partitions, self._take_click)
        for times in self._bought.values():
            times.sort()

    def was_bought(self, place: tuple[int, int], time: int) -> bool | None:
        """Whether what was looked at, at a time, was bought in time; None if no look is there."""
        if place not in self._looks:
            return None
        times = self._bought.get(self._looks[place], [])
        at = bisect_left(times, time)
        return at < len(times) and times[at] - time <= self._window

    def _take_purchase(self, record: Record) -> None:
        event = self._events.of(Source.PURCHASES, record)
        if isinstance(event, Purchase):
            self.end = max(self.end, event.time)
            if event.trade is Trade.PURCHASE:
                for line in event.lines:
                    self._bought[event.customer_id, line.item_id].append(event.time)

    def _take_click(self, record: Record) -> None:
        event = self._events.of(Source.CLICKS, record)
        if isinstance(event, Click):
            self.end = max(self.end, event.time)
            self._looks[record.partition, record.offset] = event.customer_id, event.item_id


class _Again:
    """The learner once more, over the log of examples, and what it predicted of each exposure."""

    def __init__(self, settings: Settings, events: _Events) -> None:
        self._learner = _Told(settings)
        self._events = events
        self.times, self.observed = array("q"), array("d")

    def take(self, record: Record) -> None:
        try:
            lesson = decode_lesson(record.value or b"")
            for source, stamp, payload in lesson.taught:
                self._take(lesson.partition, source, stamp, payload)
        except LessonError:
            return
        if lesson.settled:
            self._learner.settle(min(lesson.settled, self._learner.learned))

    def _take(self, partition: int, source: int, stamp: int, payload: bytes) -> None:
        if not self._learner.places.reach(self._learner.through, f"{source}/{partition}", stamp):
            return
        for example in decode_examples(payload):
            if isinstance(example, Labelled) and not example.label and example.waited is not None:
                place = (partition, offset_of(stamp)) if source == Source.CLICKS else (-1, -1)
                bought = self._events.was_bought(place, example.time)
                self.times.append(example.time)
                self.observed.append(nan if bought is None else bought)
        self._learner.take(read_examples([payload], self._learner.names))

    def exposures(self) -> Exposures:
        """All of them; those of offers' items, whose looks are not in the log, are left out."""
        learner = self._learner
        learner.settle(learner.learned)
        times = np.array(self.times, np.int64)
        observed, predicted = np.array(self.observed), np.array(learner.predicted)
        known = ~np.isnan(observed)
        ages = (self._events.end - times[known]).tolist()
        seen = np.array([learner.propensity.seen(age) for age in ages])
        return Exposures(times[known], predicted[known], observed[known], self._events.end, seen)


class _Told(Learner):
    """A learner that keeps what it predicted of exposures."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.learning, settings.core.seed)
        self.predicted = array("d")

    def foresaw(self, batch: Labels, predicted: Floats) -> None:
        """Keep what was predicted of exposures."""
        super().foresaw(batch, predicted)
        self.predicted.extend(predicted[batch.parts > 0.0].tolist())


def exposures_of(settings: Settings, tick: Tick) -> Exposures:
    """Learn a log of examples again, and compare with what was bought.

    Parameters
    ----------
    settings
        Of the log; nobody else may have it open.
    tick
        Is told how many records of the log of examples were read.
    """
    with decoded_events(settings) as reading:
        events = _Events(settings, reading)
        events.read()
    again, done = _Again(settings, events), 0

    def take(record: Record) -> None:
        nonlocal done
        again.take(record)
        done += 1
        tick(done)

    read_topic(settings, settings.topics.examples, 1, take)
    return again.exposures()


def report(exposures: Exposures, attribution: float) -> dict[str, Any]:
    """Return the figures as plain values.

    Parameters
    ----------
    exposures
        In the order in which they were learned.
    attribution
        The window, in s.
    """
    warm = min(WARM, len(exposures.times))
    edges = np.linspace(warm, len(exposures.times), TENTHS + 1).astype(int).tolist()
    matured = exposures.end - attribution * 1000
    return {
        "exposures": len(exposures.times),
        "warm_up": _part(exposures, 0, warm, matured),
        "tenths": [_part(exposures, first, last, matured) for first, last in pairwise(edges)],
        "all": _part(exposures, warm, len(exposures.times), matured),
        "attribution_seconds": attribution,
    }


def _part(exposures: Exposures, first: int, last: int, matured: float) -> dict[str, Any]:
    """Return the figures of exposures ``first`` … ``last - 1``."""
    predicted, observed = exposures.predicted[first:last], exposures.observed[first:last]
    count, bought = last - first, float(observed.sum())
    some, enough = count > 0, bought >= FEWEST
    mature = float((exposures.times[first:last] <= matured).mean()) if some else None
    return {
        "exposures": count,
        "predicted": float(predicted.mean()) if some else None,
        "observed": bought / count if some else None,
        "bought": round(bought),
        "ratio": float(predicted.sum()) / bought if enough else None,
        "matured": mature,
        "expected_by_end": float((predicted * exposures.seen[first:last]).mean()) if some else None,
    }
