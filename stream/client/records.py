"""Records of a topic as they come, from Kafka or from a local log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.config import ConfigError, Settings
from stream.runtime.batching.fetching import read_carefully
from stream.runtime.batching.records import Record
from stream.runtime.connection import client_options, overheard, stopped
from stream.runtime.local.follow import Appended
from stream.runtime.local.log import Log
from stream.runtime.metadata import FORBIDDEN, ask_topics

POLL_MS: Final = 500
CaughtUp = Callable[[], None]


async def records_of_kafka(
    settings: Settings, topic: str, since: int | None, caught_up: CaughtUp
) -> AsyncIterator[Sequence[Record]]:
    """The records of all partitions of a topic, without a group, for ever; at times, none.

    Parameters
    ----------
    settings
        How to reach the cluster.
    topic
    since
        Ms since 1970: what was appended before is passed over; None: all that is there.
    caught_up
        Called once all that was there at the start was handed over.

    Raises
    ------
    ConfigError
        If no broker answers at the start, or the topic is not there or may not be read.
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=POLL_MS,
    )
    await _start(consumer, settings)
    try:
        read_carefully(consumer)
        left = await _begin(consumer, settings, topic, since)
        while True:
            left = {tp: end for tp, end in left.items() if await consumer.position(tp) < end}
            if not left:
                caught_up()
                yield ()
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                yield records
    finally:
        await stopped(consumer)


async def _start(consumer: Any, settings: Settings) -> None:
    with overheard() as heard:
        try:
            await consumer.start()
        except KafkaError as error:
            await stopped(consumer)
            why = heard[-1] if heard else str(error)
            raise ConfigError(f"broker {settings.broker} does not answer: {why}") from error


async def _begin(
    consumer: Any, settings: Settings, topic: str, since: int | None
) -> Mapping[TopicPartition, int]:
    """Assign the topic's partitions, go to where to begin, and say where each ends."""
    fact = (await ask_topics(consumer._client, [topic]))[topic]
    if fact.error == FORBIDDEN:
        raise ConfigError(f"the login may not read topic {topic}: grant it Read")
    if not fact.partitions:
        raise ConfigError(
            f"topic {topic} is missing on {settings.broker}; run `offerstream topics apply`"
        )
    partitions = [TopicPartition(topic, number) for number in range(fact.partitions)]
    consumer.assign(partitions)
    ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
    starts = await consumer.beginning_offsets(partitions)
    if since is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
        starts = {tp: ends[tp] if at is None else at.offset for tp, at in found.items()}
    for tp, offset in starts.items():
        consumer.seek(tp, offset)
    return ends


async def records_of_log(
    log: Log, topic: str, caught_up: CaughtUp
) -> AsyncIterator[Sequence[Record]]:
    """The records of all partitions of a local log's topic, for ever.

    Raises
    ------
    ConfigError
        If there is no such topic.
    """
    count = log.partitions(topic)
    if count is None:
        raise ConfigError(f"topic {topic} is missing in {log.directory}: let a worker run on it")
    at = {number: log.earliest(topic, number) for number in range(count)}
    with Appended(log, {topic}) as appended:
        while True:
            appended.clear()
            idle = True
            for number, offset in at.items():
                records = log.read(topic, number, offset)
                if records:
                    idle = False
                    at[number] = records[-1].offset + 1
                    yield records
                await asyncio.sleep(0)
            if idle:
                caught_up()
                yield ()
                await appended.wait()
