"""Reading a topic from its beginning to where it ends now, from outside any worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.config import ConfigError, Settings
from stream.runtime.batching.records import Record
from stream.runtime.connection import client_options
from stream.runtime.local.log import Log

Take = Callable[[Record], None]


def read_topic(settings: Settings, topic: str, partitions: int, take: Take) -> None:
    """Hand every record of a topic to ``take``, each partition's in order.

    Raises
    ------
    ConfigError
        If the broker does not answer, or the local log is open elsewhere.
    """
    if settings.embedded_log is None:
        asyncio.run(_read_kafka(settings, topic, partitions, take))
        return
    with Log(settings.embedded_log) as log:
        for number in range(log.partitions(topic) or 0):
            at = log.earliest(topic, number)
            while found := log.read(topic, number, at):
                for record in found:
                    take(record)
                at = found[-1].offset + 1


async def _read_kafka(settings: Settings, topic: str, partitions: int, take: Take) -> None:
    consumer = AIOKafkaConsumer(
        **client_options(settings), enable_auto_commit=False, max_partition_fetch_bytes=16 << 20
    )
    try:
        await consumer.start()
    except KafkaError as error:
        raise ConfigError(f"broker {settings.broker} does not answer: {error}") from error
    try:
        assigned = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        ends = await consumer.end_offsets(assigned)
        for tp, end in ends.items():
            while await consumer.position(tp) < end:
                for records in (await consumer.getmany(tp, timeout_ms=500)).values():
                    for record in records:
                        take(record)
    finally:
        await consumer.stop()
