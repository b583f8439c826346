"""The checker's own way to Kafka: it sends in batches, reads topics whole, and watches commits.

Nothing of offerstream is imported; a record's partition is Kafka's default for its key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from tests.auditor.books import Books, Place
from tests.auditor.shop import Sent
from tests.waiting import eventually

EVENTS: Final = ("clicks", "purchases", "feedback", "customers")
BATCH: Final = 512 << 10  # bytes of a record batch, below the broker's limit of 1 MiB


class Wire:
    """Connections to one broker, for one shop's topics; an asynchronous context manager.

    Parameters
    ----------
    address
        ``host:port``, or several with commas.
    prefix
        What the topics' names begin with.
    group
        The workers' consumer group: offerstream's ``app_id``.
    partitions
        Of each topic of events.
    """

    def __init__(self, address: str, prefix: str, group: str, partitions: int) -> None:
        self.prefix, self.partitions = prefix, partitions
        self._address, self._group = address, group
        self._partition = cache(lambda key: (murmur2(key) & 0x7FFFFFFF) % partitions)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=address,
            enable_idempotence=True,
            max_batch_size=BATCH,
            max_request_size=2 * BATCH,
        )
        self._admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=30_000)

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._admin.close()

    async def send(self, records: Iterable[Sent], books: Books) -> None:
        """Send records, each partition's in their order, and enter where they stand."""
        logs: defaultdict[tuple[str, int], list[Sent]] = defaultdict(list)
        keys = [one.name.encode() for one in books.shop.customers]
        for sent in records:
            logs[sent.topic, self._partition(keys[sent.customer])].append(sent)
        flights = []
        for (topic, partition), log in logs.items():
            for batch, some in self._batches(log, keys):
                name = self.prefix + topic
                flight = await self._producer.send_batch(batch, name, partition=partition)
                flights.append((topic, partition, some, flight))
        for topic, partition, some, flight in flights:
            metadata = await flight
            books.enter(Place(topic, partition, metadata.offset), some)

    def _batches(self, log: list[Sent], keys: list[bytes]) -> Iterable[tuple[Any, list[Sent]]]:
        batch, some = self._producer.create_batch(), list[Sent]()
        for sent in log:
            key = keys[sent.customer]
            if batch.append(key=key, value=sent.value, timestamp=None) is None:
                yield batch, some
                batch, some = self._producer.create_batch(), []
                batch.append(key=key, value=sent.value, timestamp=None)
            some.append(sent)
        if some:
            yield batch, some

    async def send_items(self, values: Mapping[str, bytes]) -> None:
        """Send the catalog."""
        for item, value in values.items():
            await self._producer.send(f"{self.prefix}catalog", value, key=item.encode())
        await self._producer.flush()

    async def ends(self) -> dict[TopicPartition, int]:
        """Where the topics of events end."""
        async with self._consumer() as consumer:
            shards = range(self.partitions)
            tps = [TopicPartition(self.prefix + t, p) for t in EVENTS for p in shards]
            ends: dict[TopicPartition, int] = await consumer.end_offsets(tps)
            return ends

    async def decided(
        self, ends: Mapping[TopicPartition, int], meanwhile: Callable[[], None]
    ) -> None:
        """Wait until the group has committed up to these ends."""

        async def lag() -> int:
            meanwhile()
            try:
                told = await self._admin.list_consumer_group_offsets(self._group)
            except (KafkaError, TimeoutError):
                return sum(ends.values())  # the group's coordinator moves
            done = {tp: place.offset for tp, place in told.items()}
            return sum(max(0, end - max(0, done.get(tp, 0))) for tp, end in ends.items())

        await eventually("the events, decided", lag, lambda n: n == 0, left=float, every=0.2)

    async def read(self, topic: str, take: Callable[[Any], None]) -> None:
        """Read a topic from its beginning to its end."""
        async with self._consumer() as consumer:
            name = self.prefix + topic
            tps = [TopicPartition(name, number) for number in range(self.partitions)]
            ends = {tp: end for tp, end in (await consumer.end_offsets(tps)).items() if end}
            if not ends:
                return
            consumer.assign([*ends])
            await consumer.seek_to_beginning(*ends)

            async def left() -> int:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        take(record)
                return sum([end - await consumer.position(tp) for tp, end in ends.items()])

            await eventually(f"all of {name}", left, lambda n: n <= 0, left=float, every=0.0)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._address,
            enable_auto_commit=False,
            max_partition_fetch_bytes=8 << 20,
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()
