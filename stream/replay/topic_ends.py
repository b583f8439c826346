"""What the topics of a replay hold already: the last record of each partition, and the offers.

Rules: it is looked at before an engine opens the log, which one process at a time may hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, TypeAlias

from faust.types import TP

from stream.broker.opening import open_broker
from stream.broker.records import Record, value_of
from stream.broker.whole import read_topic
from stream.codec.offers import is_recall
from stream.config import Settings
from stream.replay.resume import Headers

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
    return asyncio.run(_last_records(settings))


async def _last_records(settings: Settings) -> list[LastRecord]:
    kinds = dict(_places(settings))
    async with open_broker(settings, make=True) as broker:
        bounds = await broker.bounds(kinds)
        ends = {tp: bound.end - 1 for tp, bound in bounds.items() if bound.end > bound.start}
        records = await broker.records(ends) if ends else {}
    return [(kinds[tp], tp.partition, tuple(record.headers)) for tp, record in records.items()]


def offers_so_far(settings: Settings) -> list[bytes]:
    """Read the offers that are there, each once, partition by partition.

    Raises
    ------
    ConfigError
        The broker does not answer, or the local log is open elsewhere.
    """
    found: dict[bytes, None] = {}

    def take(record: Record) -> None:
        value = value_of(record)
        if value is not None and not is_recall(value):
            found[value] = None

    read_topic(settings, settings.topics.offers, settings.partitions, take)
    return list(found)


def _places(settings: Settings) -> Iterator[tuple[TP, str]]:
    """Partition and topic kind of all that a replay may write to."""
    for kind in KINDS:
        for number in range(1 if kind == "catalog" else settings.partitions):
            yield TP(getattr(settings.topics, kind), number), kind
