"""The event producer: events are checked, sent by customer, and each is answered for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple, Self

from aiokafka.errors import KafkaError

from stream.broker.opening import open_broker
from stream.broker.protocol import Broker, Placed
from stream.client.validation import TOPICS, Checked, Fault, Validator
from stream.codec.events.envelope import Headers
from stream.config import ConfigError, Settings
from stream.host.extensions import envelopes_in_force

IN_FLIGHT: Final = 10_000  # events at once that are not yet acknowledged


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
    opened
        A broker that is open in this process, such as ``engine.app.broker``, instead.
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
        opened: Broker | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = Settings(broker=broker) if isinstance(broker, str) else broker
        self._validator = Validator(
            self._settings.core, envelopes=envelopes_in_force(self._settings)
        )
        self._clock = clock
        self._given = opened
        self._broker: Broker | None = None
        self._open = AsyncExitStack()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._under_way: set[asyncio.Future[Acknowledged]] = set()
        self.counts: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._broker = self._given or await self._open.enter_async_context(
            open_broker(self._settings)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        self._broker = None
        await self._open.aclose()

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
    ) -> Awaitable[Placed]:
        """Put a record into the order in which records are sent."""
        if self._broker is None:
            raise NotSent("the producer is not running: use it with 'async with'")
        try:
            return await self._broker.send(topic, (key, value, None, headers))
        except (ConfigError, KafkaError, TimeoutError) as error:
            raise _not_sent(topic, error) from error

    async def _acknowledged(self, topic: str, placing: Awaitable[Placed]) -> Acknowledged:
        try:
            placed = await placing
        except (KafkaError, TimeoutError) as error:
            raise _not_sent(topic, error) from error
        return Acknowledged(topic, placed.partition, placed.offset)


def _not_sent(topic: str, error: Exception) -> NotSent:
    return NotSent(f"{topic}: {str(error) or type(error).__name__}")
