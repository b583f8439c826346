"""Asking the broker what it has: topics and their ids, ends of partitions, single records.

Rules: it changes nothing, belongs to no group, and has a connection of its own, so that it may be
asked while the worker's consumer is being rebalanced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DescribeConfigsRequest
from faust.types import TP

from stream.config import Settings
from stream.runtime.batching.fetching import read_carefully
from stream.runtime.batching.records import Record
from stream.runtime.connection import client_options, may_pass
from stream.runtime.local.log import Log
from stream.runtime.metadata import MISSING, TopicFacts, ask_topics

FETCH_BYTES: Final = 64 << 10  # of a partition: one record is wanted, and the first always comes
PATIENCE: Final = 10.0  # seconds for records that are there
DELETIONS: Final = "delete.retention.ms"
BETWEEN: Final = 0.2  # seconds until one asks again
T = TypeVar("T")


class Bounds(NamedTuple):
    """The first offset that a partition holds, and the one that its next record gets."""

    start: int
    end: int


class Inquiry(Protocol):
    """Where one asks."""

    async def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        """What there is of these topics."""

    async def bounds(self, tps: Iterable[TP]) -> Mapping[TP, Bounds]:
        """Where partitions begin and end."""

    async def records(self, places: Mapping[TP, int]) -> Mapping[TP, Record]:
        """The first record at or behind each place; none where the partition ends before."""

    async def deletions_kept(self, topic: str) -> int | None:
        """How long a compacted topic keeps deletions, in ms; None where that is not told."""

    async def close(self) -> None:
        """Ask no more."""


class KafkaInquiry:
    """Asks a Kafka cluster; it connects when it is first asked.

    A broker that is away is asked again, for half of what ``kafka.request_timeout`` says: Faust
    waits that long for a seek, and goes on without it.
    """

    def __init__(self, settings: Settings) -> None:
        self._options = client_options(settings)
        self._patience = settings.kafka.request_timeout / 2
        self._consumer: Any = None
        self._asking = asyncio.Lock()

    async def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        """What there is of these topics."""
        asked = list(names)
        return await self._answer(lambda consumer: ask_topics(consumer._client, asked))

    async def bounds(self, tps: Iterable[TP]) -> Mapping[TP, Bounds]:
        """Where partitions begin and end."""
        asked = [TopicPartition(*tp) for tp in tps]

        async def ask(consumer: Any) -> Mapping[TP, Bounds]:
            starts = await consumer.beginning_offsets(asked)
            ends = await consumer.end_offsets(asked)
            return {TP(*tp): Bounds(starts[tp], ends[tp]) for tp in asked}

        return await self._answer(ask)

    async def records(self, places: Mapping[TP, int]) -> Mapping[TP, Record]:
        """The first record at or behind each place; none where the partition ends before."""
        bounds = await self.bounds(places)
        asked = {
            TopicPartition(*tp): max(at, bounds[tp].start)
            for tp, at in places.items()
            if at < bounds[tp].end
        }
        return await self._answer(lambda consumer: _first(consumer, asked)) if asked else {}

    async def deletions_kept(self, topic: str) -> int | None:
        """How long a compacted topic keeps deletions, in ms; None where that is not told."""

        async def ask(consumer: Any) -> int | None:
            client = consumer._client
            resource = (ConfigResourceType.TOPIC, topic, [DELETIONS])
            request = DescribeConfigsRequest([resource], False)
            response = await client.send(client.get_random_node(), request)
            (found,) = response.to_object()["resources"]
            told = [entry["config_value"] for entry in found["config_entries"]]
            return int(told[0]) if told and told[0] else None

        return await self._answer(ask)

    async def close(self) -> None:
        """Ask no more."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _answer(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        give_up = monotonic() + self._patience
        async with self._asking:
            while True:
                try:
                    return await ask(await self._started())
                except (KafkaError, TimeoutError, OSError) as error:
                    refused = isinstance(error, KafkaError) and not may_pass(error)
                    if refused or monotonic() > give_up:
                        raise
                await asyncio.sleep(BETWEEN)

    async def _started(self) -> Any:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._options,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=FETCH_BYTES,
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            read_carefully(consumer)
            self._consumer = consumer
        return self._consumer


async def _first(consumer: Any, asked: Mapping[TopicPartition, int]) -> Mapping[TP, Record]:
    """The first record at or behind each place, of those that can be read."""
    found: dict[TP, Record] = {}
    consumer.assign(list(asked))
    for tp, at in asked.items():
        consumer.seek(tp, at)
    try:
        async with asyncio.timeout(PATIENCE):
            while missing := [tp for tp in asked if TP(*tp) not in found]:
                for tp, records in (await consumer.getmany(*missing, timeout_ms=500)).items():
                    if records:
                        found[TP(*tp)] = records[0]
                        consumer.pause(tp)
    except TimeoutError:
        pass  # what stands there can't be read: compaction may have left nothing
    finally:
        consumer.unsubscribe()
    return found


class LocalInquiry:
    """Asks a local log."""

    def __init__(self, log: Callable[[], Log]) -> None:
        self._log = log

    async def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        """What there is of these topics."""
        log = self._log()
        widths = {name: log.partitions(name) for name in names}
        return {
            name: TopicFacts(log.topic_id(name), wide or 0, MISSING if wide is None else 0)
            for name, wide in widths.items()
        }

    async def bounds(self, tps: Iterable[TP]) -> Mapping[TP, Bounds]:
        """Where partitions begin and end."""
        log = self._log()
        return {tp: Bounds(log.earliest(*tp), log.highwater(*tp)) for tp in tps}

    async def records(self, places: Mapping[TP, int]) -> Mapping[TP, Record]:
        """The first record at or behind each place; none where the partition ends before."""
        log = self._log()
        within = {tp: at for tp, at in places.items() if at < log.highwater(*tp)}
        found = {tp: log.read(*tp, at, 1) for tp, at in within.items()}
        return {tp: records[0] for tp, records in found.items() if records}

    async def deletions_kept(self, topic: str) -> int | None:
        """How long a compacted topic keeps deletions, in ms; None if there is no such topic."""
        known = self._log().topics().get(topic)
        return None if known is None else known.tombstone_ms

    async def close(self) -> None:
        """Do nothing: the log is the worker's."""


def inquiry(settings: Settings, log: Callable[[], Log]) -> Inquiry:
    """Where the settings' topics are asked for; ``log`` gives the local log where embedded."""
    return KafkaInquiry(settings) if settings.embedded_log is None else LocalInquiry(log)
