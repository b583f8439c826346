"""Latency: from the moment at which an event is handed to its producer to its offer's arrival.

Rules: the sender keeps its pace whatever comes back, so a system that stalls is not spared; it
and the reader run in this process and use one clock. An offer names the partition and the offset
of its event, and events are sent in order, so each finds its time without a word in the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from threading import Event, Thread
from time import perf_counter, sleep
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.contenders import Contender
from bench.figures import Arrival, matched, percentiles
from bench.lab import Child, Lab, Stuck
from bench.run import Run
from bench.workload import Keyed, Shape, clicks
from stream.codec.partition import partition_for

TICK = 0.001
WARM_UP_SECONDS = 1.0
START_SECONDS = 60.0  # within which the first offer must come
QUIET_SECONDS = 10.0  # without an offer: the rest will not come


class Sender:
    """Sends events one by one and notes when."""

    def __init__(self, run: Run, events: Iterable[Keyed]) -> None:
        self.sent: list[list[float]] = [[] for _ in range(run.partitions)]
        self._topic = f"{run.prefix}clicks"
        self._events: Iterator[Keyed] = iter(events)
        self._producer = Producer(
            {"bootstrap.servers": run.broker, "linger.ms": 0, "enable.idempotence": True}
        )

    @property
    def total(self) -> int:
        """How many were sent."""
        return sum(map(len, self.sent))

    def send(self) -> None:
        """Send the next event."""
        key, value = next(self._events)
        partition = partition_for(key, len(self.sent))
        self.sent[partition].append(perf_counter())
        self._producer.produce(self._topic, key=key, value=value, partition=partition)

    def pace(self, rate: float, seconds: float) -> None:
        """Send so many a second for so long."""
        began, done = perf_counter(), 0
        while done < rate * seconds:
            due = min((perf_counter() - began) * rate, rate * seconds)
            while done < due:
                self.send()
                done += 1
            self._producer.poll(0)
            sleep(TICK)
        self._producer.flush()


class Reader(Thread):
    """Reads offers as they come, until told to stop."""

    def __init__(self, run: Run) -> None:
        super().__init__(daemon=True)
        self.arrived: list[Arrival] = []
        self._stop_asked = Event()
        options: dict[str, Any] = {
            "bootstrap.servers": run.broker,
            "group.id": f"{run.group}-reader",
            "enable.auto.commit": False,
        }
        self._consumer = Consumer(options)
        offers = f"{run.prefix}offers"
        self._consumer.assign([TopicPartition(offers, n, 0) for n in range(run.partitions)])

    def run(self) -> None:
        """Read."""
        while not self._stop_asked.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self.arrived.append(Arrival(perf_counter(), message.value() or b""))
        self._consumer.close()

    def stop(self) -> None:
        """Stop, and wait for it."""
        self._stop_asked.set()
        self.join()

    def wait(self, total: int) -> None:
        """Wait until so many have come.

        Raises
        ------
        Stuck
            If they do not.
        """
        seen, moved = 0, perf_counter()
        while len(self.arrived) < total:
            sleep(0.02)
            if len(self.arrived) > seen:
                seen, moved = len(self.arrived), perf_counter()
            if perf_counter() - moved > QUIET_SECONDS:
                raise Stuck(f"{seen} offers for {total} events, and no more came")


async def latencies(
    lab: Lab, contender: Contender, rates: Sequence[float], seconds: float
) -> dict[float, dict[str, float]]:
    """Percentiles of latency in ms at each rate in events per second, one rate after the other."""
    events = round(sum(rates) * (seconds + WARM_UP_SECONDS)) + 10_000
    prepared = list(clicks(Shape(events)))
    async with lab.run(contender.name, "state") as run:
        with Child(contender.command(run), run.path) as child:
            try:
                return await asyncio.to_thread(_measured, run, prepared, rates, seconds)
            except Stuck as stuck:
                raise Stuck(f"{stuck}\n{child.tail()}") from stuck


def _measured(
    run: Run, events: Sequence[Keyed], rates: Sequence[float], seconds: float
) -> dict[float, dict[str, float]]:
    sender, reader = Sender(run, events), Reader(run)
    reader.start()
    try:
        _awaken(sender, reader)
        found = {}
        for rate in rates:
            sender.pace(rate, WARM_UP_SECONDS)
            began = perf_counter()
            sender.pace(rate, seconds)
            reader.wait(sender.total)
            waits = matched(sender.sent, reader.arrived, began)
            found[rate] = {name: value * 1000 for name, value in percentiles(waits).items()}
        return found
    finally:
        reader.stop()


def _awaken(sender: Sender, reader: Reader) -> None:
    """Send an event now and then until the first offer comes, and wait for the others."""
    deadline = perf_counter() + START_SECONDS
    while not reader.arrived:
        sender.pace(20, 0.1)
        if perf_counter() > deadline:
            raise Stuck(f"no offer within {START_SECONDS:.0f} s")
    reader.wait(sender.total)
