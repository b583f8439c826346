"""Topics of a partition are merged by event time, whatever the fetches' sizes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from stream.runtime.batching.merge import Merge
from stream.runtime.batching.records import Arrived, Record
from stream.runtime.local.frame import StoredRecord

TOPICS = ("clicks", "purchases")


def a_record(topic: str, offset: int, time: int | None) -> StoredRecord:
    """A record whose key is its event time."""
    return StoredRecord(topic, 0, offset, 0, b"" if time is None else b"%d" % time, b"value")


def by_key(record: Record) -> tuple[int | None, None]:
    """Read the event time from the key."""
    return (int(record.key) if record.key else None), None


def offsets(taken: Sequence[Arrived]) -> list[tuple[str, int]]:
    """What was taken, by topic and offset."""
    return [(a.record.topic, a.record.offset) for a in taken]


def a_merge() -> Merge:
    """A merge of two topics that waits for 0.1 s."""
    return Merge(TOPICS, 0.1)


def test_the_lowest_time_comes_first_and_topics_keep_their_order() -> None:
    merge = a_merge()
    merge.add("clicks", [a_record("clicks", 0, 10), a_record("clicks", 1, 5)], by_key)
    merge.add("purchases", [a_record("purchases", 0, 7)], by_key)
    taken = merge.take(10, lambda topic: False, 0.0)
    assert offsets(taken) == [("purchases", 0), ("clicks", 0), ("clicks", 1)]
    assert (merge.size, merge.bytes) == (0, 0)


def test_a_record_that_says_no_time_keeps_its_place() -> None:
    merge = a_merge()
    merge.add("clicks", [a_record("clicks", 0, 10), a_record("clicks", 1, None)], by_key)
    merge.add("purchases", [a_record("purchases", 0, 12)], by_key)
    taken = merge.take(10, lambda topic: False, 0.0)
    assert offsets(taken) == [("clicks", 0), ("clicks", 1), ("purchases", 0)]


def test_a_topic_that_is_behind_is_waited_for_and_not_for_ever() -> None:
    merge = a_merge()
    merge.add("clicks", [a_record("clicks", 0, 10)], by_key)
    assert merge.take(10, lambda topic: True, 5.0) == []
    assert merge.remaining(5.04) > 0
    assert merge.take(10, lambda topic: True, 5.05) == []
    assert offsets(merge.take(10, lambda topic: True, 5.11)) == [("clicks", 0)]


def test_a_topic_that_is_caught_up_costs_no_wait() -> None:
    merge = a_merge()
    merge.add("clicks", [a_record("clicks", 0, 10)], by_key)
    assert len(merge.take(10, lambda topic: False, 5.0)) == 1
    assert merge.remaining(5.0) == float("inf")


def test_a_topic_that_runs_dry_while_the_broker_has_more_stops_the_batch() -> None:
    merge = a_merge()
    merge.add("clicks", [a_record("clicks", n, 10 * n) for n in range(5)], by_key)
    merge.add("purchases", [a_record("purchases", 0, 15)], by_key)
    taken = merge.take(10, lambda topic: topic == "purchases", 0.0)
    assert offsets(taken) == [("clicks", 0), ("clicks", 1), ("purchases", 0)]
    merge.add("purchases", [a_record("purchases", 1, 25)], by_key)
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
            merge.add(topic, fetched, by_key)
            taken = merge.take(chance.randint(1, 20), lambda t: at[t] < 100, 0.0)
            order += offsets(taken)
        return order

    assert merged() == merged() == merged()
