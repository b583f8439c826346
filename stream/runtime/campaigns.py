"""The campaigns in force: what their topic holds, from outside any worker, and changing it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.codec.reference import Entry, ReferenceDecoder
from stream.config import ConfigError, Settings
from stream.core.event import Campaign
from stream.runtime.archive import read_topic
from stream.runtime.batching.records import Record, Unreadable
from stream.runtime.connection import client_options, overheard, stopped
from stream.runtime.local.log import Log
from stream.runtime.local_admin import open_local
from stream.runtime.topics import apply, plan


class InForce(NamedTuple):
    """Campaigns by id, as workers have them; ``refused`` are the keys of records that are none."""

    campaigns: Mapping[str, Campaign]
    refused: tuple[str, ...]


def read_campaigns(settings: Settings, decoder: ReferenceDecoder) -> InForce:
    """The campaigns that the topic holds now; as a worker follows it.

    Raises
    ------
    ConfigError
        If the topic is not there, the broker does not answer, or the local log is open elsewhere.
    """
    campaigns: dict[str, Campaign] = {}
    refused: dict[str, None] = {}

    def take(record: Record) -> None:
        if isinstance(record, Unreadable):
            return
        entry = decoder.decode_campaign(record.key, record.value, record.headers)
        name = (record.key or b"").decode(errors="replace")
        refused.pop(name, None)
        if not isinstance(entry, Entry):
            refused[name] = None
        elif entry.value is None:
            campaigns.pop(entry.id, None)
        else:
            campaigns[entry.id] = entry.value

    read_topic(settings, settings.topics.campaigns, 1, take)
    return InForce(campaigns, tuple(refused))


def publish_campaigns(settings: Settings, changes: Mapping[str, bytes | None]) -> None:
    """Put campaigns on their topic, or take them off (None); durable on return.

    Raises
    ------
    ConfigError
        If the broker does not answer or refuses, or the local log is open elsewhere.
    """
    if settings.embedded_log is not None:
        asyncio.run(_append(settings, changes))
        return
    with overheard() as heard:
        try:
            asyncio.run(_send(settings, changes))
        except (KafkaError, TimeoutError) as error:
            why = heard[-1] if heard else str(error) or "no answer in time"
            raise ConfigError(f"broker {settings.broker} does not take campaigns: {why}") from error


async def _append(settings: Settings, changes: Mapping[str, bytes | None]) -> None:
    async with open_local(settings) as cluster:
        await apply(cluster, await plan(cluster, settings, replication=1))
    assert settings.embedded_log is not None
    now = time.time_ns() // 1_000_000
    with Log(settings.embedded_log, segment_bytes=settings.embedded.segment_bytes) as log:
        records = [(name.encode(), value, now, ()) for name, value in changes.items()]
        log.append(settings.topics.campaigns, 0, records)
        log.sync()


async def _send(settings: Settings, changes: Mapping[str, bytes | None]) -> None:
    producer = AIOKafkaProducer(**client_options(settings), acks="all", linger_ms=5)
    async with asyncio.timeout(settings.kafka.request_timeout):
        try:
            await producer.start()
            sent = [
                await producer.send(settings.topics.campaigns, value, name.encode(), partition=0)
                for name, value in changes.items()
            ]
            await asyncio.gather(*sent)
        finally:
            await stopped(producer)
