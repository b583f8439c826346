"""Following compacted topics of a Kafka cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from stream.broker.kafka.connection import client_options
from stream.broker.kafka.fetching import POLL_RECORDS, read_carefully
from stream.broker.progress import Progress
from stream.broker.protocol import Take
from stream.broker.turns import in_turns
from stream.config import Settings

POLL_MS = 500


class KafkaFollower:
    """Follows topics of a Kafka cluster."""

    def __init__(self, settings: Settings, topics: Mapping[str, Take]) -> None:
        self._options = client_options(settings)
        self._topics = topics
        self._consumer: Any = None
        self._started = asyncio.Event()
        self.progress = Progress()

    async def run(self) -> None:
        """Follow until cancelled."""
        consumer = AIOKafkaConsumer(
            **self._options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=16 << 20,
            fetch_max_wait_ms=POLL_MS,
            max_poll_records=POLL_RECORDS,
        )
        await consumer.start()
        read_carefully(consumer)
        try:
            partitions = [TopicPartition(topic, 0) for topic in self._topics]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            self._consumer = consumer
            self._started.set()
            while True:
                found = await consumer.getmany(timeout_ms=POLL_MS)
                for (topic, _), records in found.items():
                    async for some in in_turns(records):
                        for record in some:
                            self._topics[topic](record)
                for partition in partitions:
                    position = await consumer.position(partition)
                    self.progress.advance({TP(*partition): position})
        finally:
            self._started.clear()
            await consumer.stop()

    async def ends(self) -> Mapping[TP, int]:
        """The next offset of each topic, now."""
        await self._started.wait()
        partitions = [TopicPartition(topic, 0) for topic in self._topics]
        ends = await self._consumer.end_offsets(partitions)
        return {TP(*partition): end for partition, end in ends.items()}
