"""A system that is up: fed burst by burst, and measured over each.

Rules: a turn lasts from the first record's sending to the last offer that it causes, which is seen
from outside, by the ends of the topic. Offers are read and checked when it is over. What a turn
cost is known later (:mod:`bench.costs`), when all that was put off has been done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench.clocks import clocks, spin
from bench.costs import Cost, Meter, Turn, costs
from bench.feed import Burst, Feed, check
from bench.figures import Sample
from bench.lab import PATIENCE, Child, Lab, Stuck
from bench.quiet import Quietness
from bench.results import Throughput, judged
from bench.run import Run
from bench.scrape import Examples, examples, readiness_seconds, stage_seconds
from bench.systems import OFFERSTREAM, Contender
from bench.told import Job
from bench.workload import Shape, catalog
from tests.kafka.broker import free_ports

DURABLE, IDLE = 6.0, 3.0  # seconds: until all is durable everywhere, and of looking at nothing
REST = DURABLE + IDLE
LEAST, MOST = 1_000, 60_000  # events in a turn


class Live:
    """One system, its processes and its stream."""

    def __init__(self, lab: Lab, contender: Contender, run: Run, feed: Feed, workers: int) -> None:
        self.contender, self.run, self.feed = contender, run, feed
        self.pace = 0.0  # events per second, as it was last
        self._lab = lab
        self._out = 0  # offers until now
        self._offers = Offers(run)
        self._learns = contender.learns and run.job == "whole"
        self._runs = [run, *(_beside(run, number) for number in range(1, workers))]
        self.children: list[Child] = []
        self._turns: list[Turn] = []

    def start(self) -> None:
        """Start its processes."""
        for run in self._runs:
            self.children.append(Child(self.contender.command(run), run.path))

    async def ready(self) -> float:
        """Wait until its workers are ready; the seconds that it took."""
        waits = map(readiness_seconds, self._runs, self.children)
        return max(await asyncio.gather(*waits))

    async def warm(self, events: int) -> None:
        """Let it do so many events that do not count."""
        burst = await asyncio.to_thread(self.feed.take, events)
        samples = await self._through(burst)
        first = next(sample.time for sample in samples if sample.outputs)
        self.pace = events / max(samples[-1].time - first, 1.0)
        await self._caught_up()
        await self._checked(burst)

    async def turn(self, seconds: float) -> Throughput:
        """Measure it over as many events as it may do in so many seconds.

        Raises
        ------
        Stuck, ValueError
            If it ends, stands still, or does not make the offers that it should.
        """
        events = round(min(max(self.pace * seconds, LEAST), MOST))
        burst = await asyncio.to_thread(self.feed.take, events)
        spun, stages, then, start = spin(), await self._stages(), clocks(), self._meter()
        lasted = (await self._through(burst))[-1].time - start.time
        behind = await self._caught_up()
        quiet = Quietness.between(then, clocks(), spun)
        self.pace = events / lasted
        self._turns.append(Turn(start, self._meter(), events))
        after = await self._stages()
        await self._checked(burst)
        spent = {name: until - stages[name] for name, until in after.items()}
        return judged(events, lasted, behind, spent, quiet)

    async def costs(self, durable: float = DURABLE, idle: float = IDLE) -> list[Cost]:
        """What each turn cost, after a rest of ``durable`` and ``idle`` seconds.

        Of one that ended meanwhile the last turn's cost lacks what it had put off.
        """
        await asyncio.sleep(durable)
        if not self._turns:
            return []
        try:
            rested = self._meter()
            await asyncio.sleep(idle)
            return costs(self._turns, rested, self._meter())
        except Stuck:
            ended = self._turns[-1].end
            return costs(self._turns, ended, ended)

    async def passed(self, burst: Burst) -> None:
        """Check a burst that was sent otherwise than by a turn."""
        self._out += len(burst.due)
        await self._checked(burst)

    def stop(self) -> None:
        """End its processes."""
        for child in self.children:
            child.stop()

    async def _through(self, burst: Burst) -> list[Sample]:
        """Send a burst, and wait for its offers."""
        self._out += len(burst.due)
        wanted = self._out
        load = self._lab.load(f"{self.run.prefix}clicks", burst.records)
        watch = self._lab.watch(
            lambda: self._lab.offers(self.run), self.children, lambda s: s.outputs >= wanted
        )
        _, samples = await asyncio.gather(load, watch)
        return samples

    async def _checked(self, burst: Burst) -> None:
        """See that its offers are those that are due, and no others."""
        made = await self._lab.offers(self.run) - self._out + len(burst.due)
        check(burst.due, await asyncio.to_thread(self._offers.read, made))

    def _meter(self) -> Meter:
        cpu = sum(child.cpu() for child in self.children)
        return Meter(monotonic(), cpu, sum(child.learning() for child in self.children))

    async def _stages(self) -> Mapping[str, float]:
        """Seconds of the worker's stages until now; nobody else tells."""
        if self.contender is not OFFERSTREAM:
            return {}
        return await asyncio.to_thread(stage_seconds, self.run)

    async def _caught_up(self) -> float:
        """Wait until all is learned that was taught until now; the seconds that it took."""
        began = monotonic()
        if not self._learns:
            return 0.0
        first = now = await self._examples()
        while now.learned < first.taught:
            await asyncio.sleep(0.05)
            now = await self._examples()
            for child in self.children:
                child.cpu()
            if monotonic() > began + PATIENCE:
                raise Stuck(f"{now.learned} of {first.taught} examples are learned")
        return monotonic() - began

    async def _examples(self) -> Examples:
        """What is taught and learned; of the bare loop in records of the log of examples."""
        if self.contender is OFFERSTREAM:
            found = [await asyncio.to_thread(examples, run) for run in self._runs]
            return Examples(sum(one.taught for one in found), sum(one.learned for one in found))
        topic, group = f"{self.run.prefix}examples", f"{self.run.group}-learner"
        taught = await self._lab.count(self.run, topic, 1)
        return Examples(taught, await self._lab.committed(group, topic))


