"""Offers handed to a sink, on a real Kafka: its group's places are Kafka's own."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from stream.client.piping import Pipe
from stream.config import Settings, Topics
from stream.extending import Delivered
from tests.client.serving_offers import an_offer
from tests.kafka.topics import create_topics
from tests.waiting import within


async def test_the_next_pipe_goes_on_where_kafka_says(kafka: str, topic_prefix: str) -> None:
    topics = Topics(prefix=topic_prefix)
    settings = Settings(broker=f"kafka://{kafka}", app_id=f"{topic_prefix}app", topics=topics)
    await create_topics(kafka, topics.offers, partitions=4)

    async def put(*names: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            for name in names:
                key, value = an_offer(name, f"c-{name}")
                await producer.send_and_wait(topics.offers, value, key=key)

    async def piped() -> list[str]:
        taken: list[Delivered] = []
        pipe = Pipe(settings, "some", taken.extend)
        await within("the offers that are there", pipe.run(until_now=True))
        return sorted(one.customer_id for one in taken)

    await put("a", "b", "c", "d", "e")
    assert await piped() == ["c-a", "c-b", "c-c", "c-d", "c-e"]
    assert await piped() == []
    await put("f", "a")
    assert await piped() == ["c-a", "c-f"]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        kept = await admin.list_consumer_group_offsets(f"{topic_prefix}app-sink-some")
    finally:
        await admin.close()
    assert sum(place.offset for place in kept.values() if place.offset > 0) == 7
