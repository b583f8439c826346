"""Faust's Kafka transport with batches in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from aiokafka.structs import RecordMetadata
from faust.transport.drivers import aiokafka as driver

from stream.runtime.batching.consumer import BatchingConsumer
from stream.runtime.batching.records import Outgoing


class KafkaConsumer(BatchingConsumer, driver.Consumer):
    """Batches from Kafka."""


class KafkaProducer(driver.Producer):
    """Record batches to Kafka, idempotent and acknowledged by all in-sync replicas."""

    def _settings_extra(self) -> Mapping[str, Any]:
        # Stock: only under exactly_once. Without it, a retry could reorder two batches.
        return {"acks": "all", "enable_idempotence": True}

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[RecordMetadata]:
        """Hand over (key, value, timestamp in ms or None, headers) records of one partition.

        Returns an awaitable that is done when all of them are durable, with the metadata of the
        last record batch that they took.
        """
        producer = self._ensure_producer()
        sent = []
        builder = producer.create_batch()
        for key, value, timestamp, headers in records:
            fields = {"key": key, "value": value, "timestamp": timestamp, "headers": list(headers)}
            if builder.append(**fields) is None:
                sent.append(await producer.send_batch(builder, topic, partition=partition))
                builder = producer.create_batch()
                builder.append(**fields)
        sent.append(await producer.send_batch(builder, topic, partition=partition))
        return _last(sent)


async def _last(sent: list[asyncio.Future[RecordMetadata]]) -> RecordMetadata:
    return (await asyncio.gather(*sent))[-1]


class KafkaTransport(driver.Transport):
    """Kafka with batches."""

    Consumer = KafkaConsumer
    Producer = KafkaProducer
