"""Sinks without an engine: records for workers that run elsewhere, or later.

Rules: what was published is durable; settling waits for nobody, and no offers come back.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.codec.partition import partition_for
from stream.config import ConfigError, Settings
from stream.replay.drive import Sink
from stream.runtime.connection import client_options
from stream.runtime.local.log import Log

if TYPE_CHECKING:
    from stream.runtime.engine import Publication

_Places: TypeAlias = "dict[tuple[str, int], list[Publication]]"


@asynccontextmanager
async def topics_only(settings: Settings, wall: Callable[[], float]) -> AsyncIterator[Sink]:
    """Open the topics for writing; ``wall`` tells seconds since the epoch.

    Raises
    ------
    ConfigError
        The broker does not answer, or the local log is open elsewhere.
    """
    if settings.embedded_log is not None:
        with Log(settings.embedded_log) as log:
            yield _LocalTopics(log, settings, wall)
        return
    producer = AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        enable_idempotence=True,  # a retry must not change the order, which resuming rests on
        max_batch_size=settings.kafka.batch_bytes,
    )
    try:
        await producer.start()
    except KafkaError as error:
        raise ConfigError(f"broker {settings.broker} does not answer: {error}") from error
    try:
        yield _KafkaTopics(producer, settings)
    finally:
        await producer.stop()


class _Topics:
    """Topics that somebody else reads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def settle(self) -> None:
        """Wait for nobody."""

    def drain_offers(self) -> list[bytes]:
        """None come back."""
        return []

    def _places(self, records: Sequence[Publication]) -> _Places:
        places: _Places = defaultdict(list)
        for record in records:
            kind, key = record[:2]
            shards = 1 if kind == "catalog" else self._settings.partitions
            places[getattr(self._settings.topics, kind), partition_for(key, shards)].append(record)
        return places


class _LocalTopics(_Topics):
    def __init__(self, log: Log, settings: Settings, wall: Callable[[], float]) -> None:
        super().__init__(settings)
        self._log, self._wall = log, wall

    async def publish(self, records: Sequence[Publication]) -> None:
        """Append records; durable on return."""
        now = round(self._wall() * 1_000)
        for (topic, partition), found in self._places(records).items():
            rows = [(key, value, now, tuple(headers)) for _, key, value, headers, _ in found]
            self._log.append(topic, partition, rows)
        await asyncio.to_thread(self._log.sync)


class _KafkaTopics(_Topics):
    def __init__(self, producer: AIOKafkaProducer, settings: Settings) -> None:
        super().__init__(settings)
        self._producer = producer

    async def publish(self, records: Sequence[Publication]) -> None:
        """Append records; durable on return."""
        sent = []
        for (topic, partition), found in self._places(records).items():
            for _, key, value, headers, _ in found:
                sent.append(
                    await self._producer.send(
                        topic, value, key=key, partition=partition, headers=list(headers)
                    )
                )
        await asyncio.gather(*sent)
