"""The event producer on a real Kafka: events in their places, and dead letters as they were."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream.client import EventProducer
from stream.client.burials import Filter, replay
from stream.codec.deadletters import FailedRecord, build_dead_letter
from stream.codec.partition import partition_for
from stream.config import Settings, Topics
from stream.domain.event import Rejection, RejectionCode
from tests.kafka.topics import create_topics

REJECTION = Rejection(RejectionCode.VALUE_RANGE, "/price is below 0")


def event(n: int) -> dict[str, Any]:
    return {
        "event_id": f"e-{n}", "customer_id": f"c-{n % 17}", "timestamp": "2024-05-01T09:30:00Z",
        "event": "view", "product_id": f"p-{n}",
    }  # fmt: skip


async def stored(address: str, topic: str) -> list[Any]:
    """All records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    async with consumer:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(partitions)
        left = sum((await consumer.end_offsets(partitions)).values())
        found: list[Any] = []
        while len(found) < left:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
    return found


async def test_each_event_is_acknowledged_where_it_stands_and_in_order(
    kafka: str, topic_prefix: str
) -> None:
    settings = Settings(broker=f"kafka://{kafka}", topics=Topics(prefix=topic_prefix))
    await create_topics(kafka, f"{topic_prefix}clicks", partitions=4)
    async with EventProducer(settings) as events:
        sent = [await events.submit("clicks", event(n)) for n in range(500)]
        placed = await asyncio.gather(*sent)
        assert events.counts["acknowledged"] == 500
    records = {
        (record.partition, record.offset): record
        for record in await stored(kafka, f"{topic_prefix}clicks")
    }
    assert len(records) == len(set(placed)) == 500
    last: dict[bytes, int] = {}
    for n, place in enumerate(placed):
        record = records[place.partition, place.offset]
        assert record.key == f"c-{n % 17}".encode()
        assert place.partition == partition_for(record.key, 4)
        assert place.offset > last.get(record.key, -1)
        last[record.key] = place.offset


async def test_dead_letters_come_back_byte_for_byte(kafka: str, topic_prefix: str) -> None:
    settings = Settings(broker=f"kafka://{kafka}", topics=Topics(prefix=topic_prefix))
    clicks, letters = f"{topic_prefix}clicks", f"{topic_prefix}dead-letters"
    await create_topics(kafka, clicks, letters, partitions=4)
    value = b'{"price": -1, "\xff'
    headers = (("trace", b"\x00\xff"), ("producer", b"till-9"), ("empty", None))
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    async with producer:
        for n in range(30):
            record = FailedRecord(clicks, n % 4, n, 0, b"c-%d" % n, value, headers)
            letter = build_dead_letter(record, REJECTION, stage="decode", version="1")
            await producer.send_and_wait(
                letters, letter.value, key=letter.key, headers=list(letter.headers)
            )
    dry = await replay(settings, Filter(producer="till-9"), most=3, dry=True)
    assert dry.sent == 30
    assert await stored(kafka, clicks) == []
    assert (await replay(settings, Filter(field="/currency"), most=3)).sent == 0
    done = await replay(settings, Filter(field="/price"), most=3)
    assert (done.sent, done.failed) == (30, 0)
    found = await stored(kafka, clicks)
    assert sorted(record.key for record in found) == sorted(b"c-%d" % n for n in range(30))
    for record in found:
        assert record.value == value
        assert record.partition == partition_for(record.key, 4)
        assert record.headers == (*headers, ("offerstream.attempt", b"1"))
