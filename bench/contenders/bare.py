"""The practical limit: a bare aiokafka loop around the project's own core and learner, no Faust.

Rules: as careful as the worker, and no more: it executes the same scripts, and decides the next
batch meanwhile. What it leaves out is what Faust and the runtime add: topics merged by time,
rebalances, standbys, recovery, metrics and health.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from rocksdict import Options, Rdict, WriteBatch

from bench.run import Run
from stream.broker.kafka.follow import KafkaFollower
from stream.broker.records import Outgoing, Record
from stream.codec.reference import ReferenceDecoder
from stream.codec.schema import load_schemas
from stream.codec.snapshots.models import SLOTS
from stream.decide.rows.record import Desk
from stream.worker.faust.records import Arrived, Batch, Lane
from stream.worker.learning.trainer import Trainer
from stream.worker.partition import Partition
from stream.worker.pipeline import LARGEST_WRITE
from stream.worker.reading import EventReader
from stream.worker.script import Acknowledge, Append, Effect, Keep, Script, Send, Settle, script
from stream.worker.worldview import WorldView

AHEAD = 3  # batches of a partition that may be on their way, as in the worker
COMMIT_SECONDS = 1.0


class Store:
    """A RocksDB for each partition, in the place of the worker's table."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[int, Rdict] = {}

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value of a key."""
        found: bytes | None = self._of(partition).get(key)
        return found

    def store(self, partition: int, writes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Put durable writes in."""
        batch = WriteBatch(raw_mode=True)
        for key, value in writes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self._of(partition).write(batch)

    def _of(self, partition: int) -> Rdict:
        if partition not in self._open:
            path = self._directory / str(partition)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[partition] = Rdict(str(path), Options(raw_mode=True))
        return self._open[partition]


class Fetched(NamedTuple):
    """Records of one partition; their acknowledgement is noted for the next commit."""

    value: Batch
    done: dict[TopicPartition, int]

    def ack(self) -> bool:
        """Let the offsets be committed."""
        self.done.update({TopicPartition(*tp): at for tp, at in self.value.next_offsets.items()})
        return True


