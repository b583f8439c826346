"""A lone event goes at once; while it is under way, those behind it gather."""

from __future__ import annotations

from stream.broker.local.frame import StoredRecord
from stream.worker.faust.lane import BUFFERED_RECORDS, LaneQueue, TopicGroup
from stream.worker.faust.records import Batch, Lane
from stream.worker.reading import as_it_is

LANE = Lane("events", 0)


def a_lane(*, gathered: bool) -> LaneQueue:
    """A lane whose batches are of 10 records at most, two of them under way at most."""
    return LaneQueue(
        TopicGroup("events", ("clicks",), as_it_is, ahead=2, limit=10, gathered=gathered)
    )


def arrive(lane: LaneQueue, first: int, count: int) -> None:
    """Let records arrive."""
    records = [StoredRecord("clicks", 0, n, n, b"", b"v") for n in range(first, first + count)]
    lane.merge.add("clicks", records, map(as_it_is, records))


def delivered(lane: LaneQueue) -> list[Batch]:
    """Deliver what may be."""
    batches = []
    while lane.is_ready() and (arrived := lane.take(lambda topic: False, 0.0)):
        batches.append(Batch(LANE, arrived))
        lane.deliver(batches[-1])
    return batches


def test_what_arrives_while_a_batch_is_under_way_goes_together_when_it_is_acknowledged() -> None:
    lane = a_lane(gathered=True)
    arrive(lane, 0, 1)
    (lone,) = delivered(lane)
    for n in range(1, 6):
        arrive(lane, n, 1)
        assert delivered(lane) == []
    lone.acked = True
    assert lane.done() == [lone]
    (rest,) = delivered(lane)
    assert [len(lone), len(rest)] == [1, 5]


def test_a_whole_batch_waits_for_none_and_no_more_are_under_way_than_may_be() -> None:
    lane = a_lane(gathered=True)
    arrive(lane, 0, 35)
    assert [len(batch) for batch in delivered(lane)] == [10, 10]
    assert lane.merge.size == 15


def test_a_full_lane_still_takes_what_the_others_wait_for() -> None:
    lane = LaneQueue(TopicGroup("events", ("clicks", "customers"), as_it_is))
    arrive(lane, 0, BUFFERED_RECORDS)
    assert [lane.takes_more(topic) for topic in ("clicks", "customers")] == [False, True]


def test_where_nothing_is_gathered_each_goes_at_once_as_long_as_it_may() -> None:
    lane = a_lane(gathered=False)
    sizes = []
    for n in range(3):
        arrive(lane, n, 1)
        sizes.append(len(delivered(lane)))
    assert sizes == [1, 1, 0]
