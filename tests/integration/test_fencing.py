"""Only the latest owner of a partition can write it."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import ProducerFenced

from stream.runtime.batching.fencing import FencedProducer


async def append(owner: FencedProducer, topic: str, value: bytes) -> int:
    """Append one record, as the owner of partition 0; its offset."""
    batch = owner.producer.create_batch()
    batch.append(key=b"k", value=value, timestamp=None, headers=[])
    sent = await owner.producer.send_batch(batch, topic, partition=0)
    return int((await sent).offset)


@pytest.mark.kafka
async def test_a_former_owner_is_refused_once_the_new_one_has_written(
    kafka: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}changelog"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    zombie, owner = (FencedProducer(topic, {"bootstrap_servers": kafka}) for _ in range(2))
    try:
        await zombie.start()
        await append(zombie, topic, b"mine")
        await owner.start()
        await append(zombie, topic, b"still mine: the new owner has not read the end yet")
        await append(owner, topic, b"fence")
        with pytest.raises(ProducerFenced):
            await append(zombie, topic, b"too late")
        await append(owner, topic, b"state")
    finally:
        await zombie.stop()
        await owner.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        values = [(await consumer.getone()).value for _ in range(4)]
    finally:
        await consumer.stop()
    assert values[0] == b"mine"
    assert values[2:] == [b"fence", b"state"]
