"""Only the latest owner of a partition can write it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import ProducerFenced
from faust.types import TP

from stream.broker.kafka.broker import KafkaBroker
from stream.broker.kafka.fencing import FencedProducer
from stream.broker.opening import open_cluster
from stream.config import Topics
from stream.worker.checks.topics import apply, plan
from stream.worker.faust.kafka import NotOwned
from tests.kafka.broker import Broker
from tests.topology.embedded import PatientEngine, settings_in
from tests.waiting import within


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
        values = [(await within("a record", consumer.getone())).value for _ in range(4)]
    finally:
        await consumer.stop()
    assert values[0] == b"mine"
    assert values[2:] == [b"fence", b"state"]


async def test_what_a_worker_opens_while_its_broker_is_away_waits_for_it(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    """A learner that begins just then ended its worker."""
    settings = replace(settings_in(tmp_path), broker=f"kafka://{broker.address}")
    topic = f"{topic_prefix}changelog"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    broker.kill()

    async def read() -> list[bytes | None]:
        between = KafkaBroker(settings).read({TP(topic, 0): (0, 2)})
        return [record.value async for records in between for record in records]

    owner = FencedProducer(topic, {"bootstrap_servers": broker.address})
    owning, reading = asyncio.ensure_future(owner.start()), asyncio.ensure_future(read())
    await asyncio.wait([owning, reading], timeout=2)
    assert not owning.done()
    assert not reading.done()
    broker.start()
    try:
        await within("to own", owning)
        for value in (b"fence", b"state"):
            await append(owner, topic, value)
        assert await within("what was written", reading) == [b"fence", b"state"]
    finally:
        await owner.stop()


@pytest.mark.kafka
async def test_what_was_let_go_is_not_written_any_more(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = replace(
        settings_in(tmp_path),
        broker=f"kafka://{kafka}",
        app_id=topic_prefix,
        topics=Topics(prefix=topic_prefix),
    )
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    record = (b"k", b"v", None, ())
    async with PatientEngine(settings) as engine:
        tp = TP(settings.customers_changelog, 0)
        await (await engine.app.send_batch(*tp, [record]))
        await engine.app.producer.disown(tp)
        with pytest.raises(NotOwned, match="partition 0"):
            await engine.app.send_batch(*tp, [record])
