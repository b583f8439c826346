"""Reading what a topic holds: all of it, from outside any worker, or a part of a partition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.config import ConfigError, Settings
from stream.runtime.batching.records import Record
from stream.runtime.connection import client_options
from stream.runtime.local.log import Log

if TYPE_CHECKING:
    from faust.types import TP

Take = Callable[[Record], None]


def read_topic(settings: Settings, topic: str, partitions: int, take: Take) -> None:
    """Hand every record of a topic to ``take``, each partition's in order.

    Raises
    ------
    ConfigError
        If the broker does not answer, or the local log is open elsewhere.
    """
    if settings.embedded_log is None:
        asyncio.run(_read_topic(settings, topic, partitions, take))
        return
    with Log(settings.embedded_log) as log:
        for number in range(log.partitions(topic) or 0):
            for records in _in_log(log, topic, number, (0, log.highwater(topic, number))):
                for record in records:
                    take(record)


async def read_between(
    settings: Settings, open_log: Callable[[], Log], tp: TP, start: int, end: int
) -> AsyncIterator[list[Record]]:
    """The records of a partition from ``start`` to before ``end``, in order, by fetches.

    None is empty. What the topic no longer holds is passed over. ``open_log`` gives the local log
    where embedded.

    Raises
    ------
    ConfigError
        If the broker does not answer.
    """
    if settings.embedded_log is None:
        async with _connected(settings) as consumer:
            async for records in _in_topic(consumer, {TopicPartition(*tp): (start, end)}):
                yield records
    else:
        for records in _in_log(open_log(), *tp, (start, end)):
            yield records


def _in_log(log: Log, topic: str, partition: int, span: tuple[int, int]) -> Iterator[list[Record]]:
    start, end = span
    at = max(start, log.earliest(topic, partition))
    while at < end and (found := log.read(topic, partition, at)):
        records: list[Record] = [record for record in found if record.offset < end]
        if records:
            yield records
        at = found[-1].offset + 1


async def _read_topic(settings: Settings, topic: str, partitions: int, take: Take) -> None:
    async with _connected(settings) as consumer:
        assigned = [TopicPartition(topic, number) for number in range(partitions)]
        ends = await consumer.end_offsets(assigned)
        async for records in _in_topic(consumer, {tp: (0, end) for tp, end in ends.items()}):
            for record in records:
                take(record)


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 << 20,
    )
    try:
        await consumer.start()
        yield consumer
    except KafkaError as error:
        raise ConfigError(f"broker {settings.broker} does not answer: {error}") from error
    finally:
        await consumer.stop()


async def _in_topic(
    consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]]
) -> AsyncIterator[list[Record]]:
    consumer.assign(list(spans))
    first = await consumer.beginning_offsets(list(spans))
    for tp, (start, _) in spans.items():
        consumer.seek(tp, max(start, first[tp]))
    for tp, (_, end) in spans.items():
        while await consumer.position(tp) < end:
            for found in (await consumer.getmany(tp, timeout_ms=500)).values():
                if records := [record for record in found if record.offset < end]:
                    yield records