class BareLoop:
    """Consumer, producer, store, and the parts of the core."""

    def __init__(self, run: Run) -> None:
        self._settings = settings = run.settings()
        schemas = load_schemas()
        self._read = EventReader.of(settings, schemas).read
        self._store = Store(settings.data_dir)
        self._partitions: dict[int, Partition] = {}
        self._desk = Desk()
        self._last: dict[int, asyncio.Task[None]] = {}
        self._room: dict[int, asyncio.Semaphore] = {}
        self._done: dict[TopicPartition, int] = {}
        self._learned = self._published = 0
        self.view = WorldView(
            settings.core, ReferenceDecoder(schemas, settings.core), settings.learning.enabled
        )
        topics = settings.topics
        self.follower = KafkaFollower(
            settings,
            {topics.catalog: self.view.take_item, topics.models: self.view.take_models},
        )
        self._consumer = _consumer(run, run.group)
        self._lessons = _consumer(run, run.group + "-learner")
        self._producer = AIOKafkaProducer(
            bootstrap_servers=run.broker,
            acks="all",
            enable_idempotence=True,
            max_batch_size=settings.kafka.batch_bytes,
        )

    async def work(self) -> None:
        """Work until cancelled."""
        topics = self._settings.topics
        for client in (self._consumer, self._lessons, self._producer):
            await client.start()
        self._consumer.subscribe(list(topics.events))
        self._lessons.subscribe([topics.examples])
        learning, seed = self._settings.learning, self._settings.core.seed
        trainer = Trainer(learning, seed, SLOTS[-1], published=None)
        async with asyncio.TaskGroup() as self._tasks:  # one that fails ends all
            for part in (
                self._decide(), self._learn(trainer), self._publish(trainer), self._commit(),
                self.follower.run(), self.view.build(),
            ):  # fmt: skip
                self._tasks.create_task(part)

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[Any]:
        """Hand over records of one partition; the awaitable is done when they are durable."""
        sent = []
        builder = self._producer.create_batch()
        for key, value, timestamp, headers in records:
            fields = {"key": key, "value": value, "timestamp": timestamp, "headers": list(headers)}
            if builder.append(**fields) is None:
                sent.append(await self._producer.send_batch(builder, topic, partition=partition))
                builder = self._producer.create_batch()
                builder.append(**fields)
        sent.append(await self._producer.send_batch(builder, topic, partition=partition))
        return asyncio.gather(*sent)

    async def _decide(self) -> None:
        limit = self._settings.kafka.poll_records * self._settings.partitions
        while True:
            found = await self._consumer.getmany(timeout_ms=500, max_records=limit)
            for tp, records in found.items():
                await self._take(tp, records)

    async def _take(self, tp: TopicPartition, records: Sequence[Record]) -> None:
        number = tp.partition
        if number not in self._partitions:
            table: Any = self._store
            cached = self._settings.worker.cached_customers
            self._partitions[number] = Partition(number, table, cached, desk=self._desk)
            self._room[number] = asyncio.Semaphore(AHEAD)
        await self._room[number].acquire()
        arrived = []
        for record in records:
            read = self._read(record)
            assert read is not None, "it names no schema to wait for"
            time, content = read
            arrived.append(Arrived(time or 0, record, content))
        batch = Batch(Lane("", number), arrived)
        flush = self._partitions[number].decide(batch, self.view.world, LARGEST_WRITE, alone=True)
        assert flush is not None and len(flush.batch) == len(batch), "smaller batches are needed"
        first, *left = script(number, flush, Fetched(batch, self._done), self._settings.topics)
        begun = [await self._begin(number, effect) for effect in first]
        self._last[number] = self._tasks.create_task(
            self._finish(number, begun, tuple(left), self._last.get(number))
        )

    async def _finish(
        self,
        number: int,
        begun: Sequence[Awaitable[Any] | None],
        left: Script,
        before: Awaitable[None] | None,
    ) -> None:
        await _durable(begun)
        if before is not None:
            await before
        for stage in left:
            await _durable([await self._begin(number, effect) for effect in stage])
        self._room[number].release()

    async def _begin(self, number: int, effect: Effect) -> Awaitable[Any] | None:
        """Begin an effect; what comes is done when it is durable, None if it is at once."""
        match effect:
            case Append(_, writes):
                records: list[Outgoing] = [(key, value, None, ()) for key, value in writes]
                changelog = self._settings.customers_changelog
                return await self.send_batch(changelog, number, records)
            case Keep(flush, writes):
                self._store.store(number, writes)
                self._partitions[number].stored(flush)
            case Send(topic, partition, sent):
                return await self.send_batch(topic, partition, sent)
            case Settle(flush):
                self._partitions[number].safe(flush)
            case Acknowledge(delivery):
                delivery.ack()
        return None

    async def _learn(self, trainer: Trainer) -> None:
        while True:
            for records in (await self._lessons.getmany(timeout_ms=500)).values():
                trainer.learn((record.offset, record.value) for record in records)
                self._learned = records[-1].offset + 1

    async def _publish(self, trainer: Trainer) -> None:
        topic = self._settings.topics.models
        while True:
            await asyncio.sleep(self._settings.learning.publish_interval)
            if self._learned == self._published:
                continue
            began, learned = perf_counter(), self._learned
            records = trainer.publish().records
            await (await self.send_batch(topic, 0, [(k, v, None, ()) for k, v in records]))
            self._published = learned
            await asyncio.to_thread(trainer.write_full)
            await asyncio.sleep(perf_counter() - began)  # as the worker does

    async def _commit(self) -> None:
        examples = TopicPartition(self._settings.topics.examples, 0)
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            if self._done:
                await self._consumer.commit(self._done.copy())
                self._done.clear()
            if self._learned and examples in self._lessons.assignment():
                await self._lessons.commit({examples: self._learned})


async def _durable(begun: Sequence[Awaitable[Any] | None]) -> None:
    await asyncio.gather(*[effect for effect in begun if effect is not None])


def _consumer(run: Run, group: str) -> Any:
    return AIOKafkaConsumer(
        bootstrap_servers=run.broker,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )


async def _main(run: Run) -> None:
    work = asyncio.create_task(BareLoop(run).work())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


if __name__ == "__main__":
    asyncio.run(_main(Run.told()))
