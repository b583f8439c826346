"""A shop on a real Kafka for one experiment: its settings, its load, and how far it has come."""

from __future__ import annotations

import asyncio
import operator
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from stream.codec.partition import partition_for
from stream.config import KafkaSettings, Settings, Topics
from stream.worker.faust.coordinator import heed_refusals
from tests.chaos.lives import Fleet, Lived, worker
from tests.chaos.shop import Sent, Tide, events
from tests.waiting import eventually, run

ROOT = Path(__file__).resolve().parents[2]
SESSION = 6.0  # seconds without a heartbeat after which a worker's partitions move


@dataclass(frozen=True)
class Lab:
    """Where an experiment happens: on which topics, with which settings, in which folder."""

    settings: Settings
    folder: Path

    @classmethod
    def embedded(cls, folder: Path, partitions: int = 2) -> Lab:
        """A lab in a folder, without a broker."""
        broker = f"local://{folder / 'log'}"
        return cls(
            Settings(broker=broker, topics=Topics(prefix="shop-"), partitions=partitions), folder
        )

    @classmethod
    def on(cls, broker: str, name: str, folder: Path, partitions: int = 6) -> Lab:
        """A lab with topics of its own on a broker."""
        lab = cls(
            Settings(
                broker=f"kafka://{broker}",
                app_id=name,
                topics=Topics(prefix=name),
                partitions=partitions,
                kafka=KafkaSettings(session_timeout=SESSION, heartbeat_interval=SESSION / 3),
            ),
            folder,
        )
        words = [sys.executable, "-m", "stream", "topics", "apply"]
        done = run(words, env=lab.environ | {"PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, done.stdout + done.stderr
        return lab

    @property
    def environ(self) -> dict[str, str]:
        """The settings as the command reads them."""
        kafka = self.settings.kafka
        return {
            "OFFERSTREAM_BROKER": self.settings.broker,
            "OFFERSTREAM_APP_ID": self.settings.app_id,
            "OFFERSTREAM_TOPICS__PREFIX": self.settings.topics.prefix,
            "OFFERSTREAM_PARTITIONS": str(self.settings.partitions),
            "OFFERSTREAM_METRICS_PORT": "0",
            "OFFERSTREAM_KAFKA__SESSION_TIMEOUT": str(kafka.session_timeout),
            "OFFERSTREAM_KAFKA__HEARTBEAT_INTERVAL": str(kafka.heartbeat_interval),
            "OFFERSTREAM_WORKER__COMMIT_INTERVAL": "0.3",
            "OFFERSTREAM_WORKER__DRAIN_TIMEOUT": "240",  # how long ends took is told, not judged
            "OFFERSTREAM_LEARNING__PUBLISH_INTERVAL": "0.3",
            "OFFERSTREAM_LEARNING__PROPENSITY_BITS": "10",
            "OFFERSTREAM_CORE__POLICY__CONSENT_DEFAULT": "true",
            "OFFERSTREAM_CORE__POLICY__EVENTS_BURST": "1000000",
            "OFFERSTREAM_CORE__POLICY__OFFER_GAP": "60",
            "OFFERSTREAM_CORE__POLICY__QUIET_FROM": "0",
            "OFFERSTREAM_CORE__POLICY__QUIET_UNTIL": "0",
        }

    def fleet(
        self, size: int, extra: Mapping[str, str] | None = None, lived: Lived = worker
    ) -> Fleet:
        """So many workers."""
        return Fleet(self.environ | dict(extra or {}), self.folder, size, lived)

    @property
    def inputs(self) -> list[TopicPartition]:
        """Every partition of the event topics."""
        shards = range(self.settings.partitions)
        return [TopicPartition(t, p) for t in self.settings.topics.events for p in shards]

    @asynccontextmanager
    async def under_load(
        self,
        seed: int,
        rate: float = 300.0,
        customers: int = 2_000,
        source: Iterator[Sent] | None = None,
    ) -> AsyncIterator[Tide]:
        """Publish so many events a second meanwhile; all are durable in the end.

        ``source`` gives others than those of ``customers``.
        """
        stop, tide = asyncio.Event(), Tide(rate)
        source = events(seed, customers) if source is None else source
        load = asyncio.create_task(self._publish(tide.of(source), tide.rate, stop))
        try:
            yield tide
        finally:
            stop.set()
            await load

    async def _publish(
        self, source: Iterator[Sent], rate: Callable[[], float], stop: asyncio.Event
    ) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=list(self.settings.bootstrap_servers),
            enable_idempotence=True,
            linger_ms=5,
        )
        async with producer:
            due, seen = 0.0, time.monotonic()
            while not stop.is_set():
                now = time.monotonic()
                due, seen = due + (now - seen) * rate(), now
                while due >= 1.0 and not stop.is_set():
                    topic, key, value = next(source)
                    shard = partition_for(key, self.settings.partitions)
                    name = f"{self.settings.topics.prefix}{topic}"
                    await producer.send(name, value, key=key, partition=shard)
                    due -= 1.0
                await asyncio.sleep(0.01)
            await producer.flush()

    async def all_done(self, fleet: Fleet) -> None:
        """Wait until the group has committed everything there is, examples too."""
        examples = [TopicPartition(self.settings.topics.examples, 0)]
        async with Watch(self) as watch:
            for tps in (self.inputs, examples):
                look = partial(watch.left, tps, fleet)
                await eventually("no lag", look, operator.not_, left=total, every=0.25)


def total(left: Mapping[TopicPartition, int]) -> int:
    """How much lag there is in all."""
    return sum(left.values())


class Watch:
    """How far the group has come, asked from outside; an asynchronous context manager."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=list(lab.settings.bootstrap_servers),
            group_id=lab.settings.app_id,
            enable_auto_commit=False,
            request_timeout_ms=5_000,
        )

    async def __aenter__(self) -> Watch:
        await self._consumer.start()
        heed_refusals(self._consumer)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def left(
        self, tps: list[TopicPartition], fleet: Fleet | None = None
    ) -> dict[TopicPartition, int]:
        """Where there is lag, and how much; meanwhile a supervisor starts again what has ended."""
        if fleet is not None:
            fleet.revive()
        ends = await self._consumer.end_offsets(tps)
        left = {tp: end - await self._committed(tp) for tp, end in ends.items()}
        return {tp: n for tp, n in left.items() if n}

    async def done(self) -> int:
        """How many events are committed; -1 if nobody answers."""
        with suppress(KafkaError, TimeoutError):
            return sum([await self._committed(tp) for tp in self._lab.inputs])
        return -1

    async def _committed(self, tp: TopicPartition) -> int:
        offset = await asyncio.wait_for(self._consumer.committed(tp), 60)
        return offset or 0

    async def goes_on(self, fleet: Fleet | None = None) -> float:
        """Wait until more is committed than now; how long that took, in seconds.

        Meanwhile a supervisor starts again what has ended.
        """
        began, before = time.monotonic(), -1

        async def look() -> int:
            nonlocal before
            if fleet is not None:
                fleet.revive()
            now = await self.done()
            if before < 0:
                before = now
            return now

        await eventually("a commit", look, lambda now: now > before >= 0, every=0.2)
        return time.monotonic() - began
