"""Topics of a partition are merged by event time, whatever the fetches' sizes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from stream.broker.local.frame import StoredRecord
from stream.broker.records import Record
from stream.worker.faust.merge import Merge
from stream.worker.faust.records import Arrived

TOPICS = ("clicks", "purchases")


def a_record(topic: str, offset: int, time: int | None) -> StoredRecord:
    """A record whose key is its event time."""
    return StoredRecord(topic, 0, offset, 0, b"" if time is None else b"%d" % time, b"value")


def add(merge: Merge, topic: str, records: Sequence[Record]) -> None:
    """Take in records, whose event time was read from their keys."""
    merge.add(topic, records, [(int(r.key) if r.key else None, None) for r in records])


def offsets(taken: Sequence[Arrived]) -> list[tuple[str, int]]:
    """What was taken, by topic and offset."""
    return [(a.record.topic, a.record.offset) for a in taken]


def a_merge() -> Merge:
    """A merge of two topics that waits for 0.1 s."""
    return Merge(TOPICS, 0.1)


def test_the_lowest_time_comes_first_and_topics_keep_their_order() -> None:
    merge = a_merge()
    add(merge, "clicks", [a_record("clicks", 0, 10), a_record("clicks", 1, 5)])
    add(merge, "purchases", [a_record("purchases", 0, 7)])
    taken = merge.take(10, lambda topic: False, 0.0)
    assert offsets(taken) == [("purchases", 0), ("clicks", 0), ("clicks", 1)]
    assert (merge.size, merge.bytes) == (0, 0)


def test_a_record_that_says_no_time_keeps_its_place() -> None:
    merge = a_merge()
    add(merge, "clicks", [a_record("clicks", 0, 10), a_record("clicks", 1, None)])
    add(merge, "purchases", [a_record("purchases", 0, 12)])
    taken = merge.take(10, lambda topic: False, 0.0)
    assert offsets(taken) == [("clicks", 0), ("clicks", 1), ("purchases", 0)]


def test_a_topic_that_is_behind_is_waited_for_and_not_for_ever() -> None:
    merge = a_merge()
    add(merge, "clicks", [a_record("clicks", 0, 10)])
    assert merge.take(10, lambda topic: True, 5.0) == []
    assert merge.remaining(5.04) > 0
    assert merge.take(10, lambda topic: True, 5.05) == []
    assert offsets(merge.take(10, lambda topic: True, 5.11)) == [("clicks", 0)]


def test_a_topic_of_which_something_arrives_is_waited_for_again() -> None:
    merge = a_merge()
    add(merge, "clicks", [a_record("clicks", 0, 10), a_record("clicks", 1, 30)])
    assert merge.take(10, lambda topic: True, 5.0) == []
    add(merge, "clicks", [a_record("clicks", 2, 40)])  # more of the others ends no wait …
    assert merge.remaining(5.04) < 0.1
    assert merge.left_behind == frozenset()
    assert len(merge.take(1, lambda topic: True, 5.11)) == 1  # … and lets none begin
    assert merge.left_behind == {"purchases"}
    add(merge, "purchases", [a_record("purchases", 0, 20)])
    assert offsets(merge.take(10, lambda topic: topic == "purchases", 5.12)) == [("purchases", 0)]
    assert merge.take(10, lambda topic: topic == "purchases", 5.13) == []
    assert merge.left_behind == frozenset()


def test_what_comes_of_others_while_one_is_away_is_not_held_up_again() -> None:
    merge = Merge((*TOPICS, "feedback"), 0.1)

    def away(topic: str) -> bool:
        return topic == "purchases"

    add(merge, "clicks", [a_record("clicks", 0, 10)])
    assert merge.take(10, away, 5.0) == []
    assert len(merge.take(10, away, 5.11)) == 1
    assert merge.take(10, away, 5.11) == []
    assert merge.remaining(5.12) == float("inf")  # nothing waits
    add(merge, "feedback", [a_record("feedback", 0, 20)])
    assert len(merge.take(10, away, 5.12)) == 1
    assert merge.left_behind == {"purchases"}


def test_a_topic_that_is_caught_up_costs_no_wait() -> None:
    merge = a_merge()
    add(merge, "clicks", [a_record("clicks", 0, 10)])
    assert len(merge.take(10, lambda topic: False, 5.0)) == 1
    assert merge.remaining(5.0) == float("inf")


def test_a_topic_that_runs_dry_while_the_broker_has_more_stops_the_batch() -> None:
    merge = a_merge()
    add(merge, "clicks", [a_record("clicks", n, 10 * n) for n in range(5)])
    add(merge, "purchases", [a_record("purchases", 0, 15)])
    taken = merge.take(10, lambda topic: topic == "purchases", 0.0)
    assert offsets(taken) == [("clicks", 0), ("clicks", 1), ("purchases", 0)]
    add(merge, "purchases", [a_record("purchases", 1, 25)])
    rest = merge.take(10, lambda topic: False, 0.0)
    assert offsets(rest) == [("clicks", 2), ("purchases", 1), ("clicks", 3), ("clicks", 4)]


def test_the_order_of_history_does_not_depend_on_the_fetches(seed: int) -> None:
    chance = random.Random(seed)
    history = {
        topic: [a_record(topic, n, chance.randint(0, 300)) for n in range(100)] for topic in TOPICS
    }

    def merged() -> list[tuple[str, int]]:
        merge, at, order = a_merge(), dict.fromkeys(TOPICS, 0), []
        while len(order) < 200:
            topic = chance.choice(TOPICS)
            fetched = history[topic][at[topic] : at[topic] + chance.randint(1, 9)]
            at[topic] += len(fetched)
            add(merge, topic, fetched)
            taken = merge.take(chance.randint(1, 20), lambda t: at[t] < 100, 0.0)
            order += offsets(taken)
        return order

    assert merged() == merged() == merged()
