"""Simulated shoppers on a real Kafka: their events go out as they happen, offers come back in.

Rules:

- Shop time is wall time: a shopper's record goes out when its moment has come.
- Keys are customer ids under Kafka's default partitioner (murmur2), as any producer would have it.
- A broker or a topic that is not there yet is waited for, and one line says so; one that goes away
  later is waited for, too, and the records of that time are sent when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from stream.broker.kafka.connection import client_options
from stream.broker.kafka.fetching import read_carefully
from stream.codec.offers import is_recall
from stream.config import ConfigError, Settings
from stream.simulate.shoppers import Shoppers
from stream.simulate.timeline import EVENTS, TimedRecord

_STEP = 0.25  # s
_RETRY = 1.0  # s
Say = Callable[[str], None]


class Feed:
    """Shoppers connected to a Kafka cluster.

    Parameters
    ----------
    settings
        Broker, login and topics.
    shoppers
        Beginning now, by wall time.
    say
        Told a line for people, now and then.
    wall
        Seconds since the epoch.
    """

    def __init__(
        self, settings: Settings, shoppers: Shoppers, say: Say, wall: Callable[[], float]
    ) -> None:
        self._settings, self._shoppers = settings, shoppers
        self._say, self._wall = say, wall
        self._options = client_options(settings)
        self._events = 0

    async def run(self, stop: asyncio.Event, *, seconds: float, every: float, wait: float) -> None:
        """Publish and answer until ``seconds`` have passed (0: for ever) or ``stop`` is set.

        Parameters
        ----------
        every
            Seconds between lines that tell how it goes.
        wait
            Seconds to wait for the broker and its topics at the start.

        Raises
        ------
        ConfigError
            If the broker or a topic was not there in that time.
        """
        producer = await self._connected(stop, wait)
        if producer is None:
            return
        consumer = AIOKafkaConsumer(auto_offset_reset="latest", **self._options)
        await consumer.start()
        read_carefully(consumer)
        consumer.subscribe([self._settings.topics.offers])
        lines = asyncio.create_task(self._tell_regularly(every))
        answers = asyncio.create_task(self._receive(consumer))
        try:
            await self._publish(producer, answers, stop, seconds)
            if answers.done():
                answers.result()  # a fault that ended it is told
        finally:
            for task in (lines, answers):
                task.cancel()
            await consumer.stop()
            await producer.stop()
            self._say(self._line())

    async def _connected(self, stop: asyncio.Event, wait: float) -> AIOKafkaProducer | None:
        """A producer for topics that are there, or None if it was stopped before."""
        deadline, said = self._wall() + wait, ""
        while not stop.is_set():
            producer = AIOKafkaProducer(acks="all", linger_ms=20, **self._options)
            try:
                await producer.start()
                missing = await self._missing(producer)
                if not missing:
                    return producer
                why = f"topic {missing} is missing; `offerstream topics apply` creates it"
            except KafkaConnectionError:
                why = f"no answer from {self._settings.broker}"
            await producer.stop()
            if self._wall() >= deadline:
                raise ConfigError(f"{why} (waited {wait:.0f} s; --wait N waits longer)")
            if why != said:
                self._say(f"{why}: waiting up to {wait:.0f} s")
                said = why
            await _pause(stop, _RETRY)
        return None

    async def _missing(self, producer: AIOKafkaProducer) -> str | None:
        topics = self._settings.topics
        wanted = (*topics.events, topics.catalog, topics.campaigns, topics.offers)
        metadata = await producer.client.fetch_all_metadata()
        return next((name for name in wanted if name not in metadata.topics()), None)

    async def _publish(
        self,
        producer: AIOKafkaProducer,
        answers: asyncio.Task[None],
        stop: asyncio.Event,
        seconds: float,
    ) -> None:
        """Send what shoppers do until it is time, or until there is nobody to hear answers."""
        shop = self._shoppers
        began = shop.now
        records = shop.catalog_records() + shop.campaign_records() + shop.customer_records()
        until = began + seconds * 1000 if seconds else inf
        while not stop.is_set() and shop.now < until and not answers.done():
            await self._send(producer, records, stop)
            await _pause(stop, _STEP)
            records = shop.step(max(self._wall() - shop.now / 1000, 0.0))

    async def _send(
        self, producer: AIOKafkaProducer, records: Sequence[TimedRecord], stop: asyncio.Event
    ) -> None:
        """Send records and wait until they are durable, however long that takes."""
        topics = self._settings.topics
        while True:
            try:
                sent = [
                    await producer.send(
                        getattr(topics, r.topic), r.value, key=r.key, timestamp_ms=r.time
                    )
                    for r in records
                ]
                await asyncio.gather(*sent)
            except KafkaError as error:
                self._say(f"could not send ({type(error).__name__}): trying again")
                await _pause(stop, _RETRY)
                if stop.is_set():
                    return
            else:
                self._events += sum(record.topic in EVENTS for record in records)
                return

    async def _receive(self, consumer: AIOKafkaConsumer) -> None:
        async for message in consumer:
            if is_recall(message.value or b""):
                continue
            try:
                self._shoppers.receive(message.value)
            except (ValueError, KeyError, TypeError):
                self._say(f"no offer at {message.topic}/{message.partition}/{message.offset}")

    async def _tell_regularly(self, every: float) -> None:
        before = 0
        while True:
            await asyncio.sleep(every)
            self._say(f"{self._line()}, {(self._events - before) / every:,.0f} events/s")
            before = self._events

    def _line(self) -> str:
        books = self._shoppers.books
        told: Mapping[str, Any] = {
            "offers": books.offers,
            "seen": books.impressions,
            "clicked": books.offer_clicks,
            "dismissed": books.dismissals,
            "orders": books.orders,
            "of them from offers": books.offer_orders,
        }
        counts = ", ".join(f"{column.sum():,} {name}" for name, column in told.items())
        return f"{self._events:,} events sent, {counts}"


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until ``stop`` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
