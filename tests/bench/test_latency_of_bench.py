"""The benchmark's latency: each offer finds the time of its event."""

from __future__ import annotations

import orjson

from bench.figures import Arrival, matched


def offer(partition: int, offset: int, time: float) -> Arrival:
    source = {"topic": "clicks", "partition": partition, "offset": offset}
    return Arrival(time, orjson.dumps({"source": source}))


def test_an_offer_finds_its_event_by_partition_and_offset() -> None:
    sent = {(0, 0): 1.0, (0, 1): 2.0, (1, 0): 1.5}
    arrived = [offer(1, 0, 1.75), offer(0, 0, 2.0), offer(0, 1, 2.5)]
    assert matched(sent, arrived, since=0.0) == [0.25, 1.0, 0.5]


def test_offers_for_events_of_the_warm_up_do_not_count() -> None:
    sent = {(0, 0): 1.0, (0, 1): 2.0}
    assert matched(sent, [offer(0, 0, 9.0), offer(0, 1, 3.0)], since=1.5) == [1.0]
