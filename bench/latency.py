"""Latency: from the moment at which an event is handed to its producer to its offer's arrival.

Rules: the sender keeps its pace whatever comes back, so a system that stalls is not spared; it
and the reader run in this process and use one clock. An offer names the partition and the offset
of its event, and events are sent in order, so each finds its time without a word in the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import ceil
from threading import Event, Thread
from time import perf_counter, sleep
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.feed import Burst, Place
from bench.figures import Arrival, matched, percentiles
from bench.lab import Stuck
from bench.live import Live
from bench.run import Run

TICK = 0.001
WARM_UP_SECONDS = 1.0
QUIET_SECONDS = 10.0  # without an offer: the rest will not come


class Sender:
    """Sends a burst's events one by one and notes when."""

    def __init__(self, run: Run, burst: Burst) -> None:
        self.sent: dict[Place, float] = {}
        self.due = 0  # offers for what was sent
        self._topic, self._burst = f"{run.prefix}clicks", burst
        self._left = zip(burst.records, burst.places, strict=True)
        self._producer = Producer(
            {"bootstrap.servers": run.broker, "linger.ms": 0, "enable.idempotence": True}
        )

    def send(self) -> None:
        """Send the next event."""
        (key, value), place = next(self._left)
        self.due += place in self._burst.due
        self.sent[place] = perf_counter()
        self._producer.produce(self._topic, key=key, value=value, partition=place[0])

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
        places = [TopicPartition(f"{run.prefix}offers", n) for n in range(run.partitions)]
        for place in places:  # from the end that is now, whenever the first fetch comes
            place.offset = self._consumer.get_watermark_offsets(place)[1]
        self._consumer.assign(places)

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
    system: Live, rates: Sequence[float], seconds: float
) -> dict[float, dict[str, float]]:
    """Percentiles of latency in ms at each rate in events per second, one rate after the other."""
    events = sum(ceil(rate * WARM_UP_SECONDS) + ceil(rate * seconds) for rate in rates)
    burst = await asyncio.to_thread(system.feed.take, events)
    found = await asyncio.to_thread(_measured, system.run, burst, rates, seconds)
    await system.passed(burst)
    return found


def _measured(
    run: Run, burst: Burst, rates: Sequence[float], seconds: float
) -> dict[float, dict[str, float]]:
    sender, reader = Sender(run, burst), Reader(run)
    reader.start()
    try:
        found = {}
        for rate in rates:
            sender.pace(rate, WARM_UP_SECONDS)
            began = perf_counter()
            sender.pace(rate, seconds)
            reader.wait(sender.due)
            waits = matched(sender.sent, reader.arrived, began)
            found[rate] = {name: value * 1000 for name, value in percentiles(waits).items()}
        return found
    finally:
        reader.stop()
