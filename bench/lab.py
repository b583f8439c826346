"""The laboratory: one broker, topics for each run, records put in, outputs counted, children.

Rules: every run has topics and a directory of its own, and they are gone after it; every contender
runs in a process of its own, whose outputs are counted from outside, by the ends of its topic.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Producer

from bench.figures import Sample
from bench.run import Run
from bench.told import ROOT, Job
from bench.workload import Keyed
from stream.broker.opening import open_cluster
from stream.worker.checks.topics import apply, plan
from tests.kafka.broker import Broker, free_ports

LOOK = 0.02  # seconds between two looks at a topic's end
PATIENCE = 60.0  # seconds without any new output after which a contender counts as stuck
STOP_SECONDS = 30
BATCH_BYTES = 900_000
_LEARNER = "stream.worker.learning.process"


class Stuck(Exception):
    """A contender ended or stood still; holds the end of what it said."""


class Child:
    """A contender's process."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
        self._log = directory / "log"
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=directory, start_new_session=True,
                env=environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
            )  # fmt: skip
        self._seen = psutil.Process(self._child.pid)
        self._own: list[psutil.Process] = []
        self._looked = 0.0

    def cpu(self) -> float:
        """Seconds of CPU that it and its own processes have used so far.

        Raises
        ------
        Stuck
            If it ended.
        """
        if self._child.poll() is not None:
            raise Stuck(f"it ended with {self._child.returncode}:\n{self.tail()}")
        if monotonic() > self._looked + 1.0:  # it takes milliseconds, and looks come by the dozen
            self._own, self._looked = self._seen.children(recursive=True), monotonic()
        total = 0.0
        for process in (self._seen, *self._own):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def learning(self) -> float:
        """Seconds of CPU that its learner's own process has used so far; 0 if it has none."""
        total = 0.0
        for process in self._seen.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if _LEARNER in process.cmdline():
                    total += sum(process.cpu_times()[:2])
        return total

    def resident(self) -> int:
        """Bytes resident now: its own, and what its processes hold that nobody shares."""
        total: int = self._seen.memory_info().rss
        for process in self._seen.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().uss
        return total

    def tail(self) -> str:
        """The end of what it said."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-30:])

    def stop(self) -> None:
        """Ask it to end, and make it end if it does not."""
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Lab:
    """A broker and the clients that a bench needs; an asynchronous context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._broker = Broker(directory / "kafka", heap="768m", jvm=())
        self._runs = 0
        self._admin: Any = None
        self._looks: dict[str, Any] = {}

    @property
    def address(self) -> str:
        """The broker's ``host:port``."""
        return self._broker.address

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._broker.start)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        self._broker.kill()

    @asynccontextmanager
    async def run(self, name: str, job: Job, partitions: int = 4) -> AsyncIterator[Run]:
        """A run's topics and directory, for as long as the block lasts."""
        self._runs += 1
        prefix = f"bench-{self._runs:03d}-{name}."
        directory = self._directory / prefix.rstrip(".")
        directory.mkdir()
        run = Run(self.address, prefix, partitions, job, str(directory), free_ports(1)[0])
        settings = run.settings()
        async with open_cluster(settings) as cluster:
            await apply(cluster, await plan(cluster, settings))
        # A client of its own for each run: an older one would keep asking for topics that are gone.
        looks = AIOKafkaConsumer(bootstrap_servers=self.address, group_id=None)
        await looks.start()
        self._looks[prefix] = looks
        try:
            yield run
        finally:
            await self._looks.pop(prefix).stop()
            await self._forget(run)

    async def load(self, topic: str, records: Iterable[Keyed]) -> None:
        """Put records into a topic, each into its key's partition; return when all are there."""
        await asyncio.to_thread(self._load, topic, records)

    async def count(self, run: Run, topic: str, partitions: int) -> int:
        """How many records a topic of a run has had."""
        found = [TopicPartition(topic, number) for number in range(partitions)]
        return sum((await self._looks[run.prefix].end_offsets(found)).values())

    async def offers(self, run: Run) -> int:
        """How many offers a run has had."""
        return await self.count(run, f"{run.prefix}offers", run.partitions)

    async def committed(self, group: str, topic: str) -> int:
        """How many records of a topic a group has committed."""
        offsets = await self._admin.list_consumer_group_offsets(group)
        return sum(at.offset for tp, at in offsets.items() if tp.topic == topic)

    async def records(
        self, topic: str, partitions: int
    ) -> AsyncIterator[tuple[int, bytes, bytes | None]]:
        """Every partition, key and value of a topic, as of now, in the order of each partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, group_id=None)
        await consumer.start()
        try:
            found = [TopicPartition(topic, number) for number in range(partitions)]
            consumer.assign(found)
            await consumer.seek_to_beginning(*found)
            ends = await consumer.end_offsets(found)
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        yield record.partition, record.key, record.value
        finally:
            await consumer.stop()

    async def watch(
        self,
        count: Callable[[], Awaitable[int]],
        children: Sequence[Child],
        enough: Callable[[Sample], bool],
    ) -> list[Sample]:
        """Count outputs until there are enough.

        Raises
        ------
        Stuck
            If a child ends, or nothing comes out any more.
        """
        samples: list[Sample] = []
        moved = monotonic()
        while not samples or not enough(samples[-1]):
            await asyncio.sleep(LOOK if samples else 0)
            cpu = sum(child.cpu() for child in children)
            samples.append(Sample(monotonic(), await count(), cpu))
            if len(samples) > 1 and samples[-1].outputs > samples[-2].outputs:
                moved = samples[-1].time
            if monotonic() - moved > PATIENCE:
                said = "\n".join(child.tail() for child in children)
                raise Stuck(f"{samples[-1].outputs} outputs, and no more came:\n{said}")
        return samples

    def _load(self, topic: str, records: Iterable[Keyed]) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.address,
                "partitioner": "murmur2",
                "linger.ms": 20,
                "batch.size": BATCH_BYTES,
                "queue.buffering.max.messages": 500_000,
            }
        )
        for number, (key, value) in enumerate(records):
            if number % 100_000 == 99_999:
                producer.flush()
            producer.produce(topic, key=key, value=value)
        producer.flush()

    async def _forget(self, run: Run) -> None:
        names = [name for name in await self._admin.list_topics() if run.group in name]
        await self._admin.delete_topics(names)
        shutil.rmtree(run.directory, ignore_errors=True)