class Offers:
    """A run's offers, each read once, by a client that is there only meanwhile."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._next = dict.fromkeys(range(run.partitions), 0)

    def read(self, count: int) -> list[bytes]:
        """The next so many; fewer if no more come."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._run.broker,
                "group.id": f"{self._run.group}-checker",
                "enable.auto.commit": False,
            }
        )
        topic = f"{self._run.prefix}offers"
        consumer.assign([TopicPartition(topic, *place) for place in self._next.items()])
        found: list[bytes] = []
        try:
            while len(found) < count:
                messages = consumer.consume(count - len(found), 10.0)
                if not messages:
                    break
                for message in filter(_good, messages):
                    found.append(message.value())
                    self._next[message.partition()] = message.offset() + 1
        finally:
            consumer.close()
        return found


def _good(message: Any) -> bool:
    """Whether it is a record, and not word of a fault that librdkafka mends itself."""
    return message.error() is None


@asynccontextmanager
async def live(
    lab: Lab,
    contender: Contender,
    job: Job,
    shape: Shape,
    partitions: int = 4,
    workers: int = 1,
) -> AsyncIterator[Live]:
    """A system that is started, with topics and a directory of its own, while the block lasts."""
    async with lab.run(contender.name, job, partitions) as run:
        system = Live(lab, contender, run, Feed(shape, job, partitions), workers)
        if job == "whole":
            await lab.load(f"{run.prefix}catalog", catalog(shape))
        try:
            system.start()
            yield system
        finally:
            await asyncio.to_thread(system.stop)


def _beside(run: Run, number: int) -> Run:
    """The same run for another worker, with a directory and a port of its own."""
    directory = run.path / f"worker-{number}"
    directory.mkdir()
    return replace(run, directory=str(directory), port=free_ports(1)[0])
