"""Faust's Kafka transport with batches in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka.structs import RecordMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.futures import maybe_async

from stream.runtime.batching.consumer import BatchingConsumer
from stream.runtime.batching.coordinator import heed_refusals
from stream.runtime.batching.fencing import FencedProducer
from stream.runtime.batching.records import Outgoing
from stream.runtime.topics import MAX_CHANGELOG_BATCH as LARGEST

MIB = 1 << 20
FEW = 4  # records: more are cheaper in a batch made at once


class NotOwned(RuntimeError):
    """A write to a partition whose topic only owners write, by somebody who does not own it."""


class ConsumerInLoop(driver.AIOKafkaConsumerThread):
    """What Faust runs in a thread of its own, in the agents' event loop.

    Two threads hand the interpreter's lock to and fro, at every system call of either.
    """

    wait_for_shutdown = False  # a thread would tell of it
    start = Service.start
    maybe_start = Service.maybe_start
    stop = Service.stop
    _stopped_set = Service._stopped_set
    _stop_children = Service._stop_children
    _stop_futures = Service._stop_futures
    _stop_exit_stacks = Service._stop_exit_stacks

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call it here."""
        return await maybe_async(fun(*args, **kwargs))

    async def on_start(self) -> None:
        """Connect to the group."""
        await super().on_start()
        heed_refusals(self._consumer)

    async def on_stop(self) -> None:
        """Leave the group."""
        await self.on_thread_stop()


class KafkaConsumer(BatchingConsumer, driver.Consumer):
    """Batches from Kafka."""

    def _new_consumer_thread(self) -> ConsumerInLoop:
        return ConsumerInLoop(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)


class KafkaProducer(driver.Producer):
    """Record batches to Kafka, idempotent and acknowledged by all in-sync replicas."""

    def __post_init__(self) -> None:
        """Own nothing yet."""
        super().__post_init__()
        self._owned: dict[TP, FencedProducer] = {}
        self._fenced: set[str] = set()

    def _settings_extra(self) -> Mapping[str, Any]:
        # Stock: only under exactly_once. Without it, a retry could reorder two batches.
        return {"acks": "all", "enable_idempotence": True}

    async def own(self, tp: TP) -> None:
        """Become the only writer of a partition: whoever was it before is refused from now on."""
        self._fenced.add(tp.topic)
        # What a batch changed and its ledger must be there together, or not at all.
        sizes = {
            "max_batch_size": LARGEST - MIB,
            "max_request_size": LARGEST,
        }
        options = {**self._settings_default(), **self._settings_auth(), **sizes}
        fenced = FencedProducer(f"{self.app.conf.id}-{tp.topic}-{tp.partition}", options)
        await self.disown(tp)
        await fenced.start()
        self._owned[tp] = fenced

    async def disown(self, tp: TP) -> None:
        """Let go of a partition."""
        fenced = self._owned.pop(tp, None)
        if fenced is not None:
            await fenced.stop()

    async def on_stop(self) -> None:
        """Let go of everything."""
        for tp in list(self._owned):
            await self.disown(tp)
        await super().on_stop()

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[RecordMetadata]:
        """Hand over the records of one partition; see :class:`BatchProducer`."""
        producer = self._producer_of(TP(topic, partition))
        if len(records) <= FEW and topic not in self._fenced:
            return await _send_few(producer, topic, partition, records)
        sent = []
        builder, count = producer.create_batch(), 0
        for key, value, timestamp, headers in records:
            fields = {"key": key, "value": value, "timestamp": timestamp, "headers": list(headers)}
            if builder.append(**fields) is None:
                sent.append(await producer.send_batch(builder, topic, partition=partition))
                builder, count = producer.create_batch(), 0
                builder.append(**fields)
            count += 1
        sent.append(await producer.send_batch(builder, topic, partition=partition))
        return _last(sent, count)

    def _producer_of(self, tp: TP) -> Any:
        fenced = self._owned.get(tp)
        if fenced is not None:
            return fenced.producer
        if tp.topic in self._fenced:
            raise NotOwned(f"{tp.topic}, partition {tp.partition}, is another worker's by now")
        return self._ensure_producer()


async def _send_few(
    producer: Any, topic: str, partition: int, records: Sequence[Outgoing]
) -> Awaitable[RecordMetadata]:
    """Put records to what others send to the same partition.

    A batch of our own would wait until nothing else does; and whoever waits there for several
    others is charged, by aiokafka, for the time that each of them took since it began to wait.
    """
    sent = []
    for key, value, timestamp, headers in records:
        fields = {"key": key, "value": value, "timestamp_ms": timestamp}
        sent.append(
            await producer.send(topic, partition=partition, headers=list(headers), **fields)
        )
    return _last(sent, 1)


async def _last(sent: list[asyncio.Future[RecordMetadata]], count: int) -> RecordMetadata:
    """The metadata of the last record, of ``count`` in the last batch: its own are the first's."""
    last = (await asyncio.gather(*sent))[-1]
    return last._replace(offset=last.offset + count - 1)


class KafkaTransport(driver.Transport):
    """Kafka with batches."""

    Consumer = KafkaConsumer
    Producer = KafkaProducer
