"""A system's events, burst by burst, and what must come of them.

Rules: every system of a job is fed the same stream from its beginning; who is faster is further.
It alone writes to its topic, so each record's partition and offset are known before it is sent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import orjson

from bench.told import Job
from bench.workload import Keyed, Shape, tellings
from stream.codec.partition import partition_for

Place: TypeAlias = tuple[int, int]  # partition and offset


class Burst(NamedTuple):
    """Records with their places, and the offers that are due.

    ``due`` has the place of each record that causes an offer, with how often its customer had
    clicked by then.
    """

    records: list[Keyed]
    places: list[Place]
    due: dict[Place, int]


class Feed:
    """The stream of one system."""

    def __init__(self, shape: Shape, job: Job, partitions: int) -> None:
        self._tellings = tellings(shape)
        self._job, self._partitions = job, partitions
        self._ends: defaultdict[int, int] = defaultdict(int)
        self.counts: Counter[str] = Counter()  # clicks by customer, each once

    def take(self, events: int) -> Burst:
        """The next so many.

        Raises
        ------
        ValueError
            If the shape has no more.
        """
        burst = Burst([], [], {})
        for record, first, again in islice(self._tellings, events):
            partition = partition_for(record.key, self._partitions)
            place = partition, self._ends[partition]
            self._ends[partition] += 1
            burst.records.append(record)
            burst.places.append(place)
            if again:
                continue
            self.counts[record.key.decode()] += 1
            if self._job == "state" or first:
                burst.due[place] = self.counts[record.key.decode()]
        if len(burst.records) < events:
            raise ValueError(f"the stream ends: {len(burst.records)} events of {events} are left")
        return burst


def check(due: dict[Place, int], offers: Iterable[bytes]) -> None:
    """See that offers are those that are due.

    An offer that names its source is held to it, one that names its customer's count to that.

    Raises
    ------
    ValueError
        If one is missing, comes twice, should not be, or counts otherwise.

    >>> check({(0, 7): 3}, [b'{"source": {"partition": 0, "offset": 7}, "count": 4}'])
    Traceback (most recent call last):
    ValueError: the offer for (0, 7) counts 4 clicks, not 3
    """
    made = [orjson.loads(offer) for offer in offers]
    if len(made) != len(due):
        raise ValueError(f"{len(made)} offers, of {len(due)} events that should have one")
    left = dict(due)
    for offer in made:
        if "source" in offer:
            _settle(left, offer)


def _settle(left: dict[Place, int], offer: dict[str, Any]) -> None:
    place = offer["source"]["partition"], offer["source"]["offset"]
    wanted = left.pop(place, None)
    if wanted is None:
        raise ValueError(f"the offer for {place} comes twice, or should not be")
    if offer.get("count", wanted) != wanted:
        raise ValueError(f"the offer for {place} counts {offer['count']} clicks, not {wanted}")
