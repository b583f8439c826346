from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.worker.faust.coordinator import heed_refusals
from tests.integration.test_broker import create_topics
from tests.kafka.broker import Cluster

TP = TopicPartition("t", 0)


@asynccontextmanager
async def member(address: str) -> AsyncIterator[Any]:
    """A consumer of a group that asks for its commits."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address, group_id="g", enable_auto_commit=False, retry_backoff_ms=20
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def misled(consumer: Any) -> None:
    """Have it take another node for the coordinator, as after a failover that it did not see."""
    coordinator = consumer._coordinator
    await coordinator.ensure_coordinator_known()
    nodes = [node.nodeId for node in consumer._client.cluster.brokers()]
    coordinator.coordinator_id = next(id for id in nodes if id != coordinator.coordinator_id)


async def test_commits_are_not_forgotten_when_the_coordinator_moved(
    kafka_install: None, tmp_path: Path
) -> None:
    with Cluster(tmp_path) as cluster:
        await create_topics(cluster.address, "t", copies=3)
        async with member(cluster.address) as consumer:
            consumer.assign([TP])
            await consumer.commit({TP: 7})
        async with member(cluster.address) as consumer:
            await misled(consumer)
            assert await consumer.committed(TP) is None  # else aiokafka has mended it
        async with member(cluster.address) as consumer:
            heed_refusals(consumer)
            await misled(consumer)
            assert await consumer.committed(TP) == 7
