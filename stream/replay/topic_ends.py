"""What the topics of a replay hold already: the last record of each partition, and the offers.

Rules: it is looked at before an engine opens the log, which one process at a time may hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.codec.offers import is_recall
from stream.config import ConfigError, Settings
from stream.replay.resume import Headers
from stream.runtime.batching.fetching import POLL_RECORDS, read_carefully
from stream.runtime.batching.records import Unreadable
from stream.runtime.connection import client_options
from stream.runtime.local.log import Log

KINDS: Final = ("clicks", "purchases", "feedback", "customers", "catalog")

#: Topic kind, partition, headers of the last record.
LastRecord: TypeAlias = tuple[str, int, Headers]


def last_records(settings: Settings) -> list[LastRecord]:
    """Find the last record of each partition of the topics that a replay writes.

    Raises
    ------
    ConfigError
        The broker does not answer, or the local log is open elsewhere.
    """
    if settings.embedded_log is not None:
        with Log(settings.embedded_log) as log:
            return list(_last_local(log, settings))
    return asyncio.run(_last_on_kafka(settings))


def offers_so_far(settings: Settings) -> list[bytes]:
    """Read the offers that are there, each once, partition by partition.

    Raises
    ------
    ConfigError
        The broker does not answer, or the local log is open elsewhere.
    """
    if settings.embedded_log is not None:
        with Log(settings.embedded_log) as log:
            found = list(_values(log, settings.topics.offers))
    else:
        found = asyncio.run(_values_on_kafka(settings))
    return [value for value in dict.fromkeys(found) if not is_recall(value)]


def _places(settings: Settings) -> Iterator[tuple[str, str, int]]:
    """Topic kind, topic and partition of all that a replay may write to."""
    for kind in KINDS:
        for partition in range(1 if kind == "catalog" else settings.partitions):
            yield kind, getattr(settings.topics, kind), partition


def _last_local(log: Log, settings: Settings) -> Iterator[LastRecord]:
    for kind, topic, partition in _places(settings):
        end = log.highwater(topic, partition)
        if end > log.earliest(topic, partition):
            for last in log.read(topic, partition, end - 1):
                yield kind, partition, last.headers


def _values(log: Log, topic: str) -> Iterator[bytes]:
    for partition in range(log.partitions(topic) or 0):
        at = log.earliest(topic, partition)
        while found := log.read(topic, partition, at):
            yield from (record.value for record in found if record.value is not None)
            at = found[-1].offset + 1


async def _last_on_kafka(settings: Settings) -> list[LastRecord]:
    places = {TopicPartition(topic, number): kind for kind, topic, number in _places(settings)}
    async with _consumer(settings) as consumer:
        begins = await consumer.beginning_offsets(list(places))
        ends = await consumer.end_offsets(list(places))
        filled = [place for place in places if ends[place] > begins[place]]
        found: dict[TopicPartition, Headers] = {}
        if filled:
            consumer.assign(filled)
            for place in filled:
                consumer.seek(place, ends[place] - 1)
        while any([await consumer.position(place) < ends[place] for place in filled]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                found[place] = tuple(records[-1].headers)
        return [(places[place], place.partition, headers) for place, headers in found.items()]


async def _values_on_kafka(settings: Settings) -> list[bytes]:
    places = [TopicPartition(settings.topics.offers, n) for n in range(settings.partitions)]
    values: dict[int, list[bytes]] = {place.partition: [] for place in places}
    async with _consumer(settings) as consumer:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                values[place.partition] += [
                    record.value
                    for record in records
                    if record.value is not None and not isinstance(record, Unreadable)
                ]
    return [value for number in sorted(values) for value in values[number]]


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect a consumer that belongs to no group."""
    consumer = AIOKafkaConsumer(
        **client_options(settings), enable_auto_commit=False, max_poll_records=POLL_RECORDS
    )
    try:
        await consumer.start()
        read_carefully(consumer)
    except KafkaError as error:
        raise ConfigError(f"broker {settings.broker} does not answer: {error}") from error
    try:
        yield consumer
    finally:
        await consumer.stop()
