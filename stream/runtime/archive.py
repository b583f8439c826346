"""Reading what a topic holds: all of it, from outside any worker, or a part of a partition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from stream.config import ConfigError, Settings
from stream.runtime.batching.fetching import POLL_RECORDS, read_carefully
from stream.runtime.batching.records import Record
from stream.runtime.connection import client_options, may_pass, overheard, started, stopped
from stream.runtime.local.log import Log
from stream.runtime.metadata import FORBIDDEN, ask_topics

if TYPE_CHECKING:
    from faust.types import TP

Take = Callable[[Record], None]


def read_topic(
    settings: Settings,
    topic: str,
    partitions: int,
    take: Take,
    only: Collection[int] | None = None,
    since: int | None = None,
) -> None:
    """Hand every record of a topic to ``take``, each partition's in order.

    Parameters
    ----------
    settings, topic
    partitions
        How many there are to be.
    take
    only
        The numbers of those that are read; None: all.
    since
        On Kafka, what was appended before this, in ms since 1970, is passed over.

    Raises
    ------
    ConfigError
        If the topic is not there, the broker does not answer for ``kafka.request_timeout``, or the
        local log is open elsewhere.
    """
    if settings.embedded_log is None:
        asyncio.run(_read_topic(settings, topic, partitions, take, only, since))
        return
    if not settings.embedded_log.is_dir():
        raise ConfigError(f"there is no local log in {settings.embedded_log}: is --broker right?")
    with Log(settings.embedded_log) as log:
        for number in range(log.partitions(topic) or 0):
            if only is not None and number not in only:
                continue
            for records in _in_log(log, topic, number, (0, log.highwater(topic, number))):
                for record in records:
                    take(record)


def counted(take: Take, seen: Callable[[int], None]) -> Take:
    """Have ``seen`` told how many records ``take`` was handed so far, each thousand."""
    count = 0

    def taken(record: Record) -> None:
        nonlocal count
        count += 1
        if count % 1_000 == 0:
            seen(count)
        take(record)

    return taken


async def read_between(
    settings: Settings, open_log: Callable[[], Log], tp: TP, start: int, end: int
) -> AsyncIterator[list[Record]]:
    """The records of a partition from ``start`` to before ``end``, in order, by fetches.

    None is empty. What the topic no longer holds is passed over. A broker that is away is asked
    until it answers. ``open_log`` gives the local log where embedded.
    """
    if settings.embedded_log is None:
        at = start
        while at < end:
            consumer = await started(lambda: _consumer(settings))
            read_carefully(consumer)
            try:
                async for records in _in_topic(consumer, {TopicPartition(*tp): (at, end)}):
                    yield records
                    at = records[-1].offset + 1
                return
            except KafkaError as error:
                if not may_pass(error):
                    raise
            finally:
                await stopped(consumer)
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


async def _read_topic(
    settings: Settings,
    topic: str,
    partitions: int,
    take: Take,
    only: Collection[int] | None,
    since: int | None,
) -> None:
    async with _connected(settings) as consumer:
        await _refuse_missing(consumer, settings, topic, partitions)
        numbers = range(partitions) if only is None else sorted(only)
        assigned = [TopicPartition(topic, number) for number in numbers]
        ends = await consumer.end_offsets(assigned)
        starts = dict.fromkeys(assigned, 0)
        if since is not None:
            found = await consumer.offsets_for_times(dict.fromkeys(assigned, since))
            starts = {tp: ends[tp] if at is None else at.offset for tp, at in found.items()}
        spans = {tp: (starts[tp], end) for tp, end in ends.items()}
        async for records in _in_topic(consumer, spans, settings.kafka.request_timeout):
            for record in records:
                take(record)


async def _refuse_missing(
    consumer: AIOKafkaConsumer, settings: Settings, topic: str, partitions: int
) -> None:
    fact = (await ask_topics(consumer._client, [topic]))[topic]
    if fact.error == FORBIDDEN:
        raise ConfigError(f"the login may not read topic {topic}: grant it Read")
    if not fact.partitions:
        raise ConfigError(
            f"topic {topic} is missing on {settings.broker}; run `offerstream topics apply`"
        )
    if fact.partitions < partitions:
        raise ConfigError(
            f"topic {topic} has {fact.partitions} partition(s), and the settings ask for "
            f"{partitions}: set partitions (OFFERSTREAM_PARTITIONS) to what is there"
        )


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = _consumer(settings)
    with overheard() as heard:
        try:
            await consumer.start()
            read_carefully(consumer)
            yield consumer
        except KafkaError as error:
            why = heard[-1] if heard else str(error)
            raise ConfigError(f"broker {settings.broker} does not answer: {why}") from error
        finally:
            await stopped(consumer)


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 << 20,
        max_poll_records=POLL_RECORDS,
    )


async def _in_topic(
    consumer: AIOKafkaConsumer,
    spans: Mapping[TopicPartition, tuple[int, int]],
    patience: float = inf,
) -> AsyncIterator[list[Record]]:
    """The records within ``spans``; raise if nothing came for ``patience`` seconds."""
    consumer.assign(list(spans))
    first = await consumer.beginning_offsets(list(spans))
    for tp, (start, _) in spans.items():
        consumer.seek(tp, max(start, first[tp]))
    for tp, (_, end) in spans.items():
        at, since = -1, monotonic()
        while (position := await consumer.position(tp)) < end:
            if position > at:
                at, since = position, monotonic()
            elif monotonic() - since > patience:
                raise KafkaTimeoutError(f"nothing came for {patience:g} s")
            for found in (await consumer.getmany(tp, timeout_ms=500)).values():
                if records := [record for record in found if record.offset < end]:
                    yield records
