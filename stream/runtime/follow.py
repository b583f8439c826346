"""Following compacted topics: every worker reads them from the beginning, outside the group.

A worker needs all of the catalog, the campaigns and the models, whatever partitions it owns, and
needs them during a rebalance too. So they are read by a consumer without a group, record by
record in order, and never committed; a compacted topic is the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from stream.config import Settings
from stream.runtime.batching.fetching import POLL_RECORDS, read_carefully
from stream.runtime.batching.records import Record
from stream.runtime.connection import client_options
from stream.runtime.local.follow import Appended
from stream.runtime.local.log import Log
from stream.runtime.progress import Progress
from stream.runtime.turns import TURN, in_turns

Take = Callable[[Record], None]
POLL_MS = 500


class Follower(Protocol):
    """Reads single-partition topics for as long as it runs; ``progress`` says how far it is."""

    progress: Progress

    async def run(self) -> None:
        """Follow until cancelled."""

    async def ends(self) -> Mapping[TP, int]:
        """The next offset of each topic, now."""


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


class LocalFollower:
    """Follows topics of the local log."""

    def __init__(self, log: Callable[[], Log], topics: Mapping[str, Take]) -> None:
        self._log = log
        self._topics = topics
        self.progress = Progress()

    async def run(self) -> None:
        """Follow until cancelled."""
        log = self._log()
        with Appended(log, self._topics.keys()) as appended:
            while True:
                appended.clear()
                for topic in self._topics:
                    if self._read(log, topic):
                        appended.set()  # there may be more
                    await asyncio.sleep(0)
                await appended.wait()

    async def ends(self) -> Mapping[TP, int]:
        """The next offset of each topic, now."""
        log = self._log()
        return {TP(topic, 0): log.highwater(topic, 0) for topic in self._topics}

    def _read(self, log: Log, topic: str) -> bool:
        tp = TP(topic, 0)
        records = log.read(topic, 0, self.progress.done.get(tp, 0), TURN)
        for record in records:
            self._topics[topic](record)
        end = records[-1].offset + 1 if records else log.highwater(topic, 0)
        self.progress.advance({tp: end})
        return bool(records)
