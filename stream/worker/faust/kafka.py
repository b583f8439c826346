"""Faust's Kafka transport with batches in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeAlias

from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, ProducerFenced
from aiokafka.structs import RecordMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.futures import maybe_async

from stream.broker.kafka.connection import Heard, may_pass, started
from stream.broker.kafka.fencing import FencedProducer, owner_name
from stream.broker.kafka.fetching import read_carefully
from stream.broker.records import Outgoing
from stream.config import ConfigError
from stream.worker.checks.topic_faults import too_large
from stream.worker.checks.topics import MAX_CHANGELOG_BATCH as LARGEST
from stream.worker.checks.topics import topic_specs
from stream.worker.faust.consumer import BatchingConsumer
from stream.worker.faust.coordinator import heed_refusals

MIB = 1 << 20
FEW = 4  # records: more are cheaper in a batch made at once
Acknowledged: TypeAlias = asyncio.Future[RecordMetadata]
Sent: TypeAlias = tuple[list[Acknowledged], int]


class WriteRefused(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """A write that is not taken, in words for an operator."""

    def __str__(self) -> str:
        return str(self.args[0])  # stock: behind the class's name


class NotOwned(WriteRefused):
    """A write to a partition whose topic only owners write, by somebody who does not own it."""

    def __init__(self, tp: TP) -> None:
        super().__init__(
            f"{tp.topic}, partition {tp.partition}, is another worker's by now: this one stood "
            "still for longer than kafka.session_timeout, or two share a kafka.group_instance_id"
        )


class NotWritten(WriteRefused):
    """A write that no broker took for all of ``kafka.request_timeout``."""

    def __init__(self, tp: TP, why: KafkaError) -> None:
        super().__init__(
            f"{tp.topic}, partition {tp.partition}, takes no writes ({type(why).__name__}): no "
            "broker answers, it has no leader, or the topic was deleted"
        )


class ConsumerInLoop(driver.AIOKafkaConsumerThread):
    """What Faust runs in a thread of its own, in the agents' event loop.

    Two threads hand the interpreter's lock to and fro, at every system call of either.
    """

    wait_for_shutdown = False  # a thread would tell of it
    heard: Heard | None = None
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
        """Connect to the group, once a broker answers."""
        self._consumer = await started(lambda: self._create_consumer(loop=self.thread_loop))
        self.time_started = monotonic()
        app: Any = self.app
        heed_refusals(self._consumer, app.fail)
        self.heard = Heard(self._consumer._client)
        read_carefully(self._consumer)

    async def on_stop(self) -> None:
        """Leave the group."""
        await self.on_thread_stop()


class KafkaConsumer(BatchingConsumer, driver.Consumer):
    """Batches from Kafka."""

    def _new_consumer_thread(self) -> ConsumerInLoop:
        return ConsumerInLoop(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)

    def silence(self) -> float:
        """Seconds since a broker last answered."""
        thread: Any = self._thread
        return thread.heard.silence() if thread.heard is not None else 0.0

    def readable(self, tp: TP) -> int | None:
        """Where what may be read ends: before the first transaction that is open."""
        stable: int | None = self._thread._ensure_consumer().last_stable_offset(tp)
        return self.highwater(tp) if stable is None or stable < 0 else stable

    def _next_offset(self, tp: TP) -> int | None:
        subscription = self._thread._ensure_consumer()._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        state = None if assignment is None else assignment.state_value(tp)
        return state.position if state is not None and state.has_valid_position else None

    def _stay(self) -> None:
        # aiokafka leaves the group when nothing was asked for during kafka.max_poll_interval.
        with self._thread._ensure_consumer()._subscription.fetch_context():
            pass

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek groups' partitions of which nothing was committed, too: to their beginning.

        Stock: they stay where they are. What was fetched of them and not decided before a second
        recovery of the same assignment was lost.
        """
        committed: Mapping[TP, int] = await super().seek_to_committed()
        fresh = [tp for tp, at in committed.items() if not at and tp.topic in self._groups]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)
        return committed


class KafkaProducer(driver.Producer):
    """Record batches to Kafka, idempotent and acknowledged by all in-sync replicas."""

    def __post_init__(self) -> None:
        """Own nothing yet."""
        super().__post_init__()
        self._owned: dict[TP, FencedProducer] = {}
        self._fenced: set[str] = set()

    async def on_start(self) -> None:
        """Connect, once a broker answers."""
        await super(driver.Producer, self).on_start()
        self._producer = await started(self._new_producer)
        self.beacon.add(self._producer)

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
        fenced = FencedProducer(owner_name(self.app.conf.id, tp), options)
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
        tp = TP(topic, partition)
        with self._told(tp, records):
            sent, count = await self._handed_over(tp, records)
        return self._last(tp, records, sent, count)

    async def _handed_over(self, tp: TP, records: Sequence[Outgoing]) -> Sent:
        """What is on its way, and the number of records in the last of it."""
        topic, partition = tp
        producer = self._producer_of(tp)
        if len(records) <= FEW and topic not in self._fenced:
            return await _send_few(producer, tp, records), 1
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
        return sent, count

    async def _last(
        self, tp: TP, records: Sequence[Outgoing], sent: Sequence[Acknowledged], count: int
    ) -> RecordMetadata:
        """The metadata of the last record, of ``count`` in the last batch: it has the first's."""
        with self._told(tp, records):
            last = (await asyncio.gather(*sent))[-1]
        return last._replace(offset=last.offset + count - 1)

    @contextmanager
    def _told(self, tp: TP, records: Sequence[Outgoing]) -> Iterator[None]:
        """Say of what is refused where it was to go, and what is wrong."""
        try:
            yield
        except ProducerFenced as error:
            raise NotOwned(tp) from error
        except MessageSizeTooLargeError as error:
            size = sum(len(key or b"") + len(value or b"") for key, value, *_ in records)
            specs = topic_specs(self.app.settings)  # type: ignore[attr-defined]  # it is our own
            raise ConfigError(too_large(tp.topic, size, specs)) from error
        except KafkaError as error:
            if not (may_pass(error) or isinstance(error, KafkaTimeoutError)):
                raise
            raise NotWritten(tp, error) from error

    def _producer_of(self, tp: TP) -> Any:
        fenced = self._owned.get(tp)
        if fenced is not None:
            return fenced.producer
        if tp.topic in self._fenced:
            raise NotOwned(tp)
        return self._ensure_producer()


async def _send_few(producer: Any, tp: TP, records: Sequence[Outgoing]) -> list[Acknowledged]:
    """Put records to what others send to the same partition.

    A batch of our own would wait until nothing else does; and whoever waits there for several
    others is charged, by aiokafka, for the time that each of them took since it began to wait.
    """
    sent = []
    for key, value, timestamp, headers in records:
        fields = {"key": key, "value": value, "timestamp_ms": timestamp}
        sent.append(
            await producer.send(tp.topic, partition=tp.partition, headers=list(headers), **fields)
        )
    return sent


class KafkaTransport(driver.Transport):
    """Kafka with batches."""

    Consumer = KafkaConsumer
    Producer = KafkaProducer
