"""A shop on a real Kafka whose topics a test changes under it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from stream.broker.kafka.broker import KafkaBroker
from stream.broker.opening import open_cluster
from stream.codec.partition import partition_for
from stream.config import LearningSettings, Settings, Topics
from stream.domain.event import Event
from stream.worker.checks.topics import apply, plan
from stream.worker.engine import Engine
from tests.kafka.topics import admin_of
from tests.topology.embedded import publication, settings_in

PARTITIONS = 2
LOOKS = 400


@dataclass(frozen=True)
class Shop:
    """Its settings, and what may happen to its topics."""

    settings: Settings

    @classmethod
    async def opened(
        cls, kafka: str, prefix: str, folder: Path, *, learning: bool = False, **changes: object
    ) -> Shop:
        """A shop with topics of its own, which learns only if it is said so."""
        base = settings_in(folder, PARTITIONS)
        settings = Settings(
            broker=f"kafka://{kafka}",
            app_id=prefix,
            topics=Topics(prefix=prefix),
            partitions=PARTITIONS,
            data_dir=folder / "state",
            core=base.core,
            learning=base.learning if learning else LearningSettings(enabled=False),
            **changes,  # type: ignore[arg-type]
        )
        shop = cls(settings)
        await shop.apply()
        return shop

    @property
    def address(self) -> str:
        """The broker's."""
        return self.settings.bootstrap_servers[0]

    @property
    def clicks(self) -> str:
        """The topic that most tests change."""
        return self.settings.topics.clicks

    async def apply(self) -> None:
        """Create what is missing."""
        async with open_cluster(self.settings) as cluster:
            await apply(cluster, await plan(cluster, self.settings))

    async def publish(self, events: Iterable[Event]) -> None:
        """Send events as producers do, each to its customer's partition."""
        async with AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            for event in events:
                kind, key, value, *_ = publication(event)
                topic = getattr(self.settings.topics, kind)
                await producer.send(topic, value, key=key, partition=partition_for(key, PARTITIONS))
            await producer.flush()

    async def remove(self, topic: str) -> None:
        """Delete a topic; it is gone on return."""
        async with admin_of(self.address) as admin:
            await admin.delete_topics([topic])
        broker = KafkaBroker(self.settings)
        try:
            for _ in range(LOOKS):
                if (await broker.topics([topic]))[topic].error:
                    return
                await asyncio.sleep(0.05)
        finally:
            await broker.close()
        raise TimeoutError(f"{topic} is still there")

    async def make_anew(self, topic: str) -> None:
        """Delete a topic and create it again."""
        await self.remove(topic)
        await self.apply()

    async def widen(self, topic: str, partitions: int) -> None:
        """Add partitions."""
        async with admin_of(self.address) as admin:
            await admin.create_partitions({topic: NewPartitions(partitions)})

    async def create(self, topic: str, partitions: int) -> None:
        """Create a topic as somebody might who knows nothing of us."""
        async with admin_of(self.address) as admin:
            await admin.create_topics([NewTopic(topic, partitions, 1)])

    async def configure(self, topic: str, config: Mapping[str, str]) -> None:
        """Set values of a topic."""
        async with open_cluster(self.settings) as cluster:
            await cluster.alter(topic, config)

    async def cut_head(self, before: Mapping[TP, int]) -> None:
        """Have the broker delete records, as retention does."""
        wanted = {TopicPartition(*tp): RecordsToDelete(at) for tp, at in before.items()}
        async with admin_of(self.address) as admin:
            await admin.delete_records(wanted)

    async def forget_commits(self) -> None:
        """Have the broker forget the group, which must be at rest, as it does in time."""
        async with admin_of(self.address) as admin:
            group = self.settings.app_id
            coordinator = await admin.find_coordinator(group)
            response = await admin._client.send(coordinator, DeleteGroupsRequest([group]))
            assert [code for _, code in response.results] == [0], response

    async def ends(self, topic: str) -> dict[TP, int]:
        """The next offset of each partition."""
        broker = KafkaBroker(self.settings)
        bounds = await broker.bounds([TP(topic, n) for n in range(PARTITIONS)])
        await broker.close()
        return {tp: bound.end for tp, bound in bounds.items()}

    async def commit(self, offsets: Mapping[TP, int]) -> None:
        """Commit for the group, which must be at rest."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.address, group_id=self.settings.app_id, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(*tp) for tp in offsets])
            await consumer.commit(
                {TopicPartition(*tp): OffsetAndMetadata(at, "") for tp, at in offsets.items()}
            )
        finally:
            await consumer.stop()


def views(engine: Engine) -> dict[str, int]:
    """How many views each customer is known to have."""
    return {name: state.profile.views for name, state in engine.customers()}


def lost(engine: Engine) -> dict[str, float]:
    """What is counted as lost, by topic."""
    lines = engine.metrics.text().decode().splitlines()
    found = [line.rsplit(" ", 1) for line in lines if line.startswith("offerstream_records_lost_")]
    return {name.split('"')[1]: float(number) for name, number in found if "{" in name}
