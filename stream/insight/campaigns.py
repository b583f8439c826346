"""The campaigns in force: what their topic holds, from outside any worker, and changing it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from faust.types import TP

from stream.broker.opening import open_broker
from stream.broker.records import Record, Unreadable
from stream.broker.whole import read_topic
from stream.codec.reference import ReferenceDecoder, ReferenceEntry
from stream.config import Settings
from stream.domain.event import Campaign
from stream.worker.checks.topics import made


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
        if not isinstance(entry, ReferenceEntry):
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
    asyncio.run(_publish(settings, changes))


async def _publish(settings: Settings, changes: Mapping[str, bytes | None]) -> None:
    await made(settings)
    records = [(name.encode(), value, None, ()) for name, value in changes.items()]
    async with open_broker(settings) as broker:
        await broker.publish({TP(settings.topics.campaigns, 0): records})
