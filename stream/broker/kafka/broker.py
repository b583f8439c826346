"""A Kafka cluster as a broker: asked, read and written outside any group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DescribeConfigsRequest
from faust.types import TP

from stream.broker.facts import TopicFacts, refuse_absent
from stream.broker.kafka.connection import client_options, may_pass, started, stopped
from stream.broker.kafka.failing import said_in_one_line
from stream.broker.kafka.fencing import FencedProducer
from stream.broker.kafka.fetching import POLL_RECORDS, read_carefully
from stream.broker.kafka.follow import KafkaFollower
from stream.broker.kafka.metadata import ask_topics
from stream.broker.kafka.spans import read_spans
from stream.broker.protocol import CaughtUp, Follower, OffsetRange, Placed, Take
from stream.broker.records import Outgoing, Record
from stream.broker.topics import DELETIONS
from stream.config import Settings

ONE_RECORD: Final = 64 << 10  # bytes of a partition: one record is wanted, and the first comes
MANY_RECORDS: Final = 16 << 20
PATIENCE: Final = 10.0  # seconds for records that are there
POLL_MS: Final = 500
LINGER_MS: Final = 5
BETWEEN: Final = 0.2  # seconds until one asks again
T = TypeVar("T")


class KafkaBroker:
    """Asks a Kafka cluster; it connects when it is first asked.

    A broker that is away is asked again, for half of what ``kafka.request_timeout`` says: Faust
    waits that long for a seek, and goes on without it.
    """

    makes_topics = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._patience = settings.kafka.request_timeout / 2
        self._consumer: Any = None
        self._producer: Any = None
        self._groups: dict[str, Any] = {}
        self._asking = asyncio.Lock()
        self._connecting = asyncio.Lock()

    async def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        """What there is of these topics."""
        asked = list(names)
        return await self._answer(lambda consumer: ask_topics(consumer._client, asked))

    async def bounds(self, tps: Iterable[TP]) -> Mapping[TP, OffsetRange]:
        """Where partitions begin and end."""
        asked = [TopicPartition(*tp) for tp in tps]

        async def ask(consumer: Any) -> Mapping[TP, OffsetRange]:
            starts = await consumer.beginning_offsets(asked)
            ends = await consumer.end_offsets(asked)
            return {TP(*tp): OffsetRange(starts[tp], ends[tp]) for tp in asked}

        return await self._answer(ask)

    async def offsets_at(self, tps: Iterable[TP], time: int) -> Mapping[TP, int]:
        """The first offset appended at a time or later, in ms since 1970; at most the end."""
        asked = dict.fromkeys((TopicPartition(*tp) for tp in tps), time)

        async def ask(consumer: Any) -> Mapping[TP, int]:
            ends = await consumer.end_offsets(list(asked))
            found = await consumer.offsets_for_times(asked)
            return {TP(*tp): ends[tp] if at is None else at.offset for tp, at in found.items()}

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

    async def read(
        self, spans: Mapping[TP, tuple[int, int]], patience: float = inf
    ) -> AsyncIterator[list[Record]]:
        """The records of partitions from an offset to before another, partition by partition."""
        left = {TopicPartition(*tp): span for tp, span in spans.items() if span[0] < span[1]}
        while left:
            consumer = await started(lambda: self._made(MANY_RECORDS), patience)
            read_carefully(consumer)
            try:
                async for tp, records in read_spans(consumer, left, patience):
                    if records:
                        yield records
                        left[tp] = records[-1].offset + 1, left[tp][1]
                    else:
                        del left[tp]
            except KafkaError as error:
                if patience < inf or not may_pass(error):
                    raise
            finally:
                await stopped(consumer)

    async def tail(
        self,
        topic: str,
        since: int | None,
        caught_up: CaughtUp,
        places: Mapping[TP, int] = MappingProxyType({}),
    ) -> AsyncIterator[Sequence[Record]]:
        """The records of all partitions of a topic, for ever; at times, none."""
        tps = await self._partitions(topic)
        bounds = await self.bounds(tps)
        starts = {tp: bounds[tp].start for tp in tps}
        if since is not None:
            starts = dict(await self.offsets_at(tps, since))
        for tp, at in places.items():
            if at <= bounds[tp].end:
                starts[tp] = max(at, bounds[tp].start)
        consumer = await started(lambda: self._made(MANY_RECORDS), self._patience)
        read_carefully(consumer)
        try:
            consumer.assign([TopicPartition(*tp) for tp in tps])
            for tp, offset in starts.items():
                consumer.seek(TopicPartition(*tp), offset)
            left = {TopicPartition(*tp): bound.end for tp, bound in bounds.items()}
            while True:
                left = {tp: end for tp, end in left.items() if await consumer.position(tp) < end}
                if not left:
                    caught_up()
                    yield ()
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    yield records
        finally:
            await stopped(consumer)

    async def send(
        self, topic: str, record: Outgoing, partition: int | None = None
    ) -> Awaitable[Placed]:
        """Put a record into the order in which records are sent; by its key without a partition."""
        key, value, time, headers = record
        producer = await self._sending()
        sent: Awaitable[Placed] = await producer.send(
            topic, value, key, partition=partition, timestamp_ms=time, headers=list(headers)
        )
        return sent

    async def publish(self, records: Mapping[TP, Sequence[Outgoing]]) -> None:
        """Append records; they are durable on return."""
        sent = [
            await self.send(tp.topic, record, tp.partition)
            for tp, some in records.items()
            for record in some
        ]
        await asyncio.gather(*sent)

    async def committed(self, group: str, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Where a group goes on reading, of those partitions where it ever committed."""
        member = await self._of_group(group)
        found = {tp: await member.committed(TopicPartition(*tp)) for tp in tps}
        return {tp: at for tp, at in found.items() if at is not None}

    async def commit(self, group: str, places: Mapping[TP, int]) -> None:
        """Remember where a group of which nobody is a member goes on; it is durable on return."""
        member = await self._of_group(group)
        asked = {TopicPartition(*tp): at for tp, at in places.items()}
        if not asked.keys() <= (known := member.assignment()):
            member.assign([*known, *(asked.keys() - known)])
            member.pause(*member.assignment())  # it commits, and reads nothing
        await member.commit(asked)

    async def overrule(self, owner: str, tp: TP, record: Outgoing) -> None:
        """Append a record in place of a partition's owner, who is fenced off if it still runs."""
        key, value, time, headers = record
        fenced = FencedProducer(owner, client_options(self._settings))
        async with asyncio.timeout(self._settings.kafka.request_timeout):
            await fenced.start()
        try:
            batch = fenced.producer.create_batch()
            batch.append(key=key, value=value, timestamp=time, headers=list(headers))
            await (await fenced.producer.send_batch(batch, tp.topic, partition=tp.partition))
        finally:
            await fenced.stop()

    def follow(self, topics: Mapping[str, Take]) -> Follower:
        """Who hands each record of these topics to what takes it."""
        return KafkaFollower(self._settings, topics)

    async def connect(self) -> None:
        """Connect at once.

        Raises
        ------
        KafkaError
            If no broker answers.
        """
        await self._started()

    async def close(self) -> None:
        """Ask no more."""
        clients = self._consumer, self._producer, *self._groups.values()
        self._groups.clear()
        self._consumer = self._producer = None
        for client in clients:
            if client is not None:
                await stopped(client)

    async def _partitions(self, topic: str) -> list[TP]:
        fact = (await self.topics([topic]))[topic]
        refuse_absent(topic, fact, self._settings.broker)
        return [TP(topic, number) for number in range(fact.partitions)]

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
            consumer = await _running(self._made(ONE_RECORD))
            read_carefully(consumer)
            self._consumer = consumer
        return self._consumer

    async def _sending(self) -> Any:
        async with self._connecting:
            if self._producer is None:
                self._producer = await _running(
                    AIOKafkaProducer(
                        **client_options(self._settings),
                        acks="all",
                        enable_idempotence=True,  # a retry changes no order, and doubles nothing
                        linger_ms=LINGER_MS,
                        compression_type="lz4",
                        max_batch_size=self._settings.kafka.batch_bytes,
                    )
                )
            return self._producer

    async def _of_group(self, group: str) -> Any:
        """A client that keeps a group's places, and joins it not."""
        if group not in self._groups:
            self._groups[group] = await started(
                lambda: self._made(ONE_RECORD, group), self._patience
            )
        return self._groups[group]

    def _made(self, partition_bytes: int, group: str | None = None) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **client_options(self._settings),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=partition_bytes,
            max_poll_records=POLL_RECORDS,
            fetch_max_wait_ms=POLL_MS,
        )


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[KafkaBroker]:
    """Connect to the cluster that the settings name, for a command.

    Raises
    ------
    ConfigError
        If no broker answers, the login is refused, or the broker fails later.
    """
    broker = KafkaBroker(settings)
    with said_in_one_line(settings) as failing:
        try:
            async with asyncio.timeout(settings.kafka.request_timeout):
                await broker.connect()
            failing.began()
            yield broker
        finally:
            await broker.close()


async def _running(client: Any) -> Any:
    try:
        await client.start()
    except BaseException:
        await stopped(client)
        raise
    return client


async def _first(consumer: Any, asked: Mapping[TopicPartition, int]) -> Mapping[TP, Record]:
    """The first record at or behind each place, of those that can be read."""
    found: dict[TP, Record] = {}
    consumer.assign(list(asked))
    for tp, at in asked.items():
        consumer.seek(tp, at)
    try:
        async with asyncio.timeout(PATIENCE):
            while missing := [tp for tp in asked if TP(*tp) not in found]:
                for tp, records in (await consumer.getmany(*missing, timeout_ms=POLL_MS)).items():
                    if records:
                        found[TP(*tp)] = records[0]
                        consumer.pause(tp)
    except TimeoutError:
        pass  # what stands there can't be read: compaction may have left nothing
    finally:
        consumer.unsubscribe()
    return found
