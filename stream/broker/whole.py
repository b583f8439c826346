"""Reading what a topic holds, all of it, from outside any worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from faust.types import TP

from stream.broker.facts import refuse_absent
from stream.broker.opening import open_broker
from stream.broker.protocol import Broker, Take
from stream.broker.records import Record
from stream.config import ConfigError, Settings


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

    async def read() -> None:
        async with open_broker(settings) as broker:
            width = await _width(broker, settings, topic, partitions)
            numbers = range(width) if only is None else sorted(set(only) & set(range(width)))
            tps = [TP(topic, number) for number in numbers]
            bounds = await broker.bounds(tps)
            starts = {} if since is None else await broker.offsets_at(tps, since)
            spans = {tp: (starts.get(tp, at.start), at.end) for tp, at in bounds.items()}
            async for records in broker.read(spans, settings.kafka.request_timeout):
                for record in records:
                    take(record)

    asyncio.run(read())


async def partitions_of(broker: Broker, settings: Settings, topic: str) -> list[TP]:
    """The partitions of a topic, by number.

    Raises
    ------
    ConfigError
        If the topic is not there, or may not be read.
    """
    fact = (await broker.topics([topic]))[topic]
    refuse_absent(topic, fact, settings.broker)
    return [TP(topic, number) for number in range(fact.partitions)]


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


async def _width(broker: Broker, settings: Settings, topic: str, wanted: int) -> int:
    """How many of the wanted partitions there are."""
    fact = (await broker.topics([topic]))[topic]
    if broker.makes_topics:
        return fact.partitions
    refuse_absent(topic, fact, settings.broker)
    if fact.partitions < wanted:
        raise ConfigError(
            f"topic {topic} has {fact.partitions} partition(s), and the settings ask for "
            f"{wanted}: set partitions (OFFERSTREAM_PARTITIONS) to what is there"
        )
    return wanted
