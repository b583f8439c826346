"""The event producer: events are checked, sent by customer, and each is answered for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.client.validation import TOPICS, Checked, Fault, Validator
from stream.codec.envelope import Headers
from stream.codec.partition import partition_for
from stream.config import ConfigError, Settings
from stream.runtime.connection import client_options, overheard, stopped
from stream.runtime.local.log import Log

IN_FLIGHT: Final = 10_000  # events at once that are not yet acknowledged
LINGER_MS: Final = 5


class Acknowledged(NamedTuple):
    """Where an event stands on the log, durable."""

    topic: str
    partition: int
    offset: int


class EventRefused(ValueError):
    """An event that a worker would refuse, or has no use for; nothing was sent.

    ``checked`` has every fault.
    """

    def __init__(self, checked: Checked) -> None:
        first = checked.faults[0] if checked.faults else Fault("", "ignored", str(checked.ignored))
        super().__init__(f"{checked.topic}: {first.pointer} {first.message}".replace(":  ", ": "))
        self.checked = checked


class NotSent(Exception):
    """An event that no broker acknowledged; sent again with the same id, it counts once."""


class EventProducer:
    """Sends events to a worker's topics.

    Use it with ``async with``. An event is checked as a worker will, before it is sent; its key is
    its customer, so that Kafka keeps a customer's events in order, in one partition. Retries are
    Kafka's own, and idempotent: a record is written once, however often it was sent. Leaving it
    waits for what is under way.

    Parameters
    ----------
    broker
        ``kafka://host:port[,host:port]`` or ``local:///directory`` for a local log that nobody has
        open; or settings, for TLS, a login or a prefix of topics' names.
    log
        A local log that is open in this process, instead.
    clock
        The time in ms since 1970.

    Examples
    --------
    .. code-block:: python

        async with EventProducer("kafka://127.0.0.1:9092") as events:
            await events.send("clicks", {"event_id": "e-1", "customer_id": "c-7", ...})
    """

    def __init__(
        self,
        broker: str | Settings = "kafka://127.0.0.1:9092",
        *,
        log: Log | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = Settings(broker=broker) if isinstance(broker, str) else broker
        self._validator = Validator(self._settings.core)
        self._given, self._clock = log, clock
        self._log: Log | None = None
        self._producer: Any = None
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._under_way: set[asyncio.Future[Acknowledged]] = set()
        self.counts: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        directory = self._settings.embedded_log
        if self._given is not None or directory is not None:
            self._log = self._given or Log(directory or "")
            return self
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            enable_idempotence=True,  # with acks=all: what is acknowledged is durable, and once
            linger_ms=LINGER_MS,
            compression_type="lz4",
        )
        with overheard() as heard:
            try:
                await producer.start()
            except KafkaError as error:
                await stopped(producer)
                why = heard[-1] if heard else str(error)
                raise ConfigError(
                    f"broker {self._settings.broker} does not answer: {why}"
                ) from error
        self._producer = producer
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._producer is not None:
            await stopped(self._producer)
        if self._log is not None and self._given is None:
            await asyncio.to_thread(self._log.close)
        self._producer = self._log = None

    def check(self, topic: str, event: Mapping[str, Any] | bytes, headers: Headers = ()) -> Checked:
        """What an event comes to, without sending it; ``topic`` without the prefix."""
        if topic not in TOPICS:
            raise ConfigError(f"there is no topic {topic!r} of events; one of {', '.join(TOPICS)}")
        return self._validator.check(topic, event, self._clock(), headers)

    async def send(
        self, topic: str, event: Mapping[str, Any] | bytes, headers: Headers = ()
    ) -> Acknowledged:
        """Send an event, and return when it is durable.

        Raises
        ------
        EventRefused
            If a worker would refuse it; nothing was sent.
        NotSent
            If no broker acknowledged it in ``kafka.request_timeout``.
        """
        return await (await self.submit(topic, event, headers))

    async def submit(
        self, topic: str, event: Mapping[str, Any] | bytes, headers: Headers = ()
    ) -> Awaitable[Acknowledged]:
        """Hand an event over; what is returned is done when the event is durable.

        It waits while too many are under way. Raises `EventRefused` at once; the awaitable raises
        `NotSent`.
        """
        checked = self.check(topic, event, headers)
        if checked.faults or checked.ignored is not None or checked.key is None:
            self.counts["refused" if checked.faults else "ignored"] += 1
            raise EventRefused(checked)
        return await self._submit(topic, checked.key, checked.value, headers)

    async def relay(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Awaitable[Acknowledged]:
        """Hand a record over as it is, unchecked: for records that are sent again."""
        return await self._submit(topic, key, value, headers)

    async def _submit(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Awaitable[Acknowledged]:
        await self._room.acquire()
        name = f"{self._settings.topics.prefix}{topic}"
        try:
            placing = await self._placing(name, key, value, headers)
        except BaseException:
            self._room.release()
            self.counts["failed"] += 1
            raise
        sent = asyncio.ensure_future(self._acknowledged(name, placing))
        self._under_way.add(sent)
        sent.add_done_callback(self._done)
        return sent

    def _done(self, sent: asyncio.Future[Acknowledged]) -> None:
        self._under_way.discard(sent)
        self._room.release()
        failed = sent.cancelled() or sent.exception() is not None
        self.counts["failed" if failed else "acknowledged"] += 1

    async def _placing(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Awaitable[Any]:
        """Put a record into the order in which records are sent."""
        if self._log is not None:
            placed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            placed.set_result(self._appended(self._log, topic, key, value, headers))
            return placed
        if self._producer is None:
            raise NotSent("the producer is not running: use it with 'async with'")
        try:
            placing: Awaitable[Any] = await self._producer.send(
                topic, value, key=key, headers=list(headers)
            )
        except (KafkaError, TimeoutError) as error:
            raise _not_sent(topic, error) from error
        return placing

    async def _acknowledged(self, topic: str, placing: Awaitable[Any]) -> Acknowledged:
        try:
            placed = await placing
        except (KafkaError, TimeoutError) as error:
            raise _not_sent(topic, error) from error
        return Acknowledged(topic, placed.partition, placed.offset)

    def _appended(
        self, log: Log, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Acknowledged:
        count = log.partitions(topic)
        if count is None:
            raise NotSent(f"topic {topic} is missing in {log.directory}: let a worker run on it")
        partition = partition_for(key or b"", count)
        offset = log.append(topic, partition, [(key, value, self._clock(), tuple(headers))])
        return Acknowledged(topic, partition, offset)


def _not_sent(topic: str, error: Exception) -> NotSent:
    return NotSent(f"{topic}: {str(error) or type(error).__name__}")
